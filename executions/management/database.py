"""The schema, before a command touches the database: the embedded one is made and migrated, any other is only checked."""

from __future__ import annotations

import fcntl
import os

from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from executions.management.command import Refused


def ensure_schema() -> None:
    """Raises Refused when the database cannot be reached, or is not ours to migrate and behind."""
    try:
        if not settings.EMBEDDED_DATABASE:
            if _behind():
                raise Refused("the database's schema is not up to date; run `manage.py migrate` first")
            return
        _make_data_dir()
        if _behind():
            _migrate_once()
    except DatabaseError as error:
        raise Refused(f"cannot use the database: {str(error).strip().splitlines()[0]}") from error


def _make_data_dir() -> None:
    try:
        settings.MGE_DATA_DIR.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"MGE_DATA_DIR: cannot make {settings.MGE_DATA_DIR}: {error.strerror}") from error


def _behind() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _migrate_once() -> None:
    """Under a file lock: two commands may start at once on a new folder."""
    lock = os.open(settings.MGE_DATA_DIR / "migrate.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        call_command("migrate", interactive=False, verbosity=0)
    finally:
        os.close(lock)
