"""One atom of an execution: its specification, what it waits for, and every attempt at it, the newest last."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from executions.dashboard.highlighting import Code, CodeLine, Diff, compare, highlight
from executions.dashboard.links import atom_part, find_atom_run
from executions.dashboard.mending import code_to_mend, hindrance, retry_address
from executions.dashboard.signed_in import is_partial, signed_in
from executions.dashboard.steering import steering
from executions.findings import Severity
from executions.live.feed import one_moment
from executions.models import AtomRun, Attempt, Call, Execution, Issue
from executions.permissions import Right, may
from executions.states import (
    ATOM_ENDED,
    ATOM_LEASED,
    EXECUTION_ENDED,
    Approval,
    AtomStatus,
    AttemptKind,
    ExecutionStatus,
)

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

PARAMETERS = ("temperature", "effort", "max_tokens")
"""What a rung may ask for, in the order shown."""
SEVERITIES = list(Severity)
"""The worst first."""
MAX_NOTES_ON_LINES = 200
"""Issues of one attempt that are shown inside its code; the list above it holds all."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a call: what the rung asked for, what was sent, and why they differ."""

    name: str
    requested: Any
    applied: Any
    why: str

    @property
    def differs(self) -> bool:
        return bool(self.requested != self.applied)


@dataclass(frozen=True, slots=True)
class CallRow:
    call: Call
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True, slots=True)
class MarkedLine:
    """A line of an answer, with the issues that name it."""

    line: CodeLine
    issues: tuple[Issue, ...]

    @property
    def worst(self) -> str:
        return min((Severity(issue.severity) for issue in self.issues), key=SEVERITIES.index, default="")


@dataclass(frozen=True, slots=True)
class AttemptView:
    """Everything that a page says about one attempt."""

    attempt: Attempt
    anchor: str
    code: Code
    lines: tuple[MarkedLine, ...]
    issues: tuple[Issue, ...]
    calls: tuple[CallRow, ...]
    diff: Diff | None
    """Against the code of the attempt before; None where there is no other code to compare with."""
    compared_with: str
    origin: str
    """Address of the attempt that this answer was taken over from, where the user may see it."""

    @property
    def version(self) -> str:
        """Changes whenever anything that is shown of the attempt changes."""
        open_calls = sum(1 for row in self.calls if not row.call.outcome)
        replaced = self.attempt.superseded
        return f"{self.attempt.status}.{replaced}.{len(self.calls)}.{open_calls}.{len(self.issues)}"

    @property
    def cost_nano_usd(self) -> int:
        return sum(row.call.cost_nano_usd or 0 for row in self.calls)

    @property
    def input_tokens(self) -> int:
        return sum(row.call.input_tokens for row in self.calls)

    @property
    def output_tokens(self) -> int:
        return sum(row.call.output_tokens for row in self.calls)

    @property
    def temperature(self) -> Parameter | None:
        """Of the call that was answered last, or of the newest; None before the first call."""
        if not self.calls:
            return None
        answered = [row for row in self.calls if row.call.outcome == "answered"] or list(self.calls)
        return next((one for one in answered[-1].parameters if one.name == "temperature"), None)


@dataclass(frozen=True, slots=True)
class Generation:
    """Attempts that a retry or a rollback replaced."""

    number: int
    attempts: tuple[AttemptView, ...]

    @property
    def version(self) -> str:
        return " ".join(view.version for view in self.attempts)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An atom that this one builds on, or that builds on this one."""

    key: str
    name: str
    status: str
    part: str


@signed_in
def atom_page(request: HttpRequest, execution_id: uuid.UUID, part: str) -> HttpResponse:
    with one_moment():
        rows: QuerySet[Execution] = Execution.objects.visible_to(request.user)
        execution = get_object_or_404(rows.select_related("masterplan"), pk=execution_id)
        run = find_atom_run(execution, part)
        if run is None:
            raise Http404
        attempts = attempt_views(run, request.user)
        depends_on, dependents = _neighbours(execution, run)
    language = run.atom.language
    context = {
        "execution": execution,
        "base": reverse("dashboard:execution", args=[execution.pk]),
        "part": atom_part(run.key, run.pk),
        "run": run,
        "atom": run.atom,
        "ended": run.status in ATOM_ENDED,
        "attempts": [one for one in attempts if one.attempt.generation == run.generation],
        "history": _history(attempts, run.generation),
        **_mending(request, execution, run),
        "depends_on": depends_on,
        "dependents": dependents,
        "signature": highlight(run.atom.signature, language),
        "contract": highlight(run.atom.contract, language),
        "tests": highlight(run.atom.tests, language),
        "hidden_tests": highlight(run.atom.hidden_tests, language),
    }
    template = "dashboard/_attempts.html" if is_partial(request) else "dashboard/atom.html"
    return render(request, template, context)


@signed_in
def raw_code(request: HttpRequest, attempt_id: uuid.UUID) -> HttpResponse:
    """An answer as a file. An attachment of plain text: a browser must never take it for a page or a script."""
    attempt = get_object_or_404(
        Attempt.objects.visible_to(request.user).select_related("atom_run__atom"), pk=attempt_id
    )
    response = HttpResponse(attempt.code, content_type="text/plain; charset=utf-8")
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Disposition"] = f'attachment; filename="attempt-{attempt.number}.txt"'
    return response


def attempt_views(run: AtomRun, user: AbstractBaseUser | AnonymousUser) -> list[AttemptView]:
    """All attempts at an atom, oldest first, those that a retry replaced included."""
    rows = list(
        Attempt.objects.filter(atom_run=run)
        .order_by("generation", "started_at", "number")
        .prefetch_related("issues", "calls")
    )
    origins = _origins({row.origin for row in rows if row.origin is not None}, user)
    views: list[AttemptView] = []
    before: Attempt | None = None
    for attempt in rows:
        origin = "" if attempt.origin is None else origins.get(attempt.origin, "")
        views.append(_attempt_view(attempt, before, run.atom.language, origin))
        if attempt.code:
            before = attempt
    return views


def _origins(ids: set[uuid.UUID], user: AbstractBaseUser | AnonymousUser) -> dict[uuid.UUID, str]:
    """Addresses of these attempts on their atoms' pages; the invisible have none."""
    rows = Attempt.objects.visible_to(user).filter(pk__in=ids).select_related("atom_run") if ids else ()
    found = {}
    for row in rows:
        part = atom_part(row.atom_run.key, row.atom_run.pk)
        page = reverse("dashboard:atom", args=[row.execution_id, part])
        found[row.pk] = f"{page}#{_anchor(row)}"
    return found


