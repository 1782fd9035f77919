"""Real answers and real near misses: every reference passes, every near miss is rejected, at both levels."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from executions.validation.candidate import Candidate
from executions.validation.pipeline import Validator
from executions.validation.sandbox.sandbox import Sandbox

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
pytestmark = [pytest.mark.needs_data, pytest.mark.slow]


def plans(name: str) -> Iterator[list[dict[str, Any]]]:
    held = json.loads((DATA / f"{name}.json").read_text())
    for plan in held.get("masterplans") or [held]:
        yield plan["atoms"]


def candidates(name: str) -> dict[str, Candidate]:
    found = {}
    for atoms in plans(name):
        by_key = {atom["key"]: atom for atom in atoms}
        for atom in atoms:
            names = atom["entry_point"]
            found[atom["key"]] = Candidate(
                source=atom["reference_solution"],
                tests=atom["tests"],
                entry_points=(names,) if isinstance(names, str) else tuple(names),
                target_path=atom["target_path"],
                signature=atom["signature"],
                files={
                    by_key[key]["target_path"]: by_key[key]["reference_solution"]
                    for key in needed(atom, by_key)
                },
            )
    return found


def needed(atom: dict[str, Any], by_key: dict[str, dict[str, Any]]) -> set[str]:
    """The keys of all atoms that `atom` depends on, directly or not."""
    found: set[str] = set()
    pending = list(atom["depends_on"])
    while pending:
        key = pending.pop()
        if key not in found:
            found.add(key)
            pending.extend(by_key[key]["depends_on"])
    return found


@pytest.mark.parametrize(
    ("name", "references", "near_misses"), [("five-classes", 38, 21), ("humaneval", 164, 301)]
)
async def test_references_pass_and_near_misses_are_rejected(
    sandbox: Sandbox, name: str, references: int, near_misses: int
) -> None:
    from dataclasses import replace

    validator, atoms = Validator(sandbox), candidates(name)
    verdicts = await asyncio.gather(*(validator.validate(candidate) for candidate in atoms.values()))
    assert len(verdicts) == references
    assert [key for key, verdict in zip(atoms, verdicts, strict=True) if not verdict.passed] == []
    misses = json.loads((DATA / f"{name}-near-miss.json").read_text())["near_misses"]
    verdicts = await asyncio.gather(
        *(validator.validate(replace(atoms[miss["atom"]], source=miss["code"])) for miss in misses)
    )
    assert len(verdicts) == near_misses
    assert [miss["atom"] for miss, verdict in zip(misses, verdicts, strict=True) if verdict.passed] == []
