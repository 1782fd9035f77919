"""Calls in the ledger: intent before the request leaves, outcome after. No call without a reservation inside the budget."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from executions.engine import dialect
from executions.engine.attempt_rows import NewAttempt, end_open_attempt, insert_attempts
from executions.engine.claims import ClaimedAtom, hold, holds, release
from executions.engine.ledger import Change, Stopped
from executions.engine.progress import Ending, end_atom
from executions.engine.rows import CallRow, Touched
from executions.engine.transaction import ExecutionTransaction, LockedExecution
from executions.states import AtomStatus, AttemptKind, AttemptStatus, CallOutcome, ExecutionStatus

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper


_NOTHING_YET = ("{}", "{}", "", "", "", "", "", "", 0, 0, 0, 0, "")
"""What a call's columns hold until its outcome is known, from the applied parameters to the kind of price."""


@dataclass(frozen=True, slots=True)
class AttemptIntent:
    """The attempt row to be made with its first call."""

    number: int
    strategy: str
    rung: Mapping[str, Any]
    prompt_system: str
    prompt_user: str


@dataclass(frozen=True, slots=True)
class RecordIntent(Change[None]):
    """A call is about to be made: its row, its reservation, and the attempt's row with the first one."""

    claim: ClaimedAtom
    attempt_id: uuid.UUID
    attempt_number: int
    call_id: uuid.UUID
    ordinal: int
    endpoint: str
    model: str
    requested: Mapping[str, Any]
    reserve_nano_usd: int
    new_attempt: AttemptIntent | None = None

    def execution_ids(self, cursor: CursorWrapper) -> Iterable[uuid.UUID]:
        return (self.claim.execution_id,)

    def touches(self) -> Touched:
        return Touched(atoms=(self.claim.run_id,))

    def apply(self, unit: ExecutionTransaction) -> None:
        hold(unit, self.claim)
        self.begin(unit)
        row = unit.rows.atom(self.claim.run_id)
        if row.status != AtomStatus.GENERATING:
            row.status = AtomStatus.GENERATING.value
            unit.rows.changed(row)

    def begin(self, unit: ExecutionTransaction) -> None:
        """The same for an atom that this very transaction has claimed."""
        execution = unit.executions[self.claim.execution_id]
        if unit.again and self._is_written(unit):
            return
        if execution.status is not ExecutionStatus.RUNNING:
            raise Stopped(execution.status)
        if not _within_budget(execution, self.reserve_nano_usd):
            pause_for(unit, execution, "budget: the next call could exceed the limit")
            raise Stopped(execution.status)
        if self.new_attempt is not None:
            self._start_attempt(unit, execution, self.new_attempt)
        unit.rows.add_call(
            self.call_id,
            (
                dialect.uid(self.call_id),
                dialect.uid(execution.id),
                dialect.uid(self.attempt_id),
                self.ordinal,
                self.claim.owner,
                self.claim.fence,
                self.endpoint,
                self.model,
                dialect.dump(self.requested),
                *_NOTHING_YET,
                self.reserve_nano_usd,
                dialect.at(unit.now),
            ),
        )
        execution.add("calls_total")
        execution.add("reserved_nano_usd", self.reserve_nano_usd)

    def _is_written(self, unit: ExecutionTransaction) -> bool:
        return unit.rows.call(self.call_id) is not None

    def _start_attempt(
        self, unit: ExecutionTransaction, execution: LockedExecution, intent: AttemptIntent
    ) -> None:
        insert_attempts(
            unit,
            [
                NewAttempt(
                    id=self.attempt_id,
                    execution_id=execution.id,
                    run_id=self.claim.run_id,
                    generation=self.claim.generation,
                    number=intent.number,
                    kind=AttemptKind.MODEL,
                    strategy=intent.strategy,
                    rung=intent.rung,
                    prompt_system=intent.prompt_system,
                    prompt_user=intent.prompt_user,
                )
            ],
        )
        unit.event(
            execution,
            "attempt.started",
            wave=self.claim.wave,
            atom=self.claim.key,
            attempt=intent.number,
            strategy=intent.strategy,
            temperature=intent.rung.get("temperature"),
            model=self.model,
        )


