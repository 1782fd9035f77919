"""One execution: header, waves as a grid, atoms as a table, events as a log."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode

from django.db.models import Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse

from executions.dashboard.event_words import sentence
from executions.dashboard.gates import gates_context
from executions.dashboard.links import atom_part, key_part
from executions.dashboard.mending import asked_context, find_execution
from executions.dashboard.signed_in import is_partial, signed_in
from executions.dashboard.steering import steering, steering_by_state
from executions.generation.prices import PriceKind, is_scripted
from executions.live.feed import one_moment
from executions.models import AtomRun, Call, Event, Execution, Wave, with_finding
from executions.services.explain import why_waiting
from executions.states import EXECUTION_ENDED, Approval, AtomStatus, ExecutionStatus

ATOMS_A_PAGE = 100
EVENTS_ON_PAGE = 200
FORKS_SHOWN = 5
NOT_SUCCEEDED = "unsuccessful"
"""Stands for every end but success."""
IN_WORK = "working"
"""Stands for atoms under a lease."""
GROUPS = {
    IN_WORK: (AtomStatus.GENERATING, AtomStatus.VALIDATING),
    NOT_SUCCEEDED: (AtomStatus.FAILED, AtomStatus.BLOCKED, AtomStatus.CANCELLED, AtomStatus.DEAD_LETTERED),
}
ASKED = "asked"
"""Stands for atoms that wait for a person's approval."""
PROVES_NOTHING = "tests-prove-nothing"
"""Stands for atoms with a finding of that name, whatever their state."""
ATOM_CHOICES: tuple[tuple[str, str], ...] = (
    ("", "any state"),
    (ASKED, "waits for approval"),
    (IN_WORK, "in work"),
    (NOT_SUCCEEDED, "ended without success"),
    (PROVES_NOTHING, "tests that prove nothing"),
    *((status.value, status.value.replace("dead_lettered", "dead-lettered")) for status in AtomStatus),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """An atom in the grid."""

    key: str
    name: str
    status: str
    part: str


@dataclass(frozen=True, slots=True)
class WaveRow:
    wave: Wave
    cells: tuple[Cell, ...]

    @property
    def ended(self) -> int:
        return self.wave.atoms_succeeded + self.wave.atoms_unsuccessful


@dataclass(frozen=True, slots=True)
class AtomRow:
    """An atom in the table, with what it has cost so far."""

    run: AtomRun
    part: str
    cost_nano_usd: int
    tokens: int


@dataclass(frozen=True, slots=True)
class EventRow:
    event: Event
    sentence: str
    part: str

    @property
    def subject(self) -> str:
        """What an event is about that names no wave and no atom."""
        return "control" if self.event.type.startswith("control.") else "execution"


@dataclass(frozen=True, slots=True)
class AtomFilters:
    """What the query string asks of the atoms table."""

    status: str = ""
    search: str = ""
    after: int | None = None

    @classmethod
    def of(cls, query: QueryDict) -> Self:
        status, after = query.get("status", ""), query.get("after", "")
        return cls(
            status=status if status in dict(ATOM_CHOICES) else "",
            search=query.get("q", "").strip()[:200],
            after=int(after) if after.isdecimal() and len(after) < 10 else None,
        )

    def address(self, after: int | None = None) -> str:
        wanted = {"status": self.status, "q": self.search, "after": "" if after is None else str(after)}
        return "?" + urlencode({key: value for key, value in wanted.items() if value})

    def apply(self, rows: QuerySet[AtomRun]) -> QuerySet[AtomRun]:
        if self.status == ASKED:
            rows = rows.filter(approval=Approval.ASKED, status=AtomStatus.PENDING)
        elif self.status == PROVES_NOTHING:
            rows = rows.filter(with_finding(PROVES_NOTHING))
        elif self.status in GROUPS:
            rows = rows.filter(status__in=GROUPS[self.status])
        elif self.status:
            rows = rows.filter(status=self.status)
        if self.search:
            words = Q(key__icontains=self.search) | Q(atom__name__icontains=self.search)
            rows = rows.filter(words | Q(atom__target_path__icontains=self.search))
        if self.after is not None:
            rows = rows.filter(position__gt=self.after)
        return rows.order_by("position")


@signed_in
def execution_page(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    with one_moment():
        execution = find_execution(request, execution_id)
        base = reverse("dashboard:execution", args=[execution.pk])
        visible: QuerySet[Execution] = Execution.objects.visible_to(request.user)
        atoms = _atom_table(execution, AtomFilters.of(request.GET))
        if is_partial(request) and request.headers.get("HX-Target") == "atoms":
            return render(
                request, "dashboard/_atom_table.html", {"execution": execution, "base": base, **atoms}
            )
        status = ExecutionStatus(execution.status)
        asked = asked_context(request, execution)
        context: dict[str, Any] = {
            **asked,
            **gates_context(request, execution),
            "base": base,
            "ended": status in EXECUTION_ENDED,
            "waves": _waves(execution),
            "events": event_rows(_latest_events(execution, before=None)),
            # What waits for a person is said by itself, with the button.
            "why_waiting": "" if asked["asked"].waiting else why_waiting(execution),
            "can_retry_failed": steering(status).retry
            and execution.atoms_failed + execution.atoms_dead_lettered > 0,
            "source": _source(request, execution),
            "forks": list(visible.filter(forked_from=execution).order_by("pk")[: FORKS_SHOWN + 1]),
            "price_kind": _price_kind(execution),
            "tested": _tested_percent(execution),
            "tokens": execution.input_tokens + execution.output_tokens,
            "steering": steering(status),
            "steering_by_state": steering_by_state(),
            **atoms,
        }
    context["has_earlier_events"] = bool(context["events"]) and context["events"][0].event.seq > 1
    return render(request, "dashboard/execution.html", context)


@signed_in
def event_page(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """The whole log, page by page backwards; a piece of it when the log on the execution page asks for earlier events."""
    execution = find_execution(request, execution_id)
    given = request.GET.get("before", "")
    before = int(given) if given.isdecimal() and len(given) < 19 else None
    events = event_rows(_latest_events(execution, before=before))
    context = {
        "execution": execution,
        "base": reverse("dashboard:execution", args=[execution.pk]),
        "events": events,
        "before": before,
        "has_earlier_events": bool(events) and events[0].event.seq > 1,
    }
    return render(
        request, "dashboard/_events.html" if is_partial(request) else "dashboard/events.html", context
    )


def event_rows(events: list[Event]) -> list[EventRow]:
    # An event holds no run's id: a key that cannot stand in a path has no link in the log.
    return [EventRow(one, sentence(one), key_part(one.atom)) for one in events]


def _source(request: HttpRequest, execution: Execution) -> Execution | None:
    """The execution that this one was forked from, where the user may see it."""
    if execution.forked_from_id is None:
        return None
    rows: QuerySet[Execution] = Execution.objects.visible_to(request.user)
    return rows.filter(pk=execution.forked_from_id).first()


def _latest_events(execution: Execution, *, before: int | None) -> list[Event]:
    rows = Event.objects.filter(execution=execution)
    if before is not None:
        rows = rows.filter(seq__lt=before)
    return list(rows.order_by("-seq")[:EVENTS_ON_PAGE])[::-1]


def _waves(execution: Execution) -> list[WaveRow]:
    cells: dict[int, list[Cell]] = {}
    rows = AtomRun.objects.filter(execution=execution).order_by("position")
    for wave, key, name, status, run_id in rows.values_list("wave", "key", "atom__name", "status", "id"):
        cells.setdefault(wave, []).append(Cell(key, name, status, atom_part(key, run_id)))
    waves = Wave.objects.filter(execution=execution).order_by("number")
    return [WaveRow(wave, tuple(cells.get(wave.number, ()))) for wave in waves]


def _atom_table(execution: Execution, filters: AtomFilters) -> dict[str, Any]:
    runs: QuerySet[AtomRun] = AtomRun.objects.filter(execution=execution).select_related("atom")
    rows = list(filters.apply(runs)[: ATOMS_A_PAGE + 1])
    more = len(rows) > ATOMS_A_PAGE
    rows = rows[:ATOMS_A_PAGE]
    spent = _spent([run.pk for run in rows])
    return {
        "atom_rows": [AtomRow(run, atom_part(run.key, run.pk), *spent.get(run.pk, (0, 0))) for run in rows],
        "atom_filters": filters,
        "atom_choices": ATOM_CHOICES,
        "next_atoms": filters.address(rows[-1].position) if more else "",
        "this_atoms": filters.address(filters.after),
        "first_atoms": filters.address() if filters.after is not None else "",
    }


def _spent(run_ids: list[uuid.UUID]) -> dict[uuid.UUID, tuple[int, int]]:
    """Settled cost in nano USD and tokens of each of these atoms."""
    calls = Call.objects.filter(attempt__atom_run__in=run_ids).order_by().values("attempt__atom_run")
    sums = calls.annotate(cost=Sum("cost_nano_usd"), read=Sum("input_tokens"), written=Sum("output_tokens"))
    return {
        one["attempt__atom_run"]: (one["cost"] or 0, (one["read"] or 0) + (one["written"] or 0))
        for one in sums
    }


def _tested_percent(execution: Execution) -> float:
    """The share of all atoms whose own tests ran and passed, in percent; 100 where there are none."""
    tested = execution.atoms_succeeded - execution.atoms_static
    return 100.0 * tested / execution.atoms_total if execution.atoms_total else 100.0


def _price_kind(execution: Execution) -> str:
    """Where the price of the calls comes from: of the newest call, or of the model's name before there is one."""
    newest = Call.objects.filter(execution=execution).exclude(price_kind="").order_by("-started_at")
    found = newest.values_list("price_kind", flat=True).first()
    if found is None:
        return PriceKind.SCRIPTED if is_scripted(execution.model) else ""
    return str(found)
