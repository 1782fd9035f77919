"""One atom of an execution: its specification, what it waits for, and every attempt at it, the newest last."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from executions.dashboard.highlighting import Code, CodeLine, Diff, compare, highlight
from executions.dashboard.links import atom_part, find_atom_run
from executions.dashboard.signed_in import is_partial, signed_in
from executions.findings import Severity
from executions.live.feed import one_moment
from executions.models import AtomRun, Attempt, Call, Execution, Issue
from executions.states import ATOM_ENDED, AtomStatus, AttemptKind

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
    compared_with: int | None

    @property
    def version(self) -> str:
        """Changes whenever anything that is shown of the attempt changes."""
        open_calls = sum(1 for row in self.calls if not row.call.outcome)
        return f"{self.attempt.status}.{self.attempt.superseded}.{len(self.calls)}.{open_calls}"

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
        attempts = attempt_views(run)
        depends_on, dependents = _neighbours(execution, run)
    language = run.atom.language
    context = {
        "execution": execution,
        "base": reverse("dashboard:execution", args=[execution.pk]),
        "part": atom_part(run.key, run.pk),
        "run": run,
        "atom": run.atom,
        "ended": run.status in ATOM_ENDED,
        "attempts": attempts,
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


def attempt_views(run: AtomRun) -> list[AttemptView]:
    """All attempts at an atom, oldest first, those that a retry replaced included."""
    rows = (
        Attempt.objects.filter(atom_run=run)
        .order_by("generation", "started_at", "number")
        .prefetch_related("issues", "calls")
    )
    views: list[AttemptView] = []
    before: Attempt | None = None
    for attempt in rows:
        views.append(_attempt_view(attempt, before, run.atom.language))
        if attempt.code:
            before = attempt
    return views


def _attempt_view(attempt: Attempt, before: Attempt | None, language: str) -> AttemptView:
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
        compared_with=before.number if before is not None else None,
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
