"""Long texts on PostgreSQL: compressed by the method that costs least."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import connection

from tests.ground import ON_POSTGRES

COLUMNS = """
SELECT c.relname || '.' || a.attname, a.attcompression FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relname = ANY(%s) AND a.atttypid = ANY(ARRAY['text', 'jsonb']::regtype[]) AND a.attnum > 0 AND NOT a.attisdropped
"""
ENDLESS = ("atom", "atomrun", "attempt", "cachedanswer", "call", "event", "gate", "issue", "masterplan")
"""Tables that grow with the work."""


@pytest.mark.django_db
@pytest.mark.skipif(not ON_POSTGRES, reason="SQLite compresses nothing")
def test_every_long_text_of_the_work_is_compressed_by_lz4() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT enumvals FROM pg_settings WHERE name = 'default_toast_compression'")
        row = cursor.fetchone()
        if row is None or "lz4" not in row[0]:
            pytest.skip("this server knows no LZ4")
        cursor.execute(COLUMNS, [[f"executions_{name}" for name in ENDLESS]])
        found = dict(cursor.fetchall())

    assert len(found) > 20
    assert {name for name, method in found.items() if method != "l"} == set()


@pytest.mark.django_db
def test_the_tables_are_those_of_the_models() -> None:
    tables = {model._meta.db_table for model in apps.get_app_config("executions").get_models()}

    assert {f"executions_{name}" for name in ENDLESS} <= tables
