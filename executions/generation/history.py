"""Earlier attempts at an atom as the next one sees them, and which of them was the best."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from executions.findings import Finding, Severity
from executions.generation.python_source import parse


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """An attempt that ended with a verdict."""

    number: int
    code: str
    findings: tuple[Finding, ...]
    tests_passed: tuple[str, ...]
    """Names of the tests that passed."""
    tests_total: int

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """What rejected it, without repetitions: CRITICAL first, then by line."""
        unique = dict.fromkeys(finding for finding in self.findings if finding.severity.blocks)
        return tuple(
            sorted(unique, key=lambda finding: (finding.severity is not Severity.CRITICAL, finding.line or 0))
        )


def best_of(attempts: Iterable[PastAttempt]) -> PastAttempt:
    """The attempt to go on from: it parses, then the larger share of tests passed, then the later one.

    An answer with a CRITICAL finding counts like one that does not parse: it could not be looked at or run.
    """
    return max(attempts, key=_rank)


def _rank(attempt: PastAttempt) -> tuple[bool, bool, float, int]:
    usable = not any(finding.severity is Severity.CRITICAL for finding in attempt.findings)
    share = len(attempt.tests_passed) / attempt.tests_total if attempt.tests_total > 0 else 0.0
    return bool(attempt.code.strip()) and usable, parse(attempt.code) is not None, share, attempt.number
