"""The history: numbered without gaps, and whoever reads only the events knows what the rows say.

One pass over the events, in order, keeping what a reader would know of waves, atoms and the execution. At the end that must
be what is stored; on the way nothing may happen out of turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from executions.engine import dialect
from executions.services.consistency.inconsistency import Inconsistency
from executions.services.consistency.stored import StoredExecution
from executions.states import (
    ATOM_ENDED,
    ATTEMPT_COUNTED,
    EXECUTION_ENDED,
    AtomStatus,
    AttemptKind,
    ExecutionStatus,
    WaveStatus,
)

NUMBERS = "numbers"
ORDER = "order"
HISTORY = "history"

E, W = ExecutionStatus, WaveStatus

_TOLD: Mapping[str, ExecutionStatus] = {
    "execution.started": E.RUNNING,
    "execution.pausing": E.PAUSING,
    "execution.paused": E.PAUSED,
    "execution.reopened": E.RUNNING,
}
_WITH_DATA = frozenset({"atom.ended", "attempt.ended", "wave.ended", "wave.reopened", "execution.ended"})


@dataclass(slots=True)
class _Reader:
    """What a reader of the events knows so far."""

    stored: StoredExecution
    seq: int = 0
    status: str = E.PENDING
    begun: bool = False
    atoms: dict[str, str] = field(default_factory=dict)
    """How each atom ended; those that have not are left out."""
    waves: dict[int, str] = field(default_factory=dict)
    verdicts: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    found: list[Inconsistency] = field(default_factory=list)

    def wrong(self, check: str, what: str, expected: object, found: object) -> None:
        self.found.append(self.stored.wrong(check, what, expected, found))

    def read(
        self, seq: int, kind: str, wave: int | None, atom: str, attempt: int | None, data: Mapping[str, Any]
    ) -> None:
        if seq != self.seq + 1:
            self.wrong(NUMBERS, f"event after {self.seq}", self.seq + 1, seq)
        self.seq = seq
        if self.status in EXECUTION_ENDED and not _may_come_after_the_end(kind):
            self.wrong(ORDER, f"event {seq}, {kind} {atom}".rstrip(), "none after the end", "one")
        family = kind.partition(".")[0]
        if family == "execution":
            self._execution(seq, kind, data)
        elif kind == "control.cancel":
            self.status = E.CANCELLING
        elif kind == "control.pause" and self.status == E.RUNNING:
            self.status = E.PAUSING
        elif family == "wave" and wave is not None:
            self._wave(seq, kind, wave, data)
        elif family == "atom":
            self._atom(seq, kind, wave, atom, data)
        elif kind == "attempt.ended" and data.get("status", "") in ATTEMPT_COUNTED:
            self.verdicts[data["status"]] += 1
        elif kind in ("call.answered", "call.failed"):
            self.calls += 1

    def _execution(self, seq: int, kind: str, data: Mapping[str, Any]) -> None:
        if kind == "execution.ended":
            self.status = data.get("status", "")
        elif kind == "execution.resumed":
            self.status = E.RUNNING if self.begun else E.PENDING
        elif kind in _TOLD:
            if kind == "execution.reopened" and self.status not in EXECUTION_ENDED:
                self.wrong(ORDER, f"event {seq}, {kind}", "an execution that has ended", self.status)
            self.begun = self.begun or kind == "execution.started"
            self.status = _TOLD[kind]

    def _wave(self, seq: int, kind: str, number: int, data: Mapping[str, Any]) -> None:
        if kind == "wave.started":
            if self.waves.get(number, W.PENDING) != W.PENDING:
                self.wrong(
                    ORDER, f"event {seq}, start of wave {number}", "a pending wave", self.waves[number]
                )
            self.waves[number] = W.RUNNING
            if self.stored.row.schedule == "waves":
                self._nothing_ahead(seq, number)
        elif kind in ("wave.ended", "wave.reopened"):
            self.waves[number] = data.get("status", "")

    def _nothing_ahead(self, seq: int, number: int) -> None:
        ahead = number - 1
        if ahead and self.waves.get(ahead, W.PENDING) in (W.PENDING, W.RUNNING):
            told = self.waves.get(ahead, W.PENDING)
            self.wrong(ORDER, f"event {seq}, start of wave {number}", f"wave {ahead} ended", told)

    def _atom(self, seq: int, kind: str, wave: int | None, key: str, data: Mapping[str, Any]) -> None:
        place = f"event {seq}, {kind} {key}"
        if kind == "atom.ended":
            if key in self.atoms:
                self.wrong(ORDER, place, "an atom that has not ended", self.atoms[key])
            self.atoms[key] = data.get("status", "")
        elif kind == "atom.reopened":
            self.atoms.pop(key, None)
        elif kind in ("atom.started", "atom.resumed"):
            if key in self.atoms:
                self.wrong(ORDER, place, "an atom that has not ended", self.atoms[key])
            # A person's code is judged whatever wave is open.
            if self.waves.get(wave or 0) != W.RUNNING and key not in self.stored.reviewed:
                self.wrong(ORDER, place, f"wave {wave} running", self.waves.get(wave or 0, W.PENDING))
            if kind == "atom.started":
                self._dependencies_are_there(place, key)

    def _dependencies_are_there(self, place: str, key: str) -> None:
        node = self.stored.graph.nodes.get(key)
        follows_all = self.stored.row.on_dependency_failure == "continue"
        for one in () if node is None else node.depends_on:
            told = self.atoms.get(one, "not ended")
            if told != AtomStatus.SUCCEEDED and not (follows_all and told in ATOM_ENDED):
                self.wrong(ORDER, place, f"its dependency {one} to have succeeded", told)


def _may_come_after_the_end(kind: str) -> bool:
    """Somebody came too late, or a person did something."""
    return kind in ("lease.late_write", "execution.reopened") or kind.startswith("control.")


def events_tell_the_rows(stored: StoredExecution) -> Iterator[Inconsistency]:
    """The events, read from the first to the last, against the rows."""
    reader = _Reader(stored)
    for seq, kind, wave, atom, attempt, data in stored.of_execution(
        "SELECT seq, type, wave, atom, attempt, data FROM executions_event WHERE execution_id = %s ORDER BY seq"
    ):
        reader.read(seq, kind, wave, atom, attempt, dialect.load(data) if kind in _WITH_DATA else {})
    yield from reader.found
    yield from _compare(stored, reader)


def _compare(stored: StoredExecution, told: _Reader) -> Iterator[Inconsistency]:
    row = stored.row
    if row.seq != told.seq:
        yield stored.wrong(NUMBERS, "seq of the execution", f"{told.seq}, the last event", row.seq)
    if row.status != told.status:
        yield stored.wrong(HISTORY, "status of the execution", f"{told.status}, by its events", row.status)
    for atom in stored.atoms.values():
        ended = told.atoms.get(atom.key)
        if atom.has_ended and atom.status != ended:
            yield stored.wrong(
                HISTORY, f"status of atom {atom.key}", f"{ended or 'not ended'}, by its events", atom.status
            )
        elif not atom.has_ended and ended is not None:
            yield stored.wrong(HISTORY, f"status of atom {atom.key}", f"{ended}, by its events", atom.status)
    for key in told.atoms.keys() - stored.atoms.keys():
        yield stored.wrong(HISTORY, f"atom {key} of the events", "a row", "none")
    for wave in stored.waves:
        status = told.waves.get(wave.number, W.PENDING)
        if wave.status != status:
            yield stored.wrong(
                HISTORY, f"status of wave {wave.number}", f"{status}, by its events", wave.status
            )
    verdicts = dict(
        stored.of_execution(
            "SELECT status, COUNT(*) FROM executions_attempt WHERE execution_id = %s AND kind <> %s"
            " AND status IN ('passed', 'rejected') GROUP BY status",
            AttemptKind.FORK.value,
        )
    )
    for status in sorted(ATTEMPT_COUNTED):
        if verdicts.get(status, 0) != told.verdicts[status]:
            yield stored.wrong(
                HISTORY,
                f"attempts that {status}",
                f"{told.verdicts[status]}, by the events",
                verdicts.get(status, 0),
            )
    ended_calls = stored.of_execution(
        "SELECT COUNT(*) FROM executions_call WHERE execution_id = %s AND outcome <> ''"
    )[0][0]
    if ended_calls != told.calls:
        yield stored.wrong(HISTORY, "calls that have ended", f"{told.calls}, by the events", ended_calls)
