"""Events by cursor and the state they lead to, each answer read at one moment of the database.

Old state + page = new state: a page carries, beside its events, the current totals of the execution and the current rows
of every wave and atom that its events name. What is not in a page has not changed, with one exception that clients know:
`wave.started` makes the wave's pending atoms ready. Everything here is synchronous; sockets call it in the hub's threads.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection

from executions.models import AtomRun, Event, Execution, Wave
from executions.services.reports import event_json, usd
from executions.states import EXECUTION_ENDED, ExecutionStatus

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

PAGE_LIMIT = 1000
"""Events in one page."""
LIST_LIMIT = 100
"""Executions in the list feed's first frame."""
NEW_FOR = timedelta(minutes=2)
"""An execution is looked at this long after it was made, so that one which ends at once is seen as well."""

COUNTERS = (
    "run_number",
    "current_wave",
    "waves_total",
    "atoms_total",
    "atoms_ended",
    "atoms_succeeded",
    "atoms_unsuccessful",
    "atoms_failed",
    "atoms_blocked",
    "atoms_cancelled",
    "atoms_dead_lettered",
    "atoms_static",
    "attempts_total",
    "attempts_passed",
    "retries_total",
    "retries_passed",
    "cache_hits",
    "gates_total",
    "gates_passed",
    "gates_failed",
    "gates_cancelled",
    "calls_total",
    "input_tokens",
    "output_tokens",
)
"""Numbers of an execution that clients see; `atoms_failed` are those that ended `failed`, `atoms_unsuccessful` all that
ended without success."""

AtomRow = tuple[str, int, str, int, str]
"""key, wave, status, attempts with a verdict, assurance."""


@dataclass(frozen=True, slots=True)
class State:
    """Totals of an execution and rows of some of its waves and atoms, as JSON values."""

    execution: Mapping[str, Any]
    waves: Sequence[Mapping[str, Any]] = ()
    atoms: Sequence[AtomRow] = ()

    @property
    def ended(self) -> bool:
        return self.execution["status"] in EXECUTION_ENDED

    def as_json(self) -> dict[str, Any]:
        return {"execution": self.execution, "waves": list(self.waves), "atoms": list(self.atoms)}


