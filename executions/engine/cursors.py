"""The ledger's cursors: what Django's do, without the work that Django's do for each statement.

On SQLite Django writes `%s` anew as `?` in every statement it is given, with a regular expression; on PostgreSQL it puts
the values into the text. Here the text of a statement stays the same, so that SQLite's driver finds the statement that it
has compiled; PostgreSQL keeps its plan, see `keep_plans`. Placeholders are `%s`; errors are Django's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.db import DatabaseError, OperationalError, connection

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


_PLANNED_BY_INDEXES = (
    "SET enable_seqscan = off",
    "SET enable_bitmapscan = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
    "SET plan_cache_mode = force_generic_plan",
    # What cannot go so is given a price that would have it compiled, at each use.
    "SET jit = off",
)
_LOST_PLANS = frozenset({"0A000", "26000", "42P05"})
"""SQLSTATE of: a result of another form than the plan's, a statement that is not there, one that is there already."""
_kept = threading.local()


def keep_plans() -> None:
    """Have PostgreSQL keep the plans of what this thread's connection is asked again and again: to read and plan a statement
    costs more than to carry it out where few rows are in it. Called outside of a transaction.

    A plan that is kept is made when tables are small, or nobody has counted their rows, and they grow: row by row through
    the indexes is what stays right, even where reading all would be quicker at first. A scan of an index, unlike that of a
    bitmap, also notes which of its entries are dead, so that the next one need not look at their rows.
    """
    if dialect.is_sqlite() or not settings.MGE_PREPARED_STATEMENTS:
        return
    from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper

    connection.ensure_connection()
    raw = connection.connection
    if getattr(_kept, "connection", None) is not raw:
        with connection.wrap_database_errors:
            raw.execute(";".join(_PLANNED_BY_INDEXES))
        # A plan belongs to the types of its values, too: a number is of one type, however large it is.
        raw.adapters.register_dumper(int, Int8BinaryDumper)
        raw.adapters.register_dumper(int, Int8Dumper)
        raw.prepare_threshold = PREPARED_AFTER
        _kept.connection = raw


@contextmanager
def lost_plans_as_lost_connection() -> Iterator[None]:
    """Raises OperationalError for a statement that failed for its kept plan, as one may after a migration: on a new connection it
    is planned anew.
    """
    try:
        yield
    except DatabaseError as error:
        state = getattr(error.__cause__, "sqlstate", None)
        if state in _LOST_PLANS:
            raise OperationalError(f"a kept plan is of no use any more (SQLSTATE {state})") from error
        raise


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
