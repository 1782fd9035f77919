"""Level 1 as a whole: text gate → parse and contract → lint, types → tests in the sandbox → verdict."""

from __future__ import annotations

import ast
import asyncio
import os
import time
import weakref
from collections.abc import Mapping
from dataclasses import replace

from executions.findings import Finding, Severity
from executions.languages import KNOWN, PYTHON, Language, language_named
from executions.validation.candidate import Candidate
from executions.validation.contract import bindings, check_contract
from executions.validation.expected_tests import ExpectedTests, UnreadableTests
from executions.validation.feedback import bounded
from executions.validation.judgement import Judgement, base_name, judge
from executions.validation.languages.syntax import check_other_language
from executions.validation.outside import Outside, inside_twin
from executions.validation.outside_masking import prepared
from executions.validation.parsing import SMALL, parse
from executions.validation.review_notes import review_notes
from executions.validation.sandbox.isolation import SandboxJob, SandboxUnavailable
from executions.validation.sandbox.limits import DEFAULT_LIMITS, Limits
from executions.validation.sandbox.sandbox import Sandbox
from executions.validation.source_lines import answer_lines
from executions.validation.static.checks import StaticChecks
from executions.validation.static.piece import Piece
from executions.validation.stub import stub_of
from executions.validation.stub_proof import all_fail_on_a_stub, own_functions
from executions.validation.stub_runs import StubOutcome, StubRuns, stub_key
from executions.validation.text_gate import read_text
from executions.validation.verdict import Isolation, Verdict

__all__ = ["VALIDATORS", "SandboxUnavailable", "Validator", "validator_set"]

VALIDATORS = frozenset({"syntax", "contract", "lint", "types", "tests"})
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


VALIDATORS_VERSION = 2
"""Goes up with every change after which the same answer may be judged otherwise: what was accepted before then counts no
more as an answer to what is asked.
"""


