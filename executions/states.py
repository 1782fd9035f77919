"""The state machines: every state with its meaning, and which state may follow which. Imports nothing of ours.

Nobody else decides what may follow: services and engine ask `may_follow` or use the sets below in guarded UPDATEs.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class ExecutionStatus(StrEnum):
    PENDING = "pending"
    """Stored; no worker has claimed an atom of it yet."""
    RUNNING = "running"
    """Atoms may be claimed."""
    PAUSING = "pausing"
    """No new call starts; calls in flight finish and are validated."""
    PAUSED = "paused"
    """Nothing is in flight; waits for a person."""
    COMPLETED = "completed"
    """Every atom has ended; precision says how well."""
    FAILED = "failed"
    """Could not go on."""
    CANCELLING = "cancelling"
    """Calls in flight are being aborted."""
    CANCELLED = "cancelled"
    """Ended by a person, for good."""


class WaveStatus(StrEnum):
    PENDING = "pending"
    """Waits for the waves ahead."""
    RUNNING = "running"
    """Its atoms may be claimed."""
    COMPLETED = "completed"
    """Every atom of it has ended."""
    CANCELLED = "cancelled"
    """The execution was cancelled before every atom had ended by itself."""


class AtomStatus(StrEnum):
    PENDING = "pending"
    """Its dependencies, or the waves ahead, have not ended."""
    READY = "ready"
    """May be claimed once `not_before` has passed; also between attempts and while waiting for the provider."""
    GENERATING = "generating"
    """Leased: the model is asked."""
    VALIDATING = "validating"
    """Leased: an answer is being checked."""
    SUCCEEDED = "succeeded"
    """An answer was accepted."""
    FAILED = "failed"
    """Every attempt was rejected, or the provider never answered."""
    BLOCKED = "blocked"
    """A dependency ended without success."""
    CANCELLED = "cancelled"
    """The execution was cancelled."""
    DEAD_LETTERED = "dead_lettered"
    """Its owner died too often; a person must look."""


class AttemptStatus(StrEnum):
    RUNNING = "running"
    """Being generated or validated, or waiting for the provider."""
    PASSED = "passed"
    """Verdict: accepted."""
    REJECTED = "rejected"
    """Verdict: findings that block."""
    PROVIDER = "provider"
    """Ended without a verdict: the provider gave no usable answer."""
    CANCELLED = "cancelled"
    """Ended without a verdict: the execution was cancelled."""
    DEAD_LETTERED = "dead_lettered"
    """Ended without a verdict: the owner died too often."""


class AttemptKind(StrEnum):
    MODEL = "model"
    """Written by the model; counts when it has a verdict."""
    CACHE = "cache"
    """Taken from an earlier accepted answer; not counted."""
    PERSON = "person"
    """Supplied by a person; not counted."""
    FORK = "fork"
    """Taken over from the execution that this one was forked from; not counted."""


class CallOutcome(StrEnum):
    ANSWERED = "answered"
    """A whole answer came back."""
    TRANSPORT_ERROR = "transport_error"
    """No answer: rate limit, overload, server error, timeout, broken connection or body."""
    TRUNCATED = "truncated"
    """The answer was cut off at the token limit; it is not validated."""
    REFUSED = "refused"
    """The model declined to answer."""
    LOST = "lost"
    """Its owner died before the outcome was written: it may have been paid for."""
    CANCELLED = "cancelled"
    """Aborted because the execution was cancelled."""


class GateLevel(StrEnum):
    """What a gate judges: what has been accepted of a part of the plan, put together."""

    WAVE = "wave"
    """The project of the waves up to this one: its modules are imported, and the plan's tests of the wave are run."""
    MASTERPLAN = "masterplan"
    """The whole project: its modules are imported, and the plan's acceptance tests are run."""


class GateStatus(StrEnum):
    PENDING = "pending"
    """Waits until all atoms that it judges have ended."""
    READY = "ready"
    """May be claimed once `not_before` has passed."""
    RUNNING = "running"
    """Leased: the project is being tested."""
    PASSED = "passed"
    """Every module was imported, and every test passed."""
    FAILED = "failed"
    """Its findings say what is wrong, or what could not be run."""
    CANCELLED = "cancelled"
    """The execution was cancelled before it had a result."""


class Approval(StrEnum):
    """Whether a person must agree before an atom or a wave is begun."""

    NEEDED = "needed"
    """A person will be asked when everything else is ready."""
    ASKED = "asked"
    """Waits for a person, without a slot."""
    GIVEN = "given"
    """A person agreed."""


class Assurance(StrEnum):
    TESTED = "tested"
    """The atom's tests ran and passed."""
    STATIC = "static"
    """Accepted without running tests: there are none, or they were left out on purpose."""


E, A, W, T = ExecutionStatus, AtomStatus, WaveStatus, AttemptStatus
G = GateStatus

