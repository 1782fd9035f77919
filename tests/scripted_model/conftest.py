"""Plans for the scripted model's tests: small, with tests and near misses that only differ in text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def _atom(number: int) -> dict[str, Any]:
    name = f"plus_{number}"
    return {
        "key": f"atom-{number:03d}",
        "name": name,
        "description": f"Return x plus {number}.",
        "target_path": f"pack/{name}.py",
        "signature": f"def {name}(x)",
        "tests": (
            f"from pack.{name} import {name}\n\n\n"
            f"def test_adds_{number}():\n    assert {name}(1) == {number + 1}\n"
        ),
        "reference_solution": f"def {name}(x):\n    return x + {number}\n",
    }


def _near_misses(number: int, how_many: int) -> list[dict[str, str]]:
    return [
        {"atom": f"atom-{number:03d}", "code": f"def plus_{number}(x):\n    return x - {number} - {wrong}\n"}
        for wrong in range(1, how_many + 1)
    ]


@pytest.fixture
def make_plan(tmp_path: Path) -> Callable[..., Path]:
    """Writes a plan of `atoms` atoms into `folder`; each of `near_misses` numbers has so many near misses."""

    def make(
        *,
        atoms: int = 3,
        near_misses: dict[int, int] | None = None,
        folder: Path = tmp_path,
        stem: str = "plan",
        name: str = "Plan",
    ) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{stem}.json"
        path.write_text(json.dumps({"name": name, "atoms": [_atom(number) for number in range(atoms)]}))
        if near_misses is not None:
            entries = [miss for number, many in near_misses.items() for miss in _near_misses(number, many)]
            (folder / f"{stem}-near-miss.json").write_text(json.dumps({"near_misses": entries}))
        return path

    return make
