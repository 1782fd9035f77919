"""The four workloads that executors are compared by, the same in every run.

- W1: 1,000 atoms in 10 waves of 100, each depending on 3 of the wave before.
- W2: 1,000 atoms, irregular, 25 of them on the longest path.
- W3: 10,000 atoms in 4 waves, each depending on up to 3 of the wave before.
- W4: W1, and 30 % of the atoms need 2 to 4 attempts: their first answers do not parse.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.plans import dependencies, irregular_plan
from tests.plans import adder, plan, write_plan

SEED = 1
FLAKY_SHARE = 0.3
MOST_NEAR_MISSES = 3


@dataclass(frozen=True, slots=True)
class Workload:
    """A plan, and the wrong answers that its atoms give first."""

    name: str
    plan: Mapping[str, Any]
    near_misses: Sequence[Mapping[str, Any]] = ()

    @property
    def atoms(self) -> int:
        return len(self.plan["atoms"])

    @property
    def calls(self) -> int:
        """Calls of a run in which nothing is asked twice: one more per near miss."""
        return self.atoms + len(self.near_misses)

    @property
    def depends_on(self) -> dict[str, tuple[str, ...]]:
        return dependencies(self.plan)

    def write(self, folder: Path) -> tuple[Path, Path]:
        """The files of the plan and of its near misses."""
        file = write_plan(folder, self.plan, self.near_misses, stem=self.name.lower())
        return file, file.with_name(f"{file.stem}-near-miss.json")


def layered(name: str, *, waves: int, width: int, fewest: int, most: int, seed: int = SEED) -> dict[str, Any]:
    """A plan of equal waves; each atom depends on `fewest` to `most` atoms of the wave before."""
    dice = random.Random(seed)  # noqa: S311  a repeatable sequence is what is wanted
    made: list[dict[str, Any]] = []
    before: list[str] = []
    for level in range(1, waves + 1):
        keys = [f"{level}.{number}" for number in range(width)]
        for number, key in enumerate(keys):
            needed = sorted(dice.sample(before, dice.randint(fewest, most))) if before else []
            made.append(adder(key, depends_on=needed, amount=number + level))
        before = keys
    return plan(*made, name=name)


def flaky(
    atoms: Sequence[Mapping[str, Any]], share: float = FLAKY_SHARE, seed: int = SEED
) -> list[dict[str, Any]]:
    """One to three near misses for this share of the atoms. None of them parses, and each is another text."""
    dice = random.Random(seed)  # noqa: S311  a repeatable sequence is what is wanted
    chosen = dice.sample(atoms, round(share * len(atoms)))
    return [
        _unparsable(atom, number) for atom in chosen for number in range(dice.randint(1, MOST_NEAR_MISSES))
    ]


def _unparsable(atom: Mapping[str, Any], number: int) -> dict[str, Any]:
    code = f"def {atom['entry_point']}(x: int) -> int\n    return x + {100 + number}\n"
    return {"atom": atom["key"], "kind": "syntax", "code": code, "verdict": "failed"}


def w1() -> Workload:
    return Workload("W1", layered("W1", waves=10, width=100, fewest=3, most=3))


def w2() -> Workload:
    return Workload("W2", irregular_plan(1_000, seed=SEED, levels=25))


def w3() -> Workload:
    return Workload("W3", layered("W3", waves=4, width=2_500, fewest=1, most=3))


def w4() -> Workload:
    value = {**w1().plan, "name": "W4"}
    return Workload("W4", value, flaky(value["atoms"]))


WORKLOADS: Mapping[str, Callable[[], Workload]] = {"W1": w1, "W2": w2, "W3": w3, "W4": w4}
