"""What processes leave behind in the tables of nodes once nobody needs it any more."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection

from executions.engine import dialect
from executions.models import Canary, Node, NodeWorker

WORKER_KEPT = timedelta(minutes=1)
CANARY_KEPT = timedelta(hours=1)
NODE_KEPT = timedelta(days=7)
"""A node that has ended can be looked at for so long."""


def sweep() -> int:
    """Delete workers that beat no more, canaries that nobody waits for, nodes of long ago; returns how many rows."""
    with connection.cursor() as cursor:
        now = dialect.now(cursor)
    old = (
        NodeWorker.objects.filter(beat_at__lt=now - WORKER_KEPT),
        Canary.objects.filter(sent_at__lt=now - CANARY_KEPT),
        Node.objects.filter(heartbeat_at__lt=now - NODE_KEPT),
    )
    # Read first: a deletion of nothing would still wait for SQLite's only writer.
    return sum(rows.delete()[0] for rows in old if rows.exists())
