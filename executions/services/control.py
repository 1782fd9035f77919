"""Pause, resume and cancel. Each locks the execution, checks, changes, and leaves an event that says who and why.

Doing again what is done already changes nothing and is no error.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from executions.engine import doorbell
from executions.engine.progress import cancel_waiting, settle
from executions.engine.transaction import open_transaction
from executions.engine.waves import advance, complete_when_done
from executions.services.audit import audit, locked
from executions.states import EXECUTION_ENDED, ExecutionStatus, WrongState

if TYPE_CHECKING:
    from django.contrib.auth.models import User

S = ExecutionStatus


def pause_execution(*, execution_id: uuid.UUID, actor: User | None, why: str = "") -> ExecutionStatus:
    """No new call starts from now on; calls in flight finish and are validated, then it is `paused`.

    Raises WrongState when it has ended or is being cancelled, NotFound when there is no such execution.
    """
    with open_transaction(execution_id) as unit:
        execution = locked(unit, execution_id)
        if execution.status in (S.PAUSING, S.PAUSED):
            return execution.status
        if execution.status is S.PENDING:
            unit.set_status(execution, S.PAUSED, "pause", why)
            audit(unit, execution, "pause", actor, why)
            unit.event(execution, "execution.paused", reason=why)
            return execution.status
        unit.set_status(execution, S.PAUSING, "pause", why)
        audit(unit, execution, "pause", actor, why)
        unit.event(execution, "execution.pausing", reason=why)
        settle(unit, execution)
        return execution.status


def resume_execution(*, execution_id: uuid.UUID, actor: User | None, why: str = "") -> ExecutionStatus:
    """Go on where it was paused. Raises WrongState unless it is pausing, paused or running already."""
    with open_transaction(execution_id) as unit:
        execution = locked(unit, execution_id)
        if execution.status in (S.RUNNING, S.PENDING):
            return execution.status
        if execution.status not in (S.PAUSING, S.PAUSED):
            raise WrongState("resume", execution.status)
        begun = execution.started_at is not None
        unit.set_status(execution, S.RUNNING if begun else S.PENDING, "resume")
        audit(unit, execution, "resume", actor, why)
        unit.event(execution, "execution.resumed")
        if begun and execution.schedule == "waves":
            # A rollback may have left the next wave closed.
            advance(unit, execution)
        elif begun:
            complete_when_done(unit, execution)
        if execution.status not in EXECUTION_ENDED:
            doorbell.ring(execution_id)
        return execution.status


def cancel_execution(*, execution_id: uuid.UUID, actor: User | None, why: str = "") -> ExecutionStatus:
    """End it for good: waiting atoms are cancelled now, calls in flight are aborted by their runners.

    Raises WrongState when it has completed or failed.
    """
    with open_transaction(execution_id) as unit:
        execution = locked(unit, execution_id)
        if execution.status in (S.CANCELLING, S.CANCELLED):
            return execution.status
        unit.set_status(execution, S.CANCELLING, "cancel", why)
        audit(unit, execution, "cancel", actor, why)
        cancel_waiting(unit, execution)
        settle(unit, execution)
        return execution.status
