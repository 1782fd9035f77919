"""Claims of gates: under a lease, with a fence that goes up each time, as those of atoms."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta

from executions.engine import dialect
from executions.engine.transaction import ExecutionTransaction, LockedExecution
from executions.states import GateLevel, GateStatus


@dataclass(frozen=True, slots=True)
class ClaimedGate:
    """A gate under our lease."""

    gate_id: uuid.UUID
    execution_id: uuid.UUID
    level: GateLevel
    wave: int | None
    owner: str
    fence: int

    @property
    def name(self) -> str:
        return f"wave {self.wave}" if self.level is GateLevel.WAVE else "masterplan"


def take_gates(
    unit: ExecutionTransaction, execution: LockedExecution, owner: str, lease: timedelta, count: int
) -> list[ClaimedGate]:
    """Claim the first ready gates of an execution, in their order."""
    if count <= 0 or not execution.counters["gates_due"]:
        return []
    unit.cursor.execute(
        "SELECT id, level, wave, fence FROM executions_gate WHERE execution_id = %s AND status = 'ready'"
        " AND (not_before IS NULL OR not_before <= %s) ORDER BY position LIMIT %s",
        [dialect.uid(execution.id), dialect.at(unit.now), count],
    )
    claimed = [
        ClaimedGate(dialect.to_uuid(gate_id), execution.id, GateLevel(level), wave, owner, fence + 1)
        for gate_id, level, wave, fence in unit.cursor.fetchall()
    ]
    for claim in claimed:
        unit.cursor.execute(
            "UPDATE executions_gate SET status = 'running', lease_owner = %s, lease_until = %s, fence = %s, not_before = NULL,"
            " started_at = %s WHERE id = %s",
            [
                owner,
                dialect.at(unit.now + lease),
                claim.fence,
                dialect.at(unit.now),
                dialect.uid(claim.gate_id),
            ],
        )
        execution.add("gates_due", -1)
        unit.event(execution, "gate.started", wave=claim.wave, level=claim.level.value)
    return claimed


def holds_gate(unit: ExecutionTransaction, claim: ClaimedGate) -> bool:
    """Whether the claim's owner still holds the gate."""
    return state_of(unit, claim) == (GateStatus.RUNNING, claim.owner, claim.fence)


def state_of(unit: ExecutionTransaction, claim: ClaimedGate) -> tuple[str, str, int]:
    """Status, owner and fence of the claimed gate, as they are stored."""
    unit.cursor.execute(
        "SELECT status, lease_owner, fence FROM executions_gate WHERE id = %s", [dialect.uid(claim.gate_id)]
    )
    row = unit.cursor.fetchone()
    return ("", "", 0) if row is None else (row[0], row[1], row[2])
