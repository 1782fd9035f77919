"""The sample masterplan keeps its promises: references pass, near misses fail, the assembled tool works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterable
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
import yaml

from executions.planning.assembly import AssemblyConflict, assemble
from executions.planning.export import Accepted, export_files, write_export
from executions.planning.format import load_file

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PLAN_FILE = EXAMPLES / "ledgerly.yaml"
PLAN: dict[str, Any] = yaml.safe_load(PLAN_FILE.read_text(encoding="utf-8"))
ATOMS: dict[str, dict[str, Any]] = {atom["key"]: atom for atom in PLAN["atoms"]}
NEAR_MISSES: list[dict[str, str]] = json.loads(
    (EXAMPLES / "ledgerly-near-miss.json").read_text(encoding="utf-8")
)["near_misses"]
MOST_NEAR_MISSES = 3  # the default ladder has four rungs, and the last answer must be right

Outcomes = dict[str, tuple[int, str]]


def waves_of_the_plan() -> list[tuple[str, ...]]:
    sorter = TopologicalSorter({key: atom["depends_on"] for key, atom in ATOMS.items()})
    sorter.prepare()
    waves = []
    while sorter.is_active():
        waves.append(tuple(sorter.get_ready()))
        sorter.done(*waves[-1])
    return waves


WAVES = waves_of_the_plan()


def with_ancestors(key: str) -> set[str]:
    return {key}.union(*(with_ancestors(dependency) for dependency in ATOMS[key]["depends_on"]))


def project(keys: Collection[str], *, answer: dict[str, str] | None = None) -> dict[str, str]:
    """The files of these atoms' reference solutions, with a wrong answer in the place of one of them."""
    parts: dict[str, list[tuple[str, str]]] = {}
    for key in (key for wave in WAVES for key in sorted(wave) if key in keys):
        wrong = answer is not None and answer["atom"] == key
        code = answer["code"] if answer is not None and wrong else ATOMS[key]["reference_solution"]
        parts.setdefault(ATOMS[key]["target_path"], []).append((key, code))
    files = {}
    for path, sources in parts.items():
        try:
            files[path] = assemble(sources, target_path=path)
        except AssemblyConflict:
            # A wrong answer that does not even parse cannot join its file; its tests must still say so.
            assert answer is not None
            files[path] = answer["code"]
    return files


def job(name: str, files: dict[str, str], tests: list[str]) -> dict[str, Any]:
    return {"id": name, "files": files, "tests": tests}


def near_miss_name(near_miss: dict[str, str]) -> str:
    return f"{near_miss['atom']}: {near_miss['kind']}"


def all_jobs() -> Iterable[dict[str, Any]]:
    for key, atom in ATOMS.items():
        yield job(key, project(with_ancestors(key)), [atom["tests"]])
    for near_miss in NEAR_MISSES:
        key = near_miss["atom"]
        files = project(with_ancestors(key), answer=near_miss)
        yield job(near_miss_name(near_miss), files, [ATOMS[key]["tests"]])
    for entry in PLAN["wave_tests"]:
        done = {key for wave in WAVES[: entry["wave"]] for key in wave}
        yield job(f"wave {entry['wave']}", project(done), [entry["tests"]])


@pytest.fixture(scope="module")
def outcomes() -> Outcomes:
    done = subprocess.run(
        [sys.executable, "-B", str(Path(__file__).with_name("run_in_forks.py"))],
        input=json.dumps(list(all_jobs())),
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {name: (status, output) for name, (status, output) in json.loads(done.stdout).items()}


@pytest.mark.parametrize("key", ATOMS)
def test_the_reference_passes_its_tests_on_what_it_depends_on_alone(key: str, outcomes: Outcomes) -> None:
    status, output = outcomes[key]
    assert status == pytest.ExitCode.OK, output


@pytest.mark.parametrize("near_miss", NEAR_MISSES, ids=near_miss_name)
def test_the_near_miss_is_rejected_by_the_tests(near_miss: dict[str, str], outcomes: Outcomes) -> None:
    status, output = outcomes[near_miss_name(near_miss)]
    # A name that is not there shows when the tests are collected, which pytest reports as an interruption.
    assert status in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED), output


@pytest.mark.parametrize("wave", [entry["wave"] for entry in PLAN["wave_tests"]])
def test_the_tests_of_a_wave_pass_when_it_has_ended(wave: int, outcomes: Outcomes) -> None:
    status, output = outcomes[f"wave {wave}"]
    assert status == pytest.ExitCode.OK, output


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (plan,) = load_file(PLAN_FILE)
    accepted = {key: Accepted(key, atom["reference_solution"], "tested") for key, atom in ATOMS.items()}
    folder = tmp_path_factory.mktemp("exported") / "project"
    write_export(export_files([(plan, accepted)]), folder)
    return folder


def run_python(*arguments: str, cwd: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        input=given,
        encoding="utf-8",
        capture_output=True,
        check=False,
    )


def test_the_exported_project_passes_all_its_tests_from_another_folder(
    exported: Path, tmp_path: Path
) -> None:
    done = run_python("-m", "pytest", "-q", "-p", "no:cacheprovider", str(exported), cwd=tmp_path)
    assert done.returncode == pytest.ExitCode.OK, done.stdout + done.stderr
    modules = len(ATOMS) + len(PLAN["wave_tests"]) + len(PLAN["acceptance_tests"])
    assert len(list(exported.glob("test_*.py"))) == modules


def test_the_readme_shows_what_the_exported_tool_prints(exported: Path) -> None:
    sample = run_python("-m", "ledgerly", "sample", cwd=exported).stdout
    chart = run_python("-m", "ledgerly", "chart", "-", cwd=exported, given=sample)
    assert (chart.returncode, chart.stderr) == (0, "")
    shown = "".join(f"    {line}\n" for line in chart.stdout.splitlines())
    assert shown in (EXAMPLES / "README.md").read_text(encoding="utf-8")


def test_the_plan_is_read_without_a_complaint() -> None:
    (plan,) = load_file(PLAN_FILE)
    assert plan.warnings == ()
    assert len(plan.atoms) == len(PLAN["atoms"])


def test_the_plan_is_large_and_deep_enough_to_show_something() -> None:
    assert len(ATOMS) >= 24
    assert len(WAVES) >= 5


def test_the_atoms_stand_in_the_order_of_their_waves() -> None:
    wave_of = {key: number for number, wave in enumerate(WAVES) for key in wave}
    numbers = [wave_of[key] for key in ATOMS]
    assert numbers == sorted(numbers)


def test_files_are_shared_by_several_atoms() -> None:
    atoms_of = Counter(atom["target_path"] for atom in ATOMS.values())
    assert sum(count > 1 for count in atoms_of.values()) >= 2


def test_every_atom_has_a_near_miss_and_attempts_enough_for_all_of_them() -> None:
    count = Counter(near_miss["atom"] for near_miss in NEAR_MISSES)
    assert set(count) == set(ATOMS)
    assert max(count.values()) <= MOST_NEAR_MISSES


def test_near_misses_differ_from_one_another_and_from_the_reference() -> None:
    codes = [(near_miss["atom"], near_miss["code"]) for near_miss in NEAR_MISSES]
    codes += [(key, atom["reference_solution"]) for key, atom in ATOMS.items()]
    assert len(set(codes)) == len(codes)
