"""Granting a level, and leaving nothing behind whoever dies."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
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
from executions.validation.sandbox.isolation import SandboxJob, SandboxResult, SandboxUnavailable
from executions.validation.sandbox.landlock import unisolated_launch
from executions.validation.sandbox.limits import Limits
from executions.validation.sandbox.run import Run
from executions.validation.sandbox.sandbox import Sandbox
from executions.validation.sandbox.self_test import attack, processes_of_runs
from executions.validation.sandbox.service import Service
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


def started_by(sandbox: Sandbox) -> set[int]:
    assert sandbox.service
    return set(processes_of_runs(sandbox.service))


def gone(pids: set[int]) -> bool:
    """Whether none of them is there any more; a zombie that its new parent has not yet buried holds nothing."""
    for pid in pids:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                return False
        except OSError:
            continue
    return True


async def under_way(
    sandbox: Sandbox, *jobs: SandboxJob
) -> tuple[list[asyncio.Task[SandboxResult]], set[int]]:
    """The jobs as tasks, and the processes of all of them, once every program runs."""
    tasks = [asyncio.create_task(sandbox.run(job)) for job in jobs]
    await asyncio.to_thread(until, lambda: len(started_by(sandbox)) >= 5 * len(jobs))
    return tasks, started_by(sandbox)


async def test_cancelling_kills_all_that_was_started(sandbox: Sandbox) -> None:
    [task], started = await under_way(sandbox, FOREVER)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(until, lambda: gone(started), 2)
    assert not started_by(sandbox)


def test_nothing_is_left_when_the_caller_is_killed(sandbox: Sandbox, sandbox_data: Path) -> None:
    program = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(ROOT)!r})
        from executions.validation.sandbox.run import Run
        from executions.validation.sandbox.sandbox import Sandbox
        from executions.validation.verdict import Isolation
        from tests.validation.test_sandbox_life import FOREVER
        sandbox = Sandbox.detect(data_dir=Path({str(sandbox_data)!r}), forced=Isolation({sandbox.isolation.value!r}))
        run = Run(sandbox._launch, FOREVER)
        print(run.run_id, flush=True)
        run.execute(sandbox.service)
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as caller:
        assert caller.stdout
        run_id = caller.stdout.readline().strip()
        # The supervisor, bwrap (where there is one), the fork server, the monitor and four of the program.
        until(lambda: len(descendants(caller.pid)) >= 7)
        started = descendants(caller.pid)
        caller.send_signal(signal.SIGKILL)
    until(lambda: gone(started), 2)
    assert not Path(tempfile.gettempdir(), f"mge-sandbox-{run_id}").exists()


async def test_nothing_is_left_after_a_run(sandbox: Sandbox) -> None:
    files = {
        "answer.py": "import os, time\nif os.fork() == 0:\n    os.setsid()\n"
        "    if os.fork() == 0:\n        time.sleep(600)\n    os._exit(0)\n"
    }
    result = await sandbox.run(SandboxJob(files, "answer.py", FOREVER.tests, "own", FOREVER.plan))
    assert result.report.finished
    assert not started_by(sandbox)


def fork_servers_of(sandbox: Sandbox) -> set[int]:
    assert sandbox.service
    assert sandbox.service.pid
    return descendants(sandbox.service.pid) - started_by(sandbox)


@pytest.mark.parametrize("victim", ["supervisor", "fork server"])
async def test_a_run_whose_keeper_is_killed_is_begun_again(sandbox: Sandbox, victim: str) -> None:
    patient = SandboxJob(
        {"answer.py": "import time\ntime.sleep(0.5)\n"}, "answer.py", FOREVER.tests, "own", FOREVER.plan
    )
    tasks = [asyncio.create_task(sandbox.run(patient)) for _ in range(3)]
    await asyncio.to_thread(until, lambda: started_by(sandbox))
    started, servers = started_by(sandbox), fork_servers_of(sandbox)
    assert sandbox.service
    assert sandbox.service.pid
    first = sandbox.service.pid
    for pid in {first} if victim == "supervisor" else servers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    results = await asyncio.gather(*tasks)
    assert [result.report.finished for result in results] == [True, True, True]
    assert (sandbox.service.pid != first) == (victim == "supervisor")
    await asyncio.to_thread(until, lambda: gone(started | servers), 2)


def assert_no_root(keepers: set[int]) -> None:
    inner = [pid for pid in keepers if not Path(f"/proc/{pid}/comm").read_text().startswith("bwrap")]
    assert inner
    for pid in inner:
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
        )
        assert "0" not in status["Uid"].split()
        # CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_NET_ADMIN, CAP_SYS_ADMIN; none to read or write others' files.
        assert int(status["CapEff"], 16) == 0x2010E0
        assert Path(f"/proc/{pid}/environ").read_bytes().count(b"=") <= 4


@pytest.mark.needs_bubblewrap
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has anything to give away")
async def test_where_we_are_root_the_fork_servers_are_not(sandbox_data: Path) -> None:
    sandbox = Sandbox.detect(data_dir=sandbox_data, forced=Isolation.ISOLATED)
    await sandbox.run(SandboxJob({"answer.py": ""}, "answer.py", FOREVER.tests, "own", FOREVER.plan))
    assert_no_root(fork_servers_of(sandbox))


async def test_a_program_that_lives_as_long_as_it_may_holds_up_no_other(sandbox: Sandbox) -> None:
    endless = dataclasses.replace(FOREVER, limits=Limits(wall_seconds=2.5, outer_seconds=5))
    loop = asyncio.create_task(sandbox.run(endless))
    results = await asyncio.gather(*(sandbox.run(QUICK) for _ in range(20)))
    assert all(result.report.finished for result in results)
    assert not loop.done()
    assert (await loop).killed_for == "wall"


async def test_a_monitor_that_is_stopped_is_ended_by_the_clock_outside(sandbox: Sandbox) -> None:
    job = dataclasses.replace(FOREVER, limits=Limits(wall_seconds=1, outer_seconds=2))
    [task], started = await under_way(sandbox, job)
    for pid in started:
        os.kill(pid, signal.SIGSTOP)
    result = await task
    assert result.killed_for == "outer"
    await asyncio.to_thread(until, lambda: gone(started), 2)


async def test_a_fork_server_that_is_stopped_is_replaced(sandbox: Sandbox) -> None:
    job = dataclasses.replace(FOREVER, limits=Limits(wall_seconds=1, outer_seconds=2))
    [task], started = await under_way(sandbox, job)
    for pid in started | fork_servers_of(sandbox):
        os.kill(pid, signal.SIGSTOP)
    result = await task
    assert result.killed_for == "outer"
    await asyncio.to_thread(until, lambda: gone(started), 4)
    assert (await sandbox.run(QUICK)).report.finished


QUICK = SandboxJob({"answer.py": ""}, "answer.py", FOREVER.tests, "own", FOREVER.plan)


def sleeping(seconds: float) -> SandboxJob:
    return dataclasses.replace(QUICK, files={"answer.py": f"import time\ntime.sleep({seconds})\n"})


async def test_a_second_try_keeps_its_folder(sandbox: Sandbox) -> None:
    """What is cleared up behind a dead fork server has the name of the run that goes on elsewhere."""
    task = asyncio.create_task(sandbox.run(sleeping(2.5)))
    await asyncio.to_thread(until, lambda: started_by(sandbox))
    for pid in fork_servers_of(sandbox):
        os.kill(pid, signal.SIGKILL)
    assert (await task).report.finished


async def test_a_long_run_outlives_any_number_of_short_ones(sandbox: Sandbox) -> None:
    """There are fewer uids than runs, and killing all of a uid ends a run."""
    task = asyncio.create_task(sandbox.run(sleeping(6)))
    await asyncio.to_thread(until, lambda: started_by(sandbox))
    while not task.done():
        results = await asyncio.gather(*(sandbox.run(QUICK) for _ in range(20)))
        assert all(result.report.finished for result in results)
    assert (await task).report.finished


def test_the_callers_umask_is_not_the_sandboxes(sandbox: Sandbox) -> None:
    assert sandbox._launch
    mine = os.umask(0o077)
    try:
        service = Service(sandbox._launch, servers=1, parallel=1)
        try:
            assert Run(sandbox._launch, QUICK).execute(service).report.finished
        finally:
            service.close()
    finally:
        os.umask(mine)


async def test_closing_ends_what_is_stopped(sandbox: Sandbox) -> None:
    [task], started = await under_way(sandbox, FOREVER)
    for pid in started:
        os.kill(pid, signal.SIGSTOP)
    assert sandbox.service
    await asyncio.to_thread(sandbox.service.close)
    await asyncio.to_thread(until, lambda: gone(started), 2)
    task.cancel()  # it has been begun again on a new supervisor
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_file_outside_of_the_project_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="leads out of the project"):
        await sandbox.run(dataclasses.replace(QUICK, files={"../answer.py": ""}))


def test_a_forked_process_has_a_supervisor_of_its_own(sandbox: Sandbox) -> None:
    assert sandbox._launch
    assert sandbox.service
    assert Run(sandbox._launch, QUICK).execute(sandbox.service).report.finished
    parent = sandbox.service.pid
    child = os.fork()
    if child == 0:
        code = 1
        try:
            finished = Run(sandbox._launch, QUICK).execute(sandbox.service).report.finished
            code = 0 if finished and sandbox.service.pid != parent else 2
            sandbox.service.close()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert Run(sandbox._launch, QUICK).execute(sandbox.service).report.finished


async def test_a_sandbox_that_does_not_start_is_no_finding(tmp_path: Path) -> None:
    broken = Sandbox.detect(data_dir=tmp_path, forced=Isolation.NONE)
    with pytest.raises(SandboxUnavailable):
        await broken.run(FOREVER)