EXECUTION_TRANSITIONS: Mapping[ExecutionStatus, frozenset[ExecutionStatus]] = {
    E.PENDING: frozenset({E.RUNNING, E.PAUSED, E.CANCELLING, E.FAILED}),
    E.RUNNING: frozenset({E.PAUSING, E.COMPLETED, E.FAILED, E.CANCELLING}),
    E.PAUSING: frozenset({E.PAUSED, E.RUNNING, E.COMPLETED, E.CANCELLING, E.FAILED}),
    E.PAUSED: frozenset({E.PENDING, E.RUNNING, E.CANCELLING}),
    E.COMPLETED: frozenset({E.RUNNING}),
    E.FAILED: frozenset({E.RUNNING}),
    E.CANCELLING: frozenset({E.CANCELLED}),
    E.CANCELLED: frozenset(),
}

# From waiting straight to succeeded: a person's code was to replace accepted code, and a cancellation came first.
ATOM_TRANSITIONS: Mapping[AtomStatus, frozenset[AtomStatus]] = {
    A.PENDING: frozenset({A.READY, A.BLOCKED, A.CANCELLED, A.SUCCEEDED}),
    A.READY: frozenset({A.GENERATING, A.VALIDATING, A.CANCELLED, A.BLOCKED, A.PENDING, A.SUCCEEDED}),
    A.GENERATING: frozenset({A.VALIDATING, A.READY, A.SUCCEEDED, A.FAILED, A.CANCELLED, A.DEAD_LETTERED}),
    A.VALIDATING: frozenset({A.GENERATING, A.READY, A.SUCCEEDED, A.FAILED, A.CANCELLED, A.DEAD_LETTERED}),
    A.SUCCEEDED: frozenset({A.PENDING, A.READY}),
    A.FAILED: frozenset({A.PENDING, A.READY, A.SUCCEEDED}),
    A.BLOCKED: frozenset({A.PENDING, A.READY}),
    A.CANCELLED: frozenset(),
    A.DEAD_LETTERED: frozenset({A.PENDING, A.READY, A.SUCCEEDED}),
}

WAVE_TRANSITIONS: Mapping[WaveStatus, frozenset[WaveStatus]] = {
    W.PENDING: frozenset({W.RUNNING, W.CANCELLED}),
    W.RUNNING: frozenset({W.COMPLETED, W.CANCELLED, W.PENDING}),
    W.COMPLETED: frozenset({W.PENDING, W.RUNNING}),
    W.CANCELLED: frozenset(),
}

ATTEMPT_TRANSITIONS: Mapping[AttemptStatus, frozenset[AttemptStatus]] = {
    T.RUNNING: frozenset({T.PASSED, T.REJECTED, T.PROVIDER, T.CANCELLED, T.DEAD_LETTERED}),
    T.PASSED: frozenset(),
    T.REJECTED: frozenset(),
    T.PROVIDER: frozenset(),
    T.CANCELLED: frozenset(),
    T.DEAD_LETTERED: frozenset(),
}

# Back to pending from anywhere: an atom that it judges has begun anew.
GATE_TRANSITIONS: Mapping[GateStatus, frozenset[GateStatus]] = {
    G.PENDING: frozenset({G.READY, G.CANCELLED}),
    G.READY: frozenset({G.PENDING, G.RUNNING, G.CANCELLED}),
    G.RUNNING: frozenset({G.PENDING, G.READY, G.PASSED, G.FAILED, G.CANCELLED}),
    G.PASSED: frozenset({G.PENDING}),
    G.FAILED: frozenset({G.PENDING}),
    G.CANCELLED: frozenset(),
}

EXECUTION_ENDED = frozenset({E.COMPLETED, E.FAILED, E.CANCELLED})
"""Nothing more happens by itself."""
EXECUTION_CLAIMABLE = frozenset({E.PENDING, E.RUNNING})
"""Atoms may be claimed and calls may start."""
ATOM_LEASED = frozenset({A.GENERATING, A.VALIDATING})
ATOM_UNSUCCESSFUL = frozenset({A.FAILED, A.BLOCKED, A.CANCELLED, A.DEAD_LETTERED})
ATOM_ENDED = frozenset({A.SUCCEEDED, A.FAILED, A.BLOCKED, A.CANCELLED, A.DEAD_LETTERED})
GATE_ENDED = frozenset({G.PASSED, G.FAILED, G.CANCELLED})
ATTEMPT_COUNTED = frozenset({AttemptStatus.PASSED, AttemptStatus.REJECTED})
"""Attempts with a verdict: only these use up a rung."""

ORIGINAL_WORD: Mapping[ExecutionStatus, str] = {
    status: "running" if status in (E.PAUSING, E.CANCELLING) else status.value for status in E
}
"""What the original's nine routes call each state."""


class WrongState(Exception):
    """An action does not fit the state; the message names both."""

    def __init__(self, action: str, status: str) -> None:
        super().__init__(f"cannot {action}: the execution is {status}")
        self.action = action
        self.status = status


def may_follow(before: ExecutionStatus, after: ExecutionStatus) -> bool:
    return after in EXECUTION_TRANSITIONS[before]
