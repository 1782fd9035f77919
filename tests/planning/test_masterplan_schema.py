"""The JSON Schema that is published for masterplan files."""

from __future__ import annotations

import json
from pathlib import Path

from executions.planning.format import json_schema
from executions.planning.schema import AtomShape, PlanShape

PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "masterplan.schema.json"


def test_the_published_schema_is_the_one_the_product_checks_with() -> None:
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == json_schema(), (
        "write json_schema() to docs/masterplan.schema.json"
    )


def test_the_schema_names_every_key_the_product_reads() -> None:
    text = json.dumps(json_schema())
    assert all(f'"{key}"' in text for key in (*AtomShape.model_fields, *PlanShape.model_fields))


def test_only_what_an_atom_cannot_do_without_is_required() -> None:
    definitions = json_schema()["$defs"]
    assert isinstance(definitions, dict)
    assert definitions["Atom"]["required"] == ["key", "target_path"]
    assert definitions["Masterplan"]["required"] == ["name", "atoms"]
