"""Gates of an execution on its page: how each wave's project was judged, and the whole one; a piece that is fetched anew."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from executions.dashboard.mending import find_execution, reason
from executions.dashboard.signed_in import require, signed_in
from executions.models import Execution, Gate
from executions.permissions import Right, may
from executions.services.errors import InvalidRequest
from executions.services.gates import judge_again
from executions.states import EXECUTION_ENDED, ExecutionStatus, GateStatus, WrongState

ALL_UP_TO = 24
"""Gates of an execution that are all listed; of more only those that somebody has to look at."""
MOST_LISTED = 100
WORTH_A_LOOK = frozenset({GateStatus.READY, GateStatus.RUNNING, GateStatus.FAILED})


def gates_context(request: HttpRequest, execution: Execution) -> dict[str, Any]:
    """What the piece of the page shows."""
    rows = (
        list(Gate.objects.filter(execution=execution).order_by("position")) if execution.gates_total else []
    )
    listed = rows
    if len(rows) > ALL_UP_TO:
        listed = [gate for gate in rows if gate.status in WORTH_A_LOOK or gate.wave is None][-MOST_LISTED:]
    status = ExecutionStatus(execution.status)
    again = status in EXECUTION_ENDED - {ExecutionStatus.CANCELLED} or status is ExecutionStatus.PAUSED
    return {
        "execution": execution,
        "gates": listed,
        "gates_left_out": len(rows) - len(listed),
        "may_judge": again and may(request.user, Right.OPERATE) and execution.gates_failed > 0,
    }


@signed_in
def gates(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """The piece by itself, asked for after an event of a gate."""
    execution = find_execution(request, execution_id)
    return render(request, "dashboard/_gates.html", gates_context(request, execution))


@signed_in
@require_POST
def judge(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponseBase:
    """Run the gates that failed again, and those behind them."""
    execution = find_execution(request, execution_id)
    actor = require(request, Right.OPERATE)
    try:
        count = judge_again(execution_id=execution.pk, actor=actor, why=reason(request))
        word = "gate is" if count == 1 else "gates are"
        messages.success(request, f"{count} {word} run again.")
    except (InvalidRequest, WrongState) as error:
        messages.error(request, f"Not judged again: {error}.")
    return redirect("dashboard:execution", execution.pk)
