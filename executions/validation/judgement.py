"""From what the sandbox tells to what it means for the answer. Pure. Only here a test counts as passed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field

from executions.findings import Finding, Severity
from executions.validation.expected_tests import ExpectedTests
from executions.validation.sandbox.isolation import SandboxResult, SandboxUnavailable
from executions.validation.sandbox.limits import Limits
from executions.validation.sandbox.reports import Reported


@dataclass(frozen=True, slots=True)
class Judgement:
    """One run of one test module. It passed when there is no finding and at least one test."""

    findings: list[Finding]
    passed: tuple[str, ...]
    failed: tuple[str, ...]
    total: int


def judge(
    result: SandboxResult, expected: ExpectedTests, limits: Limits, line_of: Callable[[int], int | None]
) -> Judgement:
    """`line_of` turns a line of the target file into one of the answer.

    Passed needs: each expected test reported exactly once and passed, nothing skipped, the epilogue reached,
    every planted test failed, no trick noticed. Raises SandboxUnavailable when the test process broke before
    any generated code was loaded.
    """
    return _Judging(result, expected, limits, line_of).judgement()


@dataclass(slots=True)
class _Judging:
    result: SandboxResult
    expected: ExpectedTests
    limits: Limits
    line_of: Callable[[int], int | None]
    findings: list[Finding] = field(default_factory=list)
    outcomes: dict[str, Reported] = field(default_factory=dict)
    twice: set[str] = field(default_factory=set)

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
        self._tricks()
        if not self.findings:
            self._ending()
            self._loading()
            self._results()
        passed = tuple(test for test in self._tests() if self.outcomes[test].outcome == "passed")
        failed = tuple(test for test in self._all_ids() if test not in passed)
        return Judgement(self.findings, passed, failed, len(passed) + len(failed))

    def _tricks(self) -> None:
        """Whatever makes the whole run unbelievable. Nothing else is reported beside it."""
        report = self.result.report
        if report.voided:
            self._critical("forged-result", f"interferes with the report of its own tests: {report.voided}")
        elif self.result.killed_for == "report":
            self._critical("forged-result", "interferes with the report of its own tests: it is far too long")
        elif self.twice:
            self._critical(
                "forged-result", "interferes with the report of its own tests: a test is reported twice"
            )
        for line in report.lines:
            if line.kind == "trick":
                self._critical(
                    "always-equal", f"{line.test or 'a test'} compares an object that equals everything"
                )
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
            "disk": ("disk-limit", f"wrote more than {self.limits.scratch_size >> 20} MB of files{where}"),
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
                self._critical("import-failed", f"the tests cannot import it: {line.message}", line)

    def _results(self) -> None:
        for line in self.result.report.lines:
            if line.kind == "problem":
                self._error("test-failed", f"{line.test}: {line.message}", line)
        rules = {
            "failed": "test-failed",
            "exit": "exit-in-test",
            "memory": "memory-limit",
            "skipped": "test-skipped",
        }
        for test in self._tests():
            line = self.outcomes[test]
            if line.outcome == "passed":
                continue
            rule = rules.get(line.outcome, "test-failed")
            message = {
                "exit": f"{test}: ends the program ({line.message})",
                "memory": f"{test}: used more than {self.limits.address_space >> 20} MB",
                "skipped": f"{test}: was skipped ({line.message})",
            }.get(line.outcome, f"{test}: {line.message}")
            self._error(rule, message, line)
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

    def _tests(self) -> list[str]:
        """Reported tests but the planted ones."""
        return [test for test in self.outcomes if test not in self.result.planted]

    def _bases(self) -> set[str]:
        return {_base(test) for test in self._tests()}

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


def _base(test: str) -> str:
    """`test_x[1-2]` is one of `test_x`."""
    return test.partition("[")[0]
