"""Waves: which are open, what becomes ready in them, and when nothing is left to do. Works on a locked execution only.

In `waves` they are strict barriers: one opens when all ahead of it have ended. A retry may open an earlier one again while
a later one still runs; `current_wave` is then the earlier one, and nothing behind the later one opens before both ended.
In `flow` a wave is a view of its atoms. Where the plan is judged wave by wave, a wave opens when the gates ahead have ended, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from executions.engine import dialect
from executions.engine.gates import are_judged, open_gates
from executions.engine.transaction import ExecutionTransaction, LockedExecution, LockedWave
from executions.states import Approval, ExecutionStatus, WaveStatus

S = ExecutionStatus
OPEN = (WaveStatus.PENDING, WaveStatus.RUNNING)
UNAPPROVED = (Approval.NEEDED, Approval.ASKED)


def open_atoms(
    unit: ExecutionTransaction, execution: LockedExecution, condition: str, parameters: Sequence[Any] = ()
) -> None:
    """Pending atoms that meet the condition (SQL, with its parameters) become ready. Where a person must agree first, that
    person is asked instead.
    """
    where = f"execution_id = %s AND status = 'pending' AND unmet = 0 AND {condition}"
    values = [dialect.uid(execution.id), *parameters]
    if not execution.asks_people:
        unit.cursor.execute(f"UPDATE executions_atomrun SET status = 'ready' WHERE {where}", values)  # noqa: S608
        return
    if execution.schedule == "flow":
        where += (
            " AND wave NOT IN (SELECT number FROM executions_wave WHERE execution_id = %s"
            " AND approval IN ('needed', 'asked'))"
        )
        values.append(dialect.uid(execution.id))
    unit.cursor.execute(
        f"UPDATE executions_atomrun SET status = 'ready' WHERE {where} AND approval IN ('', 'given')",  # noqa: S608
        values,
    )
    unit.cursor.execute(
        f"UPDATE executions_atomrun SET approval = 'asked' WHERE {where} AND approval = 'needed'"  # noqa: S608
        " RETURNING position, key, wave",
        values,
    )
    for _, key, wave in sorted(unit.cursor.fetchall()):
        unit.event(execution, "approval.requested", wave=wave, atom=key)


def ask_for_waves(unit: ExecutionTransaction, execution: LockedExecution) -> None:
    """In `flow` nothing but the atoms' own dependencies orders the waves: their approvals are asked for at the start."""
    if not execution.asks_people:
        return
    unit.cursor.execute(
        "UPDATE executions_wave SET approval = 'asked' WHERE execution_id = %s AND approval = 'needed' RETURNING number",
        [dialect.uid(execution.id)],
    )
    for number in sorted(row[0] for row in unit.cursor.fetchall()):
        if (execution.id, number) in unit.waves:
            unit.waves[execution.id, number].approval = Approval.ASKED
        unit.event(execution, "approval.requested", wave=number)


def start_wave(unit: ExecutionTransaction, execution: LockedExecution, number: int) -> None:
    """Nothing happens when it has been started already."""
    wave = unit.wave(execution, number)
    if wave.status is not WaveStatus.PENDING:
        return
    wave.status = WaveStatus.RUNNING
    wave.started_at = unit.now
    execution.current_wave = number if execution.schedule == "waves" else max(execution.current_wave, number)
    execution.changed = True
    unit.event(execution, "wave.started", wave=number, atoms=wave.atoms_total)


def end_wave(unit: ExecutionTransaction, execution: LockedExecution, number: int) -> None:
    wave = unit.wave(execution, number)
    wave.status = WaveStatus.COMPLETED
    wave.ended_at = unit.now
    unit.event(
        execution,
        "wave.ended",
        wave=number,
        status=wave.status.value,
        succeeded=wave.atoms_succeeded,
        unsuccessful=wave.atoms_unsuccessful,
        seconds=seconds_since(unit, wave.started_at),
    )
    if execution.gates_total:
        unit.later(open_gates, execution)


