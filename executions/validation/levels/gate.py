"""Judges a project that has been put together: it is imported, then the plan's tests are run, all in the sandbox."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from executions.findings import Finding, Severity
from executions.validation.expected_tests import UnreadableTests, expected_tests
from executions.validation.feedback import bounded
from executions.validation.judgement import judge
from executions.validation.levels.imports import ImportSuite
from executions.validation.levels.verdict import GateVerdict
from executions.validation.outside import inside_only
from executions.validation.sandbox.isolation import SandboxJob
from executions.validation.sandbox.limits import DEFAULT_LIMITS, Limits
from executions.validation.sandbox.sandbox import Sandbox

GATE_LIMITS = replace(DEFAULT_LIMITS, cpu_seconds=30, wall_seconds=60.0, outer_seconds=65.0)
"""A project's tests may take longer than an atom's."""


@dataclass(frozen=True, slots=True)
class Suite:
    """One test module of the plan."""

    name: str
    """The file that it is exported as."""
    tests: str


@dataclass(frozen=True, slots=True)
class Imports:
    """Modules that are imported in one process."""

    modules: tuple[str, ...]
    """In this order."""
    files: Mapping[str, str]
    """Path from the project's root to text: the project, or what these modules build on."""


@dataclass(frozen=True, slots=True)
class Project:
    """What is to be judged."""

    files: Mapping[str, str]
    """Path from the project's root to text, as it is exported."""
    imports: tuple[Imports, ...]
    suites: tuple[Suite, ...] = ()
    missing: str = ""
    """Why the suites cannot be run: what they need is not there. Empty when they can."""


async def judge_project(sandbox: Sandbox, project: Project, *, limits: Limits = GATE_LIMITS) -> GateVerdict:
    """The verdict on a project. What its code does is never an exception. Raises SandboxUnavailable."""
    judging = _Judging(sandbox, limits)
    for group in project.imports:
        suite = ImportSuite(group.modules)
        await judging.run(suite.text, group.files, suite.told)
    for one in project.suites:
        if project.missing:
            judging.findings.append(
                Finding(Severity.ERROR, "tests-not-run", f"{one.name} was not run: {project.missing}")
            )
        else:
            await judging.run(one.tests, project.files, _in(one.name))
    return judging.verdict()


def _in(name: str) -> Callable[[Finding], Finding]:
    return lambda finding: replace(finding, message=f"{name}: {finding.message}")


class _Judging:
    def __init__(self, sandbox: Sandbox, limits: Limits) -> None:
        self.findings: list[Finding] = []
        self._sandbox = sandbox
        self._limits = limits
        self._passed = self._total = 0
        self._cpu_ms = 0.0
        self._started = time.monotonic()

    async def run(self, tests: str, files: Mapping[str, str], told: Callable[[Finding], Finding]) -> None:
        """Run one test module and keep what it finds, in the words of `told`."""
        try:
            expected = expected_tests(tests)
        except UnreadableTests as error:
            self.findings.append(told(Finding(Severity.CRITICAL, "tests-unreadable", str(error))))
            return
        if not expected.ids and expected.runner == "own":
            self.findings.append(
                told(Finding(Severity.ERROR, "no-tests", "the tests hold no test that can be found"))
            )
            return
        job = SandboxJob(
            files=files,
            target_path=next(iter(files), ""),
            tests=tests,
            suite=expected.runner,
            plan=expected.plan,
            uses_unittest="unittest" in tests,
            limits=self._limits,
        )
        result = await self._sandbox.run(job)
        self._cpu_ms += result.cpu_ms
        # Lines are those of some file of the project: of no use without its name, which the message has.
        judgement = judge(result, expected, self._limits, lambda line: None, inside_only(tests))
        self._passed += len(judgement.passed)
        self._total += judgement.total
        self.findings += [told(finding) for finding in judgement.findings]

    def verdict(self) -> GateVerdict:
        return GateVerdict(
            findings=tuple(bounded(sorted(self.findings, key=lambda one: not one.severity.blocks))),
            tests_passed=self._passed,
            tests_total=self._total,
            isolation=self._sandbox.isolation.value,
            duration_ms=(time.monotonic() - self._started) * 1000,
            cpu_ms=self._cpu_ms,
        )
