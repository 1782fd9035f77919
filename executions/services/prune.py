"""Prune: remove executions that ended long ago, whole, and what else is kept for a while only.

Each execution goes in one transaction that locks its row first, as everything that writes does: readers see all of it or
nothing, and whoever wants to fork or reopen it is faster or finds nothing. Runners of other executions are not disturbed on
PostgreSQL and wait for one execution's deletion at most on SQLite. What `/metrics` counts lives in tallies of its own, so
that no counter falls.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django_q.models import Task

from executions.engine import dialect, remains
from executions.engine.tallies import move
from executions.engine.transaction import open_transaction
from executions.engine.wake_up import announce
from executions.models import Execution
from executions.services.answer_cache import prune_answers
from executions.services.idempotency import forget_requests
from executions.states import EXECUTION_ENDED

_ROWS_OF_EXECUTION = (
    "executions_issue WHERE attempt_id IN (SELECT id FROM executions_attempt WHERE execution_id = %s)",
    "executions_call WHERE execution_id = %s",
    "executions_event WHERE execution_id = %s",
    # These two refer to each other; foreign keys are checked at the commit.
    "executions_attempt WHERE execution_id = %s",
    "executions_atomrun WHERE execution_id = %s",
    "executions_wave WHERE execution_id = %s",
    "executions_gate WHERE execution_id = %s",
    "executions_execution WHERE id = %s",
)
"""Every table that knows of an execution, children first."""


@dataclass(frozen=True, slots=True)
class OldExecution:
    """An execution that ended long enough ago."""

    id: uuid.UUID
    masterplan: str
    status: str
    ended_at: datetime
    atoms: int
    events: int
    forked_from: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """What a prune would do now."""

    ended_before: datetime
    executions: tuple[OldExecution, ...]
    """Those that go, oldest first; a fork goes before what it was forked from."""
    kept: tuple[tuple[OldExecution, tuple[uuid.UUID, ...]], ...]
    """Those that stay although they are old, each with the forks of it that stay."""


def plan_prune(older_than: timedelta) -> PrunePlan:
    """Executions that ended longer ago than that, except those from which one was forked that stays."""
    before = datetime.now(UTC) - older_than
    rows = Execution.objects.filter(status__in=sorted(EXECUTION_ENDED), ended_at__lt=before)
    old = {
        one.id: one
        for one in (
            OldExecution(*row)
            for row in rows.order_by("ended_at", "id").values_list(
                "id", "masterplan__name", "status", "ended_at", "atoms_total", "seq", "forked_from"
            )
        )
    }
    forks: dict[uuid.UUID, list[uuid.UUID]] = {}
    pairs = Execution.objects.filter(forked_from__isnull=False).order_by("created_at")
    for fork, origin in pairs.values_list("id", "forked_from"):
        forks.setdefault(origin, []).append(fork)
    kept = _kept(old, forks)
    going = _forks_first([one for one in old.values() if one.id not in kept], forks)
    return PrunePlan(before, tuple(going), tuple((old[one], living) for one, living in kept.items()))


def _kept(
    old: Mapping[uuid.UUID, OldExecution], forks: Mapping[uuid.UUID, Sequence[uuid.UUID]]
) -> dict[uuid.UUID, tuple[uuid.UUID, ...]]:
    """Old executions with a fork that stays; a fork of a fork keeps both."""
    kept: dict[uuid.UUID, tuple[uuid.UUID, ...]] = {}
    while True:
        more = {
            one: living
            for one in old
            if one not in kept
            and (living := tuple(fork for fork in forks.get(one, ()) if fork not in old or fork in kept))
        }
        if not more:
            return kept
        kept |= more


def _forks_first(
    going: Iterable[OldExecution], forks: Mapping[uuid.UUID, Sequence[uuid.UUID]]
) -> Iterator[OldExecution]:
    """Oldest first, but each after its forks."""
    waiting = {one.id: one for one in going}

    def with_forks(one: OldExecution) -> Iterator[OldExecution]:
        for fork in forks.get(one.id, ()):
            if fork in waiting:
                yield from with_forks(waiting.pop(fork))
        yield one

    while waiting:
        yield from with_forks(waiting.pop(next(iter(waiting))))


def prune_execution(execution_id: uuid.UUID, *, ended_before: datetime) -> bool:
    """Remove one execution with everything of it; False when it is gone, was reopened, or has a fork by now."""
    with open_transaction(execution_id) as unit:
        execution = unit.executions.get(execution_id)
        if execution is None or execution.status not in EXECUTION_ENDED:
            return False
        if execution.ended_at is None or execution.ended_at >= ended_before:
            return False
        if Execution.objects.filter(forked_from=execution_id).exists():
            return False
        move(unit.cursor, [execution])
        for rows in _ROWS_OF_EXECUTION:
            unit.cursor.execute(f"DELETE FROM {rows}", [dialect.uid(execution_id)])  # noqa: S608
        announce(unit.cursor)
    return True


def prune_leftovers(older_than: timedelta, *, answers: bool = False, dry_run: bool = False) -> dict[str, int]:
    """Remove what else is kept for a while only; returns how many rows by what they are.

    Args:
        older_than: age of results of the queue's tasks and, with `answers`, time since an answer was last used. Kept
            requests, canaries and nodes that have ended have ages of their own.
        answers: also answers of the cache.
        dry_run: undo it all and say what would have gone.
    """
    steps: dict[str, Callable[[], int]] = {
        "kept requests": forget_requests,
        "canaries and nodes that ended": remains.sweep,
        "results of the queue": lambda: _prune_results(older_than),
    }
    if answers:
        steps["cached answers"] = lambda: prune_answers(older_than)
    found: dict[str, int] = {}
    for name, step in steps.items():
        with transaction.atomic():
            found[name] = step()
            transaction.set_rollback(dry_run)
    return found


def _prune_results(older_than: timedelta) -> int:
    """Rows in which django-q2 keeps what became of a task; nothing of ours reads them."""
    count: int = Task.objects.filter(stopped__lt=datetime.now(UTC) - older_than).delete()[0]
    return count
