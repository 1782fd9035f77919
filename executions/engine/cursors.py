"""The ledger's cursors: what Django's do, without the work that Django's do for each statement.

On SQLite Django writes `%s` anew as `?` in every statement it is given, with a regular expression; on PostgreSQL it puts
the values into the text. Here the text of a statement stays the same, so that SQLite's driver finds the statement that it
has compiled; PostgreSQL keeps its plan, see `keep_plans`. Placeholders are `%s`; errors are Django's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.db import connection

from executions.engine import dialect

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper


PREPARED_AFTER = 2
"""Times that a statement is sent before it is prepared."""


def ledger_cursor() -> CursorWrapper:
    """A cursor on this thread's connection: within its transaction and no longer, or for reads outside of one."""
    connection.ensure_connection()
    if dialect.is_sqlite():
        return cast("CursorWrapper", _LiteCursor(connection.connection.cursor()))
    import psycopg

    return cast("CursorWrapper", _Cursor(psycopg.Cursor(connection.connection)))


def keep_plans() -> None:
    """Have PostgreSQL keep the plans of what this thread's connection is asked again and again: to read and plan a statement
    costs more than to carry it out where few rows are in it. Called outside of a transaction.

    A plan that is kept is made when tables are small, and they grow: it must go by the indexes even where reading all
    would be quicker then.
    """
    if dialect.is_sqlite() or not settings.MGE_PREPARED_STATEMENTS:
        return
    connection.ensure_connection()
    raw = connection.connection
    if raw.prepare_threshold is None:
        with connection.wrap_database_errors:
            raw.execute("SET enable_seqscan = off")
        raw.prepare_threshold = PREPARED_AFTER


class _Cursor:
    """As much of a cursor as the engine uses."""

    __slots__ = ("_errors", "_raw", "fetchall", "fetchone")

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        # Kept: to ask the thread's connection for it at each statement costs a tenth of the statement.
        self._errors = connection.wrap_database_errors
        self.fetchone = raw.fetchone
        self.fetchall = raw.fetchall

    @property
    def rowcount(self) -> int:
        return int(self._raw.rowcount)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        with self._errors:
            self._raw.execute(sql, parameters)

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        with self._errors:
            self._raw.executemany(sql, rows)


class _LiteCursor(_Cursor):
    __slots__ = ()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        with self._errors:
            self._raw.execute(_with_marks(sql), parameters)

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        with self._errors:
            self._raw.executemany(_with_marks(sql), rows)


@lru_cache(maxsize=512)
def _with_marks(sql: str) -> str:
    return sql.replace("%s", "?")
