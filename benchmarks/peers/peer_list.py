"""Which peers there are, and what each of them is set up to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peer:
    """`benchmarks.peers.on_<name>` runs it."""

    title: str
    packages: tuple[str, ...]
    """Whose versions say which tool this was."""
    does: str
    """How the plan is run."""
    stores: str
    """What is durable."""
    on_postgres: bool = True


PEERS: Mapping[str, Peer] = {
    "langgraph": Peer(
        "LangGraph",
        ("langgraph", "langgraph-checkpoint-postgres"),
        "one process; each wave fans out with Send",
        "checkpoints and each task's writes, PostgreSQL; durability as by default (async)",
    ),
    "procrastinate": Peer(
        "Procrastinate",
        ("procrastinate",),
        "one worker of concurrency 100; a job per atom, deferred when its dependencies are done",
        "job rows and their events, PostgreSQL; no results",
    ),
    "dbos": Peer(
        "DBOS",
        ("dbos",),
        "one process; one workflow, a step per atom, a gather per wave",
        "each step's output, PostgreSQL",
    ),
    "celery": Peer(
        "Celery",
        ("celery", "redis"),
        "one worker of 100 threads, a group per wave",
        "messages and results, Redis with its append-only file",
        on_postgres=False,
    ),
    "django-q2": Peer(
        "django-q2",
        ("django-q2", "django"),
        "a cluster of 16 worker processes; a task per atom, queued by the parent when its dependencies are done",
        "queue and results, PostgreSQL (ORM broker)",
    ),
}
