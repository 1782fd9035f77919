"""Retry atoms, roll an execution back to the end of a wave. What was there before stays readable as superseded history.

Both reopen an execution that has ended; a cancelled one is final: fork it instead.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from executions.engine import dialect, doorbell
from executions.engine.gates import reopen_gates
from executions.engine.plan_graph import PlanGraph, plan_graph
from executions.engine.reopening import (
    Reopening,
    RunRow,
    open_what_may,
    plan_reopening,
    read_runs,
    reopen_atoms,
    reopen_execution,
)
from executions.engine.reopening import (
    with_dependents as and_dependents,
)
from executions.engine.transaction import ExecutionTransaction, LockedExecution, open_transaction
from executions.engine.waves import ask_for_waves
from executions.services.audit import audit, locked
from executions.services.errors import InvalidRequest
from executions.states import (
    ATOM_ENDED,
    ATOM_LEASED,
    Approval,
    AtomStatus,
    ExecutionStatus,
    WaveStatus,
    WrongState,
)

if TYPE_CHECKING:
    from django.contrib.auth.models import User

S = ExecutionStatus
RETRIED_BY_DEFAULT = frozenset({AtomStatus.FAILED, AtomStatus.DEAD_LETTERED})
NAMED = 10
"""Atoms named in a message or an event; the rest are counted."""


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """What begins anew, dependencies first."""

    generated: tuple[str, ...]
    """Atoms that are generated again."""
    revived: tuple[str, ...]
    """Atoms that were blocked and wait for their turn now."""
    kept: tuple[str, ...]
    """Atoms that have succeeded, build on generated ones and keep what they have."""

    @property
    def changes_nothing(self) -> bool:
        return not self.generated and not self.revived


def preview_retry(
    *,
    execution_id: uuid.UUID,
    atoms: Sequence[str] = (),
    failed: bool = False,
    with_dependents: bool = False,
) -> RepairPlan:
    """Exactly what `retry_atoms` with the same arguments would do now. Changes nothing; raises the same errors."""
    with open_transaction(execution_id) as unit:
        execution = locked(unit, execution_id)
        runs, plan = _plan_retry(unit, execution, atoms, failed=failed, dependents=with_dependents)
        return _told(runs, plan, plan_graph(execution.masterplan_id))


def retry_atoms(
    *,
    execution_id: uuid.UUID,
    actor: User | None,
    atoms: Sequence[str] = (),
    failed: bool = False,
    with_dependents: bool = False,
    why: str = "",
) -> RepairPlan:
    """Generate atoms again, as if they had never been tried: the whole ladder, no look into the cache.

    Args:
        execution_id: of an execution that the caller has checked the actor may steer.
        actor: who asks; None for a command.
        atoms: keys of the chosen ones.
        failed: all that ended failed or dead-lettered, besides.
        with_dependents: also everything that builds on them. Without it, what builds on them and has succeeded keeps its
            code. Atoms that they blocked come along in any case.
        why: kept with the event.

    Raises:
        NotFound: no such execution.
        WrongState: it is being cancelled, or was.
        InvalidRequest: unknown atoms, none chosen, one is being worked on, or one would be blocked again at once.
    """
    with open_transaction(execution_id) as unit:
        execution = locked(unit, execution_id)
        runs, plan = _plan_retry(unit, execution, atoms, failed=failed, dependents=with_dependents)
        told = _told(runs, plan, plan_graph(execution.masterplan_id))
        if told.changes_nothing:
            return told
        reopen_execution(unit, execution, "retry")
        audit(
            unit,
            execution,
            "retry",
            actor,
            why,
            atoms=list(plan.generate[:NAMED]),
            generated=len(plan.generate),
            revived=len(plan.revive),
            with_dependents=with_dependents,
        )
        reopen_atoms(unit, execution, runs, plan)
        _ring(execution)
        return told


def roll_back(*, execution_id: uuid.UUID, actor: User | None, wave: int, why: str = "") -> RepairPlan:
    """Back to the end of `wave` (0: to the start): everything behind it is generated again, with its approvals asked anew.

    Raises:
        NotFound: no such execution.
        WrongState: it is running (pause it first), pausing, being cancelled, or cancelled.
        InvalidRequest: there is no such wave, or it has not ended.
    """
    with open_transaction(execution_id) as unit:
        execution = locked(unit, execution_id)
        if execution.status not in (S.PAUSED, S.COMPLETED, S.FAILED):
            raise WrongState("roll back", execution.status)
        if not 0 <= wave <= execution.waves_total:
            raise InvalidRequest([f"wave: must be from 0 to {execution.waves_total}, not {wave}"])
        runs = read_runs(unit, execution)
        unfinished = next((r for r in runs.values() if r.wave <= wave and r.status not in ATOM_ENDED), None)
        if unfinished is not None:
            raise InvalidRequest(
                [
                    f"wave: {wave} has not ended, {unfinished.key} of wave {unfinished.wave} is {unfinished.status.value}"
                ]
            )
        wanted = {key for key, run in runs.items() if run.wave > wave}
        graph = plan_graph(execution.masterplan_id)
        plan = plan_reopening(runs, graph, execution.on_dependency_failure, wanted)
        if plan.hindered:
            raise InvalidRequest([f"{key}: {why_not}" for key, why_not in plan.hindered])
        told = _told(runs, plan, graph)
        if told.changes_nothing and not _waves_to_close(unit, execution, wave):
            return told
        reopen_execution(unit, execution, "roll back")
        audit(
            unit,
            execution,
            "rollback",
            actor,
            why,
            wave=wave or None,
            to_wave=wave,
            generated=len(plan.generate),
            revived=len(plan.revive),
        )
        _close_waves(unit, execution, wave)
        if execution.gates_total:
            reopen_gates(unit, execution, wave + 1)
        reopen_atoms(unit, execution, runs, plan)
        open_what_may(unit, execution)
        _ring(execution)
        return told


def _plan_retry(
    unit: ExecutionTransaction,
    execution: LockedExecution,
    atoms: Sequence[str],
    *,
    failed: bool,
    dependents: bool,
) -> tuple[dict[str, RunRow], Reopening]:
    if execution.status in (S.CANCELLING, S.CANCELLED):
        raise WrongState("retry", execution.status)
    runs = read_runs(unit, execution)
    _check_known(runs, atoms)
    chosen = set(atoms)
    if failed:
        chosen |= {key for key, run in runs.items() if run.status in RETRIED_BY_DEFAULT}
    if not chosen and not failed:
        raise InvalidRequest(["atoms: choose some, or all that failed"])
    graph = plan_graph(execution.masterplan_id)
    problems = _cannot_be_retried(runs, atoms)
    wanted = and_dependents(graph, chosen) if dependents else chosen
    plan = plan_reopening(runs, graph, execution.on_dependency_failure, wanted)
    problems += [f"{key}: {why_not}" for key, why_not in plan.hindered]
    if problems:
        raise InvalidRequest([f"cannot retry {problem}" for problem in problems])
    return runs, plan


def _check_known(runs: dict[str, RunRow], atoms: Collection[str]) -> None:
    unknown = [key for key in atoms if key not in runs]
    if unknown:
        more = f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else ""
        raise InvalidRequest([f"atoms: there is no {', '.join(unknown[:NAMED])}{more} in this execution"])


def _cannot_be_retried(runs: dict[str, RunRow], atoms: Collection[str]) -> list[str]:
    """Chosen atoms that have nothing to be tried again."""
    found = []
    for key in atoms:
        run = runs[key]
        if run.status is AtomStatus.BLOCKED:
            found.append(f"{key}: it is blocked and was never tried; retry what blocks it")
        elif run.status not in ATOM_ENDED and run.status not in ATOM_LEASED and not run.begun:
            found.append(f"{key}: it has not been tried yet")
    return found


def _told(runs: dict[str, RunRow], plan: Reopening, graph: PlanGraph) -> RepairPlan:
    anew = set(plan.generate) | set(plan.revive)
    behind = and_dependents(graph, plan.generate) - anew
    kept = [key for key in runs if key in behind and runs[key].status is AtomStatus.SUCCEEDED]
    return RepairPlan(plan.generate, plan.revive, tuple(kept))


def _waves_to_close(unit: ExecutionTransaction, execution: LockedExecution, wave: int) -> list[int]:
    numbers = range(wave + 1, execution.waves_total + 1)
    unit.read_waves(execution, numbers)
    return [n for n in numbers if unit.wave(execution, n).status is not WaveStatus.PENDING]


def _close_waves(unit: ExecutionTransaction, execution: LockedExecution, wave: int) -> None:
    """Waves behind it wait for their turn again, whether they had ended or were under way; so do their approvals."""
    for number in _waves_to_close(unit, execution, wave):
        one = unit.wave(execution, number)
        one.status, one.started_at, one.ended_at = WaveStatus.PENDING, None, None
        unit.event(execution, "wave.reopened", wave=number, status=one.status.value)
    execution.current_wave, execution.changed = min(execution.current_wave, wave), True
    unit.cursor.execute(
        "UPDATE executions_atomrun SET status = 'pending' WHERE execution_id = %s AND wave > %s AND status = 'ready'"
        " RETURNING position, key, wave",
        [dialect.uid(execution.id), wave],
    )
    for _, key, number in sorted(unit.cursor.fetchall()):
        unit.event(execution, "atom.reopened", wave=number, atom=key, was="ready")
    if execution.asks_people:
        _ask_again(unit, execution, wave)


def _ask_again(unit: ExecutionTransaction, execution: LockedExecution, wave: int) -> None:
    unit.cursor.execute(
        "UPDATE executions_atomrun SET approval = 'needed' WHERE execution_id = %s AND wave > %s AND approval <> ''",
        [dialect.uid(execution.id), wave],
    )
    for number in range(wave + 1, execution.waves_total + 1):
        one = unit.wave(execution, number)
        if one.approval:
            one.approval = Approval.NEEDED
    if execution.schedule == "flow":
        unit.write_waves()
        ask_for_waves(unit, execution)


def _ring(execution: LockedExecution) -> None:
    if execution.status is S.RUNNING:
        doorbell.ring(execution.id)
