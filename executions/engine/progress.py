"""How the end of one atom moves the rest: dependents, waves, the execution. Works on a locked execution only."""

from __future__ import annotations

import uuid
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from executions.engine import dialect
from executions.engine.attempt_rows import end_open_attempt, tell_attempt_end
from executions.engine.gates import cancel_waiting_gates, gates_in_flight
from executions.engine.plan_graph import PlanGraph, dependents_of, plan_graph
from executions.engine.reopening import COUNTER_OF, revive_blocked
from executions.engine.transaction import ExecutionTransaction, LockedExecution
from executions.engine.waves import (
    advance,
    ask_for_waves,
    complete_when_done,
    end_waves_of_flow,
    open_atoms,
    seconds_since,
    start_wave,
    tell_end,
)
from executions.states import (
    Assurance,
    AtomStatus,
    AttemptKind,
    AttemptStatus,
    ExecutionStatus,
    WaveStatus,
)

_AT_ONCE = 500
"""Atoms named in one statement."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How an atom ends."""

    status: AtomStatus
    reason: str = ""
    error: str = ""
    assurance: str = ""
    accepted: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An atom that nobody works on now."""

    id: uuid.UUID
    wave: int
    begun: bool
    """It was claimed before."""


def begin(unit: ExecutionTransaction, execution: LockedExecution) -> None:
    """A pending execution starts: its first wave opens, or it completes at once when it has no atoms."""
    unit.set_status(execution, ExecutionStatus.RUNNING, "start")
    execution.started_at = unit.now
    unit.event(execution, "execution.started", run_number=execution.run_number, atoms=execution.atoms_total)
    if execution.schedule == "waves":
        advance(unit, execution)
        return
    if execution.atoms_ended:
        # A fork begins with what it has taken over.
        unit.read_waves(execution, range(1, execution.waves_total + 1))
        end_waves_of_flow(unit, execution)
    ask_for_waves(unit, execution)
    open_atoms(unit, execution, "1 = 1")
    complete_when_done(unit, execution)


def atom_claimed(unit: ExecutionTransaction, execution: LockedExecution, number: int) -> None:
    """In `flow` a wave is a view: it starts with the first claim of one of its atoms."""
    if execution.schedule == "flow":
        start_wave(unit, execution, number)


def end_atom(
    unit: ExecutionTransaction,
    execution: LockedExecution,
    run_id: uuid.UUID,
    key: str,
    wave: int,
    ending: Ending,
) -> None:
    """End an atom whose ownership the caller has checked, and everything that follows from it."""
    row = unit.rows.atom(run_id)
    row.leave(ending.status.value)
    row.reason, row.error, row.assurance = ending.reason, ending.error, ending.assurance
    row.accepted_id, row.ended_at = ending.accepted, unit.now
    unit.rows.changed(row)
    _count(unit, execution, ending, [wave])
    _tell_end(unit, execution, key, wave, ending, row.attempts, row.started_at)
    if ending.status is AtomStatus.SUCCEEDED or execution.on_dependency_failure == "continue":
        unit.satisfied(execution, key)
        unit.later(_free_dependents, execution)
        if execution.counters["atoms_blocked"]:
            # Now: the execution must not complete while there is one to be revived.
            unit.catch_up()
    elif ending.status is not AtomStatus.CANCELLED:
        _block_dependents(unit, execution, key, ending.status)
        if execution.on_dependency_failure == "stop" and execution.status is ExecutionStatus.RUNNING:
            reason = f"stopped: {key} {ending.status.value}"
            unit.set_status(execution, ExecutionStatus.PAUSING, "pause", reason)
            unit.event(execution, "execution.pausing", reason=reason)
    if execution.schedule == "waves":
        advance(unit, execution)
    else:
        end_waves_of_flow(unit, execution)
        complete_when_done(unit, execution)
    settle(unit, execution)


def cancel_atom(
    unit: ExecutionTransaction, execution: LockedExecution, run_id: uuid.UUID, key: str, wave: int
) -> None:
    """End an atom because the execution is being cancelled, or what it builds on is gone. What has been accepted it keeps."""
    end_open_attempt(unit, execution, run_id, key, wave, AttemptStatus.CANCELLED)
    ending = _as_before(unit, run_id) or Ending(AtomStatus.CANCELLED, reason="cancelled")
    end_atom(unit, execution, run_id, key, wave, ending)


def end_review_rejected(
    unit: ExecutionTransaction,
    execution: LockedExecution,
    run_id: uuid.UUID,
    key: str,
    wave: int,
    error: str,
) -> None:
    """A person's code was rejected: the atom is what it was before, accepted with its earlier code, or failed."""
    ending = _as_before(unit, run_id) or Ending(AtomStatus.FAILED, reason="review", error=error)
    end_atom(unit, execution, run_id, key, wave, ending)


