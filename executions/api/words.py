"""The states as the interface writes them: one list each, so that each has one name in the OpenAPI document."""

from __future__ import annotations

from executions.states import (
    ORIGINAL_WORD,
    AtomStatus,
    AttemptKind,
    AttemptStatus,
    ExecutionStatus,
    GateLevel,
    GateStatus,
    WaveStatus,
)

EXECUTION_STATUSES = [one.value for one in ExecutionStatus]
ORIGINAL_STATUSES = sorted(set(ORIGINAL_WORD.values()))
WAVE_STATUSES = [one.value for one in WaveStatus]
GATE_LEVELS = [one.value for one in GateLevel]
GATE_STATUSES = [one.value for one in GateStatus]
ATOM_STATUSES = [one.value for one in AtomStatus]
ATTEMPT_STATUSES = [one.value for one in AttemptStatus]
ATTEMPT_KINDS = [one.value for one in AttemptKind]
