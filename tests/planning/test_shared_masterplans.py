"""The shared masterplans beside the checkout: real plans whose references are known to pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from executions.planning.export import Accepted, export_files, write_export
from executions.planning.format import PlanSpec, load_file
from executions.planning.graph import build_graph

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
pytestmark = pytest.mark.needs_data


def with_references(name: str) -> list[tuple[PlanSpec, dict[str, Accepted]]]:
    document = json.loads((DATA / name).read_text(encoding="utf-8"))
    plans = document.get("masterplans", [document])
    return [
        (
            spec,
            {
                atom["key"]: Accepted(atom["key"], atom["reference_solution"], "tested")
                for atom in plan["atoms"]
            },
        )
        for spec, plan in zip(load_file(DATA / name), plans, strict=True)
    ]


@pytest.mark.parametrize(
    ("name", "atoms", "waves"),
    [("humaneval.json", [164], [1]), ("five-classes.json", [8, 7, 6, 9, 8], [5, 5, 5, 5, 6])],
)
def test_they_load_without_a_warning(name: str, atoms: list[int], waves: list[int]) -> None:
    plans = load_file(DATA / name)
    assert [len(plan.atoms) for plan in plans] == atoms
    assert [plan.warnings for plan in plans] == [()] * len(plans)
    graphs = [build_graph({atom.key: atom.depends_on for atom in plan.atoms}) for plan in plans]
    assert [len(graph.waves) for graph in graphs] == waves


def test_an_export_of_the_references_passes_from_another_folder(tmp_path: Path) -> None:
    write_export(export_files(with_references("five-classes.json")), tmp_path / "out")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST", "PYTHON", "DJANGO"))
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "out")]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout
    assert "159 passed" in result.stdout
