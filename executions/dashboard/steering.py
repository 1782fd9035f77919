"""Pause, resume and cancel from a page; and what of all that people may do fits which state."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRefresh

from executions.dashboard.signed_in import is_partial, no_content, require, signed_in
from executions.models import Execution
from executions.permissions import Right
from executions.services.control import cancel_execution, pause_execution, resume_execution
from executions.states import EXECUTION_ENDED, ExecutionStatus, WrongState, may_follow

S = ExecutionStatus
MAX_REASON = 500
"""Characters of the reason that a person gives."""

VERBS: Mapping[str, Callable[..., ExecutionStatus]] = {
    "pause": pause_execution,
    "resume": resume_execution,
    "cancel": cancel_execution,
}


@dataclass(frozen=True, slots=True)
class Steering:
    """What can be done in a state, and where nothing can, why."""

    pause: bool
    resume: bool
    cancel: bool
    retry: bool
    rollback: bool
    review: bool
    """Code may be supplied by hand."""
    note: str


def steering(status: ExecutionStatus) -> Steering:
    final = status in (S.CANCELLING, S.CANCELLED)
    return Steering(
        pause=may_follow(status, S.PAUSING) or status is S.PENDING,
        resume=status in (S.PAUSING, S.PAUSED),
        cancel=may_follow(status, S.CANCELLING),
        retry=not final,
        rollback=status in (S.PAUSED, S.COMPLETED, S.FAILED),
        review=not final and status is not S.PENDING,
        note=NOTES.get(status, ""),
    )


NOTES: Mapping[ExecutionStatus, str] = {
    S.PAUSING: "No new call starts; calls in flight finish first.",
    S.CANCELLING: "Calls in flight are being aborted.",
    S.COMPLETED: "Ended: nothing to pause or cancel.",
    S.FAILED: "Ended: nothing to pause or cancel.",
    S.CANCELLED: "Cancelled: that is final; a fork may go on from here.",
}


def steering_by_state() -> dict[str, Any]:
    """Every state's buttons and note, for the script that follows the state."""
    return {status.value: asdict(steering(status)) for status in S}


@signed_in
@require_POST
def steer(request: HttpRequest, execution_id: uuid.UUID, verb: str) -> HttpResponseBase:
    """Do it, then back to the page; a page whose script asked needs nothing back, the feed will show it."""
    if verb not in VERBS:
        raise Http404
    get_object_or_404(Execution.objects.visible_to(request.user), pk=execution_id)
    actor = require(request, Right.OPERATE)
    why = request.POST.get("why", "").strip()[:MAX_REASON]
    try:
        VERBS[verb](execution_id=execution_id, actor=actor, why=why)
    except WrongState as error:
        messages.error(request, f"Nothing was changed: {error}.")
        if is_partial(request):
            return HttpResponseClientRefresh()
    else:
        if is_partial(request):
            return no_content()
    return redirect("dashboard:execution", execution_id)


@signed_in
@require_http_methods(["GET", "HEAD"])
def confirm_cancel(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """Asks before the one action that cannot be undone; the same question as the page's dialog."""
    rows = Execution.objects.visible_to(request.user).select_related("masterplan", "owner")
    execution = get_object_or_404(rows, pk=execution_id)
    require(request, Right.OPERATE)
    status = ExecutionStatus(execution.status)
    context = {
        "execution": execution,
        "can_cancel": steering(status).cancel,
        "ended": status in EXECUTION_ENDED,
    }
    return render(request, "dashboard/confirm_cancel.html", context)
