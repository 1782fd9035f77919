"""The front door of masterplan files: bytes or parsed JSON in, checked plans out, or every problem at once.

A file holds one plan or several under `masterplans`. Its published shape is `json_schema()`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

from executions.languages import PYTHON, language_named
from executions.planning.checks import (
    Oddities,
    Outline,
    check_dependencies,
    check_keys,
    check_paths,
    check_tests,
    check_waves,
)
from executions.planning.entry_points import check_entry_points
from executions.planning.file_names import slug_of
from executions.planning.places import Place, ProblemList, no_lines, quoted
from executions.planning.reading import Document, read_document, read_file, screen
from executions.planning.schema import (
    KNOWN_BUT_UNUSED,
    AtomShape,
    PlanShape,
    Shape,
    json_schema,
    shaped,
    unused_keys,
)
from executions.planning.specs import (
    MAX_ATOMS,
    AtomSpec,
    InvalidMasterplan,
    PlanSpec,
    Problem,
    WaveTest,
)

__all__ = [
    "AtomSpec",
    "InvalidMasterplan",
    "PlanSpec",
    "Problem",
    "WaveTest",
    "json_schema",
    "load_bytes",
    "load_document",
    "load_file",
]


def load_file(path: Path) -> tuple[PlanSpec, ...]:
    """The plans of a JSON or YAML file. Raises InvalidMasterplan with every problem found."""
    return load_bytes(read_file(path), origin=str(path))


def load_bytes(data: bytes, *, origin: str) -> tuple[PlanSpec, ...]:
    """The plans of a JSON or YAML text; `origin` names it in messages, and its suffix says which of the two.

    Raises InvalidMasterplan with every problem found.
    """
    return _load(read_document(data, origin=origin), origin)


def load_document(document: object, *, origin: str) -> tuple[PlanSpec, ...]:
    """The plans of JSON that was parsed already. Raises InvalidMasterplan with every problem found."""
    return _load(Document(document, no_lines), origin)


def _load(document: Document, origin: str) -> tuple[PlanSpec, ...]:
    problems, oddities = ProblemList(origin), Oddities()
    screen(document.value, problems)
    plans: list[PlanSpec] = []
    slugs: set[str] = set()
    for place, value in _plans_of(document.value, problems, oddities):
        name = value.get("name") if isinstance(value, dict) else None
        slug = slug_of(name if isinstance(name, str) else "", slugs)
        slugs.add(slug)
        plan = _plan(value, place, slug, problems, oddities)
        if plan is not None:
            plans.append(replace(plan, warnings=tuple(oddities.told(document.value))))
        oddities = Oddities()
    if problems:
        raise problems.error(document.value, document.find_lines)
    return tuple(plans)


def _plans_of(document: object, problems: ProblemList, oddities: Oddities) -> Sequence[tuple[Place, object]]:
    """Where the plans of a document lie."""
    if not isinstance(document, dict):
        problems.add((), "must be an object with the keys name and atoms, or with the key masterplans")
        return []
    if "masterplans" not in document:
        return [((), document)]
    several = document["masterplans"]
    at: Place = ("masterplans",)
    if "atoms" in document:
        problems.add(("atoms",), "must not stand beside masterplans: move it into one of them")
    if not isinstance(several, list) or not several:
        problems.add(at, "must be a list of at least one plan")
        return []
    total = sum(
        len(atoms)
        for plan in several
        if isinstance(plan, dict) and isinstance(atoms := plan.get("atoms"), list)
    )
    if total > MAX_ATOMS:
        problems.add(at, f"hold {total:,} atoms together, at most {MAX_ATOMS:,} are accepted")
        return []
    for key in document:
        if key not in {"masterplans", "name", "description", "atoms"} | KNOWN_BUT_UNUSED:
            oddities.add((key,), f"unknown key {quoted(key)} is ignored")
    return [((*at, number), plan) for number, plan in enumerate(several)]


def _plan(
    value: object, place: Place, slug: str, problems: ProblemList, oddities: Oddities
) -> PlanSpec | None:
    """One plan, if its shape allows to make one. It only counts if `problems` is still empty in the end."""
    plan = shaped(PlanShape, value, place, problems)
    listed = value.get("atoms") if isinstance(value, dict) else None
    items = listed if isinstance(listed, list) and len(listed) <= MAX_ATOMS else []
    places = [(*place, "atoms", number) for number in range(len(items))]
    shapes = [shaped(AtomShape, item, at, problems) for item, at in zip(items, places, strict=True)]
    outlines = [Outline.of(item, at) for item, at in zip(items, places, strict=True)]

    check_keys(outlines, slug, problems)
    graph = check_dependencies(outlines, problems)
    check_paths(outlines, slug, problems, oddities)
    check_entry_points([(at, atom) for at, atom in zip(places, shapes, strict=True) if atom], problems)
    with warnings.catch_warnings():
        # An odd escape in somebody's tests is not for our log, nor an error where warnings are.
        warnings.simplefilter("ignore")
        for atom, at in zip(shapes, places, strict=True):
            if atom is not None:
                _check_atom(atom, at, problems, oddities)
        if plan is not None:
            _check_tests_of_plan(plan, place, problems, oddities)
    if plan is None:
        return None
    if graph is not None and all(shapes):
        waves = [((*place, "approvals", number), wave) for number, wave in enumerate(plan.approvals)]
        for number, tests in enumerate(plan.wave_tests):
            waves.append(((*place, "wave_tests", number, "wave"), tests.wave))
        check_waves(waves, graph, problems)
    spec = PlanSpec(
        name=plan.name,
        slug=slug,
        description=plan.description,
        instructions=plan.instructions,
        atoms=tuple(_atom(atom, number) for number, atom in enumerate(shapes) if atom is not None),
        requires=tuple(dict.fromkeys(plan.requires)),
        wave_tests=tuple(WaveTest(tests.wave, tests.tests) for tests in plan.wave_tests),
        acceptance_tests=tuple(tests.tests for tests in plan.acceptance_tests),
        approvals=tuple(sorted(set(plan.approvals))),
        defaults=plan.defaults,
    )
    return spec if problems else replace(spec, digest=_digest(spec))


def _check_atom(atom: AtomShape, place: Place, problems: ProblemList, oddities: Oddities) -> None:
    _tell_unused(atom, place, oddities)
    language = language_named(atom.language) or PYTHON
    for field, source in (("tests", atom.tests), ("hidden_tests", atom.hidden_tests)):
        if source.strip() and language.runs_tests:
            check_tests(source, (*place, field), problems, oddities)
    if not language.runs_tests:
        oddities.add(place, f"an atom in {language.title}: only its syntax is checked, its tests are not run")
    elif not atom.tests.strip():
        oddities.add(place, "an atom without tests: what is generated for it is not proven to work")
    if not any((atom.description, atom.signature, atom.contract, atom.prompt, atom.tests)):
        oddities.add(place, "nothing says what is to be generated for this atom")
    if len(set(atom.depends_on)) < len(atom.depends_on):
        oddities.add((*place, "depends_on"), "a dependency is named twice")


def _check_tests_of_plan(plan: PlanShape, place: Place, problems: ProblemList, oddities: Oddities) -> None:
    _tell_unused(plan, place, oddities)
    for field, listed in (("wave_tests", plan.wave_tests), ("acceptance_tests", plan.acceptance_tests)):
        for number, tests in enumerate(listed):
            at = (*place, field, number)
            _tell_unused(tests, at, oddities)
            check_tests(tests.tests, (*at, "tests"), problems, oddities)


def _tell_unused(shape: Shape, place: Place, oddities: Oddities) -> None:
    for key in unused_keys(shape):
        oddities.add((*place, key), f"unknown key {quoted(key)} is ignored")


def _atom(shape: AtomShape, position: int) -> AtomSpec:
    return AtomSpec(
        key=shape.key,
        name=shape.name or shape.key,
        description=shape.description,
        language=shape.language,
        signature=shape.signature,
        contract=shape.contract,
        prompt=shape.prompt,
        tests=shape.tests,
        hidden_tests=shape.hidden_tests,
        target_path=shape.target_path,
        instructions=shape.instructions,
        entry_points=tuple(dict.fromkeys(shape.entry_point)),
        depends_on=tuple(dict.fromkeys(shape.depends_on)),
        approval=shape.approval,
        position=position,
    )


def _digest(plan: PlanSpec) -> str:
    """Over what is kept, however it was written: JSON and YAML of the same content agree."""
    content = asdict(plan)
    for left_out in ("slug", "warnings", "digest"):
        del content[left_out]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode()).hexdigest()