def _history(attempts: Sequence[AttemptView], generation: int) -> list[Generation]:
    """What was replaced, the newest first."""
    by_number: dict[int, list[AttemptView]] = {}
    for view in attempts:
        if view.attempt.generation != generation:
            by_number.setdefault(view.attempt.generation, []).append(view)
    return [Generation(number, tuple(views)) for number, views in sorted(by_number.items(), reverse=True)]


def _mending(request: HttpRequest, execution: Execution, run: AtomRun) -> dict[str, Any]:
    """What a person may do for the atom now."""
    status = ExecutionStatus(execution.status)
    operates = may(request.user, Right.OPERATE)
    tried = run.status in ATOM_ENDED or run.started_at is not None
    can_retry = steering(status).retry and tried and run.status not in (AtomStatus.BLOCKED, *ATOM_LEASED)
    waits = run.approval in (Approval.NEEDED, Approval.ASKED) and status not in EXECUTION_ENDED
    kept_out = hindrance(execution, run)
    return {
        "may_operate": operates,
        "can_retry": operates and can_retry,
        "can_approve": operates and waits and status is not ExecutionStatus.CANCELLING,
        "can_mend": operates and not kept_out,
        "hindrance": kept_out,
        "code_to_mend": code_to_mend(run) if operates and not kept_out else "",
        "retry_address": retry_address(execution, run.key),
    }


def _compared_with(before: Attempt | None, attempt: Attempt) -> str:
    if before is None:
        return ""
    number = f"attempt {before.number}"
    return (
        number if before.generation == attempt.generation else f"{number} of generation {before.generation}"
    )


def _attempt_view(attempt: Attempt, before: Attempt | None, language: str, origin: str) -> AttemptView:
    code = highlight(attempt.code, language)
    issues = tuple(
        sorted(attempt.issues.all(), key=lambda one: (SEVERITIES.index(Severity(one.severity)), one.ordinal))
    )
    comparable = before is not None and bool(attempt.code)
    return AttemptView(
        attempt=attempt,
        anchor=_anchor(attempt),
        code=code,
        lines=_marked(code.lines, issues),
        issues=issues,
        calls=tuple(CallRow(call, tuple(_parameters(call))) for call in attempt.calls.all()),
        diff=compare(before.code, attempt.code, language) if comparable and before is not None else None,
        compared_with=_compared_with(before, attempt),
        origin=origin,
    )


def _anchor(attempt: Attempt) -> str:
    """Unlike any other attempt's at the atom: the model's first one may stand beside an answer of the cache."""
    number = f"{attempt.generation}.{attempt.number}" if attempt.generation > 1 else f"{attempt.number}"
    kind = "" if attempt.kind == AttemptKind.MODEL else f"-{attempt.kind}"
    return f"attempt-{number}{kind}"


def _marked(lines: Sequence[CodeLine], issues: Iterable[Issue]) -> tuple[MarkedLine, ...]:
    by_line: dict[int, list[Issue]] = {}
    for issue in list(issues)[:MAX_NOTES_ON_LINES]:
        if issue.line is not None:
            by_line.setdefault(issue.line, []).append(issue)
    return tuple(MarkedLine(line, tuple(by_line.get(line.number, ()))) for line in lines)


def _parameters(call: Call) -> Iterable[Parameter]:
    for name in PARAMETERS:
        requested = call.requested.get(name)
        # Not known for a call that is under way or was lost: nothing is said then.
        applied = call.applied.get(name, requested)
        if requested is not None or applied is not None:
            yield Parameter(name, requested, applied, str(call.dropped.get(name, "")))


def _neighbours(execution: Execution, run: AtomRun) -> tuple[list[Neighbour], list[Neighbour]]:
    wanted = set(run.atom.depends_on)
    rows = AtomRun.objects.filter(execution=execution).order_by("position")
    depends_on: list[Neighbour] = []
    dependents: list[Neighbour] = []
    for key, name, status, run_id, needs in rows.values_list(
        "key", "atom__name", "status", "id", "atom__depends_on"
    ):
        if key in wanted:
            depends_on.append(Neighbour(key, name, AtomStatus(status), atom_part(key, run_id)))
        if run.key in needs:
            dependents.append(Neighbour(key, name, AtomStatus(status), atom_part(key, run_id)))
    return depends_on, dependents