def _within_budget(execution: LockedExecution, amount: int) -> bool:
    if execution.budget_nano_usd is None:
        return True
    counters = execution.counters
    spent = counters["cost_nano_usd"] + counters["reserved_nano_usd"] + counters["lost_nano_usd"]
    return spent + amount <= execution.budget_nano_usd


def pause_for(unit: ExecutionTransaction, execution: LockedExecution, reason: str) -> None:
    """The engine itself stops new calls of a running execution; a person resumes it."""
    if execution.status is ExecutionStatus.RUNNING:
        unit.set_status(execution, ExecutionStatus.PAUSING, "pause", reason)
        unit.event(execution, "execution.pausing", reason=reason)


@dataclass(frozen=True, slots=True)
class CallResult:
    """What is known of a call after it ended."""

    outcome: CallOutcome
    applied: Mapping[str, Any] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)
    status_code: int | None = None
    error_type: str = ""
    error: str = ""
    request_id: str = ""
    stop_reason: str = ""
    answer: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    price_kind: str = ""
    cost_nano_usd: int | None = None
    possibly_billed: bool = False
    """No bill came, but there may be one: the reservation counts as possibly spent."""

    @property
    def settled_nano_usd(self) -> int | None:
        """The cost that is known: nothing where nothing can have been billed. None: nobody knows."""
        return 0 if self.cost_nano_usd is None and not self.possibly_billed else self.cost_nano_usd


def close_call(
    unit: ExecutionTransaction, execution: LockedExecution, call_id: uuid.UUID, result: CallResult
) -> bool:
    """Write the outcome of an open call and settle its reservation. A late outcome of a call already counted as lost is
    recorded too, with its true cost. Returns whether the call was still open.

    What is possibly spent is thus the sum of the reservations of all calls that have ended without a known cost.
    """
    call = _known_call(unit, call_id)
    if _is_over(call):
        return False
    was_open, reserved = call.outcome == "", call.reserved_nano_usd
    unit.rows.end_call(
        call,
        (result.outcome if was_open else CallOutcome.LOST).value,
        result.settled_nano_usd,
        (
            dialect.dump(result.applied),
            dialect.dump(result.dropped),
            result.status_code,
            dialect.text(result.error_type)[:80],
            dialect.text(result.error),
            dialect.text(result.request_id)[:200],
            dialect.text(result.stop_reason)[:60],
            dialect.text(result.answer),
            result.input_tokens,
            result.output_tokens,
            result.cache_read_tokens,
            result.cache_write_tokens,
            result.price_kind,
            result.settled_nano_usd,
            dialect.at(call.ended_at or unit.now),
        ),
    )
    execution.add("input_tokens", result.input_tokens)
    execution.add("output_tokens", result.output_tokens)
    execution.add("cost_nano_usd", result.settled_nano_usd or 0)
    if was_open:
        execution.add("reserved_nano_usd", -reserved)
    else:
        execution.add("lost_nano_usd", -reserved)
    if result.settled_nano_usd is None:
        execution.add("lost_nano_usd", reserved)
    return was_open


def is_settled(unit: ExecutionTransaction, call_id: uuid.UUID) -> bool:
    """Whether the outcome of a call is on record. Asked when it is written again: then it is told and counted already."""
    return _is_over(_known_call(unit, call_id))


def _is_over(call: CallRow) -> bool:
    """Whether its outcome is known for good: one that counts as lost may still have its cost told."""
    return call.outcome not in ("", CallOutcome.LOST.value) or call.cost_nano_usd is not None


