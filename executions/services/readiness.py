"""Is the site ready to work? Database, schema, workers: each with the reason when it is not."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from executions.engine.node import live_nodes, present_nodes
from executions.engine.schema import KNOWN


def readiness() -> dict[str, str]:
    """What was looked at, and why it is not ready: an empty text where it is. Holds nothing that a stranger may not know."""
    return {
        name: _said(check)
        for name, check in (("database", _database), ("migrations", _migrations), ("workers", _workers))
    }


def _said(check: Callable[[], str]) -> str:
    try:
        return check()
    except DatabaseError:
        return "the database does not answer"


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return ""


def _migrations() -> str:
    applied = MigrationRecorder(connection).applied_migrations()
    if not applied.keys() >= _newest_migrations():
        return "the schema is not up to date: run `manage.py migrate`"
    if {name for app, name in applied if app == "executions"} - KNOWN:
        return "the schema is newer than this site's code: update the site"
    return ""


@lru_cache(maxsize=1)
def _newest_migrations() -> frozenset[tuple[str, str]]:
    """The last migration of each app, as this process's code has them. Reading them takes a while."""
    return frozenset(MigrationLoader(None).graph.leaf_nodes())


def _workers() -> str:
    if live_nodes():
        return ""
    present = present_nodes()
    if any(node.problem for node in present):
        return "no worker claims anything: `manage.py doctor` says why"
    if present:
        return "no worker takes work: those that are alive are being stopped"
    return "no worker is alive: start one with `manage.py qcluster`"