def _as_before(unit: ExecutionTransaction, run_id: uuid.UUID) -> Ending | None:
    """How an atom ends that was opened for a person's code and has been accepted before."""
    unit.cursor.execute(
        "SELECT id, tests_total FROM executions_attempt WHERE atom_run_id = %s AND status = 'passed' AND superseded = %s",
        [dialect.uid(run_id), False],
    )
    row = unit.cursor.fetchone()
    if row is None:
        return None
    assurance = Assurance.TESTED if row[1] else Assurance.STATIC
    return Ending(AtomStatus.SUCCEEDED, assurance=assurance.value, accepted=dialect.to_uuid(row[0]))


def cancel_waiting(unit: ExecutionTransaction, execution: LockedExecution) -> None:
    """End every atom and gate that nobody works on because the execution is being cancelled, in a few statements for all."""
    _cancel_reviews(unit, execution)
    ending = Ending(AtomStatus.CANCELLED, reason="cancelled")
    unit.cursor.execute(
        "UPDATE executions_attempt SET status = %s, ended_at = %s WHERE execution_id = %s AND status = 'running'"
        " AND atom_run_id IN (SELECT id FROM executions_atomrun WHERE execution_id = %s AND status IN ('pending', 'ready'))"
        " RETURNING atom_run_id, number, kind",
        [
            AttemptStatus.CANCELLED.value,
            dialect.at(unit.now),
            dialect.uid(execution.id),
            dialect.uid(execution.id),
        ],
    )
    attempt_of = {row[0]: (row[1], AttemptKind(row[2])) for row in unit.cursor.fetchall()}
    unit.cursor.execute(
        "UPDATE executions_atomrun SET status = %s, reason = %s, not_before = NULL, ended_at = %s"
        " WHERE execution_id = %s AND status IN ('pending', 'ready')"
        " RETURNING position, id, key, wave, attempts, started_at",
        [ending.status.value, ending.reason, dialect.at(unit.now), dialect.uid(execution.id)],
    )
    rows = sorted(unit.cursor.fetchall())
    _count(unit, execution, ending, [row[3] for row in rows])
    for _, run_id, key, wave, attempts, started_at in rows:
        if run_id in attempt_of:
            number, kind = attempt_of[run_id]
            tell_attempt_end(unit, execution, key, wave, number, AttemptStatus.CANCELLED, kind)
        _tell_end(unit, execution, key, wave, ending, attempts, dialect.to_time(started_at))
    if execution.gates_total:
        cancel_waiting_gates(unit, execution)


def _cancel_reviews(unit: ExecutionTransaction, execution: LockedExecution) -> None:
    """Those that wait for the verdict on a person's code and have been accepted before keep what they have."""
    unit.cursor.execute(
        "SELECT r.id, r.key, r.wave FROM executions_atomrun r JOIN executions_attempt a ON a.atom_run_id = r.id"
        " WHERE r.execution_id = %s AND r.status IN ('pending', 'ready') AND a.kind = 'person' AND a.status = 'running'",
        [dialect.uid(execution.id)],
    )
    for run_id, key, wave in unit.cursor.fetchall():
        cancel_atom(unit, execution, dialect.to_uuid(run_id), key, wave)


