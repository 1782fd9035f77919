"""docs/states.md is drawn from the tables of states, and says so when it is not."""

from __future__ import annotations

import ast
import types
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from executions import states
from executions.management.state_page import machines, member_docstrings, page
from tests.ground import ROOT

FILE = ROOT / "docs" / "states.md"


def test_the_file_is_up_to_date() -> None:
    assert FILE.read_text(encoding="utf-8") == page(states), "run `manage.py states --write`"


def test_every_transition_of_every_table_is_drawn_and_no_other() -> None:
    drawn = page(states)
    for machine in machines(states):
        title = machine.states.__name__.removesuffix("Status")
        section = drawn.partition(f"## {title}\n")[2].partition("\n## ")[0]
        if machine.transitions is None:
            continue
        arrows = {line.strip() for line in section.splitlines() if " --> " in line and "[*]" not in line}
        assert arrows == {
            f"{before} --> {after}" for before, afters in machine.transitions.items() for after in afters
        }


def test_every_enum_has_a_section_and_every_member_its_meaning() -> None:
    drawn = page(states)
    enums = [one for one in vars(states).values() if isinstance(one, type) and issubclass(one, StrEnum)]
    assert len(enums) > 5
    for one in {one for one in enums if one is not StrEnum}:
        for member in one:
            assert f"| `{member.value}` |" in drawn
    assert "| `paused` | Nothing is in flight; waits for a person. |" in drawn


def test_a_state_without_a_docstring_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Light\.RED has no docstring"):
        page(_module(tmp_path, "class Light(StrEnum):\n    RED = 'red'\n"))


def test_a_table_that_leaves_out_a_state_is_refused(tmp_path: Path) -> None:
    source = "class Light(StrEnum):\n    RED = 'red'\n    '''Stop.'''\n    GREEN = 'green'\n    '''Go.'''\n"
    source += "LIGHT_TRANSITIONS = {Light.RED: {Light.GREEN}}\n"
    with pytest.raises(ValueError, match="LIGHT_TRANSITIONS leaves out"):
        page(_module(tmp_path, source))


def _module(folder: Path, source: str) -> types.ModuleType:
    import importlib.util

    file = folder / "lights.py"
    file.write_text("from enum import StrEnum\n" + source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("lights", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_docstrings_are_those_right_under_the_member() -> None:
    source = ast.parse("class A:\n    X = 1\n    '''of\n    X'''\n    Y = 2\n    Z = 3\n    '''of Z'''\n")

    assert member_docstrings(source) == {("A", "X"): "of\nX", ("A", "Z"): "of Z"}


def test_the_check_fails_with_the_difference(
    tmp_path: Path, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.BASE_DIR = tmp_path
    (tmp_path / "docs").mkdir()
    with pytest.raises(SystemExit) as left:
        call_command("states", "--check")
    assert left.value.code == 1

    call_command("states", "--write")
    call_command("states", "--check")
    file = tmp_path / "docs" / "states.md"
    file.write_text(
        file.read_text(encoding="utf-8").replace("cancelling --> cancelled", ""), encoding="utf-8"
    )
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        call_command("states", "--check")

    said = capsys.readouterr()
    assert left.value.code == 1
    assert "+    cancelling --> cancelled" in said.out
    assert "manage.py states --write" in said.err
