"""Masterplans: the list, one plan with its atoms, and the two doors: storing one, starting one."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.db.models import Case, Count, F, OuterRef, QuerySet, Subquery, Value, When
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from executions.dashboard.forms import ImportForm, StartForm
from executions.dashboard.highlighting import Code, highlight
from executions.dashboard.links import as_uuid
from executions.dashboard.signed_in import person, require, signed_in
from executions.models import Atom, Execution, Masterplan
from executions.permissions import Right, may
from executions.services.errors import StartRefused
from executions.services.languages_of_plans import said_before_start
from executions.services.masterplans import store_masterplans
from executions.services.start import start_execution

PAGE = 50
HOW_IT_WENT = Case(
    When(atoms_succeeded=F("atoms_total"), then=Value("all")),
    When(atoms_succeeded=0, then=Value("none")),
    default=Value("some"),
)
"""As the filter `outcome` says of an execution that has ended."""
EXECUTIONS_SHOWN = 10
PLAN_TESTS_SHOWN = 20
ATOMS_SHOWN = 5_000
"""Atoms of a plan that its page lists."""


@dataclass(frozen=True, slots=True)
class Level:
    """The atoms of one wave."""

    number: int
    atoms: tuple[Atom, ...]


@signed_in
def masterplan_list(request: HttpRequest) -> HttpResponse:
    search = request.GET.get("q", "").strip()[:200]
    before = as_uuid(request.GET.get("before", ""))
    rows: QuerySet[Masterplan] = Masterplan.objects.visible_to(request.user)
    if search:
        rows = rows.filter(name__icontains=search)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    runs = Execution.objects.visible_to(request.user).filter(masterplan=OuterRef("pk")).order_by("-pk")
    # Distinct: who shares two teams with a row would count it twice.
    counted = runs.order_by().values("masterplan").annotate(number=Count("pk", distinct=True))
    found = list(
        rows.select_related("owner")
        .order_by("-pk")
        .annotate(
            executions_total=Subquery(counted.values("number")),
            last_execution=Subquery(runs.values("pk")[:1]),
            last_status=Subquery(runs.values("status")[:1]),
            last_outcome=Subquery(runs.values(how=HOW_IT_WENT)[:1]),
        )[: PAGE + 1]
    )
    more = len(found) > PAGE
    found = found[:PAGE]
    context = {
        "masterplans": found,
        "search": search,
        "paged": before is not None,
        "next_before": found[-1].pk if more else None,
        "may_author": may(request.user, Right.AUTHOR),
    }
    return render(request, "dashboard/masterplan_list.html", context)


@signed_in
def masterplan_page(request: HttpRequest, masterplan_id: uuid.UUID) -> HttpResponse:
    masterplan = _masterplan(request, masterplan_id)
    atoms = list(Atom.objects.filter(masterplan=masterplan).order_by("wave", "position")[:ATOMS_SHOWN])
    visible: QuerySet[Execution] = Execution.objects.visible_to(request.user)
    others: QuerySet[Masterplan] = Masterplan.objects.visible_to(request.user)
    context = {
        "masterplan": masterplan,
        "levels": _levels(atoms),
        "left_out": masterplan.atoms_total - len(atoms),
        "versions": others.filter(name=masterplan.name, owner=masterplan.owner).order_by("-version"),
        "executions": visible.filter(masterplan=masterplan)
        .select_related("owner")
        .order_by("-pk")[:EXECUTIONS_SHOWN],
        "may_operate": may(request.user, Right.OPERATE),
        "plan_tests": _plan_tests(masterplan),
    }
    return render(request, "dashboard/masterplan.html", context)


def _plan_tests(masterplan: Masterplan) -> list[tuple[str, Code]]:
    """The plan's own tests, of waves and of the whole, each with a title."""
    waves = [(f"After wave {one['wave']}", one["tests"]) for one in masterplan.wave_tests]
    whole = [("At the end, against the whole project", tests) for tests in masterplan.acceptance_tests]
    return [(title, highlight(tests, "python")) for title, tests in (waves + whole)[:PLAN_TESTS_SHOWN]]


@signed_in
def atom_of_masterplan(request: HttpRequest, masterplan_id: uuid.UUID, position: int) -> HttpResponse:
    """What one atom of a plan asks for."""
    masterplan = _masterplan(request, masterplan_id)
    atom = get_object_or_404(Atom, masterplan=masterplan, position=position)
    rows = Atom.objects.filter(masterplan=masterplan).order_by("position")
    context = {
        "masterplan": masterplan,
        "atom": atom,
        "depends_on": rows.filter(key__in=atom.depends_on),
        "dependents": [
            one for one in rows.only("key", "name", "position", "depends_on") if atom.key in one.depends_on
        ],
        "signature": highlight(atom.signature, atom.language),
        "contract": highlight(atom.contract, atom.language),
        "tests": highlight(atom.tests, atom.language),
        "hidden_tests": highlight(atom.hidden_tests, atom.language),
    }
    return render(request, "dashboard/masterplan_atom.html", context)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def new_masterplan(request: HttpRequest) -> HttpResponseBase:
    owner = require(request, Right.AUTHOR)
    form = ImportForm(request.POST, request.FILES) if request.method == "POST" else ImportForm()
    if request.method != "POST" or not form.is_valid():
        status = 422 if request.method == "POST" else 200
        return render(request, "dashboard/masterplan_new.html", {"form": form}, status=status)
    stored = store_masterplans(form.plans, owner=owner)
    for masterplan in stored:
        messages.success(
            request,
            f"{masterplan} is stored: {masterplan.atoms_total} atoms in {masterplan.waves_total} waves.",
        )
    if len(stored) == 1:
        return redirect("dashboard:masterplan", stored[0].pk)
    return redirect("dashboard:masterplan_list")


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def start(request: HttpRequest, masterplan_id: uuid.UUID) -> HttpResponseBase:
    masterplan = _masterplan(request, masterplan_id)
    actor = require(request, Right.OPERATE)
    form = StartForm(request.POST if request.method == "POST" else None, masterplan=masterplan)
    if request.method == "POST" and form.is_valid():
        try:
            execution = start_execution(masterplan=masterplan, actor=actor, settings=form.settings)
        except StartRefused as error:
            form.add_error(None, str(error))
        else:
            return redirect("dashboard:execution", execution.pk)
    status = 422 if request.method == "POST" else 200
    context = {"form": form, "masterplan": masterplan, "said": said_before_start(masterplan)}
    return render(request, "dashboard/start.html", context, status=status)


def _masterplan(request: HttpRequest, masterplan_id: uuid.UUID) -> Masterplan:
    person(request)
    rows: QuerySet[Masterplan] = Masterplan.objects.visible_to(request.user)
    return get_object_or_404(rows.select_related("owner"), pk=masterplan_id)


def _levels(atoms: Sequence[Atom]) -> list[Level]:
    by_wave: dict[int, list[Atom]] = {}
    for atom in atoms:
        by_wave.setdefault(atom.wave, []).append(atom)
    return [Level(number, tuple(members)) for number, members in sorted(by_wave.items())]
