"""The program that runs inside: where it lies, how it is started, what it is told."""

from __future__ import annotations

import compileall
import marshal
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from executions.validation.sandbox.interpreter import Interpreter
from executions.validation.sandbox.isolation import Launch, SandboxJob

RUNNER_FOLDER = Path(__file__).resolve().parent / "mge_inside"

# One arena, or a few threads use up the address space; one hash seed, or verdicts differ between runs.
PYTHON_ENVIRONMENT = {"MALLOC_ARENA_MAX": "1", "PYTHONHASHSEED": "0"}

# systemd's table of uids leaves 0x70000000 and above alone. A supervisor takes one block of them.
_FIRST_UID, _BLOCKS, _UIDS = 0x7000_0000, 1 << 22, 256
# In a container that maps few uids the highest ones serve.
_FEW_UIDS, _FEW = 4096, 16


def start_line(interpreter: Interpreter, folder: str, *, kind: str, packages: str) -> list[str]:
    """The command that starts a fork server, but for the suite: no site, no user folders, no working directory on the
    path. `kind`: of namespaces, see `mge_inside.namespaces`.
    """
    enter = f"import sys; sys.path.insert(0, {folder!r}); from mge_inside.fork_server import main; main()"
    python = [str(interpreter.executable), "-S", "-s", "-P", "-B", "-X", "utf8", "-c", enter]
    return [*python, kind or "-", packages]


def compile_runner() -> None:
    """Leaves byte code beside the programs, which saves their starts some milliseconds; fine without."""
    for folder in (RUNNER_FOLDER, RUNNER_FOLDER.with_name("mge_outside")):
        compileall.compile_dir(folder, quiet=2)


def uids_of_runs() -> tuple[int, int, int]:
    """The uids that supervisors choose from: the first, how many one takes, and how many such blocks there are.

    (0, 0, 0) when this process may not choose.
    """
    available = 0
    with open("/proc/self/uid_map") as file:
        for line in file:
            inside, _, count = map(int, line.split())
            available = max(available, inside + count)
    if available > _FIRST_UID + _BLOCKS * _UIDS:
        return _FIRST_UID, _UIDS, _BLOCKS
    if available > 2 * _FEW_UIDS:
        return available - _FEW_UIDS, _FEW, _FEW_UIDS // _FEW
    return 0, 0, 0


def configuration(launch: Launch, job: SandboxJob, planted: Planted, *, nonce: str, run_id: str) -> bytes:
    """What the monitor reads first: eight bytes of length, then a marshalled dict of plain values.

    Raises ValueError for a file that would lie outside of the project.
    """
    for path in job.files:
        if path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"{path[:80]!r} leads out of the project")
    limits = job.limits
    project = launch.project.format(run=run_id)
    tests_path = _free_name("test_atom", job)
    planted_path = f"test_planted_{secrets.token_hex(4)}.py"
    files = {path: text.encode() for path, text in job.files.items()}
    files |= {tests_path: job.tests.encode(), planted_path: planted.text.encode()}
    config: dict[str, Any] = {
        "nonce": nonce,
        "project": project,
        "scratch": launch.scratch.format(run=run_id),
        "room": launch.room.format(run=run_id),
        "runner": launch.runner,
        "packages": launch.packages,
        "files": files,
        "target_path": os.path.normpath(f"{project}/{job.target_path}"),
        "suite": job.suite,
        "uses_unittest": job.uses_unittest,
        "tests": job.tests,
        "tests_name": tests_path.removesuffix(".py"),
        "tests_path": f"{project}/{tests_path}",
        "plan": list(job.plan),
        "planted": planted.text,
        "planted_name": planted_path.removesuffix(".py"),
        "planted_path": f"{project}/{planted_path}",
        "planted_plan": list(planted.plan),
        "own_processes": launch.own_processes,
        "landlock": launch.landlock,
        "scoped": launch.scoped,
        "seccomp": launch.seccomp,
        "readable": [path.format(run=run_id) for path in launch.readable],
        "writable": [path.format(run=run_id) for path in launch.writable],
        "environment": {
            **launch.program_environment,
            "HOME": launch.scratch.format(run=run_id),
            "LANG": "C.UTF-8",
            "PATH": "/usr/bin:/bin",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "TMPDIR": launch.scratch.format(run=run_id),
        },
        "rlimits": {
            "RLIMIT_AS": limits.address_space,
            "RLIMIT_CPU": limits.cpu_seconds,
            "RLIMIT_FSIZE": limits.file_size,
            "RLIMIT_NOFILE": limits.open_files,
            "RLIMIT_NPROC": limits.processes,
            "RLIMIT_CORE": 0,
        },
        "wall_seconds": limits.wall_seconds,
        "memory_of_all": limits.memory_of_all,
        "scratch_size": limits.scratch_size,
        "output_kept": limits.output_kept,
        "output_total": limits.output_total,
        "report_limit": limits.report,
    }
    data = marshal.dumps(config)
    return len(data).to_bytes(8, "big") + data


@dataclass(frozen=True, slots=True)
class Planted:
    """Tests that must fail in every run; a run that passes one of them can be believed in nothing else."""

    text: str
    plan: tuple[tuple[str, str, str], ...]

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(f"{owner}::{name}" if owner else name for _, owner, name in self.plan)


def plant(*, uses_unittest: bool) -> Planted:
    """A plain assert, one of fresh objects, unittest's own where the tests use it. New names each time."""
    mark = secrets.token_hex(4)
    plain, fresh, owner, method = f"test_plain_{mark}", f"test_fresh_{mark}", f"Test{mark}", "test_equal"
    text = f"def {plain}():\n    assert 1 == 2\n\n\ndef {fresh}():\n    assert [object()] == [object()]\n"
    plan = [("function", "", plain), ("function", "", fresh)]
    if uses_unittest:
        text += f"\n\nimport unittest\n\n\nclass {owner}(unittest.TestCase):\n"
        text += f"    def {method}(self):\n        self.assertEqual(1, 2)\n"
        plan.append(("unittest", owner, method))
    return Planted(text, tuple(plan))


def _free_name(stem: str, job: SandboxJob) -> str:
    taken = {path.split("/")[0].removesuffix(".py") for path in job.files}
    while stem in taken:
        stem += "_"
    return f"{stem}.py"
