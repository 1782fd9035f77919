"""Verdicts in the ledger: an attempt ends, and with it perhaps the atom, its wave, the execution."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from executions.engine import dialect
from executions.engine.calls import note_late
from executions.engine.claims import ClaimedAtom, release
from executions.engine.progress import Ending, end_atom
from executions.engine.transaction import ExecutionTransaction
from executions.findings import Finding
from executions.states import AtomStatus, AttemptStatus, ExecutionStatus

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper


@dataclass(frozen=True, slots=True)
class RecordVerdict:
    """An answer was judged. Returns the number of attempts used so far when the same owner may go on, else None."""

    claim: ClaimedAtom
    attempt_id: uuid.UUID
    number: int
    max_attempts: int
    code: str
    passed: bool
    assurance: str
    isolation: str
    findings: Sequence[Finding]
    tests_passed: Sequence[str]
    tests_total: int
    duration_ms: float
    cpu_ms: float

    def execution_ids(self, cursor: CursorWrapper) -> Iterable[uuid.UUID]:
        return (self.claim.execution_id,)

    def apply(self, unit: ExecutionTransaction) -> int | None:
        execution = unit.executions[self.claim.execution_id]
        unit.cursor.execute(
            "SELECT attempts FROM executions_atomrun WHERE id = %s AND lease_owner = %s AND fence = %s"
            " AND status IN ('generating', 'validating')",
            [dialect.uid(self.claim.run_id), self.claim.owner, self.claim.fence],
        )
        row = unit.cursor.fetchone()
        if row is None:
            note_late(unit, execution, self.claim, "verdict")
            return None
        attempts: int = row[0] + 1
        if not self._end_attempt(unit):
            # Written before: the commit went through, but the connection broke before it could say so.
            return row[0] if execution.status is ExecutionStatus.RUNNING else None
        unit.cursor.execute(
            "UPDATE executions_atomrun SET attempts = %s, status = 'generating' WHERE id = %s",
            [attempts, dialect.uid(self.claim.run_id)],
        )
        for counter, counts in (
            ("attempts_total", True),
            ("attempts_passed", self.passed),
            ("retries_total", self.number > 1),
            ("retries_passed", self.number > 1 and self.passed),
        ):
            if counts:
                execution.add(counter)
        status = AttemptStatus.PASSED if self.passed else AttemptStatus.REJECTED
        unit.event(
            execution,
            "attempt.ended",
            wave=self.claim.wave,
            atom=self.claim.key,
            attempt=self.number,
            status=status.value,
            issues=len(self.findings),
            blocking=sum(1 for finding in self.findings if finding.severity.blocks),
        )
        claim = self.claim
        if self.passed:
            ending = Ending(AtomStatus.SUCCEEDED, assurance=self.assurance, accepted=self.attempt_id)
            end_atom(unit, execution, claim.run_id, claim.key, claim.wave, ending)
            return None
        if attempts >= self.max_attempts:
            ending = Ending(AtomStatus.FAILED, reason="attempts", error=self._error(attempts))
            end_atom(unit, execution, claim.run_id, claim.key, claim.wave, ending)
            return None
        if execution.status is ExecutionStatus.RUNNING:
            return attempts
        release(unit, claim, None)
        return None

    def _end_attempt(self, unit: ExecutionTransaction) -> bool:
        """Whether it was still running."""
        unit.cursor.execute(
            "UPDATE executions_attempt SET status = %s, code = %s, isolation = %s, tests_passed = %s, tests_total = %s,"
            " validation_ms = %s, validation_cpu_ms = %s, ended_at = %s WHERE id = %s AND status = 'running'",
            [
                (AttemptStatus.PASSED if self.passed else AttemptStatus.REJECTED).value,
                dialect.text(self.code),
                self.isolation,
                dialect.dump(list(self.tests_passed)),
                self.tests_total,
                self.duration_ms,
                self.cpu_ms,
                dialect.at(unit.now),
                dialect.uid(self.attempt_id),
            ],
        )
        if unit.cursor.rowcount == 0:
            return False
        if self.findings:
            unit.cursor.executemany(
                "INSERT INTO executions_issue (attempt_id, ordinal, severity, rule, message, line, hint)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                [
                    (
                        dialect.uid(self.attempt_id),
                        ordinal,
                        finding.severity.value,
                        finding.rule,
                        dialect.text(finding.message),
                        finding.line,
                        dialect.text(finding.hint),
                    )
                    for ordinal, finding in enumerate(self.findings, start=1)
                ],
            )
        return True

    def _error(self, attempts: int) -> str:
        blocking = [finding.message for finding in self.findings if finding.severity.blocks]
        return "\n".join([f"Failed after {attempts} attempts:", *(f"- {message}" for message in blocking)])
