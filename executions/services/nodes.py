"""The nodes: who works, on how much, and why some claim nothing."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from executions.engine import dialect
from executions.engine.node import ALIVE
from executions.engine.owners import Owner, short_host
from executions.models import Node, NodeWorker

SHOWN_AFTER_END = timedelta(hours=1)
MOST = 200


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """One worker process of a node."""

    pid: int
    busy_since: datetime | None
    """When its present task began."""
    beat_at: datetime


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node as it is now."""

    id: uuid.UUID
    host: str
    pid: int
    state: str
    """`working` (takes work), `refusing` (`problem` says why), `draining`, `silent` (no heartbeat lately) or `stopped`."""
    problem: str
    version: str
    schema: str
    """The last migration that its code knows."""
    isolation: str
    draining: bool
    claims: int
    """Atoms under a lease of one of its workers."""
    workers: tuple[WorkerReport, ...]
    started_at: datetime
    heartbeat_at: datetime
    heartbeat_age_s: float
    stopped_at: datetime | None


def node_list() -> list[NodeReport]:
    """Nodes that are there, and those that ended within the last hour; the one with the latest heartbeat first."""
    with connection.cursor() as cursor:
        now = dialect.now(cursor)
    recent = Node.objects.filter(heartbeat_at__gte=now - SHOWN_AFTER_END)
    nodes = list(recent.order_by("-heartbeat_at", "id")[:MOST])
    workers: dict[uuid.UUID, list[NodeWorker]] = {}
    for worker in NodeWorker.objects.filter(node__in=nodes).order_by("pid"):
        workers.setdefault(worker.node_id, []).append(worker)
    held = claims_by_process()
    return [_report(node, workers.get(node.id, []), held, now) for node in nodes]


def claims_by_process() -> Counter[tuple[str, int]]:
    """Atoms under a lease, by the host and the process number of the owner."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT lease_owner, COUNT(*) FROM executions_atomrun WHERE NOT (lease_owner = '') GROUP BY lease_owner"
        )
        rows = cursor.fetchall()
    held: Counter[tuple[str, int]] = Counter()
    for name, count in rows:
        owner = Owner.read(name)
        if owner is not None:
            held[owner.host, owner.process.pid] += count
    return held


def _report(
    node: Node, workers: list[NodeWorker], held: Counter[tuple[str, int]], now: datetime
) -> NodeReport:
    return NodeReport(
        id=node.id,
        host=node.host,
        pid=node.pid,
        state=node_state(node, now),
        problem=node.problem,
        version=node.version,
        schema=node.schema,
        isolation=node.isolation,
        draining=node.draining,
        claims=sum(held[short_host(node.host), worker.pid] for worker in workers),
        workers=tuple(WorkerReport(worker.pid, worker.busy_since, worker.beat_at) for worker in workers),
        started_at=node.started_at,
        heartbeat_at=node.heartbeat_at,
        heartbeat_age_s=max(0.0, (now - node.heartbeat_at).total_seconds()),
        stopped_at=node.stopped_at,
    )


def node_state(node: Node, now: datetime) -> str:
    """In a word; see `NodeReport.state`."""
    if node.stopped_at is not None:
        return "stopped"
    if now - node.heartbeat_at > ALIVE:
        return "silent"
    if node.draining:
        return "draining"
    return "refusing" if node.problem else "working"
