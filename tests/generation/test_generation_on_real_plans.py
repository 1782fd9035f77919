"""Prompts and extraction on real plans: other people's tests, solutions and wrong solutions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from executions.generation.extraction import extract
from executions.generation.ladder import DEFAULT_LADDER
from executions.generation.prompts import PastAttempt, PromptDependency, PromptInput, render

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
pytestmark = pytest.mark.needs_data


def plans(name: str) -> list[dict[str, Any]]:
    loaded = json.loads((DATA / name).read_text())
    found: list[dict[str, Any]] = loaded.get("masterplans", [loaded])
    return found


def codes(name: str) -> list[str]:
    solutions = [atom["reference_solution"] for plan in plans(name) for atom in plan["atoms"]]
    near = json.loads((DATA / name.replace(".json", "-near-miss.json")).read_text())["near_misses"]
    return [*solutions, *(miss["code"] for miss in near)]


@pytest.mark.parametrize("name", ["humaneval.json", "five-classes.json"])
@pytest.mark.parametrize(
    "wrapping",
    ["```python\n{}\n```", "Sure! I wrote this:\n\n```Python\n{}\n```\n\nIt works.", "{}", "```py\n{}"],
)
def test_every_solution_and_every_wrong_one_comes_out_as_it_went_in(name: str, wrapping: str) -> None:
    for code in codes(name):
        assert extract(wrapping.format(code)).code.strip() == code.strip()


@pytest.mark.parametrize("name", ["humaneval.json", "five-classes.json"])
def test_the_tests_of_an_atom_are_in_its_prompt_and_no_other_atoms(name: str) -> None:
    for plan in plans(name):
        tests = {atom["key"]: atom["tests"] for atom in plan["atoms"]}
        for atom in plan["atoms"]:
            for rung in DEFAULT_LADDER:
                text = render(prompt_input(plan, atom, rung.number)).user
                assert atom["tests"] in text
                assert [key for key, other in tests.items() if other in text and other != atom["tests"]] == []


def prompt_input(plan: dict[str, Any], atom: dict[str, Any], attempt: int) -> PromptInput:
    atoms = {known["key"]: known for known in plan["atoms"]}
    names = atom["entry_point"]
    past = PastAttempt(1, atom["reference_solution"], (), (), 1)
    return PromptInput(
        plan_name=plan["name"],
        plan_description=plan["description"],
        plan_instructions="",
        requires=(),
        key=atom["key"],
        name=atom["name"],
        description=atom["description"],
        language=atom["language"],
        signature=atom["signature"],
        contract=atom.get("contract", ""),
        prompt=atom.get("prompt", ""),
        tests=atom["tests"],
        target_path=atom["target_path"],
        instructions="",
        entry_points=(names,) if isinstance(names, str) else tuple(names),
        dependencies=tuple(
            PromptDependency(
                key=key,
                name=atoms[key]["name"],
                signature=atoms[key]["signature"],
                target_path=atoms[key]["target_path"],
                code=atoms[key]["reference_solution"],
            )
            for key in atom["depends_on"]
        ),
        same_file="",
        rung=DEFAULT_LADDER[attempt - 1],
        max_attempts=4,
        history=(past,) if attempt > 1 else (),
    )
