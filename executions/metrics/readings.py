"""What the database says now: tallies, the executions shown by name, and how much waits or is in flight.

Every counter comes from tallies, every gauge from rows that an index leads to or from the executions' own counters: atoms,
attempts and calls of the past are never read.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from django.db import connection
from django.db.models import (
    Count,
    F,
    IntegerField,
    Min,
    Q,
    Sum,
    Value,
)
from django.db.models.functions import Least
from django_q.brokers import get_broker

from executions.engine import dialect
from executions.engine.node import live_nodes
from executions.engine.tallies import MOST_WAVES, temperature_label, wave_label
from executions.models import AtomRun, Attempt, Execution, Tally, Wave
from executions.models.metrics import ALL
from executions.states import (
    ATTEMPT_COUNTED,
    ORIGINAL_WORD,
    AttemptKind,
    ExecutionStatus,
)

RECENT = 50
"""Executions whose masterplan is named, besides those that run."""
MOST_RUNNING = 100
"""The same for those that run: only so that a crowd of them cannot swell a scrape."""
MOST_ATOMS = 200
"""Atoms that are named, on request."""

RUNNING = sorted(status for status, word in ORIGINAL_WORD.items() if word == ExecutionStatus.RUNNING)

Counts = Mapping[tuple[str, str, str], int]
"""Amount by name, label and part of the tally; 0 for what is not there."""


@dataclass(frozen=True, slots=True)
class ShownPlan:
    """A masterplan with an execution among those shown; what is said of an execution is said of its newest."""

    masterplan_id: uuid.UUID
    precision_percent: float
    waves: Mapping[str, float]
    """Completion in percent by the wave's label."""
    temperatures: frozenset[tuple[str, str]]
    """Changes that the ladders of its shown executions ask for: from, to."""
    counts: Counts


@dataclass(frozen=True, slots=True)
class Readings:
    """One look at the database."""

    counts: Counts = field(default_factory=Counter)
    plans: Sequence[ShownPlan] = ()
    executions: Mapping[str, int] = field(default_factory=dict)
    nodes_alive: int = 0
    messages_queued: int = 0
    atoms_waiting: int = 0
    oldest_waiting_s: float = 0.0
    leases_live: int = 0
    calls_in_flight: int = 0
    dead_letters: int = 0


@dataclass(frozen=True, slots=True)
class AtomReading:
    """One atom, on request."""

    run_id: uuid.UUID
    attempts: Mapping[int, int]
    """Verdicts by the attempt's number."""
    seconds: float | None
    """From its first claim to its end; None while it goes on."""


def read() -> Readings:
    """Look at everything. Raises the database's errors."""
    shown = _shown_executions()
    counts, by_plan = _counts({one.masterplan_id for one in shown})
    atoms_waiting, oldest_waiting_s = _waiting()
    with connection.cursor() as cursor:
        now = dialect.now(cursor)
    by_status = Execution.objects.order_by().values_list("status").annotate(Count("pk"))
    dead = Execution.objects.filter(atoms_dead_lettered__gt=0).aggregate(sum=Sum("atoms_dead_lettered"))[
        "sum"
    ]
    return Readings(
        counts=counts,
        plans=_plans(shown, by_plan),
        executions=dict(by_status),
        nodes_alive=len(live_nodes()),
        atoms_waiting=atoms_waiting,
        oldest_waiting_s=oldest_waiting_s,
        leases_live=_row(
            "SELECT COUNT(*) FROM executions_atomrun WHERE status IN ('generating', 'validating') AND lease_until >= %s",
            dialect.at(now),
        )[0],
        calls_in_flight=_row("SELECT COUNT(*) FROM executions_call WHERE outcome = ''")[0],
        dead_letters=dead or 0,
        # Last: the broker gives an old connection back before it looks.
        messages_queued=get_broker().queue_size(),
    )


def read_atoms() -> list[AtomReading]:
    """The atoms started last among those of the executions shown."""
    shown = [one.pk for one in _shown_executions()]
    newest = AtomRun.objects.filter(execution__in=shown, started_at__isnull=False).order_by(
        "-started_at", "pk"
    )
    runs = list(newest.values_list("pk", "started_at", "ended_at")[:MOST_ATOMS])
    verdicts = Attempt.objects.filter(
        atom_run__in=[run_id for run_id, _, _ in runs],
        kind=AttemptKind.MODEL,
        status__in=sorted(ATTEMPT_COUNTED),
    )
    attempts: dict[uuid.UUID, Counter[int]] = {}
    for run_id, number in verdicts.order_by().values_list("atom_run", "number"):
        attempts.setdefault(run_id, Counter())[number] += 1
    return [
        AtomReading(
            run_id=run_id,
            attempts=attempts.get(run_id, Counter()),
            seconds=None if ended_at is None else max(0.0, (ended_at - started_at).total_seconds()),
        )
        for run_id, started_at, ended_at in runs
    ]


