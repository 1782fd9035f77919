"""What a run is made of, whatever the level: the job, its result, and the way a level starts the monitor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from executions.validation.sandbox.interpreter import Interpreter
from executions.validation.sandbox.limits import DEFAULT_LIMITS, Limits
from executions.validation.sandbox.reports import Report


class SandboxUnavailable(RuntimeError):
    """Isolation is missing or the sandbox itself broke: infrastructure, never a finding against an answer."""


@dataclass(frozen=True, slots=True)
class SandboxJob:
    """One test module to be run against one project."""

    files: Mapping[str, str]
    """The project, relative path to text; read-only inside."""
    target_path: str
    """The file whose lines failures are traced to."""
    tests: str
    suite: str
    """"own" or "pytest"."""
    plan: tuple[tuple[str, str, str], ...]
    """For the own runner: (kind, class, function) in order."""
    uses_unittest: bool = False
    limits: Limits = DEFAULT_LIMITS


@dataclass(frozen=True, slots=True)
class SandboxResult:
    """What came back. Only `report` stems from the hostile process; the rest is the monitor's or kernel's."""

    report: Report
    planted: tuple[str, ...]
    """Ids of the tests that were planted to fail."""
    exit_code: int | None
    """Of the test process; None when a signal ended it."""
    signal: int | None
    killed_for: str
    """"", or why it was killed: wall, outer, memory, processes, disk, output, report, lost."""
    output: str
    """What the program printed, capped; for people, never read for the verdict."""
    cpu_ms: float
    duration_ms: float


@dataclass(frozen=True, slots=True)
class Check:
    """One attack of the self-test."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Launch:
    """How one level starts its fork servers, and what the monitors are told about it."""

    command: tuple[str, ...]
    """Of a fork server, but for the suite that it loads and its uid."""
    environment: Mapping[str, str]
    """Of the command itself."""
    program_environment: Mapping[str, str]
    """What the program sees besides HOME, LANG, PATH and TMPDIR."""
    interpreter: Interpreter
    project: str
    """Where the project lies, as the program sees it; with `room` a pattern that takes the run's id."""
    scratch: str
    room: str
    """A folder of the host that the monitor makes and removes; "": a tmpfs of the namespace."""
    runner: str
    packages: str
    own_uid: bool
    """Each run gets a uid of its own, so that limits count and kills hit only its own processes."""
    own_processes: bool
    """The process namespace is the run's own."""
    landlock: bool
    scoped: bool
    seccomp: bytes
    readable: tuple[str, ...] = field(default=())
    writable: tuple[str, ...] = field(default=())


def host_paths(*paths: str) -> list[Path]:
    """Those of `paths` that exist here."""
    return [path for path in map(Path, paths) if path.exists()]
