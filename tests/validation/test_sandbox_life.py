"""Granting a level, and leaving nothing behind whoever dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from executions.validation.sandbox.interpreter import our_interpreter
from executions.validation.sandbox.isolation import SandboxJob, SandboxUnavailable
from executions.validation.sandbox.landlock import unisolated_launch
from executions.validation.sandbox.sandbox import Sandbox
from executions.validation.sandbox.self_test import attack, processes_of
from executions.validation.verdict import Isolation

ROOT = Path(__file__).resolve().parents[2]
FOREVER = SandboxJob(
    files={"answer.py": "import os, time\nfor _ in range(3):\n    os.fork()\ntime.sleep(600)\n"},
    target_path="answer.py",
    tests="import answer\ndef test_a(): pass\n",
    suite="own",
    plan=(("function", "", "test_a"),),
)


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


def descendants(pid: int) -> set[int]:
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                parents[int(name)] = int(Path(f"/proc/{name}/stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    found, grown = {pid}, True
    while grown:
        more = {child for child, parent in parents.items() if parent in found} - found
        found, grown = found | more, bool(more)
    return found - {pid}


def test_the_granted_level_withstood_every_attack(sandbox: Sandbox) -> None:
    assert len(sandbox.report) >= 12
    assert all(check.ok for check in sandbox.report)


@pytest.mark.skipif(sys.platform != "linux", reason="the attacks are Linux's")
def test_the_self_test_sees_that_nothing_is_isolated(tmp_path: Path) -> None:
    checks = {check.name: check.ok for check in attack(unisolated_launch(our_interpreter(), tmp_path))}
    open_attacks = {name for name, ok in checks.items() if not ok}
    assert {
        "reach the host's network",
        "reach the host's unix sockets",
        "read the host's files",
        "write outside its scratch folder",
        "use system calls that widen its rights",
    } <= open_attacks


def test_a_later_process_trusts_the_stored_self_test(sandbox: Sandbox, sandbox_data: Path) -> None:
    stored = json.loads((sandbox_data / "sandbox.json").read_text())
    assert (sandbox_data / "sandbox.json").stat().st_mode & 0o777 == 0o600
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert stored
    assert all(mark.startswith(boot) for mark in stored)


def test_a_spoilt_store_only_costs_a_new_self_test(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "sandbox.json").write_text('{"x": 3')
    assert Sandbox.detect(data_dir=tmp_path, forced=sandbox.isolation).isolation is sandbox.isolation


async def test_cancelling_kills_all_that_was_started(sandbox: Sandbox) -> None:
    before = descendants(os.getpid())
    task = asyncio.create_task(sandbox.run(FOREVER))
    await asyncio.to_thread(until, lambda: len(descendants(os.getpid()) - before) >= 5)
    started = descendants(os.getpid()) - before
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(until, lambda: not any(Path(f"/proc/{pid}").exists() for pid in started), 5)


def test_nothing_is_left_when_the_caller_is_killed(sandbox: Sandbox, sandbox_data: Path) -> None:
    program = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(ROOT)!r})
        from executions.validation.sandbox.process import Run
        from executions.validation.sandbox.sandbox import Sandbox
        from executions.validation.verdict import Isolation
        from tests.validation.test_sandbox_life import FOREVER
        sandbox = Sandbox.detect(data_dir=Path({str(sandbox_data)!r}), forced=Isolation({sandbox.isolation.value!r}))
        run = Run(sandbox._launch, FOREVER)
        print(run.run_id, flush=True)
        run.execute()
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as caller:
        assert caller.stdout
        run_id = caller.stdout.readline().strip()
        until(lambda: len(descendants(caller.pid)) >= 5)
        started = descendants(caller.pid)
        caller.send_signal(signal.SIGKILL)
    until(lambda: not processes_of(run_id) and not any(Path(f"/proc/{pid}").exists() for pid in started), 5)
    assert not Path(tempfile.gettempdir(), f"mge-sandbox-{run_id}").exists()


async def test_nothing_is_left_after_a_run(sandbox: Sandbox) -> None:
    before = descendants(os.getpid())
    files = {
        "answer.py": "import os, time\nif os.fork() == 0:\n    os.setsid()\n"
        "    if os.fork() == 0:\n        time.sleep(600)\n    os._exit(0)\n"
    }
    result = await sandbox.run(SandboxJob(files, "answer.py", FOREVER.tests, "own", FOREVER.plan))
    assert result.report.finished
    assert descendants(os.getpid()) <= before


async def test_a_sandbox_that_does_not_start_is_no_finding(tmp_path: Path) -> None:
    broken = Sandbox.detect(data_dir=tmp_path, forced=Isolation.NONE)
    with pytest.raises(SandboxUnavailable):
        await broken.run(FOREVER)
