"""What must hold between the parts of one masterplan: keys, dependencies, paths, tests."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from executions.languages import PYTHON, Language, language_named
from executions.planning.file_names import MANIFEST, PYTEST_INI, atom_test_file, folded, tests_begin_with
from executions.planning.graph import Cycle, Graph, build_graph
from executions.planning.places import Place, ProblemList, quoted, written
from executions.planning.specs import Problem
from executions.planning.target_paths import clashes, odd_as_module, unsafe, unusable_for

MAX_CYCLES = 20
"""Told of one plan; cycles that share atoms with one already told come to light once that one is gone."""
MAX_KEYS_TO_COMPARE = 2_000
"""A missing dependency's nearest key is looked for among so many at most."""
MAX_FILE_NAME_BYTES = 255


@dataclass(frozen=True, slots=True)
class Outline:
    """What can be made out of an atom, even when other parts of it have the wrong shape."""

    place: Place
    key: str | None
    target_path: str | None
    language: Language | None
    """None: one that is not known here."""
    depends_on: tuple[tuple[Place, str], ...]

    @classmethod
    def of(cls, value: object, place: Place) -> Outline:
        """Whatever of the right type there is in the value of an atom."""
        found = value if isinstance(value, dict) else {}
        key, path, dependencies = found.get("key"), found.get("target_path"), found.get("depends_on")
        language = found.get("language")
        at = (*place, "depends_on")
        named: list[tuple[Place, str]] = []
        if isinstance(dependencies, str) and dependencies:
            named = [(at, dependencies)]
        elif isinstance(dependencies, list):
            named = [
                ((*at, number), name) for number, name in enumerate(dependencies) if isinstance(name, str)
            ]
        return cls(
            place=place,
            key=key if isinstance(key, str) else None,
            target_path=path if isinstance(path, str) else None,
            language=language_named(language if isinstance(language, str) else ""),
            depends_on=tuple(named),
        )


class Oddities:
    """Warnings, each told once with the first place where it holds and how many more there are."""

    def __init__(self) -> None:
        self._found: dict[str, list[Place]] = {}

    def add(self, place: Place, message: str) -> None:
        self._found.setdefault(message, []).append(place)

    def told(self, document: object) -> Iterator[Problem]:
        for message, places in self._found.items():
            more = f" (and {len(places) - 1} times more)" if len(places) > 1 else ""
            yield Problem(written(places[0], document) or "document", message + more)


def check_keys(atoms: Sequence[Outline], slug: str, problems: ProblemList) -> None:
    """Keys are unique, and so are the names of the files their tests are exported to."""
    by_key: dict[str, int] = {}
    by_file: dict[str, str] = {}
    for number, atom in enumerate(atoms):
        if atom.key is None:
            continue
        at = (*atom.place, "key")
        if atom.key in by_key:
            problems.add(at, f"{quoted(atom.key)} is already the key of atoms[{by_key[atom.key]}]")
            continue
        by_key[atom.key] = number
        file = atom_test_file(slug, atom.key)
        if len(file.encode(errors="replace")) > MAX_FILE_NAME_BYTES:
            problems.add(at, "is too long for the name of a file with its tests")
        other = by_file.setdefault(folded(file), atom.key)
        if other != atom.key:
            problems.add(at, f"would share the test file {file} with {quoted(other)}: choose another key")


def check_dependencies(atoms: Sequence[Outline], problems: ProblemList) -> Graph | None:
    """Dependencies exist and never come back to where they began. The graph, if there is one."""
    depends_on: dict[str, list[str]] = {}
    places: dict[str, Place] = {}
    keys = {atom.key for atom in atoms if atom.key is not None}
    comparable = sorted(keys) if len(keys) <= MAX_KEYS_TO_COMPARE else []
    sound = True
    for atom in atoms:
        known = []
        for place, name in atom.depends_on:
            if name == atom.key:
                problems.add(place, "depends on itself")
                sound = False
            elif name not in keys:
                near = difflib.get_close_matches(name, comparable, n=1)
                hint = f"; did you mean {quoted(near[0])}?" if near else ""
                problems.add(place, f"{quoted(name)} is no atom of this plan{hint}")
                sound = False
            else:
                known.append(name)
        if atom.key is not None and atom.key not in depends_on:
            depends_on[atom.key] = known
            places[atom.key] = atom.place
    for _ in range(MAX_CYCLES):
        try:
            graph = build_graph(depends_on)
        except Cycle as cycle:
            problems.add((*places[cycle.keys[0]], "depends_on"), f"{cycle} (each depends on the next)")
            gone = set(cycle.keys)
            depends_on = {
                key: [name for name in named if name not in gone]
                for key, named in depends_on.items()
                if key not in gone
            }
            sound = False
        else:
            return graph if sound else None
    return None


def check_paths(atoms: Sequence[Outline], slug: str, problems: ProblemList, oddities: Oddities) -> None:
    """Target paths are safe on every system, importable, and can stand side by side with the export's own."""
    safe: list[tuple[Place, str]] = []
    first_with: dict[str, Outline] = {}
    for atom in atoms:
        if atom.target_path is None:
            continue
        place, path = (*atom.place, "target_path"), atom.target_path
        message = unsafe(path) or ("" if atom.language is None else unusable_for(atom.language, path))
        name = folded(path.rpartition("/")[2])
        if not message and (name.startswith(tests_begin_with(slug)) or name in (PYTEST_INI, MANIFEST)):
            message = f"{quoted(path)} has a name that the export needs for its own files"
        if message:
            problems.add(place, message)
            continue
        safe.append((place, path))
        other = first_with.setdefault(path, atom)
        if other is not atom and atom.language is not None and atom.language is not PYTHON:
            problems.add(
                place, f"is already the file of {quoted(other.key or '')}: only Python atoms can share one"
            )
        if atom.language is PYTHON and (message := odd_as_module(path)):
            oddities.add(place, message)
    for place, message in clashes(safe):
        problems.add(place, message)


def check_tests(source: str, place: Place, problems: ProblemList, oddities: Oddities) -> None:
    """A module of tests parses. One without any test proves nothing, which is odd but allowed."""
    try:
        module = ast.parse(source)
    except SyntaxError as error:
        problems.add(place, f"does not parse: {error.msg} (line {error.lineno} of the tests)")
    except ValueError as error:
        problems.add(place, f"does not parse: {error}")
    except (RecursionError, MemoryError):
        # Python's parser raises either, by the kind of nesting.
        problems.add(place, "does not parse: it is nested too deeply")
    else:
        if not any(
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")
            for node in ast.walk(module)
        ):
            oddities.add(place, "holds no test function, so passing it proves nothing")


def check_waves(waves: Sequence[tuple[Place, int]], graph: Graph, problems: ProblemList) -> None:
    """Waves that the plan speaks of exist."""
    for place, number in waves:
        if number > len(graph.waves):
            problems.add(place, f"there is no wave {number}: the plan has {len(graph.waves)}")
