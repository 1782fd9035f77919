"""One transaction on executions: lock, check, change, events. The only writer of state, counters and events.

Invariants kept here: execution rows are locked first, in ascending id; events are numbered per execution without gaps,
in commit order; counters change in the transaction of the rows they count. The ledger uses it for the runner's changes,
services use it for people's commands.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction

from executions.engine import dialect
from executions.engine.cached_rows import CacheWrites
from executions.engine.rows import Rows
from executions.engine.tallies import Tallies
from executions.engine.wake_up import announcing
from executions.states import EXECUTION_ENDED, ExecutionStatus, WaveStatus, WrongState, may_follow

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

COUNTERS = (
    "atoms_succeeded",
    "atoms_failed",
    "atoms_blocked",
    "atoms_cancelled",
    "atoms_dead_lettered",
    "atoms_static",
    "attempts_total",
    "attempts_passed",
    "retries_total",
    "retries_passed",
    "cache_hits",
    "gates_due",
    "gates_passed",
    "gates_failed",
    "gates_cancelled",
    "calls_total",
    "input_tokens",
    "output_tokens",
    "cost_nano_usd",
    "reserved_nano_usd",
    "lost_nano_usd",
)
WAVES_AT_ONCE = 500
"""Waves read in one statement."""
_WAVE_COLUMNS = {
    "status": "text",
    "approval": "text",
    "atoms_succeeded": "int",
    "atoms_unsuccessful": "int",
    "started_at": "timestamptz",
    "ended_at": "timestamptz",
    "id": "bigint",
}
_EVENT_COLUMNS = {
    "execution_id": "uuid",
    "seq": "bigint",
    "type": "text",
    "wave": "int",
    "atom": "text",
    "attempt": "int",
    "data": "jsonb",
    "at": "timestamptz",
}


@dataclass(slots=True)
class LockedExecution:
    """An execution row held by this transaction; changes are written at the flush."""

    id: uuid.UUID
    masterplan_id: uuid.UUID
    status: ExecutionStatus
    status_reason: str
    schedule: str
    on_dependency_failure: str
    max_concurrency: int
    needs_sandbox: bool
    budget_nano_usd: int | None
    run_number: int
    seq: int
    current_wave: int
    waves_total: int
    atoms_total: int
    atoms_stored: int
    asks_people: bool
    time_limit_s: int | None
    counters: dict[str, int]
    started_at: datetime | None
    ended_at: datetime | None
    running_since: datetime | None
    ran_ms: int
    deadline_at: datetime | None
    gates_total: int
    changed: bool = False
    grown: dict[str, int] = field(default_factory=dict)
    """By how much this transaction has changed each counter."""

    def add(self, counter: str, amount: int = 1) -> None:
        self.counters[counter] += amount
        self.grown[counter] = self.grown.get(counter, 0) + amount
        self.changed = True

    @property
    def atoms_ended(self) -> int:
        return sum(
            self.counters[name]
            for name in (
                "atoms_succeeded",
                "atoms_failed",
                "atoms_blocked",
                "atoms_cancelled",
                "atoms_dead_lettered",
            )
        )

    @property
    def gates_ended(self) -> int:
        return sum(self.counters[name] for name in ("gates_passed", "gates_failed", "gates_cancelled"))

    @property
    def everything_ended(self) -> bool:
        """Whether no atom and no gate is left to be worked on."""
        return self.atoms_ended == self.atoms_total and self.gates_ended == self.gates_total

    @property
    def is_built(self) -> bool:
        """Whether the rows of all its atoms are there."""
        return self.atoms_stored == self.atoms_total

    @property
    def precision_percent(self) -> float:
        return 100.0 * self.counters["atoms_succeeded"] / self.atoms_total if self.atoms_total else 100.0


@dataclass(slots=True)
class LockedWave:
    """A wave row; held through its execution's lock."""

    id: int
    execution_id: uuid.UUID
    number: int
    status: WaveStatus
    approval: str
    atoms_total: int
    atoms_succeeded: int
    atoms_unsuccessful: int
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def all_ended(self) -> bool:
        return self.atoms_succeeded + self.atoms_unsuccessful == self.atoms_total


Later = Callable[["ExecutionTransaction", LockedExecution], None]


