"""Have a project judged again, as it is: after tests that come out differently each time, or by another version."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from executions.engine import dialect, doorbell
from executions.engine.gates import open_gates, reopen_gates
from executions.engine.reopening import reopen_execution
from executions.engine.transaction import ExecutionTransaction, LockedExecution, open_transaction
from executions.services.audit import audit, locked
from executions.services.errors import InvalidRequest
from executions.states import ExecutionStatus, WrongState

if TYPE_CHECKING:
    from django.contrib.auth.models import User

S = ExecutionStatus


def judge_again(
    *, execution_id: uuid.UUID, actor: User | None, wave: int | None = None, why: str = ""
) -> int:
    """Run gates again; no atom is generated for it. One that has ended runs until they have ended.

    Args:
        execution_id: of an execution that the caller has checked the actor may steer.
        actor: who asks; None for a command.
        wave: from the gate of this wave on. Without it from the first that has failed; where none has, the masterplan's.
        why: kept with the event.

    Returns:
        How many gates had begun and begin anew.

    Raises:
        NotFound: no such execution.
        WrongState: it has not begun, is being cancelled, or was.
        InvalidRequest: it has no gates, or there is no such wave.
    """
    with open_transaction(execution_id) as unit:
        execution = locked(unit, execution_id)
        if execution.status in (S.CANCELLING, S.CANCELLED) or execution.started_at is None:
            raise WrongState("judge again", execution.status)
        if not execution.gates_total:
            raise InvalidRequest(["judge: it has no gates, for nothing of it is executed"])
        if wave is not None and not 1 <= wave <= execution.waves_total:
            raise InvalidRequest([f"wave: must be from 1 to {execution.waves_total}, not {wave}"])
        first = _first_failed(unit, execution) if wave is None else wave
        count = _begun_from(unit, execution, first)
        if count:
            reopen_execution(unit, execution, "judge again")
            audit(unit, execution, "judge", actor, why, wave=wave, gates=count)
            reopen_gates(unit, execution, first)
            open_gates(unit, execution)
            if execution.status is S.RUNNING:
                doorbell.ring(execution_id)
        return count


def _first_failed(unit: ExecutionTransaction, execution: LockedExecution) -> int:
    unit.cursor.execute(
        "SELECT MIN(position) FROM executions_gate WHERE execution_id = %s AND status = 'failed'",
        [dialect.uid(execution.id)],
    )
    found: int | None = unit.cursor.fetchone()[0]
    return execution.waves_total + 1 if found is None else found


def _begun_from(unit: ExecutionTransaction, execution: LockedExecution, position: int) -> int:
    unit.cursor.execute(
        "SELECT COUNT(*) FROM executions_gate WHERE execution_id = %s AND position >= %s AND status <> 'pending'",
        [dialect.uid(execution.id), position],
    )
    return int(unit.cursor.fetchone()[0])
