"""PostgreSQL compresses long texts (prompts, answers, code) when they are written; by LZ4 that takes a fraction of the CPU."""

from typing import Any

from django.db import migrations

TABLES = ("atom", "atomrun", "attempt", "cachedanswer", "call", "event", "gate", "issue", "masterplan")


def _set_compression(schema_editor: Any, method: str) -> None:
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 'lz4' = ANY(enumvals) FROM pg_settings WHERE name = 'default_toast_compression'"
        )
        row = cursor.fetchone()
        if row is None or not row[0]:
            # A server older than 14, or one built without it.
            return
        cursor.execute(
            "SELECT attrelid::regclass::text, attname FROM pg_attribute WHERE attrelid = ANY(%s::regclass[])"
            " AND atttypid = ANY(ARRAY['text', 'jsonb']::regtype[]) AND attnum > 0 AND NOT attisdropped ORDER BY 1, 2",
            [[f"executions_{name}" for name in TABLES]],
        )
        for table, column in cursor.fetchall():
            schema_editor.execute(
                f"ALTER TABLE {table} ALTER COLUMN {schema_editor.quote_name(column)} SET COMPRESSION {method}"
            )


def to_lz4(_apps: Any, schema_editor: Any) -> None:
    _set_compression(schema_editor, "lz4")


def to_default(_apps: Any, schema_editor: Any) -> None:
    _set_compression(schema_editor, "default")


class Migration(migrations.Migration):
    # Each takes its table for an instant; together they would hold all of them, and wait for whoever holds one.
    atomic = False
    dependencies = [("executions", "0008_indexes_written_once")]
    operations = [migrations.RunPython(to_lz4, to_default)]
