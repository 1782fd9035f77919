"""The project a plan becomes, tried with a real pytest from another folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from executions.planning.assembly import AssemblyConflict
from executions.planning.export import (
    Accepted,
    export_files,
    files_for_validation,
    plan_files,
    project_files,
    write_export,
)
from executions.planning.format import PlanSpec, load_document


def plan_of(name: str, atoms: dict[str, dict[str, Any]], **more: Any) -> PlanSpec:
    listed = [{"key": key, **atom} for key, atom in atoms.items()]
    (plan,) = load_document({"name": name, "atoms": listed, **more}, origin="test")
    return plan


def accepted(code: dict[str, str], assurance: str = "tested") -> dict[str, Accepted]:
    return {key: Accepted(key, source, assurance) for key, source in code.items()}


def run_pytest(directory: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST", "PYTHON", "DJANGO"))
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(directory)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


SHARED = plan_of(
    "Sums",
    {
        "add": {
            "target_path": "sums/basic.py",
            "tests": "from sums.basic import add\ndef test(): assert add(1, 2) == 3",
        },
        "double": {
            "target_path": "sums/basic.py",
            "depends_on": ["add"],
            "tests": "from sums.basic import double\ndef test(): assert double(2) == 4",
            "hidden_tests": "def test_hidden(): pass",
            "entry_point": "double",
        },
        "quad.ruple": {
            "target_path": "sums/more.py",
            "depends_on": ["double"],
            "tests": "from sums.more import quadruple\ndef test(): assert quadruple(2) == 8",
        },
        "untested": {"target_path": "sums/plain.py"},
    },
    wave_tests=[
        {"wave": 1, "tests": "def test_one(): pass"},
        {"wave": 2, "tests": "def test_two(): pass"},
        {"wave": 2, "tests": "def test_two_again(): pass"},
    ],
    acceptance_tests="from sums.more import quadruple\ndef test(): assert quadruple(1) == 4",
)
CODE = {
    "double": "from sums.basic import add\n\n\ndef double(x):\n    return add(x, x)\n",
    "add": "def add(a, b):\n    return a + b\n",
    "quad.ruple": "from sums.basic import double\n\n\ndef quadruple(x):\n    return double(double(x))\n",
    "untested": "X = 1\n",
}


def test_a_finished_plan_becomes_a_whole_project() -> None:
    files = export_files([(SHARED, accepted(CODE))])
    assert sorted(files) == [
        "manifest.json",
        "pytest.ini",
        "sums/basic.py",
        "sums/more.py",
        "sums/plain.py",
        "test_sums__add.py",
        "test_sums__double.py",
        "test_sums__quad_ruple.py",
        "test_sums_acceptance_1.py",
        "test_sums_wave_1.py",
        "test_sums_wave_2.py",
        "test_sums_wave_2_2.py",
    ]
    assert files["sums/basic.py"] == (
        "def add(a, b):\n    return a + b\n\n\ndef double(x):\n    return add(x, x)\n"
    )
    assert not any("hidden" in text for text in files.values())


def test_the_manifest_says_what_follows_from_plan_and_code_alone() -> None:
    manifest = json.loads(plan_files(SHARED, accepted({"add": CODE["add"]}, "static"))["manifest.json"])
    assert manifest == {
        "name": "Sums",
        "description": "",
        "digest": SHARED.digest,
        "atoms": [
            {
                "key": "add",
                "target_path": "sums/basic.py",
                "entry_points": [],
                "assurance": "static",
                "sha256": sha256(CODE["add"].encode()).hexdigest(),
            }
        ],
        "missing": ["double", "quad.ruple", "untested"],
    }


def test_equal_code_gives_an_equal_export_in_whatever_order_it_came() -> None:
    backwards = dict(reversed(accepted(CODE).items()))
    assert export_files([(SHARED, accepted(CODE))]) == export_files([(SHARED, backwards)])


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([], []),
        (["add"], ["test_sums__add.py"]),
        (["add", "untested"], ["test_sums__add.py", "test_sums_wave_1.py"]),
        (["add", "double"], ["test_sums__add.py", "test_sums__double.py"]),
    ],
)
def test_tests_are_exported_only_where_all_they_need_was_accepted(
    keys: list[str], expected: list[str]
) -> None:
    files = plan_files(SHARED, accepted({key: CODE[key] for key in keys}))
    assert sorted(path for path in files if path.startswith("test_")) == expected


def test_accepted_atoms_that_cannot_share_their_file_are_told() -> None:
    with pytest.raises(AssemblyConflict):
        project_files(SHARED, accepted(CODE | {"double": "def add(a): pass\n"}))


@pytest.mark.parametrize("where", ["elsewhere", "inside", "above"])
def test_the_exported_tests_pass_from_any_folder(tmp_path: Path, where: str) -> None:
    directory = tmp_path / "out"
    write_export(export_files([(SHARED, accepted(CODE))]), directory)
    other = tmp_path / "other"
    other.mkdir()
    cwd = {"elsewhere": other, "inside": directory, "above": tmp_path}[where]
    result = run_pytest(directory, cwd)
    assert result.returncode == 0, result.stdout
    assert "7 passed" in result.stdout


def test_generated_files_that_look_like_tests_are_not_collected(tmp_path: Path) -> None:
    plan = plan_of(
        "p",
        {"a": {"target_path": "pkg/test_data.py", "tests": "from pkg.test_data import *\ndef test(): pass"}},
    )
    write_export(
        export_files([(plan, accepted({"a": "def test_never():\n    assert False\n__all__ = []\n"}))]),
        tmp_path / "out",
    )
    result = run_pytest(tmp_path / "out", tmp_path)
    assert "1 passed" in result.stdout, result.stdout


def one_atom(name: str, path: str, value: int) -> tuple[PlanSpec, dict[str, Accepted]]:
    module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    tests = f"""\
