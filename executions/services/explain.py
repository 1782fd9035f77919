"""Why an execution does not move, in words."""

from __future__ import annotations

from datetime import UTC, datetime

from executions.engine.node import ALIVE as NODE_ALIVE
from executions.engine.node import live_nodes
from executions.models import AtomRun, Execution
from executions.states import ATOM_LEASED, AtomStatus, ExecutionStatus

__all__ = ["NODE_ALIVE", "why_waiting"]


def why_waiting(execution: Execution) -> str:
    """One sentence; empty when atoms are in flight or nothing is left to do."""
    if execution.status in (ExecutionStatus.PAUSED, ExecutionStatus.PAUSING):
        return execution.status_reason or "paused by a person"
    if execution.status not in (ExecutionStatus.PENDING, ExecutionStatus.RUNNING):
        return ""
    runs = AtomRun.objects.filter(execution=execution)
    if runs.filter(status__in=sorted(ATOM_LEASED)).exists():
        return ""
    nodes = live_nodes()
    if not nodes:
        return "no worker: start one with `manage.py qcluster`"
    if execution.needs_sandbox and all(node.isolation == "none" for node in nodes):
        return "no worker that can isolate generated code; `manage.py doctor` says what is missing"
    ready = runs.filter(status=AtomStatus.READY)
    now = datetime.now(UTC)
    later = ready.filter(not_before__gt=now).order_by("not_before").first()
    if later is not None and not ready.exclude(not_before__gt=now).exists():
        return f"waits for the provider until {later.not_before:%H:%M:%S} UTC"
    return "waits for a free worker"
