"""Gates: one for each wave and one for the whole, leased only while judged, judged only after their atoms, told by the events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from executions.engine import dialect
from executions.models import Gate
from executions.services.consistency.inconsistency import Inconsistency
from executions.services.consistency.stored import StoredExecution
from executions.states import EXECUTION_ENDED, GATE_ENDED, ExecutionStatus, GateStatus, WaveStatus

CHECK = "gates"

G = GateStatus
_BEGUN = (G.READY, G.RUNNING, G.PASSED, G.FAILED)


def gates_fit(stored: StoredExecution) -> Iterator[Inconsistency]:
    """Rows, counters, leases, and nothing judged before what it judges has ended."""
    row = stored.row
    gates = list(Gate.objects.filter(execution=stored.id).order_by("position"))
    numbers = [gate.position for gate in gates]
    if numbers != (list(range(1, row.waves_total + 2)) if row.gates_total else []):
        yield stored.wrong(
            CHECK, "gates", f"1 to {row.waves_total + 1}" if row.gates_total else "none", numbers
        )
    yield from _counters_fit(stored, gates)
    open_wave = next(
        (one.number for one in stored.waves if one.status in (WaveStatus.PENDING, WaveStatus.RUNNING)), None
    )
    for gate in gates:
        place = f"{gate}, {gate.status}"
        leased = gate.status == G.RUNNING
        if (gate.lease_owner != "") != leased or (gate.lease_until is not None) != leased:
            yield stored.wrong(CHECK, place, "a lease" if leased else "no lease", gate.lease_owner or "none")
        if (gate.status in GATE_ENDED) != (gate.ended_at is not None):
            yield stored.wrong(CHECK, f"ended_at of {place}", "set when it ended", gate.ended_at)
        if open_wave is not None and gate.position >= open_wave and gate.status in _BEGUN:
            yield stored.wrong(
                CHECK, f"{place}, while wave {open_wave} is open", G.PENDING.value, gate.status
            )
        if gate.status == G.CANCELLED and row.status not in (
            ExecutionStatus.CANCELLING,
            ExecutionStatus.CANCELLED,
        ):
            yield stored.wrong(
                CHECK, f"{place} of an execution that is {row.status}", "not cancelled", "cancelled"
            )
        if gate.status not in GATE_ENDED and row.status in EXECUTION_ENDED:
            yield stored.wrong(CHECK, f"{gate} of an ended execution", "ended", gate.status)
        if leased and row.status == ExecutionStatus.PAUSED:
            yield stored.wrong(CHECK, f"{gate} of a paused execution", "not leased", gate.status)
        if gate.status == G.PASSED and any(one["severity"] in ("CRITICAL", "ERROR") for one in gate.findings):
            yield stored.wrong(CHECK, f"findings of {place}", "none that blocks", gate.findings[0]["message"])
        if gate.status == G.FAILED and not gate.blocking:
            yield stored.wrong(CHECK, f"findings of {place}", "one that blocks", "none")
    yield from _events_tell_gates(stored, gates)


def _counters_fit(stored: StoredExecution, gates: list[Gate]) -> Iterator[Inconsistency]:
    counted = Counter(gate.status for gate in gates)
    expected = {
        "gates_total": len(gates),
        "gates_due": counted[G.READY],
        "gates_passed": counted[G.PASSED],
        "gates_failed": counted[G.FAILED],
        "gates_cancelled": counted[G.CANCELLED],
    }
    for name, number in expected.items():
        if getattr(stored.row, name) != number:
            yield stored.wrong(CHECK, name, number, getattr(stored.row, name))


def _events_tell_gates(stored: StoredExecution, gates: list[Gate]) -> Iterator[Inconsistency]:
    """Whoever reads only the events knows how each gate ended."""
    told: dict[int | None, str] = {}
    for seq, kind, wave, data in stored.of_execution(
        "SELECT seq, type, wave, data FROM executions_event WHERE execution_id = %s"
        " AND type IN ('gate.started', 'gate.ended', 'gate.reopened') ORDER BY seq"
    ):
        if kind == "gate.ended":
            if wave in told:
                yield stored.wrong(CHECK, f"event {seq}, {kind}", "a gate that has not ended", told[wave])
            told[wave] = dialect.load(data)["status"]
        else:
            if kind == "gate.started" and wave in told:
                yield stored.wrong(CHECK, f"event {seq}, {kind}", "a gate that has not ended", told[wave])
            told.pop(wave, None)
    for gate in gates:
        ended = gate.status if gate.status in GATE_ENDED else None
        if told.get(gate.wave) != ended:
            yield stored.wrong(
                CHECK,
                f"status of {gate}",
                f"{told.get(gate.wave) or 'not ended'}, by its events",
                gate.status,
            )
