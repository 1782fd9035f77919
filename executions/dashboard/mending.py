"""Retry, roll back, approve and mend by hand from the pages: every question on a page of its own, or in its dialog."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from executions.dashboard.links import atom_part, find_atom_run
from executions.dashboard.signed_in import is_partial, require, signed_in
from executions.dashboard.steering import MAX_REASON, steering
from executions.dashboard.visible_text import visible
from executions.models import AtomRun, Attempt, Execution, Wave
from executions.permissions import Right, may
from executions.services.approvals import approve
from executions.services.errors import InvalidRequest, NotFound
from executions.services.explain import approvals_asked
from executions.services.repair import RepairPlan, preview_retry, retry_atoms, roll_back
from executions.services.review import supply_code
from executions.states import ATOM_LEASED, AtomStatus, ExecutionStatus, WrongState

LISTED = 100
"""Atoms that a question names; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which atoms a retry is about, as the query string or a form says."""

    atoms: tuple[str, ...]
    failed: bool
    dependents: bool

    @classmethod
    def of(cls, query: QueryDict) -> Self:
        return cls(tuple(query.getlist("atom")), "failed" in query, "dependents" in query)

    @property
    def arguments(self) -> dict[str, Any]:
        return {"atoms": self.atoms, "failed": self.failed, "with_dependents": self.dependents}


@dataclass(frozen=True, slots=True)
class Named:
    """Some of many atoms, for a list."""

    keys: tuple[str, ...]

    @property
    def shown(self) -> tuple[str, ...]:
        return self.keys[:LISTED]

    @property
    def left_out(self) -> int:
        return max(0, len(self.keys) - LISTED)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def retry(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponseBase:
    """Says what exactly would begin anew, and asks; then does it."""
    execution = find_execution(request, execution_id)
    actor = require(request, Right.OPERATE)
    selection = Selection.of(request.POST if request.method == "POST" else request.GET)
    plan: RepairPlan | None = None
    problems: tuple[str, ...] = ()
    try:
        if request.method == "POST":
            plan = retry_atoms(
                execution_id=execution.pk, actor=actor, why=reason(request), **selection.arguments
            )
            messages.success(request, _said(plan))
            return redirect(_back(execution, selection.atoms, request.POST))
        plan = preview_retry(execution_id=execution.pk, **selection.arguments)
    except InvalidRequest as error:
        problems = error.problems
    except WrongState as error:
        problems = (str(error),)
    context: dict[str, Any] = {
        "execution": execution,
        "selection": selection,
        "problems": problems,
        "why": reason(request),
        "plan": plan,
        "in_dialog": is_partial(request),
        "back": _back(execution, selection.atoms, request.GET or request.POST),
        "from_atom": "from_atom" in request.GET or "from_atom" in request.POST,
    }
    if plan is not None:
        context |= {
            "generated": Named(plan.generated),
            "revived": Named(plan.revived),
            "kept": Named(plan.kept),
        }
    return _question(request, "retry", context, refused=bool(problems) and request.method == "POST")


@dataclass(frozen=True, slots=True)
class Place:
    """A wave that an execution can be rolled back to the end of."""

    number: int
    atoms: int
    """That begin anew."""
    succeeded: int
    """Those of them that have succeeded."""


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def rollback(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponseBase:
    execution = find_execution(request, execution_id)
    actor = require(request, Right.OPERATE)
    problems: tuple[str, ...] = ()
    chosen = (request.POST if request.method == "POST" else request.GET).get("wave", "")
    wave = int(chosen) if chosen.isdecimal() and len(chosen) < 10 else -1
    if request.method == "POST":
        try:
            plan = roll_back(execution_id=execution.pk, actor=actor, wave=wave, why=reason(request))
        except InvalidRequest as error:
            problems = error.problems
        except WrongState as error:
            problems = (str(error),)
        else:
            messages.success(request, _said(plan))
            return redirect("dashboard:execution", execution.pk)
    places = places_behind(execution)
    context = {
        "execution": execution,
        "can_roll_back": steering(ExecutionStatus(execution.status)).rollback,
        "places": places,
        "wave": wave if wave >= 0 or not places else places[0].number,
        "problems": problems,
        "why": reason(request),
        "in_dialog": is_partial(request),
        "back": reverse("dashboard:execution", args=[execution.pk]),
    }
    return _question(request, "rollback", context, refused=bool(problems))


@signed_in
@require_POST
def approve_it(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponseBase:
    """A wave (`wave`) or an atom (`atom`, its key): whichever button was pressed."""
    execution = find_execution(request, execution_id)
    actor = require(request, Right.OPERATE)
    wave, atom = request.POST.get("wave", ""), request.POST.get("atom")
    number = int(wave) if wave.isdecimal() and len(wave) < 10 else None
    back = _back(execution, (atom,) if atom else (), request.POST)
    try:
        changed = approve(execution_id=execution.pk, actor=actor, wave=number, atom=atom, why=reason(request))
    except (InvalidRequest, NotFound, WrongState) as error:
        messages.error(request, f"Nothing was changed: {error}.")
    else:
        what = f"Wave {number}" if number is not None else str(atom)
        messages.success(request, f"{what} is approved." if changed else f"{what} was approved already.")
    return redirect(back)


@signed_in
def approvals(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """The piece of the execution page that says what waits for a person; asked for when the feed tells of a change."""
    execution = find_execution(request, execution_id)
    return render(request, "dashboard/_approvals.html", asked_context(request, execution))


def asked_context(request: HttpRequest, execution: Execution) -> dict[str, Any]:
    return {
        "execution": execution,
        "asked": approvals_asked(execution),
        "may_operate": may(request.user, Right.OPERATE),
    }


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def supply(request: HttpRequest, execution_id: uuid.UUID, part: str) -> HttpResponseBase:
    """Code by hand: judged by a worker like the model's; the atom's page shows what came of it."""
    execution = find_execution(request, execution_id)
    run = find_atom_run(execution, part)
    if run is None:
        raise Http404
    actor = require(request, Right.OPERATE)
    problems: tuple[str, ...] = ()
    code = code_to_mend(run)
    if request.method == "POST":
        # A browser sends the ends of lines as the network has them.
        code = request.POST.get("code", "").replace("\r\n", "\n")
        try:
            attempt_id = supply_code(
                execution_id=execution.pk, actor=actor, atom=run.key, code=code, why=reason(request)
            )
        except InvalidRequest as error:
            problems = error.problems
        except WrongState as error:
            problems = (str(error),)
        else:
            attempt = Attempt.objects.get(pk=attempt_id)
            messages.success(request, f"Your code waits for its verdict as attempt {attempt.number}.")
            return redirect("dashboard:atom", execution.pk, atom_part(run.key, run.pk))
    context = {
        "execution": execution,
        "base": reverse("dashboard:execution", args=[execution.pk]),
        "part": atom_part(run.key, run.pk),
        "run": run,
        "code": code,
        "why": reason(request),
        "problems": problems,
        "hindrance": hindrance(execution, run),
    }
    return render(request, "dashboard/supply_code.html", context, status=422 if problems else 200)


def code_to_mend(run: AtomRun) -> str:
    """What a person begins with: the accepted code, or the newest that there is, or the signature.

    Characters that hide or reorder are written by their number, so that nobody sends what he has not seen.
    """
    if run.accepted is not None:
        return visible(run.accepted.code)
    newest = Attempt.objects.filter(atom_run=run).exclude(code="").order_by("-generation", "-started_at")
    return visible(newest.values_list("code", flat=True).first() or run.atom.signature)


def hindrance(execution: Execution, run: AtomRun) -> str:
    """Why no code can be supplied now; empty where it can."""
    if not steering(ExecutionStatus(execution.status)).review or execution.started_at is None:
        return f"the execution is {execution.status}"
    if run.status in (AtomStatus.BLOCKED, AtomStatus.PENDING):
        return f"the atom is {run.status}: what it builds on is not there yet"
    if run.status in ATOM_LEASED:
        return f"the atom is {run.status}: pause the execution first"
    if Attempt.objects.filter(atom_run=run, status="running").exists():
        return "an attempt waits for its verdict"
    return ""


def find_execution(request: HttpRequest, execution_id: uuid.UUID) -> Execution:
    rows: QuerySet[Execution] = Execution.objects.visible_to(request.user)
    return get_object_or_404(rows.select_related("masterplan", "owner"), pk=execution_id)


def reason(request: HttpRequest) -> str:
    return request.POST.get("why", "").replace("\0", "").strip()[:MAX_REASON]


def places_behind(execution: Execution) -> list[Place]:
    """From the start to the last wave but one behind which nothing is unfinished; the newest first."""
    waves = list(Wave.objects.filter(execution=execution).order_by("number"))
    places = []
    atoms = sum(wave.atoms_total for wave in waves)
    succeeded = sum(wave.atoms_succeeded for wave in waves)
    for wave in waves:
        places.append(Place(wave.number - 1, atoms, succeeded))
        atoms -= wave.atoms_total
        succeeded -= wave.atoms_succeeded
        if wave.atoms_succeeded + wave.atoms_unsuccessful < wave.atoms_total:
            break
    return places[::-1]


def _question(
    request: HttpRequest, name: str, context: dict[str, Any], *, refused: bool = False
) -> HttpResponse:
    template = f"dashboard/_{name}_form.html" if is_partial(request) else f"dashboard/confirm_{name}.html"
    return render(request, template, context, status=422 if refused else 200)


def _said(plan: RepairPlan) -> str:
    if plan.changes_nothing:
        return "Nothing was to do."
    parts = [_counted(len(plan.generated), "is generated again", "are generated again")]
    if plan.revived:
        parts.append(_counted(len(plan.revived), "is no longer blocked", "are no longer blocked"))
    return "; ".join(parts) + "."


def _counted(number: int, one: str, many: str) -> str:
    return f"1 atom {one}" if number == 1 else f"{number:,} atoms {many}"


def _back(execution: Execution, atoms: tuple[str, ...], query: QueryDict) -> str:
    """The page that the question was asked on."""
    if "from_atom" in query and len(atoms) == 1:
        run = AtomRun.objects.filter(execution=execution, key=atoms[0]).first()
        if run is not None:
            return reverse("dashboard:atom", args=[execution.pk, atom_part(run.key, run.pk)])
    return reverse("dashboard:execution", args=[execution.pk])


def retry_address(execution: Execution, key: str) -> str:
    """Where an atom's page asks for its retry."""
    query = urlencode({"atom": key, "from_atom": "on"})
    return f"{reverse('dashboard:retry', args=[execution.pk])}?{query}"
