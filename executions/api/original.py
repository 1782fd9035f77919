"""The original's nine routes, at their paths, with its field names and status codes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.db.models import Q
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from executions.api import original_shapes as shapes
from executions.api.documentation import WITH_BODY, answers
from executions.api.errors import Refusal
from executions.api.idempotency import idempotent
from executions.api.views import ApiView
from executions.models import Execution, Wave
from executions.permissions import Right
from executions.services.control import pause_execution, resume_execution
from executions.services.errors import NotFound
from executions.services.start import costs_money, start_execution
from executions.states import EXECUTION_ENDED, ExecutionStatus
from executions.version import VERSION

EXECUTION_ID = OpenApiParameter("execution_id", {"type": "string", "format": "uuid"}, OpenApiParameter.PATH)
WAVE_NUMBER = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
INLINE_PLAN = ("execution_plan", "atoms")


class OriginalView(ApiView):
    original = True


class Start(OriginalView):
    @idempotent
    @extend_schema(
        operation_id="start",
        summary="Start an execution of a stored masterplan",
        description="Answers at once; a worker does the work. A model with a price needs `confirm_cost`.",
        request=shapes.StartRequest,
        responses=answers({202: shapes.StartResponse}, (400, 404, 409, 422, *WITH_BODY), original=True),
        tags=["execution"],
    )
    def post(self, request: Request) -> Response:
        asked = self._asked(request)
        masterplan = self.find_masterplan(asked["masterplan_id"])
        self.demand(Right.OPERATE)
        settings = asked.get("settings")
        model = costs_money(settings, masterplan)
        if model is not None and not asked["confirm_cost"]:
            raise Refusal(
                400,
                "cost_not_confirmed",
                f'cost_not_confirmed: {model} costs money; agree with "confirm_cost": true, or name another model',
                model=model,
            )
        execution = start_execution(masterplan=masterplan, actor=self.user, settings=settings)
        answer = shapes.StartResponse(execution).data
        return Response(answer, status=202, headers={"Location": f"/api/v2/execution/{execution.id}"})

    def _asked(self, request: Request) -> dict[str, Any]:
        given = request.data
        if isinstance(given, dict) and any(name in given for name in INLINE_PLAN):
            raise Refusal(
                400,
                "inline_plan",
                "execution_plan and atoms are not taken here: store the masterplan first (POST /api/v2/masterplans/, its waves"
                " follow from its dependencies), then start it by masterplan_id",
            )
        serializer = shapes.StartRequest(data=given)
        if not serializer.is_valid():
            bad_id = serializer.errors.get("masterplan_id", [])
            if isinstance(given, dict) and isinstance(given.get("masterplan_id"), str) and bad_id:
                raise Refusal(400, "malformed_id", "masterplan_id is not a UUID")
            raise ValidationError(serializer.errors)
        asked: dict[str, Any] = serializer.validated_data
        return asked


class Health(OriginalView):
    @extend_schema(
        operation_id="health",
        summary="The service and its active executions",
        responses=answers({200: shapes.HealthResponse}, original=True),
        tags=["execution"],
    )
    def get(self, request: Request) -> Response:
        at_rest = sorted({*EXECUTION_ENDED, ExecutionStatus.PAUSED})
        active = Execution.objects.visible_to(self.user).filter(~Q(status__in=at_rest)).count()
        health = {
            "service": "mge-execution",
            "status": "healthy",
            "version": VERSION,
            "active_executions": active,
        }
        return Response(shapes.HealthResponse(health).data)


def _told(name: str, summary: str, shape: type[Serializer[Any]], statuses: tuple[int, ...] = ()) -> Any:
    """How a route about one execution is described."""
    return extend_schema(
        operation_id=name,
        summary=summary,
        parameters=[EXECUTION_ID],
        request=None,
        responses=answers({200: shape}, (400, 404, *statuses), original=True),
        tags=["execution"],
    )


class _Reading(OriginalView):
    """A route that says something of one execution."""

    shape: type[Serializer[Any]]

    def get(self, request: Request, execution_id: str) -> Response:
        return Response(self.shape(self.find_execution(execution_id)).data)


@extend_schema_view(get=_told("status", "State, waves, atoms, cost and time", shapes.StatusResponse))
class Status(_Reading):
    shape = shapes.StatusResponse


@extend_schema_view(get=_told("progress", "How far it is", shapes.ProgressResponse))
class Progress(_Reading):
    shape = shapes.ProgressResponse


@extend_schema_view(get=_told("metrics", "Progress, cost and time", shapes.MetricsResponse))
class Metrics(_Reading):
    shape = shapes.MetricsResponse


class WaveStatus(OriginalView):
    @extend_schema(
        operation_id="wave",
        summary="State of one wave",
        parameters=[
            EXECUTION_ID,
            OpenApiParameter(
                "wave_id", {"type": "integer", "minimum": 1}, OpenApiParameter.PATH, description="its number"
            ),
        ],
        responses=answers({200: shapes.WaveResponse}, (400, 404), original=True),
        tags=["execution"],
    )
    def get(self, request: Request, execution_id: str, wave_id: str) -> Response:
        execution = self.find_execution(execution_id)
        number = int(wave_id) if WAVE_NUMBER.fullmatch(wave_id) else 0
        wave = (
            Wave.objects.filter(execution=execution, number=number)
            .values("number", "execution_id", "status")
            .first()
        )
        if wave is None:
            raise NotFound(f"there is no such wave: this execution has {execution.waves_total}")
        return Response(shapes.WaveResponse({**wave, "current": number == execution.current_wave}).data)


class AtomStatus(OriginalView):
    @extend_schema(
        operation_id="atom",
        summary="State and accepted code of one atom",
        parameters=[
            EXECUTION_ID,
            OpenApiParameter(
                "atom_id", str, OpenApiParameter.PATH, description="its key, or the UUID of its run"
            ),
        ],
        responses=answers({200: shapes.AtomResponse}, (400, 404), original=True),
        tags=["execution"],
    )
    def get(self, request: Request, execution_id: str, atom_id: str) -> Response:
        return Response(shapes.AtomResponse(self.find_atom(self.find_execution(execution_id), atom_id)).data)


class _Control(OriginalView):
    """A route that steers one execution."""

    act: Callable[..., ExecutionStatus]

    @idempotent
    def post(self, request: Request, execution_id: str) -> Response:
        execution = self.find_execution(execution_id)
        self.demand(Right.OPERATE)
        type(self).act(execution_id=execution.id, actor=self.user)
        execution.refresh_from_db()
        return Response(shapes.ControlResponse(execution).data)


@extend_schema_view(
    post=_told(
        "pause", "Pause: no new call starts, calls in flight are finished", shapes.ControlResponse, (422,)
    )
)
class Pause(_Control):
    act = staticmethod(pause_execution)


@extend_schema_view(post=_told("resume", "Go on where it was paused", shapes.ControlResponse, (422,)))
class Resume(_Control):
    act = staticmethod(resume_execution)