@dataclass(frozen=True, slots=True)
class Page:
    """Events in order, without a gap, and the state of what they touch."""

    after: int
    """The cursor that the page follows."""
    head: int
    """Number of the execution's last event when the page was read."""
    events: Sequence[Mapping[str, Any]]
    state: State

    @property
    def seq(self) -> int:
        """The cursor to go on with: the number of the last event in the page, or `after` when it has none."""
        last: int = self.events[-1]["seq"] if self.events else self.after
        return last

    @property
    def more(self) -> bool:
        """Events follow that did not fit."""
        return self.seq < self.head

    def as_json(self) -> dict[str, Any]:
        """The body of an `events` frame, and of the REST twin."""
        return {
            "seq": self.seq,
            "head": self.head,
            "events": list(self.events),
            "state": self.state.as_json(),
        }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a whole execution and the number of the last event in it."""

    seq: int
    state: State


@contextmanager
def one_moment() -> Iterator[None]:
    """All reads inside see one committed state. Takes no lock: `atomic()` would be a write transaction on SQLite."""
    if connection.in_atomic_block:
        yield
        return
    postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if postgres else "BEGIN DEFERRED")
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")


def read_page(execution_id: uuid.UUID, after: int, limit: int = PAGE_LIMIT) -> Page | None:
    """The events numbered above `after`, at most `limit`, with the state of what they touch.

    None when there is no such execution. Who may see it is the caller's question.
    """
    with one_moment():
        execution = _executions().filter(pk=execution_id).first()
        return None if execution is None else _page(execution, after, limit)


def read_snapshot(execution_id: uuid.UUID, *, atoms: bool = True) -> Snapshot | None:
    """Totals, waves and (if wanted) atoms with the number of the last event in them. None when there is no such execution."""
    with one_moment():
        execution = _executions().filter(pk=execution_id).first()
        if execution is None:
            return None
        runs = AtomRun.objects.filter(execution=execution_id).order_by("position")
        state = State(
            execution_json(execution),
            _waves(Wave.objects.filter(execution=execution_id)),
            _atoms(runs) if atoms else (),
        )
        return Snapshot(execution.seq, state)


@dataclass(frozen=True, slots=True)
class Cursor:
    """What a reader knows of an execution; nothing yet when both are None."""

    seq: int | None = None
    execution: Mapping[str, Any] | None = None


def read_changes(
    cursors: Mapping[uuid.UUID, Cursor], limit: int = PAGE_LIMIT
) -> dict[uuid.UUID, Page | None]:
    """Pages of the executions that changed since these cursors; None for one that is gone.

    For an execution of which nothing is known the page has no events: it tells where the history stands.
    """
    if not cursors:
        return {}
    with one_moment():
        found = {execution.id: execution for execution in _executions().filter(pk__in=list(cursors))}
        pages: dict[uuid.UUID, Page | None] = {one: None for one in cursors if one not in found}
        for execution in found.values():
            cursor = cursors[execution.id]
            if cursor.seq is None:
                pages[execution.id] = Page(execution.seq, execution.seq, (), State(execution_json(execution)))
            elif execution.seq > cursor.seq or execution_json(execution) != cursor.execution:
                pages[execution.id] = _page(execution, cursor.seq, limit)
        return pages


def read_active(also: Collection[uuid.UUID], now: datetime | None = None) -> list[dict[str, Any]]:
    """Totals of every execution that is under way, new, or among `also` (those which were under way a moment ago)."""
    active = [status.value for status in ExecutionStatus if status not in EXECUTION_ENDED]
    since = (now or datetime.now(UTC)) - NEW_FOR
    with one_moment():
        found = {one.id: one for one in _executions().filter(status__in=active)}
        found |= {one.id: one for one in _executions().filter(created_at__gt=since)}
        rest = [one for one in also if one not in found]
        found |= {one.id: one for one in _executions().filter(pk__in=rest)} if rest else {}
        return [execution_json(one) for one in found.values()]


def read_list(user: AbstractBaseUser | AnonymousUser, limit: int = LIST_LIMIT) -> list[dict[str, Any]]:
    """Totals of the newest executions that this user may see."""
    with one_moment():
        return [
            execution_json(one)
            for one in _executions(Execution.objects.visible_to(user)).order_by("-created_at")[:limit]
        ]


def execution_json(execution: Execution) -> dict[str, Any]:
    """Totals of an execution as clients get them."""
    return {
        "id": str(execution.id),
        "masterplan": execution.masterplan.name,
        "status": execution.status,
        "status_reason": execution.status_reason,
        "seq": execution.seq,
        **{name: getattr(execution, name) for name in COUNTERS},
        "precision_percent": round(execution.precision_percent, 4),
        "completion_percent": round(execution.completion_percent, 4),
        "cost_usd": usd(execution.cost_nano_usd),
        "lost_usd": usd(execution.lost_nano_usd),
        "created_at": _time(execution.created_at),
        "started_at": _time(execution.started_at),
        "ended_at": _time(execution.ended_at),
        # Two facts, not their sum: that would change without a change.
        "ran_seconds": execution.ran_ms / 1000,
        "running_since": _time(execution.running_since),
    }


def _executions(base: Any = None) -> Any:
    """The configuration, which may be large, stays in the database."""
    return (
        (Execution.objects.all() if base is None else base)
        .select_related("masterplan")
        .only(
            *(field.name for field in Execution._meta.concrete_fields if field.name != "config"),
            "masterplan__name",
        )
    )


def _page(execution: Execution, after: int, limit: int) -> Page:
    rows = Event.objects.filter(execution=execution.id, seq__gt=after).order_by("seq")[:limit]
    events = [event_json(event) for event in rows]
    numbers = {event["wave"] for event in events if "wave" in event}
    keys = {event["atom"] for event in events if "atom" in event}
    waves = Wave.objects.filter(execution=execution.id, number__in=numbers)
    atoms = AtomRun.objects.filter(execution=execution.id, key__in=keys).order_by("position")
    state = State(execution_json(execution), _waves(waves) if numbers else (), _atoms(atoms) if keys else ())
    return Page(after, execution.seq, events, state)


def _waves(waves: Any) -> Sequence[Mapping[str, Any]]:
    rows = waves.order_by("number").values(
        "number", "status", "atoms_total", "atoms_succeeded", "atoms_unsuccessful"
    )
    return list(rows)


def _atoms(atoms: Any) -> Sequence[AtomRow]:
    return list(atoms.values_list("key", "wave", "status", "attempts", "assurance"))


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat().replace("+00:00", "Z")


def merge(pages: Iterable[Page], after: int) -> Page | None:
    """One page out of several that follow each other, without the events up to `after`.

    None when the events above `after` do not begin with the next number: somebody must read them again.
    """
    events: list[Mapping[str, Any]] = []
    waves: dict[int, Mapping[str, Any]] = {}
    atoms: dict[str, AtomRow] = {}
    newest: Page | None = None
    for page in pages:
        if page.seq < after:
            continue
        newest = page
        events += [event for event in page.events if event["seq"] > after]
        waves |= {wave["number"]: wave for wave in page.state.waves}
        atoms |= {atom[0]: atom for atom in page.state.atoms}
    if newest is None or (events and events[0]["seq"] != after + 1):
        return None
    state = State(newest.state.execution, [waves[one] for one in sorted(waves)], list(atoms.values()))
    return Page(after, newest.head, events, state)
