"""docs/states.md, drawn from `executions.states`: what it says there is what the code goes by.

Every enum of that module becomes a section: its docstring, a diagram where a table of transitions exists for it, and its
members with the docstrings under them (read from the source: Python itself drops them).
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Set
from enum import StrEnum
from types import ModuleType
from typing import NamedTuple

HEAD = """# States

Written by `manage.py states --write` from the tables in `executions/states.py`; `make check` fails when they differ. The
tests watch every change of a state in the database, whatever is done at random: an arrow that is missing here is a failure
there (`tests/engine/test_random_runs.py`, `tests/services/test_consistency_of_histories.py`).
"""
TRANSITIONS = "_TRANSITIONS"

Transitions = Mapping[StrEnum, Set[StrEnum]]


class Machine(NamedTuple):
    """An enum of states; `transitions` is None where nothing says what follows what."""

    states: type[StrEnum]
    transitions: Transitions | None


def page(module: ModuleType) -> str:
    """The whole page. Raises ValueError when a member has no docstring, or a table leaves out a state."""
    source = ast.parse(inspect.getsource(module))
    docstrings = member_docstrings(source)
    return "\n".join([HEAD, *(_section(one, docstrings) for one in machines(module))])


def machines(module: ModuleType) -> list[Machine]:
    """The enums of the module in the order of their definition, each with its table of transitions where there is one."""
    tables: dict[type, Transitions] = {}
    for name, table in vars(module).items():
        if name.endswith(TRANSITIONS):
            states: type[StrEnum] = type(next(iter(table)))
            if set(table) != set(states):
                raise ValueError(f"{name} leaves out {sorted(set(states) - set(table))}")
            tables[states] = table
    enums = [one for one in vars(module).values() if _is_enum_of(one, module)]
    return [Machine(one, tables.get(one)) for one in dict.fromkeys(enums)]


def _is_enum_of(value: object, module: ModuleType) -> bool:
    return isinstance(value, type) and issubclass(value, StrEnum) and value.__module__ == module.__name__


def member_docstrings(source: ast.Module) -> dict[tuple[str, str], str]:
    """By class and member: the string that stands under the member's assignment."""
    found = {}
    for owner in source.body:
        if not isinstance(owner, ast.ClassDef):
            continue
        for before, after in zip(owner.body, owner.body[1:], strict=False):
            if (
                isinstance(before, ast.Assign)
                and isinstance(before.targets[0], ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                found[owner.name, before.targets[0].id] = inspect.cleandoc(after.value.value)
    return found


def _section(machine: Machine, docstrings: Mapping[tuple[str, str], str]) -> str:
    states, table = machine
    lines = [f"## {_title(states)}", ""]
    if "__doc__" in vars(states) and states.__doc__:
        lines += [" ".join(inspect.cleandoc(states.__doc__).split()), ""]
    if table is not None:
        lines += _diagram(states, table)
    lines += [
        "| state | meaning | may become |" if table is not None else "| word | meaning |",
        "| --- | --- | --- |" if table is not None else "| --- | --- |",
    ]
    for one in states:
        meaning = docstrings.get((states.__name__, one.name))
        if meaning is None:
            raise ValueError(f"{states.__name__}.{one.name} has no docstring")
        cells = [f"`{one.value}`", " ".join(meaning.split()).replace("|", "\\|")]
        if table is not None:
            after = [f"`{other.value}`" for other in states if other in table[one]]
            cells.append(", ".join(after) or "nothing: final")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _diagram(states: type[StrEnum], table: Transitions) -> list[str]:
    """Mermaid; states in their own order, so that a change of the table changes no other line."""
    arrows = [f"    [*] --> {next(iter(states)).value}"]
    for one in states:
        arrows += [f"    {one.value} --> {other.value}" for other in states if other in table[one]]
        if not table[one]:
            arrows.append(f"    {one.value} --> [*]")
    return ["```mermaid", "stateDiagram-v2", *arrows, "```", ""]


def _title(states: type[StrEnum]) -> str:
    """`AtomStatus` → "Atom"."""
    words = "".join(
        f" {letter.lower()}" if letter.isupper() else letter for letter in states.__name__
    ).strip()
    return words.removesuffix(" status").capitalize()
