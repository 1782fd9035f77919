"""Each index is written at every change of a row, so none may repeat the beginning of another."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import connection

from executions.models import Execution


def _indexes(table: str) -> dict[str, tuple[str, ...]]:
    """Columns of the table's indexes over all of its rows, by name."""
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, table)
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '% WHERE %'")
        else:
            cursor.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE indpred IS NOT NULL")
        partial = {row[0] for row in cursor.fetchall()}
    return {
        name: tuple(one["columns"])
        for name, one in found.items()
        if (one["index"] or one["unique"] or one["primary_key"])
        and name not in partial
        and one["columns"]
        # Django's own beside each unique text on PostgreSQL, for LIKE.
        and not name.endswith("_like")
    }


@pytest.mark.django_db
@pytest.mark.parametrize(
    "table", sorted(model._meta.db_table for model in apps.get_app_config("executions").get_models())
)
def test_no_index_repeats_the_beginning_of_another(table: str) -> None:
    indexes = _indexes(table)

    repeated = [
        (one, other)
        for one, columns in indexes.items()
        for other, longer in indexes.items()
        if one != other and longer[: len(columns)] == columns
    ]

    assert repeated == []


@pytest.mark.django_db
def test_the_indexes_are_seen() -> None:
    assert ("status", "created_at") in _indexes(Execution._meta.db_table).values()
