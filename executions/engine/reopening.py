"""Atoms that have ended begin anew: for a retry, a rollback, or because what blocked them is gone.

What they had is kept as superseded history; counters, waves and the numbers of unmet dependencies follow in the same
transaction. Works on a locked execution only. Nothing here decides who may ask for it.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from executions.engine import dialect
from executions.engine.attempt_rows import end_open_attempt
from executions.engine.gates import reopen_gates
from executions.engine.plan_graph import PlanGraph, plan_graph
from executions.engine.transaction import ExecutionTransaction, LockedExecution
from executions.engine.waves import advance, open_atoms
from executions.states import (
    ATOM_ENDED,
    ATOM_LEASED,
    ATOM_UNSUCCESSFUL,
    EXECUTION_ENDED,
    Assurance,
    AtomStatus,
    AttemptStatus,
    ExecutionStatus,
    WaveStatus,
)

A = AtomStatus
COUNTER_OF: Mapping[AtomStatus, str] = {
    A.SUCCEEDED: "atoms_succeeded",
    A.FAILED: "atoms_failed",
    A.BLOCKED: "atoms_blocked",
    A.CANCELLED: "atoms_cancelled",
    A.DEAD_LETTERED: "atoms_dead_lettered",
}


@dataclass(frozen=True, slots=True)
class RunRow:
    """An atom of an execution, as far as reopening must know it."""

    id: uuid.UUID
    key: str
    wave: int
    status: AtomStatus
    unmet: int
    begun: bool
    """It has been claimed in this generation."""
    static: bool


@dataclass(frozen=True, slots=True)
class Reopening:
    """What would begin anew, dependencies first."""

    generate: tuple[str, ...] = ()
    """Generated again; what they had is superseded."""
    revive: tuple[str, ...] = ()
    """Were blocked, and are no longer."""
    hindered: tuple[tuple[str, str], ...] = ()
    """(atom, why) of those that cannot begin anew as asked."""


def read_runs(unit: ExecutionTransaction, execution: LockedExecution) -> dict[str, RunRow]:
    """All atoms of the execution by key, in the plan's order."""
    unit.cursor.execute(
        "SELECT id, key, wave, status, unmet, started_at IS NOT NULL, assurance FROM executions_atomrun"
        " WHERE execution_id = %s ORDER BY position",
        [dialect.uid(execution.id)],
    )
    return {
        row[1]: RunRow(
            id=dialect.to_uuid(row[0]),
            key=row[1],
            wave=row[2],
            status=AtomStatus(row[3]),
            unmet=row[4],
            begun=bool(row[5]),
            static=row[6] == Assurance.STATIC,
        )
        for row in unit.cursor.fetchall()
    }


def with_dependents(graph: PlanGraph, keys: Collection[str]) -> set[str]:
    """These atoms and all that build on them, directly or not."""
    found, ahead = set(keys), list(keys)
    while ahead:
        for one in graph.dependents.get(ahead.pop(), ()):
            if one not in found:
                found.add(one)
                ahead.append(one)
    return found


def plan_reopening(
    runs: Mapping[str, RunRow], graph: PlanGraph, policy: str, wanted: Collection[str]
) -> Reopening:
    """What follows when the `wanted` atoms begin anew. Blocked atoms come along as soon as nothing blocks them.

    Args:
        runs: all atoms of the execution.
        graph: of its masterplan.
        policy: on_dependency_failure of the execution.
        wanted: keys; those that have not begun yet need nothing and are left out.
    """
    generate: list[str] = []
    revive: list[str] = []
    hindered: list[tuple[str, str]] = []
    bad: dict[str, AtomStatus] = {}
    for key in sorted(runs, key=lambda one: graph.nodes[one].rank):
        run = runs[key]
        blocker = None
        if policy != "continue":
            blocker = next((one for one in graph.nodes[key].depends_on if one in bad), None)
        if run.status is A.BLOCKED:
            if blocker is None:
                # What had been begun before it was blocked has no open attempt any more: it is tried from the first rung.
                (generate if run.begun else revive).append(key)
                continue
        elif key in wanted and (run.status in ATOM_ENDED or run.begun):
            if run.status in ATOM_LEASED:
                hindered.append((key, f"it is {run.status.value}: pause the execution first"))
            elif blocker is not None:
                hindered.append((key, f"its dependency {blocker} is {bad[blocker].value}: mend that as well"))
            else:
                generate.append(key)
                continue
        if run.status in ATOM_UNSUCCESSFUL:
            bad[key] = run.status
    return Reopening(tuple(generate), tuple(revive), tuple(hindered))