@dataclass(slots=True)
class ExecutionTransaction:
    """What a change sees: the cursor, the database's time, the locked rows, and `event`."""

    _cursor: CursorWrapper
    now: datetime
    again: bool = False
    """The same changes were written before, and nobody knows whether that was committed."""
    executions: dict[uuid.UUID, LockedExecution] = field(default_factory=dict)
    waves: dict[tuple[uuid.UUID, int], LockedWave] = field(default_factory=dict)
    cached: CacheWrites = field(default_factory=CacheWrites)
    _events: list[tuple[Any, ...]] = field(default_factory=list)
    _tallies: Tallies = field(default_factory=Tallies)
    _later: dict[tuple[Later, uuid.UUID], None] = field(default_factory=dict)
    _satisfied: dict[uuid.UUID, list[str]] = field(default_factory=dict)
    rows: Rows = field(init=False)
    """Atoms, attempts and calls that the changes have in hand."""

    def __post_init__(self) -> None:
        self.rows = Rows(self._cursor)

    @property
    def cursor(self) -> CursorWrapper:
        """For SQL of one's own: it finds everything written so far, and what was read before is read anew after it."""
        self.catch_up()
        self.rows.forget()
        return self._cursor

    def satisfied(self, execution: LockedExecution, key: str) -> None:
        """Note an atom that its dependents need not wait for any more."""
        self._satisfied.setdefault(execution.id, []).append(key)

    def take_satisfied(self, execution: LockedExecution) -> list[str]:
        """Those noted since this was last asked."""
        return self._satisfied.pop(execution.id, [])

    def later(self, work: Later, execution: LockedExecution) -> None:
        """Do this once, however often it is asked for, before anybody looks into the database or the transaction ends."""
        self._later[work, execution.id] = None

    def catch_up(self) -> None:
        """Write the rows in hand, and do what was put off."""
        self.rows.write()
        while self._later:
            work, execution_id = next(iter(self._later))
            del self._later[work, execution_id]
            work(self, self.executions[execution_id])
            self.rows.write()

    def lock(self, ids: Iterable[uuid.UUID]) -> None:
        """Lock execution rows in ascending id. Unknown ids are left out."""
        wanted = sorted(set(ids) - self.executions.keys())
        if not wanted:
            return
        these, values = dialect.among([dialect.uid(one) for one in wanted])
        rows = dialect.locked(
            self._cursor,
            "SELECT id, masterplan_id, status, status_reason, schedule, on_dependency_failure, max_concurrency,"  # noqa: S608
            " needs_sandbox, budget_nano_usd, run_number, seq, current_wave, waves_total, atoms_total, atoms_stored,"
            " asks_people, time_limit_s, started_at, ended_at, running_since, ran_ms, deadline_at, gates_total,"
            f" {', '.join(COUNTERS)} FROM executions_execution"
            f" WHERE id {these} ORDER BY id",
            values,
        )
        for row in rows:
            one = LockedExecution(
                id=dialect.to_uuid(row[0]),
                masterplan_id=dialect.to_uuid(row[1]),
                status=ExecutionStatus(row[2]),
                status_reason=row[3],
                schedule=row[4],
                on_dependency_failure=row[5],
                max_concurrency=row[6],
                needs_sandbox=bool(row[7]),
                budget_nano_usd=row[8],
                run_number=row[9],
                seq=row[10],
                current_wave=row[11],
                waves_total=row[12],
                atoms_total=row[13],
                atoms_stored=row[14],
                asks_people=bool(row[15]),
                time_limit_s=row[16],
                started_at=dialect.to_time(row[17]),
                ended_at=dialect.to_time(row[18]),
                running_since=dialect.to_time(row[19]),
                ran_ms=row[20],
                deadline_at=dialect.to_time(row[21]),
                gates_total=row[22],
                counters=dict(zip(COUNTERS, row[23:-1], strict=True)),
            )
            self.executions[one.id] = one
        # Whoever held the rows wrote later than this transaction began: times follow the order of the events.
        self.now = rows[-1][-1] if rows else dialect.now(self._cursor)

    def wave(self, execution: LockedExecution, number: int) -> LockedWave:
        """A wave of a locked execution, read once per transaction."""
        found = self.waves.get((execution.id, number))
        if found is not None:
            return found
        self.read_waves(execution, [number])
        return self.waves[execution.id, number]

    def read_waves(self, execution: LockedExecution, numbers: Iterable[int]) -> None:
        """Read those that this transaction does not know yet, many in one statement."""
        wanted = [one for one in numbers if (execution.id, one) not in self.waves]
        for start in range(0, len(wanted), WAVES_AT_ONCE):
            some = wanted[start : start + WAVES_AT_ONCE]
            these, values = dialect.among(some)
            self._cursor.execute(
                "SELECT id, number, status, approval, atoms_total, atoms_succeeded, atoms_unsuccessful, started_at, ended_at"  # noqa: S608
                f" FROM executions_wave WHERE execution_id = %s AND number {these}",
                [dialect.uid(execution.id), *values],
            )
            for row in self._cursor.fetchall():
                self.waves[execution.id, row[1]] = LockedWave(
                    row[0],
                    execution.id,
                    row[1],
                    WaveStatus(row[2]),
                    row[3],
                    row[4],
                    row[5],
                    row[6],
                    dialect.to_time(row[7]),
                    dialect.to_time(row[8]),
                )

    def set_status(
        self, execution: LockedExecution, status: ExecutionStatus, action: str, reason: str = ""
    ) -> None:
        """Move the execution on. Raises WrongState (naming `action`) when the table of transitions forbids it."""
        if not may_follow(execution.status, status):
            raise WrongState(action, execution.status)
        execution.status = status
        execution.status_reason = dialect.text(reason)
        execution.ended_at = self.now if status in EXECUTION_ENDED else None
        execution.changed = True
        self._keep_time(execution)

    def _keep_time(self, execution: LockedExecution) -> None:
        """Time that counts is time not at rest; the limit runs anew from each start and resume."""
        status = execution.status
        if status is ExecutionStatus.RUNNING:
            execution.running_since = execution.running_since or self.now
            limit = execution.time_limit_s
            execution.deadline_at = None if limit is None else self.now + timedelta(seconds=limit)
            return
        execution.deadline_at = None
        at_rest = status in EXECUTION_ENDED or status in (ExecutionStatus.PAUSED, ExecutionStatus.PENDING)
        if at_rest and execution.running_since is not None:
            ran = (self.now - execution.running_since).total_seconds()
            # A clock that was set back makes no negative times.
            execution.ran_ms += max(0, round(ran * 1000))
            execution.running_since = None

    def event(
        self,
        execution: LockedExecution,
        kind: str,
        /,
        *,
        wave: int | None = None,
        atom: str = "",
        attempt: int | None = None,
        **data: Any,
    ) -> None:
        """Append a fact to the history; it gets the next number, and what is to be counted of it is."""
        execution.seq += 1
        execution.changed = True
        self._tallies.tell(execution.id, kind, wave=wave, atom=atom, attempt=attempt, data=data)
        self._events.append(
            (
                dialect.uid(execution.id),
                execution.seq,
                kind,
                wave,
                atom,
                attempt,
                dialect.dump(data),
                dialect.at(self.now),
            )
        )

    def write_waves(self) -> None:
        """Write the waves as they are now, for statements of this transaction that ask the database about them."""
        dialect.update_many(
            self._cursor,
            "executions_wave",
            _WAVE_COLUMNS,
            [
                (
                    wave.status.value,
                    wave.approval,
                    wave.atoms_succeeded,
                    wave.atoms_unsuccessful,
                    dialect.at(wave.started_at),
                    dialect.at(wave.ended_at),
                    wave.id,
                )
                for wave in self.waves.values()
            ],
        )

    def flush(self) -> None:
        """Write rows, waves, executions, events, cached answers and tallies, and have those who tail events woken by the commit.
        Called once, before it.
        """
        self.catch_up()
        with dialect.all_at_once():
            self.write_waves()
            self._write_executions()
            dialect.insert_many(self._cursor, "executions_event", _EVENT_COLUMNS, self._events)
            self.cached.write(self._cursor, self.now)
            self._tallies.write(self._cursor, self.executions)

    def _write_executions(self) -> None:
        for one in self.executions.values():
            if one.changed:
                self._cursor.execute(
                    "UPDATE executions_execution SET status = %s, status_reason = %s, run_number = %s, seq = %s,"  # noqa: S608
                    " current_wave = %s, atoms_stored = %s, started_at = %s, ended_at = %s, running_since = %s, ran_ms = %s,"
                    " deadline_at = %s, "
                    f"{', '.join(f'{name} = %s' for name in COUNTERS)} WHERE id = %s{announcing()}",
                    [
                        one.status.value,
                        one.status_reason,
                        one.run_number,
                        one.seq,
                        one.current_wave,
                        one.atoms_stored,
                        dialect.at(one.started_at),
                        dialect.at(one.ended_at),
                        dialect.at(one.running_since),
                        one.ran_ms,
                        dialect.at(one.deadline_at),
                        *(one.counters[name] for name in COUNTERS),
                        dialect.uid(one.id),
                    ],
                )


@contextmanager
def open_transaction(*ids: uuid.UUID) -> Iterator[ExecutionTransaction]:
    """A database transaction with these executions locked; flushed and committed at the end, undone on an exception."""
    with transaction.atomic(), connection.cursor() as cursor:
        unit = ExecutionTransaction(cursor, dialect.now(cursor))
        unit.lock(ids)
        yield unit
        unit.flush()
