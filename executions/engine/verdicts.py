"""Verdicts in the ledger: an attempt ends, and with it perhaps the atom, its wave, the execution.

Only the model's attempts count. An answer of the cache that is rejected leaves the atom to the model; a person's code that
is rejected leaves the atom as it was.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from executions.engine import dialect
from executions.engine.answer_cache import KnownAnswer
from executions.engine.attempt_rows import NewAttempt, insert_attempts
from executions.engine.cached_rows import AcceptedAnswer, CachePlace
from executions.engine.calls import goes_on, is_settled, note_late
from executions.engine.claims import ClaimedAtom, holds, release
from executions.engine.ledger import Change
from executions.engine.progress import Ending, end_atom, end_review_rejected
from executions.engine.rows import Touched
from executions.engine.shared_files import misfit
from executions.engine.transaction import ExecutionTransaction, LockedExecution
from executions.findings import Finding
from executions.states import (
    ATTEMPT_COUNTED,
    AtomStatus,
    AttemptKind,
    AttemptStatus,
    ExecutionStatus,
)

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper


@dataclass(frozen=True, slots=True)
class RecordVerdict(Change[int | None]):
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
    duration_ms: float | None
    """None: nothing was validated now, the verdict is an earlier one."""
    cpu_ms: float | None
    kind: AttemptKind = AttemptKind.MODEL
    place: CachePlace | None = None
    """Where the model's answer is kept in the cache when it is accepted."""
    known: KnownAnswer | None = None
    """Of an answer from the cache: what was found there. Its attempt begins and ends with this verdict."""
    shares_file: bool = False
    """Other atoms have the same target file. What was accepted for them meanwhile, nobody who judged this answer knew."""
    call_id: uuid.UUID | None = None
    """Of the call that brought the answer, where nobody has heard yet whether the answer is kept. It comes before this
    verdict; where it was not kept, neither is the verdict."""
    misfits: list[Finding] = field(default_factory=list, init=False, compare=False)
    """Why an answer that passed was rejected after all, as the last writing of this verdict found."""

    def execution_ids(self, cursor: CursorWrapper) -> Iterable[uuid.UUID]:
        return (self.claim.execution_id,)

    def touches(self) -> Touched:
        calls = () if self.call_id is None else (self.call_id,)
        return Touched(atoms=(self.claim.run_id,), attempts=(self.attempt_id,), calls=calls)

    def apply(self, unit: ExecutionTransaction) -> int | None:
        execution = unit.executions[self.claim.execution_id]
        held = holds(unit, self.claim)
        used = unit.rows.atom(self.claim.run_id).attempts
        if unit.again and self._is_written(unit):
            # The commit went through, but the connection broke before it could say so.
            # Not given back where the execution was stopped meanwhile: the next call may have been committed with it, and who
            # has none yet is told when he asks for one.
            return used if held else None
        if self.call_id is not None and not (held and is_settled(unit, self.call_id)):
            # Who brings the answer late has said so.
            return None
        if not held:
            note_late(unit, execution, self.claim, "verdict")
            return None
        if self.known is not None:
            self._begin(unit, execution, self.known)
        if self.shares_file:
            self.misfits[:] = self._look_at_the_file(unit, execution)
        if self._accepted_now and self.kind is AttemptKind.PERSON:
            self._supersede_earlier(unit)
        if not self._end_attempt(unit):
            return used if goes_on(unit, execution, self.claim) else None
        self._tell(unit, execution)
        attempts = used
        if self.kind is AttemptKind.MODEL:
            attempts += 1
            self._count(unit, execution, attempts)
        if self._accepted_now:
            self._accept(unit, execution)
            return None
        claim = self.claim
        if self.kind is AttemptKind.PERSON:
            error = self._error("The supplied code was rejected:")
            end_review_rejected(unit, execution, claim.run_id, claim.key, claim.wave, error)
            return None
        if attempts >= self.max_attempts:
            error = self._error(f"Failed after {attempts} attempts:")
            ending = Ending(AtomStatus.FAILED, reason="attempts", error=error)
            end_atom(unit, execution, claim.run_id, claim.key, claim.wave, ending)
            return None
        if execution.status is ExecutionStatus.RUNNING:
            return attempts
        release(unit, claim, None)
        return None

    @property
    def _accepted_now(self) -> bool:
        return self.passed and not self.misfits

    @property
    def _all_findings(self) -> Sequence[Finding]:
        return [*self.findings, *self.misfits]

    def _look_at_the_file(self, unit: ExecutionTransaction, execution: LockedExecution) -> list[Finding]:
        if not self.passed:
            return []
        finding = misfit(unit, execution, self.claim.key, self.code)
        return [] if finding is None else [finding]

    def _is_written(self, unit: ExecutionTransaction) -> bool:
        attempt = unit.rows.attempt(self.attempt_id)
        return attempt is not None and attempt.status in ATTEMPT_COUNTED

    def _begin(self, unit: ExecutionTransaction, execution: LockedExecution, known: KnownAnswer) -> None:
        attempt = NewAttempt(
            id=self.attempt_id,
            execution_id=execution.id,
            run_id=self.claim.run_id,
            generation=self.claim.generation,
            number=self.number,
            kind=self.kind,
            origin=known.accepted.origin,
            strategy=self.kind.value,
        )
        insert_attempts(unit, [attempt])
        unit.event(
            execution,
            "attempt.started",
            wave=self.claim.wave,
            atom=self.claim.key,
            attempt=self.number,
            kind=self.kind.value,
            strategy=self.kind.value,
            temperature=None,
        )

    def _supersede_earlier(self, unit: ExecutionTransaction) -> None:
        """What was accepted before makes room for a person's code."""
        unit.cursor.execute(
            "UPDATE executions_attempt SET superseded = %s WHERE atom_run_id = %s AND status = 'passed' AND superseded = %s"
            " AND id <> %s",
            [True, dialect.uid(self.claim.run_id), False, dialect.uid(self.attempt_id)],
        )

    def _tell(self, unit: ExecutionTransaction, execution: LockedExecution) -> None:
        unit.event(
            execution,
            "attempt.ended",
            wave=self.claim.wave,
            atom=self.claim.key,
            attempt=self.number,
            status=(AttemptStatus.PASSED if self._accepted_now else AttemptStatus.REJECTED).value,
            issues=len(self._all_findings),
            blocking=sum(1 for finding in self._all_findings if finding.severity.blocks),
            **({} if self.kind is AttemptKind.MODEL else {"kind": self.kind.value}),
        )

    def _count(self, unit: ExecutionTransaction, execution: LockedExecution, attempts: int) -> None:
        row = unit.rows.atom(self.claim.run_id)
        row.attempts, row.status = attempts, AtomStatus.GENERATING.value
        unit.rows.changed(row)
        for counter, counts in (
            ("attempts_total", True),
            ("attempts_passed", self._accepted_now),
            ("retries_total", self.number > 1),
            ("retries_passed", self.number > 1 and self._accepted_now),
        ):
            if counts:
                execution.add(counter)

    def _accept(self, unit: ExecutionTransaction, execution: LockedExecution) -> None:
        claim = self.claim
        if self.known is not None:
            execution.add("cache_hits")
            if self.known.trusted:
                unit.cached.used(self.known.scope, self.known.place.key)
            else:
                # Judged again among other files: from now on it is trusted among these.
                place = replace(self.known.place, scopes=(self.known.scope,))
                unit.cached.store(place, self._accepted(self.known.accepted.origin))
        elif self.kind is AttemptKind.MODEL and self.place is not None:
            unit.cached.store(self.place, self._accepted(self.attempt_id))
        ending = Ending(AtomStatus.SUCCEEDED, assurance=self.assurance, accepted=self.attempt_id)
        end_atom(unit, execution, claim.run_id, claim.key, claim.wave, ending)

    def _accepted(self, origin: uuid.UUID) -> AcceptedAnswer:
        return AcceptedAnswer(
            code=self.code,
            assurance=self.assurance,
            isolation=self.isolation,
            tests_passed=tuple(self.tests_passed),
            tests_total=self.tests_total,
            origin=origin,
        )

    def _end_attempt(self, unit: ExecutionTransaction) -> bool:
        """Whether it was still running."""
        attempt = unit.rows.attempt(self.attempt_id)
        if attempt is None or attempt.status != AttemptStatus.RUNNING:
            return False
        unit.rows.end_attempt(
            attempt,
            (AttemptStatus.PASSED if self._accepted_now else AttemptStatus.REJECTED).value,
            (
                dialect.text(self.code),
                self.isolation,
                dialect.dump(list(self.tests_passed)),
                self.tests_total,
                self.duration_ms,
                self.cpu_ms,
                dialect.at(unit.now),
            ),
        )
        unit.rows.add_issues(
            (
                dialect.uid(self.attempt_id),
                ordinal,
                finding.severity.value,
                finding.rule,
                dialect.text(finding.message),
                finding.line,
                dialect.text(finding.hint),
            )
            for ordinal, finding in enumerate(self._all_findings, start=1)
        )
        return True

    def _error(self, heading: str) -> str:
        blocking = [finding.message for finding in self._all_findings if finding.severity.blocks]
        return "\n".join([heading, *(f"- {message}" for message in blocking)])
