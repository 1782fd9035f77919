"""Is the site ready to work? Database, schema, workers: each with the reason when it is not."""

from __future__ import annotations

from collections.abc import Callable

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from executions.engine.node import live_nodes


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
    return "" if _schema_is_current() else "the schema is not up to date: run `manage.py migrate`"


_seen_current: set[str] = set()
"""Databases whose schema was current once: this process's migrations do not change any more, and reading them takes a while."""


def _schema_is_current() -> bool:
    database = str(connection.settings_dict["NAME"])
    if database not in _seen_current:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return False
        _seen_current.add(database)
    return True


def _workers() -> str:
    return "" if live_nodes() else "no worker is alive: start one with `manage.py qcluster`"