def _shown_executions() -> list[Execution]:
    """Those that run and the newest, the newest first."""
    fields = ("masterplan_id", "atoms_total", "atoms_succeeded", "waves_total", "config", "created_at")
    newest = Execution.objects.order_by("-created_at").only(*fields)
    found = [*newest.filter(status__in=RUNNING)[:MOST_RUNNING], *newest[:RECENT]]
    return sorted({one.pk: one for one in found}.values(), key=lambda one: one.created_at, reverse=True)


def _counts(plans: set[uuid.UUID]) -> tuple[Counts, Mapping[uuid.UUID, Counts]]:
    """Of the whole site, and of each of these masterplans. One statement: between two, an execution's tallies could move."""
    rows = Tally.objects.filter(
        Q(execution_id__gt=ALL) | Q(execution_id=ALL, masterplan_id__in=[ALL, *plans])
    )
    everything: Counter[tuple[str, str, str]] = Counter()
    by_plan: dict[uuid.UUID, Counter[tuple[str, str, str]]] = {plan: Counter() for plan in plans}
    found = rows.values_list("masterplan_id", "execution_id", "name", "label", "part", "amount")
    for plan, execution, name, label, part, amount in found.iterator():
        if plan == ALL or execution != ALL:
            everything[name, label, part] += amount
        if plan in by_plan:
            by_plan[plan][name, label, part] += amount
    return everything, by_plan


def _plans(shown: Sequence[Execution], by_plan: Mapping[uuid.UUID, Counts]) -> list[ShownPlan]:
    newest: dict[uuid.UUID, Execution] = {}
    changes: dict[uuid.UUID, set[tuple[str, str]]] = {}
    for one in shown:
        newest.setdefault(one.masterplan_id, one)
        changes.setdefault(one.masterplan_id, set()).update(_temperature_changes(one))
    waves = _waves([one.pk for one in newest.values()])
    return [
        ShownPlan(
            masterplan_id=plan,
            precision_percent=one.precision_percent,
            waves=waves.get(one.pk, {}),
            temperatures=frozenset(changes[plan]),
            counts=by_plan[plan],
        )
        for plan, one in newest.items()
    ]


def _temperature_changes(execution: Execution) -> set[tuple[str, str]]:
    asked = [temperature_label(rung["temperature"]) for rung in execution.config["ladder"]]
    return {(before, after) for before, after in pairwise(asked) if before != after}


def _waves(executions: Sequence[uuid.UUID]) -> dict[uuid.UUID, dict[str, float]]:
    label = Least(F("number"), Value(MOST_WAVES + 1), output_field=IntegerField())
    rows = (
        Wave.objects.filter(execution__in=executions)
        .order_by()
        .annotate(place=label)
        .values_list("execution", "place")
        .annotate(ended=Sum(F("atoms_succeeded") + F("atoms_unsuccessful")), total=Sum("atoms_total"))
    )
    found: dict[uuid.UUID, dict[str, float]] = {}
    for execution, place, ended, total in rows:
        found.setdefault(execution, {})[wave_label(place)] = 100.0 * ended / total if total else 100.0
    return found


def _waiting() -> tuple[int, float]:
    """How many atoms could be claimed now, and for how many seconds the oldest of them, or an execution not begun, has waited.

    An atom never worked on waits from the start of its wave; one that was given back, from its last attempt or from the
    end of the pause that it was told to make.
    """
    now = datetime.now(UTC)
    count, oldest = _row(
        "SELECT COUNT(*), MIN(CASE WHEN fence = 0 THEN opened WHEN tried > due THEN tried ELSE due END) FROM"
        " (SELECT r.fence, COALESCE(w.started_at, e.started_at) AS opened, COALESCE(r.not_before, r.started_at) AS due,"
        " (SELECT MAX(COALESCE(a.ended_at, a.started_at)) FROM executions_attempt a WHERE a.atom_run_id = r.id) AS tried"
        " FROM executions_atomrun r JOIN executions_execution e ON e.id = r.execution_id"
        " JOIN executions_wave w ON w.execution_id = r.execution_id AND w.number = r.wave"
        " WHERE r.status = 'ready' AND e.status IN ('pending', 'running')"
        " AND (r.not_before IS NULL OR r.not_before <= %s)) waiting",
        dialect.at(now),
    )
    pending = Execution.objects.filter(status=ExecutionStatus.PENDING).aggregate(oldest=Min("created_at"))[
        "oldest"
    ]
    since = min((one for one in (dialect.to_time(oldest), pending) if one is not None), default=now)
    return int(count), max(0.0, (now - since).total_seconds())


def _row(sql: str, *parameters: Any) -> tuple[Any, ...]:
    """The only row of a query. For questions that a partial index answers: SQLite takes one only where its condition stands
    in the text of the query; what the ORM hands over as a parameter makes it read the whole table."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        found: tuple[Any, ...] = cursor.fetchone()
        return found
