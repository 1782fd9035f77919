"""What differs between SQLite and PostgreSQL in the engine's raw SQL, in one place."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from django.db import connection

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

CLAIM_LOCK = 0x4D47_4501
"""Key of the PostgreSQL advisory lock that serialises claims, so that the global limit holds across executions."""
STORE_LOCK = 0x4D47_4502
"""Key of the one that serialises the storing of masterplans, so that each version is given once."""


@cache
def is_sqlite() -> bool:
    """Asked for every value that is written: so only once of the connection, which finds its thread's own each time."""
    return connection.vendor == "sqlite"


def uid(value: uuid.UUID) -> str | uuid.UUID:
    """A UUID as a query parameter."""
    return value.hex if is_sqlite() else value


def to_uuid(value: Any) -> uuid.UUID:
    """A UUID column of a raw row."""
    return value if isinstance(value, uuid.UUID) else uuid.UUID(value)


def at(value: datetime | None) -> Any:
    """A time as a query parameter."""
    return None if value is None else _adapted(value)


@lru_cache(maxsize=64)
def _adapted(value: datetime) -> Any:
    """Most times in a transaction are that of the transaction."""
    if value.tzinfo is UTC and is_sqlite():
        # As Django writes it, which takes ten times as long to find out that the time is one of UTC already.
        return str(value.replace(tzinfo=None))
    return connection.ops.adapt_datetimefield_value(value)


def to_time(value: Any) -> datetime | None:
    """A time column of a raw row."""
    if value is None:
        return None
    found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def dump(value: Any) -> str:
    """A JSON column as a query parameter; its texts as every database can store them."""
    written = _JSON.encode(value)
    # Escaped NULs and surrogates, paired ones among them: rare enough for a second look.
    return _JSON.encode(_storable(value)) if "\\u0000" in written or "\\ud" in written else written


def _plain(value: Any) -> dict[Any, Any]:
    """Mappings of other kinds, for the encoder. Raises TypeError for anything else."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


_JSON = json.JSONEncoder(separators=(",", ":"), sort_keys=True, default=_plain)
"""One for all: `json.dumps` would make another for each value."""


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping):
        return {text(str(key)): _storable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(one) for one in value]
    return value


def load(value: Any) -> Any:
    """A JSON column of a raw row."""
    return json.loads(value) if isinstance(value, str) else value


def locked(cursor: CursorWrapper, query: str, parameters: Sequence[Any]) -> list[Sequence[Any]]:
    """Rows of a query, locked for this transaction; the last column of each is the database's time when they were."""
    if is_sqlite():
        # Its IMMEDIATE transaction holds the whole database already.
        cursor.execute(query, parameters)
        return [(*row, now(cursor)) for row in cursor.fetchall()]
    cursor.execute(
        f"WITH found AS MATERIALIZED ({query} FOR UPDATE) SELECT found.*, clock_timestamp() FROM found",  # noqa: S608
        parameters,
    )
    rows: list[Sequence[Any]] = cursor.fetchall()
    return rows


def for_update_of_free_rows() -> str:
    """Row locks, for a subquery that leaves out the rows which somebody else has locked now."""
    return "" if is_sqlite() else " FOR UPDATE SKIP LOCKED"


def one_at_a_time(cursor: CursorWrapper, key: int) -> None:
    """Hold off others with the same key until the transaction ends. SQLite has one writer anyway."""
    if not is_sqlite():
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])


def unindexed(column: str) -> str:
    """A column for GROUP BY or ORDER BY such that SQLite does not choose its index for it: it would read all of that."""
    return f"+{column}" if is_sqlite() else column


def now(cursor: CursorWrapper) -> datetime:
    """The database's clock: the one that leases are measured by. SQLite has one host, whose clock it shares."""
    if is_sqlite():
        return datetime.now(UTC)
    cursor.execute("SELECT clock_timestamp()")
    value: datetime = cursor.fetchone()[0]
    return value


def sql_now(cursor: CursorWrapper) -> tuple[str, list[Any]]:
    """The same as an expression of SQL, and its parameters."""
    return ("%s", [at(now(cursor))]) if is_sqlite() else ("statement_timestamp()", [])


def marks(count: int) -> str:
    return ", ".join(["%s"] * count)


def among(values: Sequence[Any]) -> tuple[str, list[Any]]:
    """What follows a column that is to be one of these values, and the parameters of it. On PostgreSQL it is the same text for
    any number of them, so that the plan of the statement can be kept.
    """
    return (f"IN ({marks(len(values))})", list(values)) if is_sqlite() else ("= ANY(%s)", [list(values)])


@contextmanager
def all_at_once() -> Iterator[None]:
    """Statements in this block are sent without waiting for the answer of the one before: on PostgreSQL each wait is a round
    trip. What goes wrong is raised by the end of the block at the latest. For writes whose answer nobody looks at.
    """
    if is_sqlite():
        yield
        return
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield


