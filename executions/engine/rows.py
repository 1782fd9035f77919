"""The rows of atoms, attempts and calls that one transaction touches: read together, changed in memory, written together.

One statement for each change of each row is what makes a ledger slow: on PostgreSQL the round trips alone cost more than
everything else. The rows lie under the lock of their execution, so nobody else changes them meanwhile (but for
`lease_until`, which heartbeats prolong: it is written only where a lease is given up).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from executions.engine import dialect
from executions.states import ATOM_LEASED

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

AT_ONCE = 500
"""Rows read in one statement."""


@dataclass(frozen=True, slots=True)
class Touched:
    """Ids of the rows that a change is going to look at."""

    atoms: tuple[uuid.UUID, ...] = ()
    attempts: tuple[uuid.UUID, ...] = ()
    calls: tuple[uuid.UUID, ...] = ()


@dataclass(slots=True)
class AtomRow:
    """An atom run, as far as the work on it changes it."""

    id: uuid.UUID
    status: str
    reason: str
    error: str
    assurance: str
    accepted_id: uuid.UUID | None
    lease_owner: str
    fence: int
    not_before: datetime | None
    attempts: int
    faults: int
    fault_since: datetime | None
    started_at: datetime | None
    ended_at: datetime | None

    def is_held(self, owner: str, fence: int) -> bool:
        """Whether this owner holds it under this fence."""
        return self.lease_owner == owner and self.fence == fence and self.status in ATOM_LEASED

    def leave(self, status: str, *, not_before: datetime | None = None) -> None:
        """Give the lease up."""
        self.status, self.not_before, self.lease_owner = status, not_before, ""


@dataclass(slots=True)
class AttemptRow:
    id: uuid.UUID
    status: str
    ending: tuple[Any, ...] | None = None
    """Values of `_ATTEMPT_ENDING` to be written."""


@dataclass(slots=True)
class CallRow:
    id: uuid.UUID
    outcome: str
    reserved_nano_usd: int
    cost_nano_usd: int | None
    ended_at: datetime | None
    outcome_values: tuple[Any, ...] | None = None
    """Values of `_CALL_OUTCOME` to be written."""


_ATOM_COLUMNS = (
    "id, status, reason, error, assurance, accepted_id, lease_owner, fence, not_before, attempts, faults, fault_since,"
    " started_at, ended_at"
)
_ATOM_AT_WORK = {
    "status": "text",
    "attempts": "int",
    "faults": "int",
    "fault_since": "timestamptz",
    "id": "uuid",
}
_ATOM_LEFT = {
    "status": "text",
    "reason": "text",
    "error": "text",
    "assurance": "text",
    "accepted_id": "uuid",
    "lease_owner": "text",
    "lease_until": "timestamptz",
    "not_before": "timestamptz",
    "attempts": "int",
    "faults": "int",
    "fault_since": "timestamptz",
    "ended_at": "timestamptz",
    "id": "uuid",
}
_NEW_ATTEMPT = {
    "id": "uuid",
    "execution_id": "uuid",
    "atom_run_id": "uuid",
    "generation": "int",
    "number": "int",
    "kind": "text",
    "status": "text",
    "superseded": "boolean",
    "author": "text",
    "origin": "uuid",
    "strategy": "text",
    "rung": "jsonb",
    "prompt_system": "text",
    "prompt_user": "text",
    "code": "text",
    "isolation": "text",
    "tests_passed": "jsonb",
    "tests_total": "int",
    "started_at": "timestamptz",
    "ended_at": "timestamptz",
}
_ATTEMPT_ENDING = {
    "status": "text",
    "code": "text",
    "isolation": "text",
    "tests_passed": "jsonb",
    "tests_total": "int",
    "validation_ms": "double precision",
    "validation_cpu_ms": "double precision",
    "ended_at": "timestamptz",
    "id": "uuid",
}
_NEW_CALL = {
    "id": "uuid",
    "execution_id": "uuid",
    "attempt_id": "uuid",
    "ordinal": "int",
    "owner": "text",
    "fence": "int",
    "endpoint": "text",
    "model": "text",
    "requested": "jsonb",
    "applied": "jsonb",
    "dropped": "jsonb",
    "outcome": "text",
    "error_type": "text",
    "error": "text",
    "request_id": "text",
    "stop_reason": "text",
    "answer": "text",
    "input_tokens": "bigint",
    "output_tokens": "bigint",
    "cache_read_tokens": "bigint",
    "cache_write_tokens": "bigint",
    "price_kind": "text",
    "reserved_nano_usd": "bigint",
    "started_at": "timestamptz",
}
_CALL_OUTCOME = {
    "outcome": "text",
    "applied": "jsonb",
    "dropped": "jsonb",
    "status_code": "int",
    "error_type": "text",
    "error": "text",
    "request_id": "text",
    "stop_reason": "text",
    "answer": "text",
    "input_tokens": "bigint",
    "output_tokens": "bigint",
    "cache_read_tokens": "bigint",
    "cache_write_tokens": "bigint",
    "price_kind": "text",
    "cost_nano_usd": "bigint",
    "ended_at": "timestamptz",
    "id": "uuid",
}
_NEW_ISSUE = {
    "attempt_id": "uuid",
    "ordinal": "int",
    "severity": "text",
    "rule": "text",
    "message": "text",
    "line": "int",
    "hint": "text",
}


@dataclass(slots=True)
class Rows:
    """See the module. Whoever sends SQL of his own about these tables must `write` before and `forget` after."""

    _cursor: CursorWrapper
    _wanted: set[uuid.UUID] = field(default_factory=set)
    _wanted_attempts: set[uuid.UUID] = field(default_factory=set)
    _wanted_calls: set[uuid.UUID] = field(default_factory=set)
    _atoms: dict[uuid.UUID, AtomRow | None] = field(default_factory=dict)
    _attempts: dict[uuid.UUID, AttemptRow | None] = field(default_factory=dict)
    _calls: dict[uuid.UUID, CallRow | None] = field(default_factory=dict)
    _changed_atoms: dict[uuid.UUID, AtomRow] = field(default_factory=dict)
    _ended_attempts: list[AttemptRow] = field(default_factory=list)
    _ended_calls: list[CallRow] = field(default_factory=list)
    _begun: set[uuid.UUID] = field(default_factory=set)
    """Attempts and calls that have no row yet."""
    _new_attempts: list[tuple[Any, ...]] = field(default_factory=list)
    _new_calls: list[tuple[Any, ...]] = field(default_factory=list)
    _new_issues: list[tuple[Any, ...]] = field(default_factory=list)

    def expect(self, touched: Iterable[Touched]) -> None:
        """Name what is going to be asked for: it is then read in one statement for all."""
        for one in touched:
            self._wanted.update(one.atoms)
            self._wanted_attempts.update(one.attempts)
            self._wanted_calls.update(one.calls)

    # --- read -----------------------------------------------------------------------------------------------------

    def atom(self, run_id: uuid.UUID) -> AtomRow:
        """As this transaction has left it. Raises LookupError where there is none."""
        if run_id not in self._atoms:
            found = self._read("executions_atomrun", _ATOM_COLUMNS, self._wanted | {run_id}, self._atoms)
            for row in found:
                one = AtomRow(
                    id=dialect.to_uuid(row[0]),
                    status=row[1],
                    reason=row[2],
                    error=row[3],
                    assurance=row[4],
                    accepted_id=None if row[5] is None else dialect.to_uuid(row[5]),
                    lease_owner=row[6],
                    fence=row[7],
                    not_before=dialect.to_time(row[8]),
                    attempts=row[9],
                    faults=row[10],
                    fault_since=dialect.to_time(row[11]),
                    started_at=dialect.to_time(row[12]),
                    ended_at=dialect.to_time(row[13]),
                )
                self._atoms[one.id] = one
        atom = self._atoms[run_id]
        if atom is None:
            raise LookupError(f"atom run {run_id}")
        return atom

    def has_atom(self, run_id: uuid.UUID) -> bool:
        """Whether there is such an atom run; its execution may have been removed meanwhile."""
        try:
            self.atom(run_id)
        except LookupError:
            return False
        return True

    def attempt(self, attempt_id: uuid.UUID) -> AttemptRow | None:
        if attempt_id not in self._attempts:
            wanted = self._wanted_attempts | {attempt_id}
            for row in self._read("executions_attempt", "id, status", wanted, self._attempts):
                attempt = AttemptRow(dialect.to_uuid(row[0]), row[1])
                self._attempts[attempt.id] = attempt
        return self._attempts[attempt_id]

    def call(self, call_id: uuid.UUID) -> CallRow | None:
        if call_id not in self._calls:
            columns = "id, outcome, reserved_nano_usd, cost_nano_usd, ended_at"
            wanted = self._wanted_calls | {call_id}
            for row in self._read("executions_call", columns, wanted, self._calls):
                call = CallRow(dialect.to_uuid(row[0]), row[1], row[2], row[3], dialect.to_time(row[4]))
                self._calls[call.id] = call
        return self._calls[call_id]

    def _read(
        self, table: str, columns: str, wanted: Iterable[uuid.UUID], known: dict[uuid.UUID, Any]
    ) -> list[Sequence[Any]]:
        """Rows that are not known yet; those that do not exist become None."""
        ids = sorted(one for one in wanted if one not in known)
        known.update(dict.fromkeys(ids))
        rows: list[Sequence[Any]] = []
        for start in range(0, len(ids), AT_ONCE):
            some = ids[start : start + AT_ONCE]
            these, values = dialect.among([dialect.uid(one) for one in some])
            self._cursor.execute(f"SELECT {columns} FROM {table} WHERE id {these}", values)  # noqa: S608
            rows += self._cursor.fetchall()
        return rows

    # --- change ---------------------------------------------------------------------------------------------------

    def changed(self, atom: AtomRow) -> None:
        """Its values are to be written."""
        self._changed_atoms[atom.id] = atom

    def add_attempt(self, attempt_id: uuid.UUID, status: str, values: tuple[Any, ...]) -> None:
        """A new row; `values` in the order of the columns."""
        self._attempts[attempt_id] = AttemptRow(attempt_id, status)
        self._begun.add(attempt_id)
        self._new_attempts.append(values)

    def end_attempt(self, attempt: AttemptRow, status: str, values: tuple[Any, ...]) -> None:
        """`values`: code, isolation, tests passed, tests in all, validation's wall and CPU time in ms, end."""
        attempt.status = status
        self._ended_attempts.append(attempt)
        attempt.ending = (status, *values, dialect.uid(attempt.id))

    def add_call(self, call_id: uuid.UUID, values: tuple[Any, ...]) -> None:
        """A new row; `values` in the order of the columns."""
        self._begun.add(call_id)
        self._new_calls.append(values)

    def end_call(
        self, call: CallRow, outcome: str, cost_nano_usd: int | None, values: tuple[Any, ...]
    ) -> None:
        """`values`: applied … price kind, cost, end, in the order of the columns."""
        call.outcome, call.cost_nano_usd = outcome, cost_nano_usd
        call.outcome_values = (outcome, *values, dialect.uid(call.id))
        self._ended_calls.append(call)

    def add_issues(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._new_issues += rows

    # --- write ----------------------------------------------------------------------------------------------------

    def write(self) -> None:
        """Send all that has changed, a statement for each table and kind of change."""
        if self._pending:
            with dialect.all_at_once():
                self._send()

    @property
    def _pending(self) -> bool:
        return bool(
            self._new_attempts
            or self._new_calls
            or self._ended_calls
            or self._ended_attempts
            or self._new_issues
            or self._changed_atoms
        )

    def _send(self) -> None:
        cursor = self._cursor
        # What was there ends before the next begins: an atom has one running attempt, and that one open call.
        self._send_endings()
        # An attempt before the calls and issues that belong to it.
        dialect.insert_many(cursor, "executions_attempt", _NEW_ATTEMPT, self._new_attempts)
        dialect.insert_many(cursor, "executions_call", _NEW_CALL, self._new_calls)
        self._new_attempts.clear()
        self._new_calls.clear()
        self._begun.clear()
        self._send_endings()
        dialect.insert_many(cursor, "executions_issue", _NEW_ISSUE, self._new_issues)
        changed = self._changed_atoms.values()
        dialect.update_many(
            cursor, "executions_atomrun", _ATOM_AT_WORK, [_at_work(one) for one in changed if one.lease_owner]
        )
        dialect.update_many(
            cursor, "executions_atomrun", _ATOM_LEFT, [_left(one) for one in changed if not one.lease_owner]
        )
        self._new_issues.clear()
        self._changed_atoms.clear()

    def _send_endings(self) -> None:
        """Of calls and attempts that have a row by now."""
        calls = [one for one in self._ended_calls if one.id not in self._begun]
        attempts = [one for one in self._ended_attempts if one.id not in self._begun]
        dialect.update_many(
            self._cursor, "executions_call", _CALL_OUTCOME, [one.outcome_values or () for one in calls]
        )
        dialect.update_many(
            self._cursor, "executions_attempt", _ATTEMPT_ENDING, [one.ending or () for one in attempts]
        )
        self._ended_calls = [one for one in self._ended_calls if one.id in self._begun]
        self._ended_attempts = [one for one in self._ended_attempts if one.id in self._begun]

    def forget(self) -> None:
        """What was read may not be so any more. From now on each change reads its own: a batch of changes that all send SQL
        would read the rows of all for each of them.
        """
        self._wanted.clear()
        self._wanted_attempts.clear()
        self._wanted_calls.clear()
        self._atoms.clear()
        self._attempts.clear()
        self._calls.clear()


def _at_work(one: AtomRow) -> tuple[Any, ...]:
    return one.status, one.attempts, one.faults, dialect.at(one.fault_since), dialect.uid(one.id)


def _left(one: AtomRow) -> tuple[Any, ...]:
    return (
        one.status,
        one.reason,
        dialect.text(one.error),
        one.assurance,
        None if one.accepted_id is None else dialect.uid(one.accepted_id),
        "",
        None,
        dialect.at(one.not_before),
        one.attempts,
        one.faults,
        dialect.at(one.fault_since),
        dialect.at(one.ended_at),
        dialect.uid(one.id),
    )