_MOST_NAMED = 20


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
        self._checks = StaticChecks()
        self._stubs = StubRuns()
        self._max_parallel = max_parallel or (os.cpu_count() or 1) + 2
        # A semaphore belongs to the loop that first waited on it.
        self._slots: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]
        self._slots = weakref.WeakKeyDictionary()

    async def validate(self, candidate: Candidate) -> Verdict:
        """The verdict on one answer. What the answer does is never an exception.

        Raises SandboxUnavailable when its tests must be run and nothing here isolates them, or when the
        sandbox itself breaks: no fault of the answer, so no verdict.
        """
        with self._checks.one_in_flight():
            return await self._validate(candidate, language_named(candidate.language))

    async def _validate(self, candidate: Candidate, language: Language | None) -> Verdict:
        wants_tests = (
            "tests" in self._validators
            and language is not None
            and language.runs_tests
            and bool(candidate.tests.strip() or candidate.hidden_tests.strip())
        )
        if wants_tests and self._sandbox.isolation is Isolation.NONE:
            raise SandboxUnavailable(
                "these tests cannot be run here: nothing isolates them; `make system-packages` installs "
                "bubblewrap, `manage.py doctor` shows what was tried"
            )
        judging = _Judging(candidate, self._validators, self._limits, self._sandbox.isolation)
        large = max(len(candidate.source), len(candidate.file_text or "")) > SMALL
        # A child looks at a large text first, and the loop has others to serve meanwhile.
        piece = await asyncio.to_thread(judging.static, language) if large else judging.static(language)
        if piece is not None and "lint" in self._validators:
            judging.findings += await self._checks.lint(piece, judging.line_of)
        if piece is None or judging.blocked:
            return judging.verdict()
        # Types never reject, so the tests need not wait for them.
        types = self._types_of(piece, judging)
        try:
            for hidden, tests in ((False, candidate.tests), (True, candidate.hidden_tests)):
                # Hidden tests run in a process of their own, so that the visible ones cannot tell of them.
                if wants_tests and tests.strip() and not judging.blocked:
                    await self._run(judging, tests, hidden=hidden)
            if judging.executed and not judging.blocked:
                await self._try_on_stub(judging, candidate, piece)
            if types is not None:
                judging.findings += await types
        finally:
            if types is not None:
                types.cancel()
        return judging.verdict()

    def _types_of(self, piece: Piece, judging: _Judging) -> asyncio.Task[list[Finding]] | None:
        if "types" not in self._validators:
            return None
        return asyncio.create_task(self._checks.types(piece, judging.line_of))

    async def _run(self, judging: _Judging, tests: str, *, hidden: bool) -> None:
        try:
            expected, outside = prepared(tests)
        except UnreadableTests as error:
            message = "the hidden tests do not parse" if hidden else str(error)
            judging.findings.append(Finding(Severity.CRITICAL, "tests-unreadable", message))
            return
        if not expected.ids and expected.runner == "own":
            judging.findings.append(
                Finding(Severity.ERROR, "no-tests", "the tests hold no test that can be found")
            )
            return
        judgement = await self._judged_once(judging, judging.job(expected, outside), expected, outside)
        if judgement.undecided:
            # Some value is not plain, so it is compared where it is. Nothing is remembered of that: the next answer
            # to the same atom must not be looked at with less care because of this one.
            whole = inside_twin(outside)
            inside = await self._judged_once(judging, judging.job(expected, whole), expected, whole)
            # Both runs have a say: what failed outside has failed.
            judgement = inside if inside.findings or not judgement.findings else judgement
        judging.take(judgement, expected, hidden=hidden)

    async def _try_on_stub(self, judging: _Judging, candidate: Candidate, piece: Piece) -> None:
        """A warning for tests that also pass where nothing is; not run where their text shows that they do not."""
        functions = judging.own_functions(piece)
        texts = [tests for tests in (candidate.tests, candidate.hidden_tests) if tests.strip()]
        if all(
            all_fail_on_a_stub(tests, prepared(tests)[0].ids, candidate.target_path, functions)
            for tests in texts
        ):
            return

        async def tried() -> StubOutcome:
            stub = judging.stub(piece)
            passed: list[str] = []
            total = 0
            for start, tests in (("", candidate.tests), ("hidden::", candidate.hidden_tests)):
                if tests.strip():
                    expected, outside = prepared(tests)
                    job = replace(
                        judging.job(expected, outside), files={**candidate.files, target_path: stub}
                    )
                    judgement = await self._judged_once(judging, job, expected, outside)
                    names = set(map(base_name, judgement.passed))
                    names -= set(map(base_name, (*judgement.failed, *judgement.undecided)))
                    passed += [f"{start}{test}" for test in expected.ids if test in names]
                    total += len(expected.ids)
            return StubOutcome(tuple(passed), bool(passed) and len(passed) == total)

        target_path = candidate.target_path
        kinds = _kinds(piece.tree, candidate.entry_points)
        key = stub_key(candidate.tests, candidate.hidden_tests, kinds, target_path)
        judging.add_stub_outcome(await self._stubs.outcome(key, tried))

    async def _judged_once(
        self, judging: _Judging, job: SandboxJob, expected: ExpectedTests, outside: Outside
    ) -> Judgement:
        loop = asyncio.get_running_loop()
        slots = self._slots.setdefault(loop, asyncio.Semaphore(self._max_parallel))
        waiting = time.monotonic()
        with self._checks.one_waits_for_the_sandbox():
            await slots.acquire()
        try:
            judging.waited += time.monotonic() - waiting
            result = await self._sandbox.run(job)
        finally:
            slots.release()
        judging.executed = True
        judging.cpu_ms += result.cpu_ms
        return judge(result, expected, job.limits, judging.line_of, outside)


def _kinds(tree: ast.Module, names: tuple[str, ...]) -> list[str]:
    """What each entry point is, in words."""
    kinds = {name: type(node).__name__ for name, node in bindings(tree.body)}
    return [f"{name}: {kinds.get(name, '')}" for name in names]