def insert_many(
    cursor: CursorWrapper,
    table: str,
    columns: Mapping[str, str],
    rows: Sequence[Sequence[Any]],
    more: str = "",
) -> None:
    """Insert rows in one statement. `columns`: PostgreSQL's type by name; `more`: what follows the rows, as ON CONFLICT."""
    if not rows:
        return
    into = f"INSERT INTO {table} ({', '.join(columns)})"
    if is_sqlite():
        cursor.executemany(f"{into} VALUES ({marks(len(columns))}) {more}", rows)
    else:
        _execute_from(f"{into} SELECT * FROM {{rows}} {more}", columns, rows)  # noqa: S608


def update_many(
    cursor: CursorWrapper, table: str, columns: Mapping[str, str], rows: Sequence[Sequence[Any]]
) -> None:
    """Update rows in one statement. `columns`: PostgreSQL's type by name, the last of them is `id`, which finds the row."""
    if not rows:
        return
    *changed, identity = columns
    if is_sqlite():
        values = ", ".join(f"{name} = %s" for name in changed)
        cursor.executemany(f"UPDATE {table} SET {values} WHERE {identity} = %s", rows)  # noqa: S608
    else:
        values = ", ".join(f"{name} = v.{name}" for name in changed)
        _execute_from(
            f"UPDATE {table} t SET {values} FROM {{rows}} WHERE t.{identity} = v.{identity}",  # noqa: S608
            columns,
            rows,
        )


def each_atom_named(
    cursor: CursorWrapper, changes: str, names: Mapping[str, str], rows: Sequence[Sequence[Any]]
) -> None:
    """Change an atom run for each row of values, in one statement. `changes` names the values in braces; `names`: PostgreSQL's
    type by name, none of them that of a column; `execution` and `named` say which atom run it is. None of them twice.
    """
    if not rows:
        return
    update = f"UPDATE executions_atomrun SET {changes}"  # noqa: S608
    if is_sqlite():
        sql = f"{update} WHERE execution_id = {{execution}} AND key = {{named}}"
        cursor.executemany(sql.format_map({name: f"?{at}" for at, name in enumerate(names, start=1)}), rows)
    else:
        _execute_from(
            update.format_map({name: f"v.{name}" for name in names})
            + f" FROM {{rows}}, LATERAL ({_by_key('id, execution_id, key', 'v.execution', 'v.named')}) f"
            " WHERE executions_atomrun.id = f.id AND f.execution_id = v.execution AND f.key = v.named",
            names,
            rows,
        )


def atoms_named(execution_id: uuid.UUID, keys: Sequence[str]) -> tuple[str, list[Any]]:
    """For FROM: `r`, the atom runs of an execution with these keys; and the parameters of it."""
    if is_sqlite():
        return (
            f"(SELECT * FROM executions_atomrun WHERE execution_id = %s AND key IN ({marks(len(keys))})) r",  # noqa: S608
            [uid(execution_id), *keys],
        )
    return (
        "unnest(%s::text[]) AS w(named), LATERAL"  # noqa: S608
        f" (SELECT * FROM ({_by_key('*', '%s', 'w.named')}) f WHERE f.execution_id = %s AND f.key = w.named) r",
        [list(keys), uid(execution_id), uid(execution_id)],
    )


def _by_key(columns: str, execution: str, key: str) -> str:
    """The first atom run that is this one of the execution or comes after it, in the order of the index of both.

    PostgreSQL may never have counted the rows, or have seen many small executions before a large one: asked for just this one
    it may as well go through all of the execution, by the index of its waves. That index is of no use for what comes after.
    """
    return (
        f"SELECT {columns} FROM executions_atomrun WHERE (execution_id, key) >= ({execution}, {key})"  # noqa: S608
        " ORDER BY execution_id, key LIMIT 1"
    )


def _execute_from(query: str, columns: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> None:
    """Execute on PostgreSQL what names the rows as `{rows}`, there `v`. One array for each column: a statement for each row costs
    ten times as much, and the text is the same for any number of them. The arrays are sent as they are; Django's own cursor
    would write them into the statement's text.
    """
    import psycopg

    connection.ensure_connection()
    with connection.wrap_database_errors:
        arrays = [list(column) for column in zip(*rows, strict=True)]
        psycopg.Cursor(connection.connection).execute(_from_arrays(query, tuple(columns.items())), arrays)


@lru_cache(maxsize=256)
def _from_arrays(query: str, columns: Sequence[tuple[str, str]]) -> str:
    arrays = ", ".join(f"%b::{kind}[]" for _, kind in columns)
    return query.format(rows=f"unnest({arrays}) AS v({', '.join(name for name, _ in columns)})")


def text(value: str) -> str:
    """Text from outside as every database can store it: no NUL, no lone surrogates; each becomes U+FFFD."""
    if value.isascii():
        return value.replace("\0", "\ufffd") if "\0" in value else value
    return value.replace("\0", "\ufffd").encode("utf-8", "surrogatepass").decode("utf-8", "replace")