def settle(unit: ExecutionTransaction, execution: LockedExecution) -> None:
    """Finish a pause once nothing is in flight any more, a cancellation once every atom and gate has ended."""
    if execution.status is ExecutionStatus.PAUSING:
        if not in_flight(unit, execution):
            unit.set_status(execution, ExecutionStatus.PAUSED, "pause", execution.status_reason)
            unit.event(execution, "execution.paused", reason=execution.status_reason)
        return
    if execution.status is not ExecutionStatus.CANCELLING or not execution.everything_ended:
        return
    numbers = range(1, execution.waves_total + 1)
    unit.read_waves(execution, numbers)
    for number in numbers:
        wave = unit.wave(execution, number)
        if wave.status in (WaveStatus.PENDING, WaveStatus.RUNNING):
            wave.status = WaveStatus.CANCELLED
            wave.ended_at = unit.now
            unit.event(execution, "wave.ended", wave=number, status=wave.status.value)
    unit.set_status(execution, ExecutionStatus.CANCELLED, "cancel", execution.status_reason)
    tell_end(unit, execution)


def in_flight(unit: ExecutionTransaction, execution: LockedExecution) -> int:
    """Atoms and gates of the execution under a lease."""
    unit.cursor.execute(
        "SELECT COUNT(*) FROM executions_atomrun WHERE execution_id = %s AND status IN ('generating', 'validating')",
        [dialect.uid(execution.id)],
    )
    atoms = int(unit.cursor.fetchone()[0])
    return atoms + gates_in_flight(unit, execution) if execution.gates_total else atoms


def _count(
    unit: ExecutionTransaction, execution: LockedExecution, ending: Ending, waves: Sequence[int]
) -> None:
    """Count atoms that end in the same way; `waves` holds the wave of each."""
    execution.add(COUNTER_OF[ending.status], len(waves))
    if ending.assurance == "static":
        execution.add("atoms_static", len(waves))
    many = Counter(waves)
    unit.read_waves(execution, many)
    for number, amount in many.items():
        wave = unit.wave(execution, number)
        if ending.status is AtomStatus.SUCCEEDED:
            wave.atoms_succeeded += amount
        else:
            wave.atoms_unsuccessful += amount


def _tell_end(
    unit: ExecutionTransaction,
    execution: LockedExecution,
    key: str,
    wave: int,
    ending: Ending,
    attempts: int = 0,
    started_at: datetime | None = None,
) -> None:
    unit.event(
        execution,
        "atom.ended",
        wave=wave,
        atom=key,
        status=ending.status.value,
        reason=ending.reason,
        assurance=ending.assurance,
        attempts=attempts,
        seconds=seconds_since(unit, started_at),
    )


def _free_dependents(unit: ExecutionTransaction, execution: LockedExecution) -> None:
    """What depends on the atoms that have been satisfied waits for so many less; in `flow`, what waits for none is opened."""
    waited_for: Counter[str] = Counter()
    for key in unit.take_satisfied(execution):
        waited_for.update(dependents_of(execution.masterplan_id, key))
    # Where nobody need be asked first, what waits for nothing any more is opened in the same statement.
    opens = execution.schedule == "flow" and not execution.asks_people
    wait_for_less(unit, execution, waited_for, opens=opens)
    dependents = sorted(waited_for)
    if execution.schedule == "flow" and not opens:
        for start in range(0, len(dependents), _AT_ONCE):
            some = dependents[start : start + _AT_ONCE]
            these, keys = dialect.among(some)
            open_atoms(unit, execution, f"key {these}", keys)
    # While it is being cancelled nothing new begins: nobody would cancel it any more.
    if (
        execution.counters["atoms_blocked"]
        and execution.status is not ExecutionStatus.CANCELLING
        and _may_be_revived(unit, execution, dependents)
    ):
        revive_blocked(unit, execution)


def wait_for_less(
    unit: ExecutionTransaction, execution: LockedExecution, waited_for: Mapping[str, int], *, opens: bool
) -> None:
    """`waited_for`: by atom, how many of its dependencies have been satisfied."""
    dialect.each_atom_named(
        unit.cursor,
        "status = CASE WHEN {opens} AND status = 'pending' AND unmet <= {count} THEN 'ready'"
        " ELSE status END, unmet = CASE WHEN unmet > {count} THEN unmet - {count} ELSE 0 END",
        {"opens": "boolean", "count": "int", "execution": "uuid", "named": "text"},
        [(opens, count, dialect.uid(execution.id), key) for key, count in sorted(waited_for.items())],
    )


