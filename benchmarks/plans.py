"""Masterplans of any size with an irregular graph, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from tests.plans import adder, plan

LEVELS = 10


def irregular_plan(atoms: int, *, seed: int = 1, levels: int = LEVELS) -> dict[str, Any]:
    """A plan of `atoms` atoms: levels of unlike size, up to three dependencies each, one of them in the level before."""
    dice = random.Random(seed)  # noqa: S311  a repeatable sequence is what is wanted
    made: list[dict[str, Any]] = []
    before: list[str] = []
    below: list[str] = []
    for level, size in enumerate(_sizes(atoms, levels, dice), start=1):
        keys = [f"n{level}.{number}" for number in range(size)]
        for number, key in enumerate(keys):
            needed = {dice.choice(before)} if before else set()
            needed.update(dice.choice(below) for _ in range(dice.randint(0, 2)) if below)
            made.append(adder(key, depends_on=sorted(needed), amount=number + level))
        before = keys
        below += keys
    return plan(*made, name=f"irregular {atoms} {seed}")


def _sizes(atoms: int, levels: int, dice: random.Random) -> list[int]:
    levels = min(levels, atoms)
    weights = [dice.uniform(0.4, 1.6) for _ in range(levels)]
    sizes = [max(1, round(atoms * weight / sum(weights))) for weight in weights]
    sizes[sizes.index(max(sizes))] += atoms - sum(sizes)
    return sizes


def dependencies(plan: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {atom["key"]: tuple(atom["depends_on"]) for atom in plan["atoms"]}
