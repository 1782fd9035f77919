"""The schema version: which migrations this process's code was written for, and whether the database has exactly those.

A node of another version claims nothing: it could write what the others' code, or a constraint it has not heard of, forbids.
"""

from __future__ import annotations

import logging
import pkgutil
import threading
import time

from django.db import connection

from executions import migrations

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 10.0
KNOWN = frozenset(
    found.name for found in pkgutil.iter_modules(migrations.__path__) if found.name[0] not in "_~"
)
"""Read once, when the code is: files that an update lays beside a running process are not what it runs."""
NEWEST = max(KNOWN)


def schema_problem() -> str:
    """Why code of this version must not work on the database; empty when it may. Looks into the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM django_migrations WHERE app = 'executions'")
        applied = {row[0] for row in cursor.fetchall()}
    if newer := applied - KNOWN:
        return f"the database's schema is newer than this node's code (it has {max(newer)}): update the node"
    if missing := KNOWN - applied:
        return f"the database's schema is older than this node's code (it lacks {min(missing)}): run `manage.py migrate`"
    return ""


class SchemaWatch:
    """Looks every few seconds; says it in the log once when the answer changes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looked: float | None = None
        self._problem = ""

    def problem(self) -> str:
        """`schema_problem` as of the last few seconds."""
        with self._lock:
            now = time.monotonic()
            if self._looked is None or now - self._looked >= LOOK_AGAIN_S:
                found = schema_problem()
                if found and found != self._problem:
                    log.warning("this node claims nothing: %s", found)
                elif not found and self._problem:
                    log.warning("this node claims again: the schema fits")
                self._looked, self._problem = now, found
            return self._problem

    def forget(self) -> None:
        """Look anew next time."""
        with self._lock:
            self._looked = None


watch = SchemaWatch()
