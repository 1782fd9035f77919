"""States fit each other: execution, waves and atoms; and terminal means terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from executions.models import Wave
from executions.services.consistency.inconsistency import Inconsistency
from executions.services.consistency.stored import StoredExecution
from executions.states import (
    ATOM_LEASED,
    EXECUTION_ENDED,
    Approval,
    AtomStatus,
    ExecutionStatus,
    WaveStatus,
)

CHECK = "states"
TERMINAL = "terminal"

E, W, A = ExecutionStatus, WaveStatus, AtomStatus
_AT_REST = EXECUTION_ENDED | {E.PAUSED, E.PENDING}
_UNAPPROVED = (Approval.NEEDED, Approval.ASKED)
_WORKED_ON = ATOM_LEASED | {A.READY}


def execution_fits(stored: StoredExecution) -> Iterator[Inconsistency]:
    """The execution's own columns, and what its state forbids."""
    row = stored.row
    ended = row.status in EXECUTION_ENDED
    if ended != (row.ended_at is not None):
        yield stored.wrong(CHECK, f"ended_at of {row.status}", "set" if ended else "not set", row.ended_at)
    if row.status in (E.RUNNING, E.PAUSING, E.COMPLETED) and row.started_at is None:
        yield stored.wrong(CHECK, f"started_at of {row.status}", "set", "not set")
    if row.status in _AT_REST and row.running_since is not None:
        yield stored.wrong(CHECK, f"running_since of {row.status}", "not set", row.running_since)
    if row.status != E.RUNNING and row.deadline_at is not None:
        yield stored.wrong(CHECK, f"deadline_at of {row.status}", "not set", row.deadline_at)
    if not row.is_built and row.status not in (E.PENDING, E.PAUSED, E.CANCELLING):
        yield stored.wrong(
            CHECK, f"rows of atoms of {row.status}", f"{row.atoms_total} stored", row.atoms_stored
        )
    if (row.forked_from_id is not None) and row.forked_at_wave is None:
        yield stored.wrong(CHECK, "forked_at_wave of a fork", "set", "not set")
    statuses = Counter(atom.status for atom in stored.atoms.values())
    busy = sum(statuses[status] for status in ATOM_LEASED)
    if row.status in _AT_REST and busy:
        yield stored.wrong(CHECK, f"atoms under a lease while {row.status}", 0, busy)
    if (row.started_at is None or not row.is_built) and (busy or statuses[A.READY]):
        yield stored.wrong(CHECK, "atoms ready before the start", 0, busy + statuses[A.READY])
    if row.status not in (E.CANCELLED, E.CANCELLING) and statuses[A.CANCELLED]:
        yield stored.wrong(CHECK, f"cancelled atoms while {row.status}", 0, statuses[A.CANCELLED])


def waves_fit(stored: StoredExecution) -> Iterator[Inconsistency]:
    """Each wave's state against its atoms' and the waves' ahead of it."""
    row = stored.row
    # A person's code is judged whatever wave is open.
    others = [atom for atom in stored.atoms.values() if atom.key not in stored.under_review]
    at_work = Counter(atom.wave for atom in others if atom.status in _WORKED_ON)
    leased = Counter(atom.wave for atom in others if atom.is_leased)
    strict = row.schedule == "waves"
    for wave in stored.waves:
        place = f"wave {wave.number}"
        all_ended = wave.atoms_succeeded + wave.atoms_unsuccessful == wave.atoms_total
        yield from _times_fit(stored, wave, place)
        if wave.status in (W.COMPLETED, W.CANCELLED) and not all_ended:
            yield stored.wrong(CHECK, f"{place}, {wave.status}", "every atom ended", "some have not")
        if wave.status == W.CANCELLED and row.status != E.CANCELLED:
            yield stored.wrong(
                CHECK, f"{place} of an execution that is {row.status}", "not cancelled", "cancelled"
            )
        busy = at_work[wave.number] if strict else leased[wave.number]
        if wave.status != W.RUNNING and busy:
            yield stored.wrong(CHECK, f"{place}, {wave.status}: atoms at work", 0, busy)
        current = not strict or wave.number == row.current_wave
        live = row.status in (E.RUNNING, E.PAUSING, E.PAUSED)
        if wave.status == W.RUNNING and all_ended and current and live:
            yield stored.wrong(
                CHECK, f"{place}, all of whose atoms have ended", W.COMPLETED.value, wave.status
            )
        if strict and wave.number < row.current_wave and wave.status in (W.PENDING, W.RUNNING):
            yield stored.wrong(
                CHECK, f"{place}, behind current wave {row.current_wave}", "ended", wave.status
            )
        if wave.approval in _UNAPPROVED and busy:
            yield stored.wrong(CHECK, f"{place}, not approved: atoms at work", 0, busy)
    for atom in stored.atoms.values():
        if atom.approval in _UNAPPROVED and atom.status in _WORKED_ON:
            yield stored.wrong(CHECK, f"atom {atom.key}, not approved", A.PENDING.value, atom.status)


def _times_fit(stored: StoredExecution, wave: Wave, place: str) -> Iterator[Inconsistency]:
    ended = wave.status in (W.COMPLETED, W.CANCELLED)
    if ended != (wave.ended_at is not None):
        yield stored.wrong(
            CHECK, f"{place}, {wave.status}: ended_at", "set" if ended else "not set", wave.ended_at
        )
    if wave.status in (W.RUNNING, W.COMPLETED) and wave.started_at is None:
        yield stored.wrong(CHECK, f"{place}, {wave.status}: started_at", "set", "not set")


def terminal_means_terminal(stored: StoredExecution) -> Iterator[Inconsistency]:
    """When an execution has ended, every wave, atom, attempt and call of it has."""
    row = stored.row
    if row.status not in EXECUTION_ENDED:
        return
    for wave in stored.waves:
        if wave.status in (W.PENDING, W.RUNNING):
            yield stored.wrong(TERMINAL, f"wave {wave.number} of an ended execution", "ended", wave.status)
    for atom in stored.atoms.values():
        if not atom.has_ended:
            yield stored.wrong(TERMINAL, f"atom {atom.key} of an ended execution", "ended", atom.status)
    attempts, calls = stored.of_execution(
        "SELECT (SELECT COUNT(*) FROM executions_attempt WHERE execution_id = e.id AND status = 'running'),"
        " (SELECT COUNT(*) FROM executions_call WHERE execution_id = e.id AND outcome = '')"
        " FROM executions_execution e WHERE e.id = %s"
    )[0]
    for what, number in (("running attempts", attempts), ("open calls", calls)):
        if number:
            yield stored.wrong(TERMINAL, f"{what} of an ended execution", 0, number)
    if row.reserved_nano_usd:
        yield stored.wrong(TERMINAL, "reserved_nano_usd of an ended execution", 0, row.reserved_nano_usd)
    if row.status == E.COMPLETED and row.atoms_ended != row.atoms_total:
        yield stored.wrong(TERMINAL, "ended atoms of a completed execution", row.atoms_total, row.atoms_ended)
