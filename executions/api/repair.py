"""Mending an execution: retry, rollback, fork, approval, and code that a person supplies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from executions.api import repair_shapes as shapes
from executions.api.documentation import WITH_BODY, answers
from executions.api.errors import Refusal
from executions.api.executions import OneAtom
from executions.api.idempotency import idempotent
from executions.api.original import EXECUTION_ID
from executions.api.shapes import ExecutionDetail
from executions.api.views import ApiView
from executions.models import Execution
from executions.permissions import Right
from executions.services.approvals import approve
from executions.services.fork import fork_costs_money, fork_execution
from executions.services.gates import judge_again
from executions.services.repair import RepairPlan, preview_retry, retry_atoms, roll_back
from executions.services.review import supply_code

ATOM = OpenApiParameter("atom", str, OpenApiParameter.PATH, description="its key, or the UUID of its run")
REFUSALS = (400, 404, 409, 422, *WITH_BODY)


Handler = TypeVar("Handler", bound=Callable[..., Any])


def _told(
    name: str, summary: str, asked: type[Serializer[Any]], good: dict[Any, Any], **more: Any
) -> Callable[[Handler], Handler]:
    """How a route is described; `more` as `extend_schema` takes it, `statuses` the refusals where they differ."""
    return extend_schema(
        operation_id=f"executions_{name}",
        summary=summary,
        request=asked,
        responses=answers(good, more.pop("statuses", REFUSALS)),
        tags=["executions"],
        **{"parameters": [EXECUTION_ID], **more},
    )


class _Mending(ApiView):
    def steered(self, execution_id: str) -> Execution:
        """The execution, if the user sees it (else NotFound) and may steer it (else PermissionDenied)."""
        execution = self.find_execution(execution_id)
        self.demand(Right.OPERATE)
        return execution


class RetryPreview(_Mending):
    @_told(
        "retry_preview",
        "What a retry with the same body would do now",
        shapes.RetryRequest,
        {200: shapes.RepairShape},
        description="Changes nothing.",
        statuses=(400, 404, 409, *WITH_BODY),
    )
    def post(self, request: Request, execution_id: str) -> Response:
        execution = self.steered(execution_id)
        asked = self.read(shapes.RetryRequest).validated_data
        asked.pop("why")
        return Response(_plan(preview_retry(execution_id=execution.id, **asked)))


class Retry(_Mending):
    @_told(
        "retry",
        "Generate chosen atoms, or all that failed, again",
        shapes.RetryRequest,
        {200: shapes.RepairedShape},
        description=(
            "As if they had never been tried: the whole ladder, no look into the cache. What they had stays readable as"
            " superseded attempts. Atoms that they blocked come along. An ended execution runs again; a cancelled one is final."
        ),
    )
    @idempotent
    def post(self, request: Request, execution_id: str) -> Response:
        execution = self.steered(execution_id)
        asked = self.read(shapes.RetryRequest).validated_data
        return _repaired(execution, retry_atoms(execution_id=execution.id, actor=self.user, **asked))


class Rollback(_Mending):
    @_told(
        "rollback",
        "Back to the end of a wave: everything behind it is generated again",
        shapes.RollbackRequest,
        {200: shapes.RepairedShape},
        description="Of a paused or ended execution. Approvals of the waves behind it are asked for again.",
    )
    @idempotent
    def post(self, request: Request, execution_id: str) -> Response:
        execution = self.steered(execution_id)
        asked = self.read(shapes.RollbackRequest).validated_data
        return _repaired(execution, roll_back(execution_id=execution.id, actor=self.user, **asked))


class Fork(_Mending):
    @_told(
        "fork",
        "A new execution that takes over the accepted results up to a wave",
        shapes.ForkRequest,
        {201: ExecutionDetail},
        description=(
            "The one that it is forked from stays as it is, whatever its state. What is taken over costs nothing; a model with a"
            " price needs `confirm_cost`. Answers with the new execution."
        ),
    )
    @idempotent
    def post(self, request: Request, execution_id: str) -> Response:
        execution = self.steered(execution_id)
        asked = self.read(shapes.ForkRequest).validated_data
        confirmed: bool = asked.pop("confirm_cost")
        model = fork_costs_money(execution, asked["settings"])
        if model is not None and not confirmed:
            raise Refusal(
                400,
                "cost_not_confirmed",
                f'cost_not_confirmed: {model} costs money; agree with "confirm_cost": true, or name another model',
                model=model,
            )
        fork = fork_execution(execution_id=execution.id, actor=self.user, **asked)
        headers = {"Location": f"/api/v2/executions/{fork.id}/"}
        return Response(ExecutionDetail(fork).data, status=201, headers=headers)


class Approve(_Mending):
    @_told(
        "approve",
        "Let a wave or an atom begin that the plan lets wait for a person",
        shapes.ApproveRequest,
        {200: ExecutionDetail},
        description="May be given ahead of time; giving it twice changes nothing. Answers with the execution as it is then.",
    )
    @idempotent
    def post(self, request: Request, execution_id: str) -> Response:
        execution = self.steered(execution_id)
        asked = self.read(shapes.ApproveRequest).validated_data
        approve(execution_id=execution.id, actor=self.user, **asked)
        execution.refresh_from_db()
        return Response(ExecutionDetail(execution).data)


class Judge(_Mending):
    @_told(
        "judge",
        "Have the project judged again as it is",
        shapes.JudgeRequest,
        {200: ExecutionDetail},
        description=(
            "No atom is generated. Without `wave` from the first gate that failed on; where none has, the masterplan's. An ended"
            " execution runs again until the gates have ended. Answers with the execution as it is then."
        ),
    )
    @idempotent
    def post(self, request: Request, execution_id: str) -> Response:
        execution = self.steered(execution_id)
        asked = self.read(shapes.JudgeRequest).validated_data
        judge_again(execution_id=execution.id, actor=self.user, **asked)
        execution.refresh_from_db()
        return Response(ExecutionDetail(execution).data)


class SuppliedCode(OneAtom, _Mending):
    @extend_schema(exclude=True)
    def get(self, request: Request, execution_id: str, atom: str) -> Response:
        # An atom's key may end like this route.
        return super().get(request, execution_id, f"{atom}/code")

    @_told(
        "atom_code",
        "Supply an atom's code by hand",
        shapes.CodeRequest,
        {202: shapes.SuppliedShape},
        parameters=[EXECUTION_ID, ATOM],
        description=(
            "A worker judges it like an answer of the model, without any call. Accepted, it replaces what the atom has and frees"
            " what it blocked; rejected, the atom is what it was before. Verdict and issues are told of the attempt, whose id is"
            " answered at once. An ended execution runs again until then."
        ),
    )
    @idempotent
    def post(self, request: Request, execution_id: str, atom: str) -> Response:
        execution = self.steered(execution_id)
        run = self.find_atom(execution, atom)
        asked = self.read(shapes.CodeRequest).validated_data
        attempt_id = supply_code(execution_id=execution.id, actor=self.user, atom=run.key, **asked)
        execution.refresh_from_db()
        said = {"attempt_id": attempt_id, "atom": run.key, "execution": execution}
        headers = {"Location": f"/api/v2/executions/{execution.id}/atoms/{run.id}/"}
        return Response(shapes.SuppliedShape(said).data, status=202, headers=headers)


def _plan(plan: RepairPlan) -> Any:
    return shapes.RepairShape({**asdict(plan), "changes_nothing": plan.changes_nothing}).data


def _repaired(execution: Execution, plan: RepairPlan) -> Response:
    execution.refresh_from_db()
    return Response({**_plan(plan), "execution": ExecutionDetail(execution).data})
