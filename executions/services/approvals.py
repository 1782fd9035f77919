"""Approvals: a wave or an atom of the plan waits for a person's word before it begins. Waiting takes no slot."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from executions.engine import dialect, doorbell
from executions.engine.transaction import ExecutionTransaction, LockedExecution, open_transaction
from executions.engine.waves import advance, open_atoms
from executions.services.audit import audit, locked
from executions.services.errors import InvalidRequest, NotFound
from executions.states import EXECUTION_ENDED, Approval, ExecutionStatus, WaveStatus, WrongState

if TYPE_CHECKING:
    from django.contrib.auth.models import User

S = ExecutionStatus


def approve(
    *,
    execution_id: uuid.UUID,
    actor: User | None,
    wave: int | None = None,
    atom: str | None = None,
    why: str = "",
) -> bool:
    """Let a wave or an atom begin as soon as everything else allows it. Returns whether this changed anything.

    May be given ahead of time, before anyone is asked. Giving it twice changes nothing.

    Raises:
        NotFound: no such execution, wave or atom.
        WrongState: the execution has ended or is being cancelled.
        InvalidRequest: not exactly one of `wave` and `atom`, or that one needs no approval.
    """
    if (wave is None) == (atom is None):
        raise InvalidRequest(["approve: name either a wave or an atom"])
    with open_transaction(execution_id) as unit:
        execution = locked(unit, execution_id)
        if execution.status in EXECUTION_ENDED or execution.status is S.CANCELLING:
            raise WrongState("approve", execution.status)
        if wave is not None:
            changed = _approve_wave(unit, execution, wave, actor, why)
        else:
            changed = _approve_atom(unit, execution, atom or "", actor, why)
        if changed and execution.status is S.RUNNING:
            doorbell.ring(execution_id)
        return changed


def _approve_wave(
    unit: ExecutionTransaction, execution: LockedExecution, number: int, actor: User | None, why: str
) -> bool:
    if not 1 <= number <= execution.waves_total:
        raise NotFound(f"there is no wave {number}")
    wave = unit.wave(execution, number)
    if not wave.approval:
        raise InvalidRequest([f"approve: wave {number} needs no approval"])
    if wave.approval == Approval.GIVEN:
        return False
    wave.approval = Approval.GIVEN
    audit(unit, execution, "approve", actor, why, wave=number)
    if execution.started_at is None:
        return True
    if execution.schedule == "waves":
        advance(unit, execution)
    else:
        unit.write_waves()
        open_atoms(unit, execution, "wave = %s", [number])
    return True


def _approve_atom(
    unit: ExecutionTransaction, execution: LockedExecution, key: str, actor: User | None, why: str
) -> bool:
    unit.cursor.execute(
        "SELECT id, wave, approval FROM executions_atomrun WHERE execution_id = %s AND key = %s",
        [dialect.uid(execution.id), key],
    )
    row = unit.cursor.fetchone()
    if row is None:
        raise NotFound(f"there is no atom {key!r} in this execution")
    run_id, number, approval = row
    if not approval:
        raise InvalidRequest([f"approve: {key} needs no approval"])
    if approval == Approval.GIVEN:
        return False
    unit.cursor.execute("UPDATE executions_atomrun SET approval = 'given' WHERE id = %s", [run_id])
    audit(unit, execution, "approve", actor, why, wave=number, atom=key)
    opened = execution.schedule == "flow" or unit.wave(execution, number).status is WaveStatus.RUNNING
    if opened and approval == Approval.ASKED:
        open_atoms(unit, execution, "key = %s", [key])
    return True
