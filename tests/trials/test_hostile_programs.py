"""The quick part of `make hostile`: what tries the walls, at both levels, watched by the witness.

What waits for a limit, the other runner and the other environments are left to `make hostile`.
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

WALLS = ("network and sockets", "files", "processes", "kernel")
"""What only a real sandbox can answer; the other classes have tests of their own in `tests/validation`."""


def _run(level: str, folder: Path) -> list[dict[str, Any]]:
    folder.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "trials.hostile.trial", "--level", level, "--quick", "--runners", "own", "--only", *WALLS],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder), "HOME": str(folder), "MGE_TRIAL_CANARY": "canary-of-the-tests"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode in (0, 2), lines[-1:]
    if lines[0]["isolation"] != level:
        pytest.skip(f"{level} is not granted here: {lines[1:]}")
    return [line for line in lines if "name" in line]


@pytest.mark.slow
@pytest.mark.needs_sandbox
@pytest.mark.parametrize("level", ["isolated", "restricted"])
def test_no_program_gets_out_or_is_misjudged(level: str) -> None:
    folder = tempfile.mkdtemp(prefix="mge-hostile-")  # not pytest's own, which no other uid may enter
    try:
        found = _run(level, Path(folder))
    finally:
        shutil.rmtree(folder)
    expected = [one for group, one, runner in chosen([*WALLS], quick=True) if runner == "own"]
    assert len(found) == len([one for one in expected if level == "isolated" or not one.needs_namespaces])
    assert {
        one["name"]: one["escapes"] or one["wrong"] for one in found if one["escapes"] or one["wrong"]
    } == {}


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
