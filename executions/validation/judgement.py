"""From what the sandbox tells to what it means for the answer. Pure. Only here a test counts as passed."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass, field

from executions.findings import Finding, Severity
from executions.validation.expected_tests import ExpectedTests
from executions.validation.outside import Outside
from executions.validation.outside_judgement import OutsideJudgement, compare_outside
from executions.validation.sandbox.isolation import SandboxResult, SandboxUnavailable
from executions.validation.sandbox.limits import Limits
from executions.validation.sandbox.reports import Reported

_TRICKS = {
    "always-equal": "{} compares an object that equals everything",
    "always-true": "{} compares an object that holds everything, or is less than itself",
    "patched-runner": "replaces parts of what runs and judges the tests",
    "rewritten-tests": "changes the code of the tests",
}
_NUMBER = re.compile("-?[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Judgement:
    """One run of one test module. It passed when there is no finding and at least one test."""

    findings: list[Finding]
    passed: tuple[str, ...]
    failed: tuple[str, ...]
    total: int
    undecided: frozenset[str] = frozenset()
    """Tests of a run that came to its end, some of whose values can only be compared inside."""


def judge(
    result: SandboxResult,
    expected: ExpectedTests,
    limits: Limits,
    line_of: Callable[[int], int | None],
    outside: Outside,
) -> Judgement:
    """`line_of` turns a line of the target file into one of the answer; `outside` is what went into the sandbox.

    Passed needs: each expected test reported exactly once and passed, nothing skipped, the epilogue reached,
    every planted test failed, no trick noticed, every comparison that is decided outside held, and none of those
    missing that a passed test cannot have gone without. Raises SandboxUnavailable when the test process broke
    before any generated code was loaded.
    """
    return _Judging(result, expected, limits, line_of, outside).judgement()


@dataclass(slots=True)
class _Judging:
    result: SandboxResult
    expected: ExpectedTests
    limits: Limits
    line_of: Callable[[int], int | None]
    outside: Outside
    findings: list[Finding] = field(default_factory=list)
    outcomes: dict[str, Reported] = field(default_factory=dict)
    twice: set[str] = field(default_factory=set)
    compared: OutsideJudgement = field(default_factory=OutsideJudgement)

    def judgement(self) -> Judgement:
        lines = self.result.report.lines
        if (
            not lines
            and not self.result.killed_for
            and not self.result.report.voided
            and not self.result.signal
        ):
            raise SandboxUnavailable(f"the test process did not start: {self.result.output[-300:].strip()}")
        for line in lines:
            if line.kind == "result":
                if line.test in self.outcomes:
                    self.twice.add(line.test)
                self.outcomes[line.test] = line
        self.compared = compare_outside(lines, self.outside)
        self._tricks()
        if not self.findings:
            self._ending()
            self._loading()
            self._results()
        passed = tuple(test for test in self._tests() if self._has_passed(test))
        failed = tuple(test for test in self._all_ids() if test not in passed)
        undecided = frozenset(self.compared.not_plain if self._complete() else ())
        return Judgement(self.findings, passed, failed, len(passed) + len(failed), undecided)

    def _has_passed(self, test: str) -> bool:
        return self.outcomes[test].outcome == "passed" and test not in self.compared.failed

    def _complete(self) -> bool:
        """Whether the run came to its end and nothing in it is unbelievable."""
        return self.result.report.finished and not any(
            finding.severity is Severity.CRITICAL for finding in self.findings
        )

    def _tricks(self) -> None:
        """Whatever makes the whole run unbelievable. Nothing else is reported beside it."""
        report = self.result.report
        if report.voided:
            self._critical("forged-result", f"interferes with the report of its own tests: {report.voided}")
        elif self.result.killed_for == "report":
            self._critical("forged-result", "interferes with the report of its own tests: it is far too long")
        elif self.compared.forged:
            self._critical(
                "forged-result", f"interferes with the report of its own tests: {self.compared.forged}"
            )
        elif self.twice:
            self._critical(
                "forged-result", "interferes with the report of its own tests: a test is reported twice"
            )
        for line in report.lines:
            if line.kind == "trick":
                said = _TRICKS.get(line.outcome)
                if said is None:
                    self._critical("forged-result", "interferes with the report: it holds an unknown finding")
                else:
                    self._critical(line.outcome, said.format(line.test or "a test"))
                return
        if report.finished and not report.voided:
            for test in self.result.planted:
                planted = self.outcomes.get(test)
                if planted is not None and planted.outcome == "passed":
                    self._critical(
                        "not-trustworthy", "changes how tests are judged: one that was planted to fail passed"
                    )
                    return

    def _ending(self) -> None:
        result, running = self.result, self._running()
        where = f" while {running} was running" if running else " while it was imported"
        reasons = {
            "wall": ("timeout", f"took longer than {self.limits.wall_seconds:g} s{where}"),
            "outer": (
                "timeout",
                f"took longer than {self.limits.outer_seconds:g} s and stopped its monitor{where}",
            ),
            "memory": ("memory-limit", f"used more than {self.limits.memory_of_all >> 20} MB{where}"),
            "processes": ("process-limit", f"started more than {self.limits.processes} processes{where}"),
            "disk": (
                "disk-limit",
                f"wrote more than {self.limits.scratch_size >> 20} MB of files, or too many{where}",
            ),
            "output": ("output-limit", f"printed more than {self.limits.output_total >> 20} MB{where}"),
            "lost": ("sandbox-lost", f"ended the run without a result{where}"),
        }
        if result.killed_for in reasons:
            self._error(*reasons[result.killed_for])
        elif result.signal is not None:
            self._signalled(result.signal, where)
        elif not result.report.finished:
            if running:
                self._error("exit-in-test", f"{running}: ends the process instead of returning")
            elif not self._loaded():
                self._critical("exit-at-import", "ends the process while it is imported")
            else:
                self._critical("exit-before-end", "ends the process before all tests were done")

    def _signalled(self, number: int, where: str) -> None:
        too_long = ("timeout", f"used more than {self.limits.cpu_seconds} s of processor time{where}")
        if number == signal.SIGXCPU:
            self._error(*too_long)
        elif number == signal.SIGKILL:
            # Without us: the kernel, for the hard limit of processor time or for memory.
            spent = self.result.cpu_ms >= self.limits.cpu_seconds * 1000
            self._error(
                *(too_long if spent else ("memory-limit", f"was killed by the system for its memory{where}"))
            )
        else:
            self._error("crashed", f"crashed the interpreter (signal {number}){where}")

    def _loading(self) -> None:
        for line in self.result.report.lines:
            if line.kind != "not-loaded":
                continue
            if line.outcome == "exit":
                self._critical(
                    "exit-at-import", f"ends the program while it is imported ({line.message})", line
                )
            elif line.message.startswith("MemoryError"):
                self._error(
                    "memory-limit",
                    f"used more than {self.limits.address_space >> 20} MB while it was imported",
                )
            else:
                self._critical("import-failed", f"the tests cannot import it: {self._placed(line)}", line)

    def _results(self) -> None:
        for line in self.result.report.lines:
            if line.kind == "problem":
                self._error("test-failed", f"{line.test}: {self._placed(line)}", line)
        rules = {
            "failed": "test-failed",
            "exit": "exit-in-test",
            "memory": "memory-limit",
            "skipped": "test-skipped",
        }
        for test in self._tests():
            line = self.outcomes[test]
            if test in self.compared.failed:
                # Whatever it did afterwards: there the test would have ended.
                self._error("test-failed", f"{test}: {self.compared.failed[test]}")
                continue
            if line.outcome == "passed":
                missing_values = self._missing_values(line)
                if missing_values:
                    self._critical("forged-result", f"{test} is reported as passed without {missing_values}")
                continue
            rule = rules.get(line.outcome, "test-failed")
            message = {
                "exit": f"{test}: ends the program ({line.message})",
                "memory": f"{test}: used more than {self.limits.address_space >> 20} MB",
                "skipped": f"{test}: was skipped ({line.message})",
            }.get(line.outcome, f"{test}: {self._placed(line)}")
            self._error(rule, message, line)
        for test in self.compared.failed:
            if test not in self.outcomes:  # it never came to its end, as `_ending` says
                self._error("test-failed", f"{test}: {self.compared.failed[test]}")
        explained = bool(self.findings)
        missing = [test for test in self.expected.ids if test not in self._bases()]
        if missing and not explained:
            self._error("test-not-run", f"{', '.join(missing[:20])}: did not run")
        elif not self.expected.ids and not self._bases() and not explained:
            self._error("no-tests", "the tests hold no test that can be found")
        foreign = [
            test for test in self._tests() if self.expected.runner == "own" and test not in self.expected.ids
        ]
        if foreign:
            self._critical("forged-result", f"interferes with the report: nobody asked for {foreign[0]}")
        if not self.findings and any(test not in self.outcomes for test in self.result.planted):
            self._critical("not-trustworthy", "changes how tests are judged: the planted ones did not run")

    def _missing_values(self, line: Reported) -> str:
        """What a test that is reported as passed cannot have passed without, in the author's words."""
        test = base_name(line.test)
        missing = sorted(
            self.outside.required.get(test, frozenset()) - self.compared.seen.get(line.test, set())
        )
        if missing:
            return f"having come to `{self.outside.comparisons[missing[0]].text[:200]}`"
        held = {int(number) for number in line.message.split(",") if _NUMBER.fullmatch(number)}
        lines = self.outside.required_lines.get(test, frozenset()) - held
        if not lines:
            return ""
        first = min(lines, key=lambda number: (number < 0, number))
        statement = self.outside.statement(abs(first))[:200]
        return f"having come to `{statement}`" if first > 0 else f"having come to the end of `{statement}`"

    def _placed(self, line: Reported) -> str:
        """The message with the author's statement that it came from."""
        statement = self.outside.statement(line.at)
        return f"{line.message} (at `{statement[:200]}`)" if statement else line.message

    def _tests(self) -> list[str]:
        """Reported tests but the planted ones."""
        return [test for test in self.outcomes if test not in self.result.planted]

    def _bases(self) -> set[str]:
        return {base_name(test) for test in self._tests()}

    def _all_ids(self) -> list[str]:
        reported = self._tests()
        bases = self._bases()
        return reported + [test for test in self.expected.ids if test not in bases]

    def _loaded(self) -> bool:
        return any(line.kind == "begin" for line in self.result.report.lines)

    def _running(self) -> str:
        """The test that had begun and not ended, if any."""
        for line in reversed(self.result.report.lines):
            if line.kind == "begin":
                return line.test
            if line.kind in ("result", "loading"):
                return ""
        return ""

    def _critical(self, rule: str, message: str, line: Reported | None = None) -> None:
        self._add(Severity.CRITICAL, rule, message, line)

    def _error(self, rule: str, message: str, line: Reported | None = None) -> None:
        self._add(Severity.ERROR, rule, message, line)

    def _add(self, severity: Severity, rule: str, message: str, line: Reported | None) -> None:
        number = self.line_of(line.line) if line is not None and line.line > 0 else None
        self.findings.append(Finding(severity, rule, message, number))


def base_name(test: str) -> str:
    """`test_x[1-2]` is one of `test_x`."""
    return test.partition("[")[0]
