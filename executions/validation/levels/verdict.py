"""What is found of a whole project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from executions.findings import Finding
from executions.validation.verdict import Isolation


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """`passed`: every module was imported and every test ran and passed."""

    findings: tuple[Finding, ...]
    tests_passed: int
    tests_total: int
    """The import of a module counts as a test."""
    isolation: str
    duration_ms: float
    cpu_ms: float

    @property
    def passed(self) -> bool:
        return not any(finding.severity.blocks for finding in self.findings)

    @classmethod
    def of(cls, *findings: Finding) -> Self:
        """A verdict that needed no execution."""
        return cls(findings, 0, 0, Isolation.NONE.value, 0.0, 0.0)
