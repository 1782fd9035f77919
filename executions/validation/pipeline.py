"""Level 1 as a whole: text gate → parse and contract → tests in the sandbox → verdict."""

from __future__ import annotations

import ast
import asyncio
import os
import time
import weakref
from collections.abc import Mapping

from executions.findings import Finding, Severity
from executions.validation.candidate import Candidate
from executions.validation.contract import check_contract
from executions.validation.expected_tests import ExpectedTests, UnreadableTests, expected_tests
from executions.validation.feedback import bounded
from executions.validation.judgement import Judgement, judge
from executions.validation.parsing import parse
from executions.validation.review_notes import review_notes
from executions.validation.sandbox.isolation import SandboxJob, SandboxUnavailable
from executions.validation.sandbox.limits import DEFAULT_LIMITS, Limits
from executions.validation.sandbox.sandbox import Sandbox
from executions.validation.source_lines import answer_lines
from executions.validation.text_gate import read_text
from executions.validation.verdict import Isolation, Verdict

__all__ = ["VALIDATORS", "SandboxUnavailable", "Validator", "validator_set"]

VALIDATORS = frozenset({"syntax", "contract", "tests"})
"""The parts that can be chosen; the text gate and parsing belong to every set."""


def validator_set(validators: frozenset[str] | str) -> frozenset[str]:
    """`full`, or a comma-separated list of parts. Raises ValueError for an unknown or empty one."""
    if isinstance(validators, str):
        names = {name.strip() for name in validators.split(",")}
        validators = VALIDATORS if names == {"full"} else frozenset(names)
    unknown = sorted(validators - VALIDATORS)
    if unknown or not validators:
        raise ValueError(
            f"unknown validators: {', '.join(unknown) or 'none given'}; "
            f"known: full, {', '.join(sorted(VALIDATORS))}"
        )
    return validators


VALIDATORS_VERSION = 1
"""Goes up with every change after which the same answer may be judged otherwise: what was accepted before then counts no
more as an answer to what is asked.
"""


class Validator:
    """Judges answers; many at a time, from any event loop of this process."""

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        validators: frozenset[str] | str = "full",
        max_parallel: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """`max_parallel`: runs in the sandbox at the same time, per event loop; by default two more than
        there are processors. Raises ValueError for an unknown validator."""
        self._sandbox = sandbox
        self._validators = validator_set(validators)
        self._limits = limits
        self._max_parallel = max_parallel or (os.cpu_count() or 1) + 2
        # A semaphore belongs to the loop that first waited on it.
        self._slots: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]
        self._slots = weakref.WeakKeyDictionary()

    async def validate(self, candidate: Candidate) -> Verdict:
        """The verdict on one answer. What the answer does is never an exception.

        Raises SandboxUnavailable when its tests must be run and nothing here isolates them, or when the
        sandbox itself breaks: no fault of the answer, so no verdict.
        """
        wants_tests = "tests" in self._validators and bool(
            candidate.tests.strip() or candidate.hidden_tests.strip()
        )
        if wants_tests and self._sandbox.isolation is Isolation.NONE:
            raise SandboxUnavailable(
                "these tests cannot be run here: nothing isolates them; `make system-packages` installs "
                "bubblewrap, `manage.py doctor` shows what was tried"
            )
        judging = _Judging(candidate, self._validators, self._sandbox.isolation)
        if judging.static() and wants_tests:
            for hidden, tests in ((False, candidate.tests), (True, candidate.hidden_tests)):
                # Hidden tests run in a process of their own, so that the visible ones cannot tell of them.
                if tests.strip() and not judging.blocked:
                    await self._run(judging, tests, hidden=hidden)
        return judging.verdict()

    async def _run(self, judging: _Judging, tests: str, *, hidden: bool) -> None:
        try:
            expected = expected_tests(tests)
        except UnreadableTests as error:
            judging.findings.append(Finding(Severity.CRITICAL, "tests-unreadable", str(error)))
            return
        if not expected.ids and expected.runner == "own":
            judging.findings.append(
                Finding(Severity.ERROR, "no-tests", "the tests hold no test that can be found")
            )
            return
        job = judging.job(tests, expected, self._limits)
        loop = asyncio.get_running_loop()
        slots = self._slots.setdefault(loop, asyncio.Semaphore(self._max_parallel))
        waiting = time.monotonic()
        async with slots:
            judging.waited += time.monotonic() - waiting
            result = await self._sandbox.run(job)
        judging.executed = True
        judging.cpu_ms += result.cpu_ms
        judging.take(judge(result, expected, job.limits, judging.line_of), hidden=hidden)


