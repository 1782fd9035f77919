"""The history by cursor: what comes after event N, at once or as soon as there is something. The long-poll twin of the socket."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.db import close_old_connections
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from executions.api import shapes
from executions.api.documentation import answers
from executions.api.original import EXECUTION_ID
from executions.api.views import ApiView
from executions.models import Event
from executions.states import EXECUTION_ENDED

MOST_EVENTS = 1000
LONGEST_WAIT_S = 25
LOOK_S = 0.25
HIGHEST_SEQ = 2**63 - 1


class Events(ApiView):
    parameters = ("after", "limit", "wait")

    @extend_schema(
        operation_id="executions_events",
        summary="Events after a number, in order",
        description=(
            "With `wait`, an answer without events is held back until there is one, so many seconds at most; not when the"
            " execution has ended. Ask next with `after` of the answer."
        ),
        parameters=[
            EXECUTION_ID,
            OpenApiParameter(
                "after", {"type": "integer", "minimum": 0, "maximum": HIGHEST_SEQ, "default": 0}
            ),
            OpenApiParameter(
                "limit", {"type": "integer", "minimum": 1, "maximum": MOST_EVENTS, "default": 200}
            ),
            OpenApiParameter(
                "wait", {"type": "number", "minimum": 0, "maximum": LONGEST_WAIT_S, "default": 0}
            ),
        ],
        responses=answers({200: shapes.EventPage}, (400, 404)),
        tags=["executions"],
    )
    def get(self, request: Request, execution_id: str) -> Response:
        after = self._number("after", int, 0, HIGHEST_SEQ, 0)
        limit = self._number("limit", int, 1, MOST_EVENTS, 200)
        wait = self._number("wait", float, 0, LONGEST_WAIT_S, 0)
        execution = self.find_execution(execution_id)
        deadline = time.monotonic() + wait
        while (
            execution.seq <= after and execution.status not in EXECUTION_ENDED and time.monotonic() < deadline
        ):
            # Nothing is held while waiting: no transaction, and no connection where the site does not keep them.
            close_old_connections()
            time.sleep(min(LOOK_S, max(0.0, deadline - time.monotonic())))
            execution.refresh_from_db(fields=["seq", "status"])
        events = list(Event.objects.filter(execution=execution, seq__gt=after).order_by("seq")[:limit])
        page = {
            "events": events,
            "after": events[-1].seq if events else after,
            "last_seq": max(execution.seq, events[-1].seq if events else 0),
            "status": execution.status,
        }
        return Response(shapes.EventPage(page).data)

    def _number(self, name: str, kind: Callable[[str], Any], low: float, high: float, default: float) -> Any:
        text = self.request.GET.get(name)
        if text is None:
            return kind(str(default))
        try:
            number = kind(text) if text.isascii() and len(text) <= 40 else None
        except ValueError:
            number = None
        if number is None or not low <= number <= high:
            raise ValidationError({name: f"must be a number from {low:g} to {high:g}"})
        return number
