"""The node: one django-q2 cluster on one host. Each worker keeps its own beat and the node's, and reconciles, in a thread."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django_q.signals import post_execute_in_worker, post_spawn, pre_execute

from executions.engine import dialect, owners, schema
from executions.models import Node, NodeWorker
from executions.version import VERSION

log = logging.getLogger(__name__)

HEARTBEAT_S = 2.0
ALIVE = timedelta(seconds=10)
"""A node or worker without a heartbeat for this long is taken for dead; long enough for a busy machine."""
LOOK_FOR_DEAD_S = 1.0
"""How often a worker looks for owners on its host that have died; one question to an index that is nearly empty."""
ORPHAN_LOOK_S = 0.2
RELEASE_S = 10.0
"""How long an orphaned worker may take, after the grace time of draining, to give its work back."""


@dataclass(slots=True)
class ThisWorker:
    """This process as a worker of its node. The main thread writes what it does, the node's thread reads it."""

    node_id: uuid.UUID
    guard_pid: int
    busy_since: datetime | None = None
    worked_at: datetime | None = None
    message: str = ""
    """The queue's number of the message that is worked on; empty where the broker has none."""
    orphaned: bool = False
    """Its guard has died: nobody would replace it, or end it."""


_this: ThisWorker | None = None


def connect_to_workers() -> None:
    """Have every django-q2 worker process look after its node."""
    post_spawn.connect(_worker_started, dispatch_uid="mge-node")
    pre_execute.connect(_task_begins, dispatch_uid="mge-node")
    post_execute_in_worker.connect(_task_ended, dispatch_uid="mge-node")


def _worker_started(**_: Any) -> None:
    global _this
    # Started after the fork, in the worker itself: threads do not survive a fork.
    guard_pid = os.getppid()
    _this = ThisWorker(node_id(guard_pid), guard_pid)
    threading.Thread(target=_look_after, args=(_this,), name="node", daemon=True).start()


def _task_begins(task: dict[str, Any], **_: Any) -> None:
    if _this is not None:
        _this.message = str(task.get("ack_id") or "")
        _this.busy_since = _this.worked_at = datetime.now(UTC)


def _task_ended(**_: Any) -> None:
    if _this is not None:
        _this.worked_at, _this.busy_since, _this.message = datetime.now(UTC), None, ""


def node_id(guard_pid: int) -> uuid.UUID:
    """The same in all workers of a cluster: what its starter named it, else host, place and the guard's process."""
    if settings.MGE_NODE_ID is not None:
        named: uuid.UUID = settings.MGE_NODE_ID
        return named
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{socket.gethostname()}:{owners.place()}:{guard_pid}")


def this_node() -> uuid.UUID:
    """The node of this worker process."""
    return node_id(os.getppid()) if _this is None else _this.node_id


def this_message() -> str:
    """The queue's number of the message that this worker works on; empty where there is none."""
    return "" if _this is None else _this.message


def live_nodes() -> list[Node]:
    """Nodes that beat lately and take work."""
    return [node for node in present_nodes() if not node.draining and not node.problem]


def present_nodes() -> list[Node]:
    """Nodes that beat lately, also those that claim nothing: `draining` or `problem` says why."""
    with connection.cursor() as cursor:
        since = dialect.now(cursor) - ALIVE
    return list(Node.objects.filter(heartbeat_at__gte=since, stopped_at__isnull=True))


def idle_workers() -> int:
    """How many workers, on all nodes that take work, said lately that they have nothing to do."""
    nodes = [node.pk for node in live_nodes()]
    with connection.cursor() as cursor:
        since = dialect.now(cursor) - ALIVE
    return NodeWorker.objects.filter(node__in=nodes, busy_since=None, beat_at__gte=since).count()


def claims_nothing() -> bool:
    """Asked by a runner in a worker process: is its node told to stop, without a guard, or of another schema version?"""
    if _this is not None and _this.orphaned:
        return True
    return bool(schema.watch.problem()) or Node.objects.filter(pk=this_node(), draining=True).exists()


def drain(node: uuid.UUID) -> None:
    """Tell a node's runners to claim nothing more."""
    Node.objects.filter(pk=node).update(draining=True)


def stopped(node: uuid.UUID) -> None:
    """Put on record that a node has ended."""
    Node.objects.filter(pk=node).update(stopped_at=datetime.now(UTC))
    NodeWorker.objects.filter(node=node).delete()


def _beat(me: ThisWorker, isolation: str) -> None:
    """The node's heartbeat and this worker's own, in one transaction."""
    problem = schema.watch.problem()
    with transaction.atomic():
        with connection.cursor() as cursor:
            now = dialect.now(cursor)
        state = {"heartbeat_at": now, "isolation": isolation, "problem": problem}
        if not Node.objects.filter(pk=me.node_id).update(**state):
            Node.objects.get_or_create(
                pk=me.node_id,
                defaults={
                    "host": socket.gethostname(),
                    "pid": me.guard_pid,
                    "version": VERSION,
                    "schema": schema.NEWEST,
                    "started_at": now,
                    **state,
                },
            )
        NodeWorker.objects.bulk_create(
            [
                NodeWorker(
                    node_id=me.node_id,
                    pid=os.getpid(),
                    beat_at=now,
                    busy_since=me.busy_since,
                    worked_at=me.worked_at,
                )
            ],
            update_conflicts=True,
            unique_fields=("node", "pid"),
            update_fields=("beat_at", "busy_since", "worked_at"),
        )


def _look_after(me: ThisWorker) -> None:
    from executions.engine.reconciler import reconcile, take_back_from_the_dead
    from executions.engine.runner_resources import sandbox

    isolation = sandbox().isolation.value
    pause = threading.Event()
    beat = reconciled = looked = float("-inf")
    while os.getppid() == me.guard_pid:
        now = time.monotonic()
        try:
            if now - beat >= HEARTBEAT_S:
                beat = now
                _beat(me, isolation)
            if now - reconciled >= settings.MGE_RECONCILE_SECONDS:
                reconciled = looked = now
                reconcile()
            elif now - looked >= LOOK_FOR_DEAD_S:
                looked = now
                take_back_from_the_dead()
        except (DatabaseError, InterfaceError) as error:
            log.warning("node heartbeat missed: %s", type(error).__name__)
            connection.close()
        pause.wait(ORPHAN_LOOK_S)
    _end_without_guard(me)


def _end_without_guard(me: ThisWorker) -> None:
    """Claim nothing more, give back what is in flight, and end.

    Where the system can (Linux), our cluster's workers are killed together with their guard and never come here; this is for
    every other system, and for clusters that were not started by our own command.
    """
    me.orphaned = True
    log.warning("worker %s has lost its guard: it gives its work back and ends", os.getpid())
    deadline = time.monotonic() + settings.MGE_DRAIN_SECONDS + RELEASE_S
    while me.busy_since is not None and time.monotonic() < deadline:
        time.sleep(ORPHAN_LOOK_S)
    os.kill(os.getpid(), signal.SIGKILL)
