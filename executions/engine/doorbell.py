"""The doorbell: a django-q2 message that starts a runner. It carries an id only; lost, late or doubled it is harmless."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.db import connection
from django_q.tasks import async_task

from executions.engine import dialect

RING_AGAIN = timedelta(seconds=5)
"""The reconciler leaves an execution alone for this long after a ring."""
TASK = "executions.tasks.run"


def ring(execution_id: uuid.UUID) -> None:
    """Enqueue a doorbell. With the database broker it joins the caller's transaction and is undone with it."""
    async_task(TASK, str(execution_id))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE executions_execution SET rung_at = %s WHERE id = %s",
            [dialect.at(dialect.now(cursor)), dialect.uid(execution_id)],
        )
