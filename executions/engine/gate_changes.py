"""Gates in the ledger: claimed under a lease with a fence like atoms, judged, given back, or taken back from the dead.

A gate's result moves the execution on: the next wave opens, or the execution completes. With the policy `stop` a gate that
failed pauses it instead; whoever resumes it has seen that, and the gate is not run again.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings

from executions.engine import dialect
from executions.engine.calls import pause_for
from executions.engine.gate_claims import ClaimedGate, state_of
from executions.engine.gates import cancel_gate, open_gates, tell_end
from executions.engine.ledger import Change, LeaseLost
from executions.engine.progress import settle
from executions.engine.transaction import ExecutionTransaction, LockedExecution
from executions.engine.waves import advance, complete_when_done
from executions.findings import Finding, Severity
from executions.states import ExecutionStatus, GateLevel, GateStatus
from executions.validation.levels.verdict import GateVerdict

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

MOST_TOLD = 5
"""Findings of a gate that its event carries; the row has all that were kept."""
LONGEST_TOLD = 300
"""Characters of each."""


@dataclass(frozen=True, slots=True)
class _OfGate(Change[None]):
    claim: ClaimedGate

    def execution_ids(self, cursor: CursorWrapper) -> Iterable[uuid.UUID]:
        return (self.claim.execution_id,)

    def _held(self, unit: ExecutionTransaction) -> bool:
        """False: this change was written before, and committed. Raises LeaseLost when somebody else has the gate."""
        status, owner, fence = state_of(unit, self.claim)
        if (status, owner, fence) == (GateStatus.RUNNING, self.claim.owner, self.claim.fence):
            return True
        if unit.again and fence == self.claim.fence and not owner:
            return False
        raise LeaseLost(f"gate of {self.claim.name}: fence {self.claim.fence} is no longer ours")


@dataclass(frozen=True, slots=True)
class RecordGate(_OfGate):
    """A project was judged."""

    verdict: GateVerdict
    digest: str
    """Of the project that was judged."""
    stops: bool
    """Whether the execution pauses when the gate has failed."""

    def apply(self, unit: ExecutionTransaction) -> None:
        claim, verdict = self.claim, self.verdict
        execution = unit.executions[claim.execution_id]
        if not self._held(unit):
            return
        status = GateStatus.PASSED if verdict.passed else GateStatus.FAILED
        _end(unit, execution, claim, status, verdict, self.digest)
        if status is GateStatus.FAILED and self.stops:
            pause_for(unit, execution, f"gate of {claim.name} failed: {_first(verdict.findings)}")
            unit.later(open_gates, execution)
        else:
            _go_on(unit, execution)
        settle(unit, execution)


@dataclass(frozen=True, slots=True)
class ReleaseGate(_OfGate):
    """Give a gate back unjudged, to be run later; one of an execution that is being cancelled ends instead."""

    wait: timedelta | None = None

    def apply(self, unit: ExecutionTransaction) -> None:
        execution = unit.executions[self.claim.execution_id]
        if self._held(unit):
            _put_back(unit, execution, self.claim, None if self.wait is None else unit.now + self.wait)
            settle(unit, execution)


@dataclass(frozen=True, slots=True)
class RecordGateDeath(_OfGate):
    """Judging broke down inside a runner that lives on: the same as if its owner had died."""

    def apply(self, unit: ExecutionTransaction) -> None:
        execution = unit.executions[self.claim.execution_id]
        if self._held(unit):
            unit.cursor.execute(
                "SELECT deaths FROM executions_gate WHERE id = %s", [dialect.uid(self.claim.gate_id)]
            )
            _died(unit, execution, self.claim, unit.cursor.fetchone()[0] + 1)
            settle(unit, execution)


def take_back_gates(unit: ExecutionTransaction, execution: LockedExecution, dead: Sequence[str]) -> int:
    """Queue the gates again whose lease has ended, or whose owner is among the `dead`; returns how many."""
    if not execution.gates_total:
        return 0
    unit.cursor.execute(
        "SELECT id, level, wave, deaths, lease_owner, fence FROM executions_gate WHERE execution_id = %s"  # noqa: S608
        " AND status = 'running' AND (lease_until < %s"
        f"{f' OR lease_owner IN ({dialect.marks(len(dead))})' if dead else ''}) ORDER BY position",
        [dialect.uid(execution.id), dialect.at(unit.now), *dead],
    )
    rows = unit.cursor.fetchall()
    for gate_id, level, wave, deaths, owner, fence in rows:
        claim = ClaimedGate(dialect.to_uuid(gate_id), execution.id, GateLevel(level), wave, owner, fence)
        unit.event(execution, "gate.lost", wave=wave, level=level, owner=owner, fence=fence)
        _died(unit, execution, claim, deaths + 1)
    return len(rows)


def _died(unit: ExecutionTransaction, execution: LockedExecution, claim: ClaimedGate, deaths: int) -> None:
    if execution.status is not ExecutionStatus.CANCELLING and deaths >= settings.MGE_MAX_DEATHS:
        finding = Finding(
            Severity.CRITICAL, "not-judged", f"its owner died {deaths} times while judging the project"
        )
        _end(unit, execution, claim, GateStatus.FAILED, GateVerdict.of(finding), "")
        _go_on(unit, execution)
    else:
        _put_back(unit, execution, claim, None)
    unit.cursor.execute(
        "UPDATE executions_gate SET deaths = %s WHERE id = %s", [deaths, dialect.uid(claim.gate_id)]
    )


def _put_back(
    unit: ExecutionTransaction, execution: LockedExecution, claim: ClaimedGate, not_before: Any
) -> None:
    if execution.status is ExecutionStatus.CANCELLING:
        cancel_gate(unit, execution, dialect.uid(claim.gate_id), claim.level.value, claim.wave)
        return
    unit.cursor.execute(
        "UPDATE executions_gate SET status = 'ready', lease_owner = '', lease_until = NULL, not_before = %s WHERE id = %s",
        [dialect.at(not_before), dialect.uid(claim.gate_id)],
    )
    execution.add("gates_due")


def _end(
    unit: ExecutionTransaction,
    execution: LockedExecution,
    claim: ClaimedGate,
    status: GateStatus,
    verdict: GateVerdict,
    digest: str,
) -> None:
    unit.cursor.execute(
        "UPDATE executions_gate SET status = %s, lease_owner = '', lease_until = NULL, run_number = %s, findings = %s,"
        " tests_passed = %s, tests_total = %s, isolation = %s, project_digest = %s, duration_ms = %s, cpu_ms = %s,"
        " ended_at = %s WHERE id = %s",
        [
            status.value,
            execution.run_number,
            dialect.dump(
                [
                    {"severity": one.severity.value, "rule": one.rule, "message": one.message}
                    for one in verdict.findings
                ]
            ),
            verdict.tests_passed,
            verdict.tests_total,
            verdict.isolation,
            digest,
            verdict.duration_ms,
            verdict.cpu_ms,
            dialect.at(unit.now),
            dialect.uid(claim.gate_id),
        ],
    )
    execution.add(f"gates_{status.value}")
    tell_end(
        unit,
        execution,
        claim.level.value,
        claim.wave,
        status,
        tests_passed=verdict.tests_passed,
        tests_total=verdict.tests_total,
        findings=[
            {"severity": one.severity.value, "rule": one.rule, "message": one.message[:LONGEST_TOLD]}
            for one in verdict.findings[:MOST_TOLD]
        ],
        findings_total=len(verdict.findings),
        isolation=verdict.isolation,
        seconds=round(verdict.duration_ms / 1000, 3),
    )


def _go_on(unit: ExecutionTransaction, execution: LockedExecution) -> None:
    """What waited for a gate: the masterplan's gate, the next wave, the end."""
    unit.later(open_gates, execution)
    if execution.schedule == "waves":
        advance(unit, execution)
    else:
        complete_when_done(unit, execution)


def _first(findings: Sequence[Finding]) -> str:
    """The first finding that blocks, in one line."""
    message = next((one.message for one in findings if one.severity.blocks), "no finding")
    return " ".join(message.split())[:LONGEST_TOLD]