from {module} import VALUE

def test_value():
    assert VALUE == {value}

def test_late_import():
    import {module}
    assert {module}.VALUE == {value}
"""
    plan = plan_of(name, {"a": {"target_path": path, "tests": tests}})
    return plan, accepted({"a": f"VALUE = {value}\n"})


@pytest.mark.parametrize(
    ("paths", "apart"),
    [
        (("app/one.py", "app/two.py"), False),
        (("one/app.py", "two/app.py"), False),
        (("app.py", "app.py"), True),
        (("app/core.py", "app/core.py"), True),
        (("app/__init__.py", "app/two.py"), True),
        (("app.py", "app/two.py"), True),
        (("app/x/one.py", "app/x.py"), True),
    ],
)
@pytest.mark.parametrize("where", ["elsewhere", "inside"])
def test_plans_side_by_side_pass_whatever_their_modules_are_called(
    tmp_path: Path, paths: tuple[str, str], apart: bool, where: str
) -> None:
    files = export_files([one_atom(f"plan {number}", path, number) for number, path in enumerate(paths)])
    assert ("conftest.py" in files) == apart
    directory = tmp_path / "out"
    write_export(files, directory)
    result = run_pytest(directory, directory if where == "inside" else tmp_path)
    assert result.returncode == 0, result.stdout
    assert "4 passed" in result.stdout


@pytest.mark.parametrize("where", ["elsewhere", "inside"])
def test_a_plan_may_be_called_like_its_own_package_or_another_plans(tmp_path: Path, where: str) -> None:
    files = export_files(
        [
            one_atom("app", "app/core.py", 1),
            one_atom("other", "other/core.py", 2),
            one_atom("core", "app2/x.py", 3),
        ]
    )
    write_export(files, tmp_path / "out")
    result = run_pytest(tmp_path / "out", tmp_path / "out" if where == "inside" else tmp_path)
    assert result.returncode == 0, result.stdout
    assert "6 passed" in result.stdout


def test_two_versions_of_one_plan_can_be_exported_together(tmp_path: Path) -> None:
    files = export_files([one_atom("app", "app/core.py", 1), one_atom("app", "app/core.py", 2)])
    assert {"app/test_app__a.py", "app-2/test_app__a.py", "conftest.py"} <= files.keys()
    write_export(files, tmp_path / "out")
    result = run_pytest(tmp_path / "out", tmp_path)
    assert result.returncode == 0, result.stdout
    assert "4 passed" in result.stdout


def test_an_export_reached_through_a_link_passes(tmp_path: Path) -> None:
    write_export(
        export_files([one_atom("app", "app/core.py", 1), one_atom("b", "b/core.py", 2)]), tmp_path / "out"
    )
    (tmp_path / "link").symlink_to(tmp_path / "out")
    result = run_pytest(tmp_path / "link", tmp_path)
    assert result.returncode == 0, result.stdout


ORDER = {"add": 0, "untested": 1, "double": 2, "quad.ruple": 3}
ATOMS = {atom.key: atom for atom in SHARED.atoms}


def test_an_answer_is_validated_among_all_it_depends_on_and_nothing_else() -> None:
    files, parts = files_for_validation(ATOMS, CODE, "quad.ruple", ORDER)
    assert files == {"sums/basic.py": project_files(SHARED, accepted(CODE))["sums/basic.py"]}
    assert parts == ()


def test_dependencies_in_the_atoms_own_file_come_as_parts_of_it() -> None:
    assert files_for_validation(ATOMS, CODE, "double", ORDER) == ({}, (("add", CODE["add"]),))


def test_dependencies_that_were_not_accepted_are_left_out() -> None:
    code = {"add": CODE["add"]}
    files, parts = files_for_validation(ATOMS, code, "quad.ruple", ORDER)
    assert (files, parts) == ({"sums/basic.py": CODE["add"]}, ())
    assert files_for_validation(ATOMS, {}, "quad.ruple", ORDER) == ({}, ())
