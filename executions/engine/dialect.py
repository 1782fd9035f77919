"""What differs between SQLite and PostgreSQL in the engine's raw SQL, in one place."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.db import connection

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

CLAIM_LOCK = 0x4D47_4501
"""Key of the PostgreSQL advisory lock that serialises claims, so that the global limit holds across executions."""
STORE_LOCK = 0x4D47_4502
"""Key of the one that serialises the storing of masterplans, so that each version is given once."""


def is_sqlite() -> bool:
    return connection.vendor == "sqlite"


def uid(value: uuid.UUID) -> str | uuid.UUID:
    """A UUID as a query parameter."""
    return value.hex if is_sqlite() else value


def to_uuid(value: Any) -> uuid.UUID:
    """A UUID column of a raw row."""
    return value if isinstance(value, uuid.UUID) else uuid.UUID(value)


def at(value: datetime | None) -> Any:
    """A time as a query parameter."""
    return None if value is None else connection.ops.adapt_datetimefield_value(value)


def to_time(value: Any) -> datetime | None:
    """A time column of a raw row."""
    if value is None:
        return None
    found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def dump(value: Any) -> str:
    """A JSON column as a query parameter; its texts as every database can store them."""
    return json.dumps(_storable(value), separators=(",", ":"), sort_keys=True)


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


def for_update() -> str:
    """Row locks; SQLite's IMMEDIATE transaction holds the whole database already."""
    return "" if is_sqlite() else " FOR UPDATE"


def for_update_of_free_rows() -> str:
    """The same for a subquery that leaves out the rows which somebody else has locked now."""
    return "" if is_sqlite() else " FOR UPDATE SKIP LOCKED"


def one_at_a_time(cursor: CursorWrapper, key: int) -> None:
    """Hold off others with the same key until the transaction ends. SQLite has one writer anyway."""
    if not is_sqlite():
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])


def now(cursor: CursorWrapper) -> datetime:
    """The database's clock: the one that leases are measured by. SQLite has one host, whose clock it shares."""
    if is_sqlite():
        return datetime.now(UTC)
    cursor.execute("SELECT clock_timestamp()")
    value: datetime = cursor.fetchone()[0]
    return value


def marks(count: int) -> str:
    return ", ".join(["%s"] * count)


def text(value: str) -> str:
    """Text from outside as every database can store it: no NUL, no lone surrogates; each becomes U+FFFD."""
    return value.replace("\0", "\ufffd").encode("utf-8", "surrogatepass").decode("utf-8", "replace")
