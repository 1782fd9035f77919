"""What an execution came to, as plain values: for `--json`, REST and pages."""

from __future__ import annotations

from typing import Any

from executions.models import AtomRun, Event, Execution

NANO = 1_000_000_000


def usd(nano: int) -> float:
    """Nano USD as USD; nine decimal places are exact."""
    return round(nano / NANO, 9)


def seconds_of(execution: Execution) -> float:
    """Seconds that it was not at rest, pauses left out; until now while it runs, 0 before it has begun."""
    return round(execution.ran_seconds, 3)


def report(execution: Execution) -> dict[str, Any]:
    """The object of `run_masterplan --json` for one execution."""
    attempts = AtomRun.objects.filter(execution=execution).order_by("position").values_list("key", "attempts")
    return {
        "masterplan": execution.masterplan.name,
        "execution_id": str(execution.id),
        "status": execution.status,
        "atoms_total": execution.atoms_total,
        "atoms_succeeded": execution.atoms_succeeded,
        "atoms_failed": execution.atoms_unsuccessful,
        "atoms_static": execution.atoms_static,
        "precision_percent": round(execution.precision_percent, 4),
        "attempts_total": execution.attempts_total,
        "attempts": dict(attempts),
        "calls_total": execution.calls_total,
        "input_tokens": execution.input_tokens,
        "output_tokens": execution.output_tokens,
        "cost_usd": usd(execution.cost_nano_usd),
        "seconds": seconds_of(execution),
    }


def event_json(event: Event) -> dict[str, Any]:
    """An event as the public contract has it; what does not apply is left out."""
    line: dict[str, Any] = {
        "seq": event.seq,
        "at": event.at.isoformat().replace("+00:00", "Z"),
        "type": event.type,
    }
    if event.wave is not None:
        line["wave"] = event.wave
    if event.atom:
        line["atom"] = event.atom
    if event.attempt is not None:
        line["attempt"] = event.attempt
    line["data"] = event.data
    return line
