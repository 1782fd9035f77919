"""Deadlines: an execution that has run for as long as its settings allow is paused, with the reason; a person resumes it.

`ExecutionTransaction.set_status` keeps `deadline_at`: set at each start and resume, cleared when nothing new may begin.
"""

from __future__ import annotations

import uuid

from django.db import connection

from executions.engine import dialect
from executions.engine.calls import pause_for
from executions.engine.progress import settle
from executions.engine.transaction import open_transaction
from executions.models import Execution
from executions.states import ExecutionStatus

MOST_AT_ONCE = 50


def pause_overdue() -> int:
    """Pause what has reached its time limit, by the database's clock; returns how many executions. Any number may do so."""
    with connection.cursor() as cursor:
        now = dialect.now(cursor)
    overdue = Execution.objects.filter(deadline_at__lte=now, status=ExecutionStatus.RUNNING)
    ids = list(overdue.order_by("deadline_at").values_list("pk", flat=True)[:MOST_AT_ONCE])
    return sum(_pause(one) for one in ids)


def _pause(execution_id: uuid.UUID) -> bool:
    with open_transaction(execution_id) as unit:
        execution = unit.executions.get(execution_id)
        if (
            execution is None
            or execution.status is not ExecutionStatus.RUNNING
            or execution.deadline_at is None
            or execution.deadline_at > unit.now
        ):
            return False
        pause_for(unit, execution, f"time limit: it has run for {execution.time_limit_s} s")
        settle(unit, execution)
        return True
