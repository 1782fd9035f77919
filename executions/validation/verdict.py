"""What the validation says about one answer, and under which isolation it was found out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from executions.findings import Finding


class Isolation(StrEnum):
    """How well generated code is kept apart here. The first two are granted only by a self-test."""

    ISOLATED = "isolated"
    """Own namespaces for processes, network, mounts and IPC, seccomp, limits."""
    RESTRICTED = "restricted"
    """Landlock, seccomp and limits; shares the process table and the file system's names with the host."""
    NONE = "none"
    """Nothing works here, so nothing is executed."""
    UNISOLATED = "unisolated"
    """Executed without isolation because somebody said so in a setting; every verdict carries the word."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of validating one answer.

    `passed` says that no CRITICAL or ERROR finding stands and that every part that was asked for was done;
    for tests that means: each expected test ran and passed, and the tests planted to fail did fail.
    """

    passed: bool
    executed: bool
    """Whether the tests really ran; False when an earlier level rejected or none were asked for."""
    isolation: Isolation
    findings: tuple[Finding, ...]
    tests_passed: tuple[str, ...]
    """Names of the tests that passed, e.g. `test_adds`, `TestQueue::test_empty`."""
    tests_total: int
    duration_ms: float
    """Wall time of the whole validation, waiting for a free slot left out."""
    cpu_ms: float
    """Processor time of the sandbox's processes, as counted by the kernel."""
    assurance: str
    """Of a passed answer: "tested" or "static"; "" otherwise."""