def advance(unit: ExecutionTransaction, execution: LockedExecution) -> None:
    """Strict barrier: close the current wave when all its atoms have ended, open the next, complete after the last."""
    if execution.status not in (S.RUNNING, S.PAUSING, S.PAUSED) or execution.started_at is None:
        return
    number = execution.current_wave
    if number:
        current = unit.wave(execution, number)
        if current.status is WaveStatus.RUNNING:
            if not current.all_ended:
                return
            end_wave(unit, execution, number)
    while (wave := _next_open(unit, execution, number)) is not None:
        if execution.gates_total and not are_judged(unit, execution, wave.number - 1):
            return
        number = wave.number
        if wave.all_ended:
            start_wave(unit, execution, number)
            end_wave(unit, execution, number)
            continue
        if wave.status is WaveStatus.PENDING:
            if wave.approval in UNAPPROVED:
                _ask_for(unit, execution, wave)
                return
            start_wave(unit, execution, number)
        execution.current_wave, execution.changed = number, True
        open_atoms(unit, execution, "wave = %s", [number])
        return
    complete_when_done(unit, execution)


def _ask_for(unit: ExecutionTransaction, execution: LockedExecution, wave: LockedWave) -> None:
    if wave.approval == Approval.NEEDED:
        wave.approval = Approval.ASKED
        unit.event(execution, "approval.requested", wave=wave.number)


def _next_open(unit: ExecutionTransaction, execution: LockedExecution, after: int) -> LockedWave | None:
    """The first wave behind `after` that has not ended, as this transaction sees it."""
    next_one = unit.waves.get((execution.id, after + 1))
    if next_one is not None and next_one.status in OPEN:
        return next_one
    here = [n for owner, n in unit.waves if owner == execution.id and n > after]
    while True:
        unit.cursor.execute(
            "SELECT number FROM executions_wave WHERE execution_id = %s AND number > %s"
            " AND status IN ('pending', 'running') ORDER BY number LIMIT 1",
            [dialect.uid(execution.id), after],
        )
        row = unit.cursor.fetchone()
        candidates = [n for n in here if n > after and unit.waves[execution.id, n].status in OPEN]
        if row is not None:
            candidates.append(row[0])
        if not candidates:
            return None
        after = min(candidates)
        wave = unit.wave(execution, after)
        if wave.status in OPEN:
            return wave


def end_waves_of_flow(unit: ExecutionTransaction, execution: LockedExecution) -> None:
    """In `flow`, waves end in any order, each when its last atom has ended; a cancellation ends the rest itself."""
    if execution.status not in (S.RUNNING, S.PAUSING):
        return
    touched = sorted(number for owner, number in unit.waves if owner == execution.id)
    for number in touched:
        wave = unit.wave(execution, number)
        if wave.all_ended and wave.status in OPEN:
            start_wave(unit, execution, number)
            end_wave(unit, execution, number)


def complete_when_done(unit: ExecutionTransaction, execution: LockedExecution) -> None:
    """Nothing happens while an atom or a gate has not ended, or while the execution is paused."""
    if execution.everything_ended and execution.status in (S.RUNNING, S.PAUSING):
        unit.set_status(execution, S.COMPLETED, "complete")
        # Code by hand for an earlier wave may have been the last that was waited for.
        execution.current_wave = execution.waves_total
        tell_end(unit, execution)


def tell_end(unit: ExecutionTransaction, execution: LockedExecution) -> None:
    """The last event of a run; its seconds are those that it was not at rest."""
    unit.event(
        execution,
        "execution.ended",
        status=execution.status.value,
        precision_percent=execution.precision_percent,
        succeeded=execution.counters["atoms_succeeded"],
        atoms=execution.atoms_total,
        cost_nano_usd=execution.counters["cost_nano_usd"],
        run_number=execution.run_number,
        seconds=None if execution.started_at is None else execution.ran_ms / 1000,
    )


def seconds_since(unit: ExecutionTransaction, since: datetime | None) -> float | None:
    """Time until now; None for what never started. A clock that was set back in between makes no negative times."""
    return None if since is None else max(0.0, (unit.now - since).total_seconds())