def _known_call(unit: ExecutionTransaction, call_id: uuid.UUID) -> CallRow:
    call = unit.rows.call(call_id)
    if call is None:
        raise LookupError(f"call {call_id} has no row")
    return call


def goes_on(unit: ExecutionTransaction, execution: LockedExecution, claim: ClaimedAtom) -> bool:
    """What a change answers that is written again and left the atom with its owner, if it did: the owner goes on, unless the
    execution was stopped meanwhile. Then the atom is given back.
    """
    if not holds(unit, claim):
        return False
    if execution.status is ExecutionStatus.RUNNING:
        return True
    release(unit, claim, None)
    return False


@dataclass(frozen=True, slots=True)
class RecordAnswer(Change[bool]):
    """The model answered in full: queued before the answer is looked at. Returns whether the atom is still ours."""

    claim: ClaimedAtom
    attempt_number: int
    call_id: uuid.UUID
    result: CallResult

    def execution_ids(self, cursor: CursorWrapper) -> Iterable[uuid.UUID]:
        return (self.claim.execution_id,)

    def touches(self) -> Touched:
        return Touched(atoms=(self.claim.run_id,), calls=(self.call_id,))

    def apply(self, unit: ExecutionTransaction) -> bool:
        execution = unit.executions[self.claim.execution_id]
        if unit.again and is_settled(unit, self.call_id):
            return holds(unit, self.claim)
        close_call(unit, execution, self.call_id, self.result)
        if not holds(unit, self.claim):
            note_late(unit, execution, self.claim, "answer")
            return False
        row = unit.rows.atom(self.claim.run_id)
        row.status, row.faults, row.fault_since = AtomStatus.VALIDATING.value, 0, None
        unit.rows.changed(row)
        unit.event(
            execution,
            "call.answered",
            wave=self.claim.wave,
            atom=self.claim.key,
            attempt=self.attempt_number,
            output_tokens=self.result.output_tokens,
        )
        return True


def note_late(unit: ExecutionTransaction, execution: LockedExecution, claim: ClaimedAtom, what: str) -> None:
    """A former owner came back with a result: refused, and on record."""
    unit.event(
        execution,
        "lease.late_write",
        wave=claim.wave,
        atom=claim.key,
        what=what,
        owner=claim.owner,
        fence=claim.fence,
    )


@dataclass(frozen=True, slots=True)
class FaultPolicy:
    """Patience with a provider: `most` faults in a row or `window`, whichever comes first."""

    most: int
    window: timedelta


@dataclass(frozen=True, slots=True)
class RecordFault(Change[bool]):
    """A call brought no usable answer. The atom waits without a slot, or gives the provider up; no attempt is used.

    `wait` is the time until the atom may be claimed again; `stop_reason` pauses the whole execution (a person must act).
    Returns whether the same owner may go on at once (only when `wait` is None).
    """

    claim: ClaimedAtom
    attempt_number: int
    call_id: uuid.UUID
    result: CallResult
    policy: FaultPolicy
    wait: timedelta | None
    stop_reason: str = ""

    def execution_ids(self, cursor: CursorWrapper) -> Iterable[uuid.UUID]:
        return (self.claim.execution_id,)

    def touches(self) -> Touched:
        return Touched(atoms=(self.claim.run_id,), calls=(self.call_id,))

    def apply(self, unit: ExecutionTransaction) -> bool:
        execution = unit.executions[self.claim.execution_id]
        if unit.again and is_settled(unit, self.call_id):
            return goes_on(unit, execution, self.claim)
        close_call(unit, execution, self.call_id, self.result)
        if not holds(unit, self.claim):
            note_late(unit, execution, self.claim, "fault")
            return False
        row = unit.rows.atom(self.claim.run_id)
        faults, since = row.faults + 1, row.fault_since or unit.now
        unit.event(
            execution,
            "call.failed",
            wave=self.claim.wave,
            atom=self.claim.key,
            attempt=self.attempt_number,
            outcome=self.result.outcome.value,
            error_type=self.result.error_type,
            status_code=self.result.status_code,
            faults=faults,
            wait_s=None if self.wait is None else round(self.wait.total_seconds(), 3),
        )
        row.faults, row.fault_since = faults, since
        unit.rows.changed(row)
        if self.stop_reason:
            pause_for(unit, execution, self.stop_reason)
            release(unit, self.claim, None)
            return False
        if faults >= self.policy.most or unit.now - since >= self.policy.window:
            self._give_up(unit, execution, faults)
            return False
        if self.wait is None and execution.status is ExecutionStatus.RUNNING:
            return True
        release(unit, self.claim, unit.now + (self.wait or timedelta()))
        return False

    def _give_up(self, unit: ExecutionTransaction, execution: LockedExecution, faults: int) -> None:
        claim = self.claim
        end_open_attempt(unit, execution, claim.run_id, claim.key, claim.wave, AttemptStatus.PROVIDER)
        said = (
            f"{self.result.error_type}: {self.result.error}"
            if self.result.error
            else self.result.outcome.value
        )
        error = f"The provider gave no usable answer ({faults} calls in a row). Last: {said}"
        ending = Ending(AtomStatus.FAILED, reason="provider", error=error)
        end_atom(unit, execution, claim.run_id, claim.key, claim.wave, ending)


