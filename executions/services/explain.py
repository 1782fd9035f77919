"""Why an execution does not move, in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from executions.engine.node import ALIVE as NODE_ALIVE
from executions.engine.node import present_nodes
from executions.models import AtomRun, Execution, Gate, Wave
from executions.states import (
    ATOM_LEASED,
    EXECUTION_ENDED,
    Approval,
    AtomStatus,
    ExecutionStatus,
    GateStatus,
)

__all__ = ["MOST_ASKED", "NODE_ALIVE", "Asked", "approvals_asked", "no_worker", "why_waiting"]

MOST_ASKED = 100
"""Atoms that are listed of those that wait for an approval."""


def why_waiting(execution: Execution) -> str:
    """One sentence; empty when atoms or gates are in flight, or nothing is left to do."""
    if execution.status in (ExecutionStatus.PAUSED, ExecutionStatus.PAUSING):
        return execution.status_reason or "paused by a person"
    if execution.status not in (ExecutionStatus.PENDING, ExecutionStatus.RUNNING):
        return ""
    runs = AtomRun.objects.filter(execution=execution)
    if runs.filter(status__in=sorted(ATOM_LEASED)).exists():
        return ""
    if execution.gates_total and Gate.objects.filter(execution=execution, status=GateStatus.RUNNING).exists():
        return ""
    nodes = [node for node in present_nodes() if not node.draining and not node.problem]
    if not nodes:
        return no_worker()
    if execution.needs_sandbox and all(node.isolation == "none" for node in nodes):
        return "no worker that can isolate generated code; `manage.py doctor` says what is missing"
    if not execution.is_built:
        return f"is being stored: {execution.atoms_stored:,} of {execution.atoms_total:,} atoms"
    ready = runs.filter(status=AtomStatus.READY)
    if not ready.exists() and (asked := _asked_for(execution)):
        return asked
    now = datetime.now(UTC)
    later = ready.filter(not_before__gt=now).order_by("not_before").first()
    if later is not None and not ready.exclude(not_before__gt=now).exists():
        return f"waits for the provider until {later.not_before:%H:%M:%S} UTC"
    return "waits for a free worker"


def no_worker() -> str:
    """Why nobody works, where no node takes work: none is there, or those that are claim nothing."""
    nodes = present_nodes()
    if not nodes:
        return "no worker: start one with `manage.py qcluster`"
    if problems := [node for node in nodes if node.problem]:
        return f"no worker claims anything: on {problems[0].host}, {problems[0].problem}"
    return "no worker: those that are there are being stopped"


@dataclass(frozen=True, slots=True)
class Asked:
    """What waits for a person's approval."""

    waves: tuple[int, ...] = ()
    atoms: tuple[str, ...] = ()
    """Keys, in the plan's order, at most `MOST_ASKED`."""

    @property
    def waiting(self) -> bool:
        return bool(self.waves or self.atoms)


def approvals_asked(execution: Execution) -> Asked:
    """Nothing waits where the execution has ended, or will end by itself."""
    if not execution.asks_people or execution.status in (*EXECUTION_ENDED, ExecutionStatus.CANCELLING):
        return Asked()
    waves = Wave.objects.filter(execution=execution, approval=Approval.ASKED).order_by("number")
    runs = AtomRun.objects.filter(execution=execution, approval=Approval.ASKED, status=AtomStatus.PENDING)
    return Asked(
        tuple(waves.values_list("number", flat=True)),
        tuple(runs.order_by("position").values_list("key", flat=True)[:MOST_ASKED]),
    )


def _asked_for(execution: Execution) -> str:
    """Whose approval it waits for; empty when nobody was asked."""
    asked = approvals_asked(execution)
    if asked.waves:
        return f"waits for approval of wave {asked.waves[0]}"
    return f"waits for approval of atom {asked.atoms[0]}" if asked.atoms else ""
