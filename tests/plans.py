"""Small masterplans for tests, with their reference solutions and near misses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def adder(key: str, *, depends_on: Sequence[str] = (), amount: int = 1, **more: Any) -> dict[str, Any]:
    """An atom whose function adds `amount`; its near miss adds one too many."""
    name = "add_" + "".join(char if char.isalnum() else "_" for char in key)
    return {
        "key": key,
        "name": name,
        "description": f"Return x plus {amount}.",
        "language": "python",
        "entry_point": name,
        "signature": f"def {name}(x: int) -> int",
        "target_path": f"pkg/{name}.py",
        "depends_on": list(depends_on),
        "tests": f"from pkg.{name} import {name}\n\n\ndef test_{name}():\n    assert {name}(1) == {1 + amount}\n",
        "reference_solution": f"def {name}(x: int) -> int:\n    return x + {amount}\n",
        **more,
    }


def wrong(atom: Mapping[str, Any], number: int = 1) -> dict[str, Any]:
    """A near miss of an adder: `number` too many; each number gives another text."""
    return {
        "atom": atom["key"],
        "kind": "off-by",
        "code": f"def {atom['entry_point']}(x: int) -> int:\n    return x + {100 + number}\n",
        "verdict": "failed",
    }


def plan(*atoms: Mapping[str, Any], name: str = "small plan", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "description": "a plan of the tests",
        "atoms": [dict(atom) for atom in atoms],
        **more,
    }


def layers(*sizes: int, prefix: str = "a") -> list[dict[str, Any]]:
    """Adders in waves of these sizes; each atom depends on all of the wave before (at most three)."""
    atoms: list[dict[str, Any]] = []
    before: list[str] = []
    for level, size in enumerate(sizes, start=1):
        keys = [f"{prefix}{level}.{number}" for number in range(size)]
        atoms += [adder(key, depends_on=before[:3], amount=number + level) for number, key in enumerate(keys)]
        before = keys
    return atoms


def write_plan(
    folder: Path, value: Mapping[str, Any], near_misses: Sequence[Mapping[str, Any]] = (), stem: str = "plan"
) -> Path:
    """The plan as a file, with its near misses beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{stem}.json"
    file.write_text(json.dumps(value), encoding="utf-8")
    misses = {"format": "near-miss/1", "plan": value.get("name", ""), "near_misses": list(near_misses)}
    (folder / f"{stem}-near-miss.json").write_text(json.dumps(misses), encoding="utf-8")
    return file
