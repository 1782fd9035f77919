"""A django-q2 cluster as a child process: one node."""

from __future__ import annotations

import sys
import uuid

from django.conf import settings

from executions.engine import node
from executions.supervisor.child import Child

STOP_GRACE_S = 10.0


class Cluster:
    """Workers of our own, started by a command or the supervisor."""

    def __init__(self) -> None:
        self.node_id = uuid.uuid4()
        self._child = Child(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "qcluster"],
            log=settings.MGE_DATA_DIR / "cluster.log",
            environment={"MGE_NODE_ID": str(self.node_id)},
        )

    @property
    def pid(self) -> int:
        return self._child.pid

    def ended(self) -> bool:
        return self._child.ended() is not None

    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """No new claims, then an orderly end within the grace time; what is left of the group is killed."""
        node.drain(self.node_id)
        self._child.stop(grace_s)
        node.stopped(self.node_id)
