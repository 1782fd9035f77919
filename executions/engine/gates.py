"""Gates: when the project of a wave, or the whole one, may be judged, and when it must be judged again.

The gate of wave k judges what was accepted in the waves 1 to k, and becomes ready when all of these have ended; the
masterplan's, when all others have. An atom that begins anew takes back every gate that judges it. Works on a locked
execution only; claims and results of gates are in `gate_changes`. Where nothing is executed there are no gates, and none
of this costs a statement.
"""

from __future__ import annotations

from typing import Any

from executions.engine import dialect
from executions.engine.transaction import ExecutionTransaction, LockedExecution
from executions.states import GateLevel, GateStatus


def open_gates(unit: ExecutionTransaction, execution: LockedExecution) -> None:
    """Gates all of whose atoms have ended become ready."""
    unit.write_waves()
    unit.cursor.execute(
        "UPDATE executions_gate SET status = 'ready' WHERE execution_id = %s AND status = 'pending' AND level = 'wave'"
        " AND NOT EXISTS (SELECT 1 FROM executions_wave w WHERE w.execution_id = %s AND w.number <= executions_gate.wave"
        " AND w.status IN ('pending', 'running')) RETURNING position",
        [dialect.uid(execution.id), dialect.uid(execution.id)],
    )
    due = len(unit.cursor.fetchall())
    if execution.atoms_ended == execution.atoms_total and execution.gates_ended == execution.gates_total - 1:
        unit.cursor.execute(
            "UPDATE executions_gate SET status = 'ready' WHERE execution_id = %s AND status = 'pending'"
            " AND level = 'masterplan' RETURNING position",
            [dialect.uid(execution.id)],
        )
        due += len(unit.cursor.fetchall())
    if due:
        execution.add("gates_due", due)


def are_judged(unit: ExecutionTransaction, execution: LockedExecution, wave: int) -> bool:
    """Whether the gates of the waves up to this one have ended."""
    if wave < 1:
        return True
    unit.cursor.execute(
        "SELECT 1 FROM executions_gate WHERE execution_id = %s AND level = 'wave' AND position <= %s"
        " AND status IN ('pending', 'ready', 'running') LIMIT 1",
        [dialect.uid(execution.id), wave],
    )
    return unit.cursor.fetchone() is None


def gates_in_flight(unit: ExecutionTransaction, execution: LockedExecution) -> int:
    """Gates of the execution under a lease."""
    unit.cursor.execute(
        "SELECT COUNT(*) FROM executions_gate WHERE execution_id = %s AND status = 'running'",
        [dialect.uid(execution.id)],
    )
    return int(unit.cursor.fetchone()[0])


def reopen_gates(unit: ExecutionTransaction, execution: LockedExecution, wave: int) -> None:
    """Whatever judges atoms of this wave, which begin anew, waits for them again. One that is being run loses its lease:
    it judges a project that is no more.
    """
    unit.cursor.execute(
        "SELECT id, level, wave, status FROM executions_gate WHERE execution_id = %s AND position >= %s"
        " AND status <> 'pending' ORDER BY position",
        [dialect.uid(execution.id), wave],
    )
    rows = unit.cursor.fetchall()
    unit.cursor.executemany(
        "UPDATE executions_gate SET status = 'pending', lease_owner = '', lease_until = NULL, fence = fence + 1, deaths = 0,"
        " not_before = NULL, findings = %s, tests_passed = 0, tests_total = 0, isolation = '', project_digest = '',"
        " duration_ms = NULL, cpu_ms = NULL, started_at = NULL, ended_at = NULL WHERE id = %s",
        [(dialect.dump([]), row[0]) for row in rows],
    )
    for _, level, number, status in rows:
        if status != GateStatus.RUNNING:
            execution.add("gates_due" if status == GateStatus.READY else f"gates_{status}", -1)
        unit.event(execution, "gate.reopened", wave=number, level=level, was=status)


def cancel_waiting_gates(unit: ExecutionTransaction, execution: LockedExecution) -> None:
    """End every gate that nobody works on because the execution is being cancelled."""
    unit.cursor.execute(
        "SELECT id, level, wave, status FROM executions_gate WHERE execution_id = %s AND status IN ('pending', 'ready')"
        " ORDER BY position",
        [dialect.uid(execution.id)],
    )
    for gate_id, level, wave, status in unit.cursor.fetchall():
        if status == GateStatus.READY:
            execution.add("gates_due", -1)
        cancel_gate(unit, execution, gate_id, level, wave)


def cancel_gate(
    unit: ExecutionTransaction, execution: LockedExecution, gate_id: Any, level: str, wave: int | None
) -> None:
    """End one gate without a result; `gate_id` as the database has it. The caller knows that nobody else holds it."""
    unit.cursor.execute(
        "UPDATE executions_gate SET status = 'cancelled', lease_owner = '', lease_until = NULL, not_before = NULL,"
        " ended_at = %s WHERE id = %s",
        [dialect.at(unit.now), gate_id],
    )
    execution.add("gates_cancelled")
    tell_end(unit, execution, level, wave, GateStatus.CANCELLED)


def tell_end(
    unit: ExecutionTransaction,
    execution: LockedExecution,
    level: str,
    wave: int | None,
    status: GateStatus,
    **data: Any,
) -> None:
    """The event with which a gate ends; a wave's names the wave."""
    number = wave if level == GateLevel.WAVE else None
    unit.event(execution, "gate.ended", wave=number, level=level, status=status.value, **data)
