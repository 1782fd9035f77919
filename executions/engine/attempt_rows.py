"""The rows of attempts: how they are made, whoever wrote the code, and how they end without a verdict."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from executions.engine import dialect
from executions.engine.transaction import ExecutionTransaction, LockedExecution
from executions.states import AttemptKind, AttemptStatus


@dataclass(frozen=True, slots=True)
class NewAttempt:
    """An attempt that begins, or one that was judged elsewhere and is taken over."""

    id: uuid.UUID
    execution_id: uuid.UUID
    run_id: uuid.UUID
    generation: int
    number: int
    kind: AttemptKind
    status: AttemptStatus = AttemptStatus.RUNNING
    author: str = ""
    origin: uuid.UUID | None = None
    strategy: str = ""
    rung: Mapping[str, Any] = field(default_factory=dict)
    prompt_system: str = ""
    prompt_user: str = ""
    code: str = ""
    isolation: str = ""
    tests_passed: tuple[str, ...] = ()
    tests_total: int = 0


def insert_attempts(unit: ExecutionTransaction, attempts: Iterable[NewAttempt]) -> None:
    """Write them; the caller holds the lock of their execution."""
    now = dialect.at(unit.now)
    for one in attempts:
        unit.rows.add_attempt(
            one.id,
            one.status.value,
            (
                dialect.uid(one.id),
                dialect.uid(one.execution_id),
                dialect.uid(one.run_id),
                one.generation,
                one.number,
                one.kind.value,
                one.status.value,
                False,
                one.author,
                None if one.origin is None else dialect.uid(one.origin),
                one.strategy,
                dialect.dump(one.rung),
                dialect.text(one.prompt_system),
                dialect.text(one.prompt_user),
                dialect.text(one.code),
                one.isolation,
                dialect.dump(list(one.tests_passed)),
                one.tests_total,
                now,
                None if one.status is AttemptStatus.RUNNING else now,
            ),
        )


def end_open_attempt(
    unit: ExecutionTransaction,
    execution: LockedExecution,
    run_id: uuid.UUID,
    key: str,
    wave: int,
    status: AttemptStatus,
) -> None:
    """End the atom's running attempt without a verdict; nothing happens where there is none."""
    unit.cursor.execute(
        "UPDATE executions_attempt SET status = %s, ended_at = %s WHERE atom_run_id = %s AND status = 'running'"
        " RETURNING number, kind",
        [status.value, dialect.at(unit.now), dialect.uid(run_id)],
    )
    for number, kind in unit.cursor.fetchall():
        tell_attempt_end(unit, execution, key, wave, number, status, AttemptKind(kind))


def tell_attempt_end(
    unit: ExecutionTransaction,
    execution: LockedExecution,
    key: str,
    wave: int,
    number: int,
    status: AttemptStatus,
    kind: AttemptKind,
) -> None:
    """The event of an attempt that ended without a verdict; the model's are the ones that name no kind."""
    other = {} if kind is AttemptKind.MODEL else {"kind": kind.value}
    unit.event(execution, "attempt.ended", wave=wave, atom=key, attempt=number, status=status.value, **other)