def _may_be_revived(unit: ExecutionTransaction, execution: LockedExecution, keys: Sequence[str]) -> bool:
    """Whether one of these was blocked: perhaps by what has succeeded now."""
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        named, values = dialect.atoms_named(execution.id, some)
        unit.cursor.execute(f"SELECT 1 FROM {named} WHERE r.status = 'blocked' LIMIT 1", values)  # noqa: S608
        if unit.cursor.fetchone() is not None:
            return True
    return False


def _block_dependents(
    unit: ExecutionTransaction, execution: LockedExecution, key: str, status: AtomStatus
) -> None:
    """Everything behind a failed atom ends `blocked`, each naming the dependency that it directly waited for. What has been
    accepted before, and waits for the verdict on a person's code, keeps what it has.
    """
    graph = plan_graph(execution.masterplan_id)
    known: dict[str, _Waiting | None] = {}
    blocked: dict[str, tuple[_Waiting, str]] = {}
    kept: dict[str, _Waiting] = {}
    causes = [(key, status)]
    while causes:
        behind = [(one, cause, how) for cause, how in causes for one in graph.dependents.get(cause, ())]
        _look_at_waiting(unit, execution, graph, (one for one, _, _ in behind), known)
        causes = []
        for one, cause, how in behind:
            waiting = known[one]
            if waiting is None or one in blocked or one in kept:
                continue
            if waiting.begun and _as_before(unit, waiting.id) is not None:
                kept[one] = waiting
            else:
                blocked[one] = (waiting, f"Blocked: its dependency {cause} ended {how.value}")
                causes.append((one, AtomStatus.BLOCKED))
    _block(unit, execution, blocked)
    for one, waiting in kept.items():
        cancel_atom(unit, execution, waiting.id, one, waiting.wave)


def _block(
    unit: ExecutionTransaction, execution: LockedExecution, blocked: Mapping[str, tuple[_Waiting, str]]
) -> None:
    if not blocked:
        return
    unit.cursor.executemany(
        "UPDATE executions_atomrun SET status = 'blocked', reason = 'dependency', error = %s, not_before = NULL,"
        " ended_at = %s WHERE id = %s AND status IN ('pending', 'ready')",
        [(error, dialect.at(unit.now), dialect.uid(waiting.id)) for waiting, error in blocked.values()],
    )
    for one, (waiting, _) in blocked.items():
        if waiting.begun:
            # It was between two calls when what it builds on began anew.
            end_open_attempt(unit, execution, waiting.id, one, waiting.wave, AttemptStatus.CANCELLED)
    ending = Ending(AtomStatus.BLOCKED, reason="dependency")
    _count(unit, execution, ending, [waiting.wave for waiting, _ in blocked.values()])
    for one, (waiting, _) in blocked.items():
        _tell_end(unit, execution, one, waiting.wave, ending)


def _look_at_waiting(
    unit: ExecutionTransaction,
    execution: LockedExecution,
    graph: PlanGraph,
    keys: Iterable[str],
    known: dict[str, _Waiting | None],
) -> None:
    """Learn of atoms that nobody works on and that have not ended, None of all others. Where few are asked for, look further
    down the graph in the same statement: a long chain is not read link by link.
    """
    unknown = dict.fromkeys(key for key in keys if key not in known)
    if not unknown:
        return
    ahead = deque(unknown)
    while ahead and len(unknown) < _AT_ONCE:
        further = [one for one in graph.dependents.get(ahead.popleft(), ()) if one not in known]
        ahead.extend(one for one in further if one not in unknown)
        unknown.update(dict.fromkeys(further))
    wanted = list(unknown)
    known.update(dict.fromkeys(wanted))
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        named, values = dialect.atoms_named(execution.id, some)
        unit.cursor.execute(
            f"SELECT r.key, r.id, r.wave, r.started_at IS NOT NULL FROM {named} WHERE r.status IN ('pending', 'ready')",  # noqa: S608
            values,
        )
        known.update(
            {
                key: _Waiting(dialect.to_uuid(run_id), wave, bool(begun))
                for key, run_id, wave, begun in unit.cursor.fetchall()
            }
        )
