"""The node: one django-q2 cluster on one host. Its workers keep its heartbeat and run the reconciler, each in a thread."""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django_q.signals import post_spawn

from executions.engine.claims import boot_id
from executions.models import Node
from executions.version import VERSION

log = logging.getLogger(__name__)

HEARTBEAT_S = 2.0
ALIVE = timedelta(seconds=10)
"""A node without a heartbeat for this long is taken for dead; long enough for a busy machine."""


def connect_to_workers() -> None:
    """Have every django-q2 worker process look after its node."""
    post_spawn.connect(_worker_started, dispatch_uid="mge-node")


def _worker_started(**_: Any) -> None:
    # Started after the fork, in the worker itself: threads do not survive a fork.
    threading.Thread(target=_look_after, args=(os.getppid(),), name="node", daemon=True).start()


def node_id(guard_pid: int) -> uuid.UUID:
    """The same in all workers of a cluster: what its starter named it, else host, boot and the guard's process."""
    if settings.MGE_NODE_ID is not None:
        named: uuid.UUID = settings.MGE_NODE_ID
        return named
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{socket.gethostname()}:{boot_id()}:{guard_pid}")


def live_nodes() -> list[Node]:
    """Nodes that beat lately and take work."""
    since = datetime.now(UTC) - ALIVE
    return list(Node.objects.filter(heartbeat_at__gte=since, stopped_at__isnull=True, draining=False))


def this_node_drains() -> bool:
    """Asked by a runner in a worker process: has its node been told to stop?"""
    return Node.objects.filter(pk=node_id(os.getppid()), draining=True).exists()


def drain(node: uuid.UUID) -> None:
    """Tell a node's runners to claim nothing more."""
    Node.objects.filter(pk=node).update(draining=True)


def stopped(node: uuid.UUID) -> None:
    """Put on record that a node has ended."""
    Node.objects.filter(pk=node).update(stopped_at=datetime.now(UTC))


def _beat(guard_pid: int, isolation: str) -> None:
    now = datetime.now(UTC)
    known = Node.objects.filter(pk=node_id(guard_pid)).update(heartbeat_at=now, isolation=isolation)
    if not known:
        Node.objects.get_or_create(
            pk=node_id(guard_pid),
            defaults={
                "host": socket.gethostname(),
                "pid": guard_pid,
                "version": VERSION,
                "isolation": isolation,
                "started_at": now,
                "heartbeat_at": now,
            },
        )


def _look_after(guard_pid: int) -> None:
    from executions.engine.reconciler import reconcile
    from executions.engine.runner_resources import sandbox

    isolation = sandbox().isolation.value
    pause = threading.Event()
    reconciled = 0.0
    elapsed = settings.MGE_RECONCILE_SECONDS
    while os.getppid() == guard_pid:
        try:
            _beat(guard_pid, isolation)
            if elapsed - reconciled >= settings.MGE_RECONCILE_SECONDS:
                reconciled = elapsed
                reconcile()
        except (DatabaseError, InterfaceError) as error:
            log.warning("node heartbeat missed: %s", type(error).__name__)
            connection.close()
        step = min(HEARTBEAT_S, settings.MGE_RECONCILE_SECONDS)
        pause.wait(step)
        elapsed += step