def reopen_execution(unit: ExecutionTransaction, execution: LockedExecution, action: str) -> None:
    """An ended execution runs again; nothing happens to one that has not ended. Raises WrongState when it is cancelled."""
    if execution.status not in EXECUTION_ENDED:
        return
    unit.set_status(execution, ExecutionStatus.RUNNING, action)
    execution.run_number += 1
    unit.event(execution, "execution.reopened", run_number=execution.run_number, by=action)


def reopen_atoms(
    unit: ExecutionTransaction,
    execution: LockedExecution,
    runs: Mapping[str, RunRow],
    plan: Reopening,
) -> None:
    """Carry out a plan that hinders nothing: afterwards atoms are pending or ready, waves open as their schedule says."""
    changed = [runs[key] for key in (*plan.generate, *plan.revive)]
    if not changed:
        return
    generate = [runs[key] for key in plan.generate]
    for run in generate:
        if run.begun:
            end_open_attempt(unit, execution, run.id, run.key, run.wave, AttemptStatus.CANCELLED)
    unit.cursor.executemany(
        "UPDATE executions_attempt SET superseded = %s WHERE atom_run_id = %s AND superseded = %s",
        [(True, dialect.uid(run.id), False) for run in generate],
    )
    unit.cursor.executemany(
        "UPDATE executions_atomrun SET status = 'pending', reason = '', error = '', accepted_id = NULL, assurance = '',"
        " generation = generation + 1, attempts = 0, faults = 0, fault_since = NULL, deaths = 0, not_before = NULL,"
        " started_at = NULL, ended_at = NULL WHERE id = %s",
        [(dialect.uid(run.id),) for run in generate],
    )
    unit.cursor.executemany(
        "UPDATE executions_atomrun SET status = 'pending', reason = '', error = '', ended_at = NULL WHERE id = %s",
        [(dialect.uid(runs[key].id),) for key in plan.revive],
    )
    for run in changed:
        unit.event(execution, "atom.reopened", wave=run.wave, atom=run.key, was=run.status.value)
    uncount(unit, execution, changed)
    reopen_waves(unit, execution, {run.wave for run in changed})
    if execution.gates_total:
        reopen_gates(unit, execution, min(run.wave for run in changed))
    after = dict(runs) | {run.key: replace(run, status=A.PENDING) for run in changed}
    recount_unmet(unit, execution, after, {run.key for run in changed})
    open_what_may(unit, execution)


def ready_for_review(
    unit: ExecutionTransaction, execution: LockedExecution, runs: Mapping[str, RunRow], run: RunRow
) -> None:
    """An atom at rest may be claimed for the verdict on a person's code, whatever wave is open. Its history stays valid, and
    what it has blocked stays blocked until then.
    """
    unit.cursor.execute(
        "UPDATE executions_atomrun SET status = 'ready', accepted_id = NULL, assurance = '', not_before = NULL,"
        " ended_at = NULL WHERE id = %s",
        [dialect.uid(run.id)],
    )
    unit.event(execution, "atom.reopened", wave=run.wave, atom=run.key, was=run.status.value)
    uncount(unit, execution, [run])
    wave = unit.wave(execution, run.wave)
    if wave.status is WaveStatus.COMPLETED:
        wave.status, wave.ended_at = WaveStatus.RUNNING, None
        execution.current_wave, execution.changed = min(execution.current_wave, run.wave), True
        unit.event(execution, "wave.reopened", wave=run.wave, status=wave.status.value)
    if execution.gates_total:
        reopen_gates(unit, execution, run.wave)
    if run.status is A.SUCCEEDED:
        after = {**runs, run.key: replace(run, status=A.READY)}
        recount_unmet(unit, execution, after, {run.key})


