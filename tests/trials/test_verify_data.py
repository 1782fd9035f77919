"""Known answers are judged in every way that is asked for, and what is not there is said."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ground import ROOT
from trials.masterplans import NoData, cases


def atom(key: str, *needs: str, body: str = "return x + 1") -> dict[str, Any]:
    imported = "".join(f"from pkg.{one} import {one}\n" for one in needs)
    return {
        "key": key,
        "entry_point": key,
        "signature": f"def {key}(x)",
        "target_path": f"pkg/{key}.py",
        "depends_on": list(needs),
        "tests": f"from pkg.{key} import {key}\n\n\ndef test_it():\n    assert {key}(1) == 2\n",
        "reference_solution": f"{imported}\n\ndef {key}(x):\n    {body}\n",
    }


def written(folder: Path, atoms: list[dict[str, Any]], misses: dict[str, str]) -> Path:
    (folder / "small.json").write_text(json.dumps({"name": "small", "atoms": atoms}))
    found = [{"atom": key, "code": code} for key, code in misses.items()]
    (folder / "small-near-miss.json").write_text(json.dumps({"near_misses": found}))
    return folder


def verify(*arguments: str, folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "trials.verify_data",
            "--data",
            str(folder),
            "--out",
            str(folder / "out"),
            *arguments,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_an_atom_finds_the_files_of_all_it_depends_on(tmp_path: Path) -> None:
    atoms = [atom("a"), atom("b", "a", body="return a(x)"), atom("c", "b", body="return b(x)")]
    found = {case.name: case.candidate for case in cases(written(tmp_path, atoms, {}))}
    assert sorted(found["small c"].files) == ["pkg/a.py", "pkg/b.py"]


def test_an_empty_folder_holds_nothing_to_try(tmp_path: Path) -> None:
    with pytest.raises(NoData):
        cases(tmp_path)


def test_without_data_it_says_so_and_ends_with_two(tmp_path: Path) -> None:
    code, said = verify(folder=tmp_path)
    assert code == 2
    assert "nothing to verify" in said


@pytest.mark.needs_sandbox
@pytest.mark.parametrize("level", ["isolated", "restricted"])
def test_right_and_wrong_verdicts_are_told_apart(tmp_path: Path, level: str) -> None:
    """The second atom's reference is wrong on purpose, and the near miss of the first one is right."""
    atoms = [atom("a"), atom("b", "a", body="return a(x) + 1")]
    folder = written(
        tmp_path, atoms, {"a": "def a(x):\n    return 1 + x\n", "b": "def b(x):\n    return 0\n"}
    )
    code, said = verify("--levels", level, "--jobs", "1", "2", folder=folder)
    if f"{level} is not granted" in said:
        pytest.skip(said)
    assert code == 1
    assert f"small a near miss 1: must be rejected, but {level}, own, 1 in flight says passed" in said
    assert f"small b: must pass, but {level}, pytest, 2 in flight says rejected (test-failed" in said
    assert "small b near miss 2" not in said
    assert "small a: " not in said
