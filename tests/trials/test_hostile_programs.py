"""The quick part of `make hostile`: every class of programs at both levels, watched by the witness.

One process per level runs them one after the other; each class is a test, so that a failure names it. What waits for a
limit, and the other runner, are left to `make hostile`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.ground import ROOT
from trials.hostile.programs import CLASSES
from trials.hostile.trial import chosen

ONLY_ISOLATED = {
    "exits before the tests",
    "equal to everything",
    "changes how it is judged",
    "text and parser",
}
"""What these try is the same at every level."""


@pytest.fixture(scope="module")
def results() -> Any:
    """By level, each class's results; found out when they are first asked for."""
    known: dict[str, dict[str, list[dict[str, Any]]]] = {}

    def of(level: str) -> dict[str, list[dict[str, Any]]]:
        if level not in known:
            # Not pytest's own folder, which no other uid may enter.
            folder = tempfile.mkdtemp(prefix="mge-hostile-")
            try:
                known[level] = _run(level, Path(folder))
            finally:
                shutil.rmtree(folder)
        return known[level]

    return of


def _run(level: str, folder: Path) -> dict[str, list[dict[str, Any]]]:
    folder.chmod(0o755)
    groups = [group for group in CLASSES if level == "isolated" or group not in ONLY_ISOLATED]
    done = subprocess.run(
        [sys.executable, "-m", "trials.hostile.trial", "--level", level, "--quick", "--runners", "own", "--only", *groups],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder), "HOME": str(folder), "MGE_TRIAL_CANARY": "canary-of-the-tests"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    found: dict[str, list[dict[str, Any]]] = {group: [] for group in CLASSES}
    for line in lines:
        if "name" in line:
            found[line["group"]].append(line)
    assert done.returncode in (0, 2), lines[-1:]
    if lines[0]["isolation"] != level:
        pytest.skip(f"{level} is not granted here: {lines[1:]}")
    return found


@pytest.mark.slow
@pytest.mark.needs_sandbox
@pytest.mark.parametrize("group", CLASSES)
@pytest.mark.parametrize("level", ["isolated", "restricted"])
def test_no_program_of_a_class_gets_out_or_is_misjudged(results: Any, level: str, group: str) -> None:
    if level == "restricted" and group in ONLY_ISOLATED:
        pytest.skip("is the same at every level")
    found = results(level)[group]
    expected = [one for held, one, runner in chosen([], quick=True) if (held, runner) == (group, "own")]
    assert len(found) == len([one for one in expected if level == "isolated" or not one.needs_namespaces])
    bad = {one["name"]: one["escapes"] or one["wrong"] for one in found if one["escapes"] or one["wrong"]}
    assert bad == {}


def test_there_are_as_many_programs_as_promised() -> None:
    benign = len(CLASSES["benign"])
    assert benign >= 15
    assert sum(map(len, CLASSES.values())) - benign >= 60


def test_no_two_programs_have_the_same_name() -> None:
    names = [f"{group}: {program.name}" for group, programs in CLASSES.items() for program in programs]
    assert len(names) == len(set(names))


@pytest.mark.skipif(sys.platform != "linux", reason="the jail is Linux's")
def test_the_jail_refuses_namespaces_and_nothing_else_that_python_needs() -> None:
    program = (
        "import ctypes, subprocess, threading\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.unshare(0x10000000), ctypes.get_errno(), libc.mount(None, b'/', None, 0, None), ctypes.get_errno())\n"
        "t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()\n"
        "print(subprocess.run(['/bin/echo', 'child'], capture_output=True, text=True).stdout)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "trials.hostile.jail", sys.executable, "-c", program],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["-1", "1", "-1", "1", "thread", "child"]
