"""Wake those who tail events: on PostgreSQL the writer says so at its commit; on SQLite they see the commit by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from executions.engine import dialect

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

CHANNEL = "mge_events"
"""The PostgreSQL channel; notifications carry no data, so several of one transaction become one."""


def announcing() -> str:
    """The end of an UPDATE of one row that also does what `announce` does; what it returns is of no use."""
    return "" if dialect.is_sqlite() else f" RETURNING pg_notify('{CHANNEL}', '')"


def announce(cursor: CursorWrapper) -> None:
    """Wake the tailers of every web process when this transaction commits."""
    if not dialect.is_sqlite():
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
