"""The sandbox's front door: which level this machine grants, and running one job at it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from executions.validation.sandbox import interpreter as interpreters
from executions.validation.sandbox.bubblewrap import bubblewrap_launch
from executions.validation.sandbox.interpreter import Interpreter
from executions.validation.sandbox.isolation import (
    Check,
    Launch,
    SandboxJob,
    SandboxResult,
    SandboxUnavailable,
)
from executions.validation.sandbox.landlock import restricted_launch, unisolated_launch
from executions.validation.sandbox.limits import DEFAULT_LIMITS
from executions.validation.sandbox.run import Run, lost
from executions.validation.sandbox.runner import compile_runner
from executions.validation.sandbox.seccomp import UnknownArchitecture
from executions.validation.sandbox.self_test import attack
from executions.validation.sandbox.service import Service, SupervisorLost
from executions.validation.verdict import Isolation

_TRIES = 3
"""A run whose supervisor died under it is begun again; three in a row is no accident."""
_SHARE_OF_MEMORY = 0.5
"""All runs at their limits together may use this much of the machine's."""
_detected: dict[tuple[Any, ...], Sandbox] = {}


class Sandbox:
    """A level of isolation that passed its self-test. Make one by `detect`."""

    def __init__(
        self,
        isolation: Isolation,
        launch: Launch | None,
        report: tuple[Check, ...],
        refused: tuple[Check, ...],
    ) -> None:
        self.isolation = isolation
        self.report = report
        """For `doctor`: the attacks that the granted level withstood, or why none was granted."""
        self.refused = refused
        """For `doctor`: why each stronger level was not granted; empty at the strongest."""
        self._launch = launch
        self.service = None if launch is None else Service(launch, servers=_cores(), parallel=_parallel())
        """For those who watch the processes."""

    @classmethod
    def detect(
        cls, *, data_dir: Path, allow_unisolated: bool = False, forced: Isolation | None = None
    ) -> Sandbox:
        """The strongest level that withstands its self-test here.

        The answer is kept per process and, until boot, kernel, interpreter or our own code change, in
        `<data_dir>/sandbox.json`. `forced` tries one level only. Blocks for up to a second.
        """
        key = (str(data_dir), allow_unisolated, forced, os.geteuid())
        if key not in _detected:
            _detected[key] = _Detection(data_dir, allow_unisolated=allow_unisolated, forced=forced).run()
        return _detected[key]

    async def run(self, job: SandboxJob) -> SandboxResult:
        """Runs one job. Cancelling it kills everything the run has started, before CancelledError is raised.

        Raises SandboxUnavailable when nothing may be executed here or the sandbox did not start.
        """
        if self._launch is None or self.service is None:
            raise SandboxUnavailable(
                "nothing here isolates generated code, so it is not executed; `make system-packages` "
                "installs bubblewrap, `manage.py doctor` shows what was tried"
            )
        for _ in range(_TRIES):
            run = Run(self._launch, job)
            future, cancel = run.submit(self.service)
            waiting = asyncio.wrap_future(future)
            try:
                return run.result(await asyncio.shield(waiting))
            except SupervisorLost:
                continue
            except asyncio.CancelledError:
                cancel()
                with contextlib.suppress(SupervisorLost):
                    await waiting
                raise
        raise lost()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _parallel() -> int:
    """Two more than there are processors, so that waiting programs hold up none; fewer where memory is short."""
    memory = min(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), _most_memory())
    return max(1, min(_cores() + 2, int(memory * _SHARE_OF_MEMORY / DEFAULT_LIMITS.memory_of_all)))


def _most_memory() -> float:
    """What the control group of this process allows, in bytes; for both versions of them."""
    for place in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            return float(Path(place).read_text())
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return float("inf")


class _Detection:
    def __init__(self, data_dir: Path, *, allow_unisolated: bool, forced: Isolation | None) -> None:
        self._data_dir = data_dir
        self._allow_unisolated = allow_unisolated
        self._forced = forced
        self._store = data_dir / "sandbox.json"

    def run(self) -> Sandbox:
        compile_runner()
        report: list[Check] = []
        known = self._known()
        for isolation, interpreter, build in self._attempts():
            launch = _built(build, report)
            if launch is None:
                continue
            fingerprint = _fingerprint(isolation, launch)
            checks = known.get(fingerprint)
            if checks is None:
                checks = attack(launch)
                if all(check.ok for check in checks):  # what failed may have been mended by the next start
                    known[fingerprint] = checks
                    self._remember(known)
            if all(check.ok for check in checks):
                return Sandbox(isolation, launch, checks, tuple(report))
            report += [
                Check(f"{isolation}: {c.name} ({interpreter})", c.ok, c.detail) for c in checks if not c.ok
            ]
        if self._allow_unisolated or self._forced is Isolation.UNISOLATED:
            launch = unisolated_launch(interpreters.our_interpreter(), self._data_dir)
            return Sandbox(Isolation.UNISOLATED, launch, tuple(report), tuple(report))
        return Sandbox(Isolation.NONE, None, tuple(report), tuple(report))

    def _attempts(self) -> Iterator[tuple[Isolation, Interpreter, Callable[[], Launch | None]]]:
        if sys.platform != "linux":
            return
        if self._forced in (None, Isolation.ISOLATED):
            ours = interpreters.our_interpreter()
            yield Isolation.ISOLATED, ours, partial(bubblewrap_launch, ours)
        if self._forced in (None, Isolation.RESTRICTED):
            others = os.geteuid() == 0
            for found in interpreters.candidates(others_must_read=others, data_dir=self._data_dir):
                yield Isolation.RESTRICTED, found, partial(restricted_launch, found, self._data_dir)

    def _known(self) -> dict[str, tuple[Check, ...]]:
        """Self-tests of this boot; anything unreadable is simply done again."""
        try:
            if self._store.stat().st_uid != os.geteuid():
                return {}
            stored = json.loads(self._store.read_text())
            return {mark: tuple(Check(**check) for check in checks) for mark, checks in stored.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _remember(self, known: dict[str, tuple[Check, ...]]) -> None:
        boot = _boot_id()
        kept = {mark: checks for mark, checks in known.items() if mark.startswith(boot)}
        making = self._store.with_name(f"{self._store.name}.{os.getpid()}")
        with contextlib.suppress(OSError):  # a read-only data directory costs a self-test per start
            self._data_dir.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump({mark: [asdict(check) for check in checks] for mark, checks in kept.items()}, file)
            making.rename(self._store)


def _built(build: Callable[[], Launch | None], report: list[Check]) -> Launch | None:
    try:
        launch = build()
    except (OSError, UnknownArchitecture) as error:
        report.append(Check("prepare", ok=False, detail=str(error)))
        return None
    if launch is None:
        report.append(Check("isolated: bubblewrap", ok=False, detail="bwrap is not installed"))
    return launch


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _fingerprint(isolation: Isolation, launch: Launch) -> str:
    """Changes with whatever the self-test's answer depends on."""
    digest = hashlib.sha256(repr((isolation, launch, platform.release(), os.geteuid())).encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    for program in (launch.interpreter.executable, Path(launch.command[0])):
        found = program.stat()
        digest.update(f"{found.st_mtime_ns} {found.st_size}".encode())
    if sys.platform == "linux":
        # Another container on the same kernel may have other rights.
        rights = Path("/proc/self/status").read_text().splitlines()
        digest.update(
            repr([line for line in rights if line.startswith(("Cap", "Seccomp:", "NoNewPrivs"))]).encode()
        )
        digest.update(Path("/proc/self/uid_map").read_bytes())
    return f"{_boot_id()}:{digest.hexdigest()}"