class _Judging:
    """One answer on its way to a verdict."""

    def __init__(
        self, candidate: Candidate, validators: frozenset[str], limits: Limits, isolation: Isolation
    ) -> None:
        self.findings: list[Finding] = []
        self.executed = False
        self.cpu_ms = 0.0
        self.waited = 0.0
        self._candidate = candidate
        self._validators = validators
        self._limits = limits
        self._isolation = isolation
        self._started = time.monotonic()
        self._file = ""
        self._tree: ast.Module | None = None
        self._lines: Mapping[int, int] | None = None
        self._passed: list[str] = []
        self._total = 0

    def static(self, language: Language | None) -> Piece | None:
        """Everything that this process can say by itself; what there is for further checks, None: nothing."""
        if language is None:
            named = self._candidate.language[:40]
            message = f"is in {named}, which nothing here can judge; known are {KNOWN}"
            return self._reject(Finding(Severity.CRITICAL, "language-unknown", message))
        text = read_text(self._candidate.source, language)
        if isinstance(text, Finding):
            return self._reject(text)
        if language is not PYTHON:
            names = self._candidate.entry_points if "contract" in self._validators else ()
            self.findings += check_other_language(language, text, self._candidate.target_path, names)
            return None
        tree = parse(text)
        if isinstance(tree, Finding):
            return self._reject(tree)
        self._tree = tree
        file_tree = self._target_file(text, tree)
        if isinstance(file_tree, Finding):
            return self._reject(file_tree)
        if "contract" in self._validators:
            self.findings += check_contract(
                file_tree, self._candidate.entry_points, self._candidate.signature
            )
        # Of the answer alone, not of what it is assembled with: lines are then the answer's own.
        self.findings += review_notes(tree)
        if self.blocked:
            return None
        return Piece(self._file, file_tree, self._candidate.target_path, self._candidate.files)

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

    def _reject(self, finding: Finding) -> Piece | None:
        self.findings.append(finding)
        return None

    def line_of(self, line: int) -> int | None:
        """The answer's line for a line of the target file."""
        return line if self._lines is None else self._lines.get(line)

    def own_functions(self, piece: Piece) -> frozenset[str]:
        """Functions of this answer that its stub has raise."""
        return own_functions(piece.tree, piece.tree if self._tree is None else self._tree)

    def stub(self, piece: Piece) -> str:
        """A target file in which this answer's part does nothing."""
        return stub_of(piece.tree, None if piece.tree is self._tree else self._tree)

    def job(self, expected: ExpectedTests, outside: Outside) -> SandboxJob:
        return SandboxJob(
            files={**self._candidate.files, self._candidate.target_path: self._file},
            target_path=self._candidate.target_path,
            tests=outside.text,
            suite=expected.runner,
            plan=expected.plan,
            uses_unittest="unittest" in outside.original,
            limits=self._limits,
        )

    def add_stub_outcome(self, outcome: StubOutcome) -> None:
        names = ", ".join(outcome.passed[:_MOST_NAMED])
        more = len(outcome.passed) - _MOST_NAMED
        if not outcome.passed:
            return
        which = "all its tests pass" if outcome.all_of_them else "some of its tests pass"
        message = f"{which} on code that only raises NotImplementedError, so they prove nothing: {names}"
        message += f" and {more} more" if more > 0 else ""
        self.findings.append(Finding(Severity.WARNING, "tests-prove-nothing", message))

    def take(self, judgement: Judgement, expected: ExpectedTests, *, hidden: bool) -> None:
        """Of hidden tests only names are told, and only those that the text holds: a message could quote them, so
        could a parameter, and so could a name that the answer made up."""
        if not hidden:
            self._total += judgement.total
            self._passed += judgement.passed
            self.findings += judgement.findings
            return
        all_failed = set(map(base_name, judgement.failed))
        all_passed = set(map(base_name, judgement.passed)) - all_failed
        self._total += sum(test in all_passed | all_failed for test in expected.ids)
        self._passed += [f"hidden::{test}" for test in expected.ids if test in all_passed]
        if judgement.findings:
            failed = ", ".join([test for test in expected.ids if test in all_failed][:_MOST_NAMED])
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
