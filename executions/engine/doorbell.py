"""The doorbell: a django-q2 message that starts a runner. It carries an id only; lost, late or doubled it is harmless.

With the database as the queue a message joins the caller's transaction and is undone with it. Redis knows nothing of
transactions: there it is sent once the caller's has committed, and one that gets lost is rung again by the reconciler.
"""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django_q.tasks import async_task

from executions.engine import dialect

RING_AGAIN = timedelta(seconds=5)
"""The reconciler leaves an execution alone for this long after a ring."""
TASK = "executions.tasks.run"


def ring(execution_id: uuid.UUID) -> None:
    """Ring for a runner, and put on record when."""
    send(TASK, str(execution_id))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE executions_execution SET rung_at = %s WHERE id = %s",
            [dialect.at(dialect.now(cursor)), dialect.uid(execution_id)],
        )


def send(task: str, *arguments: str | int) -> None:
    """Enqueue a message that calls `task`, a dotted path, if and when the caller's transaction commits."""
    if "orm" in settings.Q_CLUSTER:
        async_task(task, *arguments)
    else:

        def enqueue() -> None:
            async_task(task, *arguments)

        # Robust: a queue that is away is logged, and must not fail what has been committed. A function with a name: Django
        # asks for it when it logs.
        transaction.on_commit(enqueue, robust=True)
