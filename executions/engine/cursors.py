"""The ledger's cursors: what Django's do, without the work that Django's do for each statement.

On SQLite Django writes `%s` anew as `?` in every statement it is given, with a regular expression; on PostgreSQL it puts
the values into the text. Here the text of a statement stays the same, so that SQLite's driver finds the statement that it
has compiled. Placeholders are `%s`; errors are Django's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from django.db import connection

from executions.engine import dialect

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper


def ledger_cursor() -> CursorWrapper:
    """A cursor on this thread's connection: within its transaction and no longer, or for reads outside of one."""
    connection.ensure_connection()
    if dialect.is_sqlite():
        return cast("CursorWrapper", _LiteCursor(connection.connection.cursor()))
    import psycopg

    return cast("CursorWrapper", _Cursor(psycopg.Cursor(connection.connection)))


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