class _Judging:
    """One answer on its way to a verdict."""

    def __init__(self, candidate: Candidate, validators: frozenset[str], isolation: Isolation) -> None:
        self.findings: list[Finding] = []
        self.executed = False
        self.cpu_ms = 0.0
        self.waited = 0.0
        self._candidate = candidate
        self._validators = validators
        self._isolation = isolation
        self._started = time.monotonic()
        self._file = ""
        self._lines: Mapping[int, int] | None = None
        self._passed: list[str] = []
        self._total = 0

    def static(self) -> bool:
        """Everything that needs no execution; whether it is worth going on."""
        text = read_text(self._candidate.source)
        if isinstance(text, Finding):
            return self._reject(text)
        tree = parse(text)
        if isinstance(tree, Finding):
            return self._reject(tree)
        file_tree = self._target_file(text, tree)
        if isinstance(file_tree, Finding):
            return self._reject(file_tree)
        if "contract" in self._validators:
            self.findings += check_contract(
                file_tree, self._candidate.entry_points, self._candidate.signature
            )
        # Of the answer alone, not of what it is assembled with: lines are then the answer's own.
        self.findings += review_notes(tree)
        return not self.blocked

    @property
    def blocked(self) -> bool:
        return any(finding.severity.blocks for finding in self.findings)

    def _target_file(self, text: str, tree: ast.Module) -> ast.Module | Finding:
        assembled = self._candidate.file_text
        self._file = text if assembled is None else assembled
        if assembled is None or assembled == text:
            return tree
        file_tree = parse(assembled)
        if isinstance(file_tree, Finding):
            return Finding(
                file_tree.severity, "file-does-not-parse", f"in the assembled file: {file_tree.message}"
            )
        self._lines = answer_lines(file_tree, tree)
        return file_tree

    def _reject(self, finding: Finding) -> bool:
        self.findings.append(finding)
        return False

    def line_of(self, line: int) -> int | None:
        """The answer's line for a line of the target file."""
        return line if self._lines is None else self._lines.get(line)

    def job(self, tests: str, expected: ExpectedTests, limits: Limits) -> SandboxJob:
        return SandboxJob(
            files={**self._candidate.files, self._candidate.target_path: self._file},
            target_path=self._candidate.target_path,
            tests=tests,
            suite=expected.runner,
            plan=expected.plan,
            uses_unittest="unittest" in tests,
            limits=limits,
        )

    def take(self, judgement: Judgement, *, hidden: bool) -> None:
        """Of hidden tests only the names of the failed ones are told: messages could quote them."""
        self._total += judgement.total
        if not hidden:
            self._passed += judgement.passed
            self.findings += judgement.findings
            return
        self._passed += [f"hidden::{test}" for test in judgement.passed]
        if judgement.findings:
            failed = ", ".join(judgement.failed[:20])
            rules = sorted({finding.rule for finding in judgement.findings})
            message = f"failed hidden tests: {failed}" if failed else "failed the hidden tests"
            rule = "hidden-test-failed" if "test-failed" in rules else rules[0]
            self.findings.append(Finding(Severity.ERROR, rule, message))

    def verdict(self) -> Verdict:
        passed = not self.blocked
        return Verdict(
            passed=passed,
            executed=self.executed,
            isolation=self._isolation,
            # What rejects comes first: it is what people and the model look for.
            findings=tuple(bounded(sorted(self.findings, key=lambda finding: not finding.severity.blocks))),
            tests_passed=tuple(self._passed),
            tests_total=self._total,
            duration_ms=(time.monotonic() - self._started - self.waited) * 1000,
            cpu_ms=self.cpu_ms,
            assurance=("tested" if self.executed else "static") if passed else "",
        )
