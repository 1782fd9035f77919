"""How long the product took to go on after each fault, read from its own history once all is over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from chaos.faults import Fault, Kind
from chaos.installation import Installation
from chaos.invariants import time_of


def measure_recoveries(installation: Installation, faults: Sequence[Fault]) -> None:
    """Fill in `recovered_s`."""
    rows = installation.query(
        "SELECT execution_id, atom, at, type FROM executions_event"
        " WHERE type IN ('atom.started', 'atom.resumed', 'atom.ended') ORDER BY at"
    )
    facts = [(str(row[0]), row[1], moment, row[3]) for row in rows if (moment := time_of(row[2])) is not None]
    for fault in faults:
        if fault.kind is not Kind.KILL_WEB:
            fault.recovered_s = _seconds(fault, facts)


def _seconds(fault: Fault, facts: Sequence[tuple[str, str, datetime, str]]) -> float | None:
    after = [fact for fact in facts if fact[2] > fault.at]
    if not fault.held:
        claims = (moment for _, _, moment, kind in after if kind != "atom.ended")
        first = next(claims, None)
        return None if first is None else (first - fault.at).total_seconds()
    last: datetime | None = None
    for held in fault.held:
        again = next((moment for execution, atom, moment, _ in after if (execution, atom) == held), None)
        if again is None:
            return None
        last = again if last is None or again > last else last
    return None if last is None else (last - fault.at).total_seconds()
