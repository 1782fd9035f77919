"""The database as a whole: every reference leads to a row, and the file of the embedded one is sound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.apps import apps
from django.db import connection
from django.db.models import ForeignKey

from executions.engine import dialect
from executions.services.consistency.inconsistency import Inconsistency

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

REFERENCES = "references"
FILE = "file"
MOST_TOLD = 20
"""Rows without a parent that are named of one table and column; the number of all is told."""


def rows_have_parents(cursor: CursorWrapper) -> Iterator[Inconsistency]:
    """Every foreign key of every table leads to a row. Asked of the tables themselves: the database's own word is not taken."""
    quote = connection.ops.quote_name
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.local_concrete_fields:
            if not isinstance(field, ForeignKey) or not model._meta.managed:
                continue
            parent = field.target_field.model._meta.db_table
            table, column = quote(model._meta.db_table), quote(str(field.column))
            key, target = quote(str(model._meta.pk.column)), quote(str(field.target_field.column))
            cursor.execute(
                f"SELECT c.{key}, c.{column} FROM {table} c"  # noqa: S608
                f" LEFT JOIN {quote(parent)} p ON p.{target} = c.{column}"
                f" WHERE c.{column} IS NOT NULL AND p.{target} IS NULL"
            )
            rows = cursor.fetchall()
            for row, missing in rows[:MOST_TOLD]:
                what = f"{model._meta.db_table} {row}: {field.column}"
                yield Inconsistency(None, REFERENCES, what, f"a row of {parent}", f"none with {missing}")
            if len(rows) > MOST_TOLD:
                yield Inconsistency(
                    None, REFERENCES, f"rows of {model._meta.db_table} without a parent", "0", str(len(rows))
                )


def file_is_sound(cursor: CursorWrapper) -> Iterator[Inconsistency]:
    """SQLite's own look at its file; PostgreSQL guards its files itself (data checksums, amcheck)."""
    if not dialect.is_sqlite():
        return
    cursor.execute("PRAGMA quick_check(20)")
    for (said,) in cursor.fetchall():
        if said != "ok":
            yield Inconsistency(None, FILE, "PRAGMA quick_check", "ok", said)
