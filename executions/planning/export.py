"""The project that a masterplan becomes: its files, made of plan and accepted code and of nothing else.

Equal code gives equal bytes: no ids, times, attempts or costs. Hidden tests are never part of it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from executions.languages import runs_tests
from executions.planning.assembly import assemble
from executions.planning.delivery import ExportRefused, check_destination, write_export, zip_export
from executions.planning.file_names import (
    CONFTEST,
    MANIFEST,
    PYTEST_INI,
    acceptance_test_file,
    atom_test_file,
    tests_begin_with,
    wave_test_file,
)
from executions.planning.graph import Graph, build_graph
from executions.planning.side_by_side import CONFTEST_SOURCE, collide
from executions.planning.specs import AtomSpec, PlanSpec

__all__ = [
    "Accepted",
    "ExportRefused",
    "assembled_files",
    "check_destination",
    "export_files",
    "files_for_validation",
    "plan_files",
    "project_files",
    "write_export",
    "zip_export",
]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer of a succeeded atom."""

    key: str
    code: str
    assurance: str
    """`tested` or `static`."""


def project_files(plan: PlanSpec, accepted: Mapping[str, Accepted]) -> dict[str, str]:
    """The target files of all accepted atoms, by path from the project's root.

    Raises AssemblyConflict when accepted atoms cannot share their file after all.
    """
    order = _graph(plan).order
    atoms = {atom.key: atom for atom in plan.atoms}
    return _assembled([(atoms[key], accepted[key].code) for key in order if key in accepted])


def plan_files(plan: PlanSpec, accepted: Mapping[str, Accepted]) -> dict[str, str]:
    """Everything that belongs to one plan, by path from its root: project files, tests and manifest.

    An atom's tests are there if it was accepted, a wave's if all atoms up to that wave were, the plan's
    acceptance tests if all were. Raises AssemblyConflict when accepted atoms cannot share their file.
    """
    files = project_files(plan, accepted)
    for atom in plan.atoms:
        if atom.key in accepted and atom.tests.strip() and runs_tests(atom.language):
            files[atom_test_file(plan.slug, atom.key)] = atom.tests
    missing = [atom.key for atom in plan.atoms if atom.key not in accepted]
    wave_of = _graph(plan).wave_of
    first_gap = min((wave_of[key] for key in missing), default=len(plan.atoms) + 1)
    numbers: dict[int, int] = {}
    for test in plan.wave_tests:
        numbers[test.wave] = numbers.get(test.wave, 0) + 1
        if test.wave < first_gap:
            files[wave_test_file(plan.slug, test.wave, numbers[test.wave])] = test.tests
    if not missing:
        for number, tests in enumerate(plan.acceptance_tests, start=1):
            files[acceptance_test_file(plan.slug, number)] = tests
    files[MANIFEST] = _manifest(plan, accepted, missing)
    return files


def export_files(plans: Sequence[tuple[PlanSpec, Mapping[str, Accepted]]]) -> dict[str, str]:
    """Everything to be exported: one plan at the root, several each in a folder named after its slug.

    `python -m pytest DIR` passes from any working directory. Where modules of two plans have the same name,
    which one interpreter cannot hold at once, a conftest.py keeps the plans apart.
    """
    if len(plans) == 1:
        plan, accepted = plans[0]
        return {**plan_files(plan, accepted), PYTEST_INI: _pytest_ini([plan.slug], ["."])}
    folders: dict[str, dict[str, str]] = {}
    for plan, accepted in plans:
        folder, number = plan.slug, 1
        while folder in folders:
            number += 1
            folder = f"{plan.slug}-{number}"
        folders[folder] = plan_files(plan, accepted)
    files = {f"{folder}/{path}": text for folder, inside in folders.items() for path, text in inside.items()}
    files[PYTEST_INI] = _pytest_ini([plan.slug for plan, _ in plans], list(folders))
    if collide(folders):
        files[CONFTEST] = CONFTEST_SOURCE
    return files


def files_for_validation(
    plan_atoms: Mapping[str, AtomSpec],
    accepted_code: Mapping[str, str],
    key: str,
    order: Mapping[str, int],
) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    """What an answer for one atom is validated among: the accepted code of all it depends on, however far.

    `order` gives each atom's place in the topological order. Returns the files by path, without the atom's
    own target file, and the (key, code) parts already in that file, in order: `assemble` them with the
    answer last. Dependencies without accepted code are left out. Raises AssemblyConflict as `assemble` does.
    """
    own_path = plan_atoms[key].target_path
    around = sorted(_dependencies(plan_atoms, key) & accepted_code.keys(), key=order.__getitem__)
    others = [(plan_atoms[name], accepted_code[name]) for name in around]
    files = _assembled([(atom, code) for atom, code in others if atom.target_path != own_path])
    return files, tuple((atom.key, code) for atom, code in others if atom.target_path == own_path)


def _dependencies(plan_atoms: Mapping[str, AtomSpec], key: str) -> set[str]:
    found: set[str] = set()
    waiting = [key]
    while waiting:
        for name in plan_atoms[waiting.pop()].depends_on:
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found


def _graph(plan: PlanSpec) -> Graph:
    return build_graph({atom.key: atom.depends_on for atom in plan.atoms})


def assembled_files(sources: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Target files by path, of (atom key, target path, code) in dependency order. Raises AssemblyConflict."""
    by_path: dict[str, list[tuple[str, str]]] = {}
    for key, path, code in sources:
        by_path.setdefault(path, []).append((key, code))
    return {path: assemble(parts, target_path=path) for path, parts in by_path.items()}


def _assembled(sources: Sequence[tuple[AtomSpec, str]]) -> dict[str, str]:
    return assembled_files((atom.key, atom.target_path, code) for atom, code in sources)


def _manifest(plan: PlanSpec, accepted: Mapping[str, Accepted], missing: Sequence[str]) -> str:
    content = {
        "name": plan.name,
        "description": plan.description,
        "digest": plan.digest,
        "atoms": [
            {
                "key": atom.key,
                "target_path": atom.target_path,
                "entry_points": list(atom.entry_points),
                "assurance": accepted[atom.key].assurance,
                "sha256": sha256(accepted[atom.key].code.encode()).hexdigest(),
            }
            for atom in plan.atoms
            if atom.key in accepted
        ],
        "missing": list(missing),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _pytest_ini(slugs: Collection[str], folders: Sequence[str]) -> str:
    """Only the plans' own tests are collected, whatever the generated files are called.

    Tests are imported as top-level modules of their plan's folder: imported by their path from the root,
    the folder of a plan would be taken for a package, and hide the plan's real package of the same name.
    """
    tests = " ".join(f"{tests_begin_with(slug)}*.py" for slug in sorted(set(slugs)))
    return (
        "[pytest]\n"
        "addopts = --import-mode=importlib\n"
        "consider_namespace_packages = true\n"
        f"pythonpath = {' '.join(folders)}\n"
        f"python_files = {tests}\n"
    )
