"""A child leads its group, and nothing of the group outlives it or us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from executions.supervisor.child import Child
from tests.ground import ROOT
from tests.product import wait_for
from tests.supervisor.processes import alive

FAMILY = """
import os, signal, sys, time
from pathlib import Path
if sys.argv[2] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child:
    Path(sys.argv[1]).write_text(f"{os.getpid()} {child}")
time.sleep(600)
"""
"""A process with a fork that sleeps."""

HOLDER = """
import sys, time
from executions.supervisor import child
child.ORPHAN_GRACE_S = 0.3
child.Child(sys.argv[1:], log=None)
time.sleep(600)
"""


@pytest.fixture
def family(scratch: Path) -> Path:
    file = scratch / "family.py"
    file.write_text(FAMILY, encoding="utf-8")
    return file


def _pids(file: Path) -> list[int]:
    return wait_for(
        lambda: [int(word) for word in file.read_text().split()] if file.exists() else [], "a family"
    )


def test_a_killed_leader_leaves_nothing_of_its_group(family: Path, scratch: Path) -> None:
    child = Child([str(family), str(scratch / "pids"), "meek"], log=None)
    leader, fork = _pids(scratch / "pids")

    os.kill(leader, signal.SIGKILL)

    wait_for(lambda: child.ended() is not None, "the leader has ended")
    assert child.how_it_ended() == "killed by SIGKILL"
    wait_for(lambda: not alive(fork), "its fork has ended as well")


def test_a_child_that_ignores_sigterm_is_killed_with_its_group(family: Path, scratch: Path) -> None:
    child = Child([str(family), str(scratch / "pids"), "stubborn"], log=None)
    leader, fork = _pids(scratch / "pids")

    child.ask_to_end()
    assert not child.wait(0.3)
    child.kill()

    assert child.ended() == -signal.SIGKILL
    wait_for(lambda: not alive(leader) and not alive(fork), "both have ended")


@pytest.mark.parametrize("temper", ["meek", "stubborn"])
def test_whoever_held_the_leash_is_killed_and_the_whole_group_ends(
    family: Path, scratch: Path, temper: str
) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(family), str(scratch / "pids"), temper], cwd=ROOT
    )
    leader, fork = _pids(scratch / "pids")

    holder.kill()
    holder.wait()

    wait_for(lambda: not alive(leader) and not alive(fork), "both have ended", seconds=10)


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_a_fork_dies_with_its_parent_even_when_nobody_sweeps(family: Path, scratch: Path) -> None:
    child = Child([str(family), str(scratch / "pids"), "stubborn"], log=None)
    leader, fork = _pids(scratch / "pids")

    os.kill(leader, signal.SIGKILL)

    wait_for(lambda: not alive(fork), "the fork has ended by itself")
    assert child.ended() == -signal.SIGKILL


def test_the_program_sees_its_own_arguments_and_the_projects_modules(scratch: Path) -> None:
    file = scratch / "program.py"
    file.write_text("import sys, executions.states; print(__name__, sys.argv[1:])", encoding="utf-8")
    with (scratch / "log").open("wb") as log:
        child = Child([str(file), "a b", "-c"], log=log)

    wait_for(lambda: child.ended() is not None, "the program ends")

    assert child.ended() == 0
    assert (scratch / "log").read_text(encoding="utf-8").strip() == "__main__ ['a b', '-c']"
