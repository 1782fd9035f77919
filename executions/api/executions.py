"""Executions: what there is, one of them, its waves and atoms, the project it made; and steering it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from executions.api import shapes
from executions.api.documentation import WITH_BODY, answers
from executions.api.filters import AtomFilter, ExecutionFilter
from executions.api.idempotency import idempotent
from executions.api.lists import ListView
from executions.api.original import EXECUTION_ID
from executions.api.views import ApiView
from executions.models import AtomRun, Attempt, Execution, Gate, Wave
from executions.permissions import Right
from executions.planning.delivery import zip_export
from executions.services.control import cancel_execution, pause_execution, resume_execution
from executions.services.export import export_of
from executions.states import ExecutionStatus


class Executions(ListView):
    serializer_class = shapes.ExecutionSummary
    filterset_class = ExecutionFilter

    def get_queryset(self) -> QuerySet[Execution]:
        visible: QuerySet[Execution] = Execution.objects.visible_to(self.user).select_related(
            "masterplan", "owner", "team"
        )
        return visible

    @extend_schema(
        operation_id="executions_list",
        summary="Executions that you see",
        responses=answers({200: shapes.ExecutionSummary(many=True)}, (400, 404)),
        tags=["executions"],
    )
    def get(self, request: Request) -> Response:
        return self.page()


class OneExecution(ApiView):
    @extend_schema(
        operation_id="executions_one",
        summary="One execution with its configuration and counters",
        parameters=[EXECUTION_ID],
        responses=answers({200: shapes.ExecutionDetail}, (400, 404)),
        tags=["executions"],
    )
    def get(self, request: Request, execution_id: str) -> Response:
        return Response(shapes.ExecutionDetail(self.find_execution(execution_id)).data)


class Waves(ListView):
    serializer_class = shapes.WaveShape
    queryset = Wave.objects.none()

    def keyset(self, request: Request) -> tuple[str, ...]:
        return ("number",)

    def get_queryset(self) -> QuerySet[Wave]:
        waves: QuerySet[Wave] = Wave.objects.filter(
            execution=self.find_execution(self.kwargs["execution_id"])
        )
        return waves

    @extend_schema(
        operation_id="executions_waves",
        summary="Waves of an execution, first to last",
        parameters=[EXECUTION_ID],
        responses=answers({200: shapes.WaveShape(many=True)}, (400, 404)),
        tags=["executions"],
    )
    def get(self, request: Request, execution_id: str) -> Response:
        return self.page()


class Gates(ListView):
    serializer_class = shapes.GateShape
    queryset = Gate.objects.none()

    def keyset(self, request: Request) -> tuple[str, ...]:
        return ("position",)

    def get_queryset(self) -> QuerySet[Gate]:
        gates: QuerySet[Gate] = Gate.objects.filter(
            execution=self.find_execution(self.kwargs["execution_id"])
        )
        return gates

    @extend_schema(
        operation_id="executions_gates",
        summary="Gates of an execution: what each wave's project was found to be, and the whole one last",
        description="None where nothing is executed (validators without tests).",
        parameters=[EXECUTION_ID],
        responses=answers({200: shapes.GateShape(many=True)}, (400, 404)),
        tags=["executions"],
    )
    def get(self, request: Request, execution_id: str) -> Response:
        return self.page()


class Atoms(ListView):
    serializer_class = shapes.AtomSummary
    queryset = AtomRun.objects.none()
    filterset_class = AtomFilter

    def keyset(self, request: Request) -> tuple[str, ...]:
        return ("position",)

    def get_queryset(self) -> QuerySet[AtomRun]:
        execution = self.find_execution(self.kwargs["execution_id"])
        runs: QuerySet[AtomRun] = AtomRun.objects.filter(execution=execution).select_related("atom")
        return runs

    @extend_schema(
        operation_id="executions_atoms",
        summary="Atoms of an execution, in the plan's order",
        parameters=[EXECUTION_ID],
        responses=answers({200: shapes.AtomSummary(many=True)}, (400, 404)),
        tags=["executions"],
    )
    def get(self, request: Request, execution_id: str) -> Response:
        return self.page()


class OneAtom(ApiView):
    @extend_schema(
        operation_id="executions_atom",
        summary="One atom with every attempt: prompt, code, issues, calls",
        parameters=[
            EXECUTION_ID,
            OpenApiParameter(
                "atom", str, OpenApiParameter.PATH, description="its key, or the UUID of its run"
            ),
        ],
        responses=answers({200: shapes.AtomDetail}, (400, 404)),
        tags=["executions"],
    )
    def get(self, request: Request, execution_id: str, atom: str) -> Response:
        run = self.find_atom(self.find_execution(execution_id), atom)
        attempts = Attempt.objects.filter(atom_run=run).prefetch_related("issues", "calls")
        run._prefetched_objects_cache = {"attempt_rows": attempts}  # type: ignore[attr-defined]
        return Response(shapes.AtomDetail(run).data)


class Export(ApiView):
    @extend_schema(
        operation_id="executions_export",
        summary="The generated project with its tests, as a zip archive",
        description="What has been accepted so far; equal code gives an equal archive.",
        parameters=[EXECUTION_ID],
        responses=answers({(200, "application/zip"): OpenApiTypes.BINARY}, (400, 404, 409)),
        tags=["executions"],
    )
    def get(self, request: Request, execution_id: str) -> HttpResponse:
        execution = self.find_execution(execution_id)
        archive = zip_export(export_of([execution.id]))
        name = f'attachment; filename="{execution.masterplan.slug}.zip"'
        return HttpResponse(archive, content_type="application/zip", headers={"Content-Disposition": name})


def _steers(name: str, summary: str) -> Any:
    return extend_schema(
        operation_id=f"executions_{name}",
        summary=summary,
        description="Doing again what is done already changes nothing. Answers with the execution as it is then.",
        parameters=[EXECUTION_ID],
        request=shapes.Why,
        responses=answers({200: shapes.ExecutionDetail}, (400, 404, 409, 422, *WITH_BODY)),
        tags=["executions"],
    )


class _Control(ApiView):
    act: Callable[..., ExecutionStatus]

    @idempotent
    def post(self, request: Request, execution_id: str) -> Response:
        execution = self.find_execution(execution_id)
        self.demand(Right.OPERATE)
        why = self.read(shapes.Why).validated_data["why"]
        type(self).act(execution_id=execution.id, actor=self.user, why=why)
        execution.refresh_from_db()
        return Response(shapes.ExecutionDetail(execution).data)


@extend_schema_view(post=_steers("pause", "Pause: no new call starts, calls in flight are finished"))
class Pause(_Control):
    act = staticmethod(pause_execution)


@extend_schema_view(post=_steers("resume", "Go on where it was paused"))
class Resume(_Control):
    act = staticmethod(resume_execution)


@extend_schema_view(post=_steers("cancel", "End it for good; calls in flight are aborted"))
class Cancel(_Control):
    act = staticmethod(cancel_execution)
