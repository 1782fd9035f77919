"""A fork's atoms as they are stored: accepted results of the waves up to the chosen one are taken over, with their code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from executions.engine import dialect
from executions.engine.attempt_rows import NewAttempt, insert_attempts
from executions.engine.plan_graph import plan_graph
from executions.engine.reopening import read_runs, recount_unmet
from executions.engine.transaction import ExecutionTransaction, LockedExecution
from executions.identity import new_id
from executions.models import AtomRun, Execution
from executions.states import Assurance, AtomStatus, AttemptKind, AttemptStatus

if TYPE_CHECKING:
    from executions.engine.building import Columns, Overrides, PlannedAtom


def overrides_of(execution: Execution) -> Overrides | None:
    """What differs from new rows when this execution's atoms are stored; None where it is no fork."""
    source_id, wave = execution.forked_from_id, execution.forked_at_wave
    if source_id is None or wave is None:
        return None

    def take_over(
        unit: ExecutionTransaction, fork: LockedExecution, atoms: Sequence[PlannedAtom]
    ) -> Mapping[str, Columns]:
        keys = [atom.key for atom in atoms if atom.wave <= wave]
        accepted = AtomRun.objects.filter(
            execution_id=source_id, status=AtomStatus.SUCCEEDED, accepted__isnull=False
        ).select_related("accepted")
        rows: dict[str, Columns] = {}
        attempts: list[NewAttempt] = []
        for start in range(0, len(keys), 500):
            for run in accepted.filter(key__in=keys[start : start + 500]).order_by("position"):
                attempt, row = _taken_over(unit, fork, run)
                attempts.append(attempt)
                rows[run.key] = row
        insert_attempts(unit, attempts)
        return rows

    return take_over


def _taken_over(
    unit: ExecutionTransaction, fork: LockedExecution, run: AtomRun
) -> tuple[NewAttempt, dict[str, Any]]:
    """The attempt that stands for the result, and the columns of the atom's row; counted and told."""
    source = run.accepted
    if source is None:
        raise RuntimeError(f"{run.key} has succeeded without an accepted attempt")
    run_id = new_id()
    attempt = NewAttempt(
        id=new_id(),
        execution_id=fork.id,
        run_id=run_id,
        generation=1,
        number=1,
        kind=AttemptKind.FORK,
        status=AttemptStatus.PASSED,
        author=source.author,
        origin=source.id,
        strategy="fork",
        code=source.code,
        isolation=source.isolation,
        tests_passed=tuple(source.tests_passed),
        tests_total=source.tests_total,
    )
    fork.add("atoms_succeeded")
    if run.assurance == Assurance.STATIC:
        fork.add("atoms_static")
    unit.wave(fork, run.wave).atoms_succeeded += 1
    unit.event(
        fork,
        "atom.ended",
        wave=run.wave,
        atom=run.key,
        status=AtomStatus.SUCCEEDED.value,
        reason="fork",
        assurance=run.assurance,
        attempts=0,
        seconds=None,
    )
    return attempt, {
        "id": dialect.uid(run_id),
        "status": AtomStatus.SUCCEEDED.value,
        "reason": "fork",
        "assurance": run.assurance,
        "accepted_id": dialect.uid(attempt.id),
        "approval": "",
        "unmet": 0,
        "ended_at": dialect.at(unit.now),
    }


def count_what_is_unmet(unit: ExecutionTransaction, fork: LockedExecution) -> None:
    """Once all rows of a fork are stored: what has been taken over is met already."""
    runs = read_runs(unit, fork)
    recount_unmet(unit, fork, runs, plan_graph(fork.masterplan_id).nodes)
