"""Masterplans made for a run: small functions in layers, some of which the scripted model first gets wrong."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class MadePlan:
    """A plan on disk, and what must be true of its atoms."""

    name: str
    file: Path
    near_misses: Path
    depends_on: dict[str, tuple[str, ...]]
    """By atom key."""


def layered_plan(
    folder: Path, name: str, sizes: Sequence[int], rng: random.Random, *, near_miss_share: float = 0.3
) -> MadePlan:
    """Write a plan with layers of these sizes; an atom depends on up to three of the layer before.

    Keys and function names are unique over all plans whose names differ.
    """
    atoms: list[dict[str, Any]] = []
    misses: list[dict[str, Any]] = []
    before: list[str] = []
    for level, size in enumerate(sizes, start=1):
        layer = []
        for number in range(size):
            key = f"{name}-{level}.{number}"
            needs = rng.sample(before, min(len(before), rng.randint(1, 3))) if before else []
            amount = rng.randint(2, 9_999)
            atoms.append(_atom(key, amount, needs))
            if rng.random() < near_miss_share:
                misses += [
                    {"atom": key, "kind": "off-by", "code": _code(key, amount + off), "verdict": "failed"}
                    for off in range(1, rng.choice((1, 1, 2)) + 1)
                ]
            layer.append(key)
        before = layer
    folder.mkdir(parents=True, exist_ok=True)
    file, near = folder / f"{name}.json", folder / f"{name}-near-miss.json"
    plan = {"name": name, "description": f"made for chaos: {len(atoms)} atoms", "atoms": atoms}
    file.write_text(json.dumps(plan), encoding="utf-8")
    near.write_text(
        json.dumps({"format": "near-miss/1", "plan": name, "near_misses": misses}), encoding="utf-8"
    )
    return MadePlan(name, file, near, {atom["key"]: tuple(atom["depends_on"]) for atom in atoms})


def _function(key: str) -> str:
    return "add_" + "".join(letter if letter.isalnum() else "_" for letter in key)


def _code(key: str, amount: int) -> str:
    return f"def {_function(key)}(x: int) -> int:\n    return x + {amount}\n"


def _atom(key: str, amount: int, needs: Sequence[str]) -> dict[str, Any]:
    name = _function(key)
    return {
        "key": key,
        "name": name,
        "description": f"Return x plus {amount}.",
        "language": "python",
        "entry_point": name,
        "signature": f"def {name}(x: int) -> int",
        "target_path": f"made/{name}.py",
        "depends_on": list(needs),
        "tests": f"from made.{name} import {name}\n\n\ndef test_{name}():\n    assert {name}(1) == {1 + amount}\n",
        "reference_solution": _code(key, amount),
    }