def uncount(unit: ExecutionTransaction, execution: LockedExecution, runs: Collection[RunRow]) -> None:
    """Take atoms that have ended out of the counters of the execution and of their waves."""
    ended = [run for run in runs if run.status in ATOM_ENDED]
    for status, amount in Counter(run.status for run in ended).items():
        execution.add(COUNTER_OF[status], -amount)
    static = sum(1 for run in ended if run.static)
    if static:
        execution.add("atoms_static", -static)
    unit.read_waves(execution, {run.wave for run in ended})
    for run in ended:
        wave = unit.wave(execution, run.wave)
        if run.status is A.SUCCEEDED:
            wave.atoms_succeeded -= 1
        else:
            wave.atoms_unsuccessful -= 1


def reopen_waves(unit: ExecutionTransaction, execution: LockedExecution, numbers: Collection[int]) -> None:
    """Waves of which atoms begin anew wait for their turn again; those that run go on."""
    unit.read_waves(execution, numbers)
    for number in sorted(numbers):
        wave = unit.wave(execution, number)
        if wave.status is not WaveStatus.COMPLETED:
            continue
        wave.status, wave.started_at, wave.ended_at = WaveStatus.PENDING, None, None
        unit.event(execution, "wave.reopened", wave=number, status=wave.status.value)
        if number <= execution.current_wave:
            execution.current_wave, execution.changed = number - 1, True


def recount_unmet(
    unit: ExecutionTransaction,
    execution: LockedExecution,
    runs: Mapping[str, RunRow],
    changed: Collection[str],
) -> None:
    """Count anew how many dependencies each waiting atom waits for, where `changed` atoms are among them or it is one.

    A ready atom that waits again becomes pending.
    """
    graph = plan_graph(execution.masterplan_id)
    met = ATOM_ENDED if execution.on_dependency_failure == "continue" else frozenset({A.SUCCEEDED})
    touched = set(changed)
    for key in changed:
        touched.update(graph.dependents.get(key, ()))
    counts = []
    for key in sorted(touched, key=lambda one: graph.nodes[one].rank):
        run = runs[key]
        if run.status not in (A.PENDING, A.READY):
            continue
        unmet = sum(1 for one in graph.nodes[key].depends_on if runs[one].status not in met)
        counts.append((unmet, dialect.uid(run.id)))
        if unmet and run.status is A.READY:
            unit.cursor.execute(
                "UPDATE executions_atomrun SET status = 'pending' WHERE id = %s", [dialect.uid(run.id)]
            )
            unit.event(execution, "atom.reopened", wave=run.wave, atom=key, was=run.status.value)
    unit.cursor.executemany("UPDATE executions_atomrun SET unmet = %s WHERE id = %s", counts)


def open_what_may(unit: ExecutionTransaction, execution: LockedExecution) -> None:
    """After atoms became pending: ready where nothing holds them."""
    if execution.started_at is None:
        return
    if execution.schedule == "flow":
        open_atoms(unit, execution, "1 = 1")
        return
    numbers = sorted(
        number
        for (owner, number), wave in unit.waves.items()
        if owner == execution.id and wave.status is WaveStatus.RUNNING
    )
    for number in numbers:
        open_atoms(unit, execution, "wave = %s", [number])
    advance(unit, execution)


def revive_blocked(unit: ExecutionTransaction, execution: LockedExecution) -> None:
    """After an atom succeeded that had blocked others before."""
    runs = read_runs(unit, execution)
    plan = plan_reopening(runs, plan_graph(execution.masterplan_id), execution.on_dependency_failure, ())
    reopen_atoms(unit, execution, runs, plan)