@dataclass(frozen=True, slots=True)
class RecordUnsent(Change[None]):
    """A call that was intended with its atom's claim is not made after all: it cost nothing, and the atom is given back."""

    claim: ClaimedAtom
    call_id: uuid.UUID

    def execution_ids(self, cursor: CursorWrapper) -> Iterable[uuid.UUID]:
        return (self.claim.execution_id,)

    def touches(self) -> Touched:
        return Touched(atoms=(self.claim.run_id,), calls=(self.call_id,))

    def apply(self, unit: ExecutionTransaction) -> None:
        execution = unit.executions[self.claim.execution_id]
        hold(unit, self.claim)
        close_call(unit, execution, self.call_id, CallResult(CallOutcome.CANCELLED, error="it was not sent"))
        claim, outcome = self.claim, CallOutcome.CANCELLED.value
        unit.event(execution, "call.failed", wave=claim.wave, atom=claim.key, outcome=outcome)
        unit.event(execution, "atom.released", wave=claim.wave, atom=claim.key)
        release(unit, claim, None)


@dataclass(frozen=True, slots=True)
class RecordAborted(Change[None]):
    """The owner aborted its work: because the execution is being cancelled, or because the runner itself must end."""

    claim: ClaimedAtom

    def execution_ids(self, cursor: CursorWrapper) -> Iterable[uuid.UUID]:
        return (self.claim.execution_id,)

    def touches(self) -> Touched:
        return Touched(atoms=(self.claim.run_id,))

    def apply(self, unit: ExecutionTransaction) -> None:
        execution = unit.executions[self.claim.execution_id]
        hold(unit, self.claim)
        cancelled = execution.status is ExecutionStatus.CANCELLING
        outcome = CallOutcome.CANCELLED if cancelled else CallOutcome.LOST
        # Asked of the table, not of the owner: it may have been aborted between the commit of an intent and the news of it.
        unit.cursor.execute(
            "SELECT c.id FROM executions_call c JOIN executions_attempt a ON a.id = c.attempt_id"
            " WHERE a.atom_run_id = %s AND c.outcome = ''",
            [dialect.uid(self.claim.run_id)],
        )
        for (call_id,) in unit.cursor.fetchall():
            result = CallResult(outcome, possibly_billed=True)
            close_call(unit, execution, dialect.to_uuid(call_id), result)
            unit.event(
                execution, "call.failed", wave=self.claim.wave, atom=self.claim.key, outcome=outcome.value
            )
        if not cancelled:
            unit.event(execution, "atom.released", wave=self.claim.wave, atom=self.claim.key)
        release(unit, self.claim, None)
