"""Masterplans: what there is, one of them, its atoms; and storing new ones."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from executions.api import shapes
from executions.api.documentation import WITH_BODY, answers
from executions.api.filters import MasterplanFilter
from executions.api.lists import ListView
from executions.api.parsing import JSONMasterplanParser, YAMLMasterplanParser
from executions.api.views import ApiView, uuid_of
from executions.models import Atom, Masterplan
from executions.permissions import ROLES, Right
from executions.planning.format import load_bytes
from executions.services.errors import NotFound
from executions.services.masterplans import store_masterplans

MASTERPLAN_ID = OpenApiParameter("masterplan_id", {"type": "string", "format": "uuid"}, OpenApiParameter.PATH)
TEAM = OpenApiParameter(
    "team",
    {"type": "string", "minLength": 1},
    description="name of a group of yours that shall see it, and what is run of it",
)
DOCUMENT = {
    "type": "object",
    "description": "A masterplan file; its JSON Schema is `docs/masterplan.schema.json`.",
}
STORED: Any = PolymorphicProxySerializer(
    "StoredMasterplan", [shapes.MasterplanDetail, shapes.StoredMasterplans], resource_type_field_name=None
)


class Masterplans(ListView):
    serializer_class = shapes.MasterplanSummary
    filterset_class = MasterplanFilter
    parser_classes = (JSONMasterplanParser, YAMLMasterplanParser)

    @property
    def parameters(self) -> Any:  # type: ignore[override]
        return ("team",) if self.request.method == "POST" else super().parameters

    def get_queryset(self) -> QuerySet[Masterplan]:
        visible: QuerySet[Masterplan] = Masterplan.objects.visible_to(self.user).select_related(
            "owner", "team"
        )
        return visible

    @extend_schema(
        operation_id="masterplans_list",
        summary="Masterplans that you see",
        responses=answers({200: shapes.MasterplanSummary(many=True)}, (400, 404)),
        tags=["masterplans"],
    )
    def get(self, request: Request) -> Response:
        return self.page()

    @extend_schema(
        operation_id="masterplans_create",
        summary="Store a masterplan",
        description=(
            "The body is a masterplan file, JSON or YAML. Every problem in it is listed, and then nothing is stored. One that you"
            " have already, unchanged, is answered with 200; other content under the same name becomes its next version. A"
            " document with several plans is answered with all of them."
        ),
        parameters=[TEAM],
        request=dict.fromkeys(("application/json", "application/yaml"), DOCUMENT),
        responses=answers({200: STORED, 201: STORED}, (400, 404, *WITH_BODY)),
        tags=["masterplans"],
        filters=False,
    )
    def post(self, request: Request) -> Response:
        self.demand(Right.AUTHOR)
        team = self._team(request.query_params.get("team"))
        body = request.data if isinstance(request.data, bytes) else b""
        kind = "yaml" if "yaml" in (request.content_type or "") else "json"
        plans = load_bytes(body, origin=f"body.{kind}")
        began = timezone.now()
        stored = store_masterplans(plans, owner=self.user, team=team)
        status = 201 if any(one.created_at >= began for one in stored) else 200
        if len(stored) > 1:
            return Response(shapes.StoredMasterplans({"masterplans": stored}).data, status=status)
        location = {"Location": f"/api/v2/masterplans/{stored[0].id}/"}
        return Response(shapes.MasterplanDetail(stored[0]).data, status=status, headers=location)

    def _team(self, name: str | None) -> Group | None:
        if name is None:
            return None
        team = None if name in ROLES or "\0" in name else self.user.groups.filter(name=name).first()
        if team is None:
            raise NotFound("there is no such team of yours")
        return team


class OneMasterplan(ApiView):
    @extend_schema(
        operation_id="masterplans_one",
        summary="One masterplan, without its atoms",
        parameters=[MASTERPLAN_ID],
        responses=answers({200: shapes.MasterplanDetail}, (400, 404)),
        tags=["masterplans"],
    )
    def get(self, request: Request, masterplan_id: str) -> Response:
        return Response(shapes.MasterplanDetail(self.find_masterplan(uuid_of(masterplan_id))).data)


class MasterplanAtoms(ListView):
    serializer_class = shapes.PlannedAtom
    queryset = Atom.objects.none()

    def keyset(self, request: Request) -> tuple[str, ...]:
        return ("position",)

    def get_queryset(self) -> QuerySet[Atom]:
        masterplan = self.find_masterplan(uuid_of(self.kwargs["masterplan_id"]))
        atoms: QuerySet[Atom] = Atom.objects.filter(masterplan=masterplan)
        return atoms

    @extend_schema(
        operation_id="masterplans_atoms",
        summary="Atoms of a masterplan, in its order",
        parameters=[MASTERPLAN_ID],
        responses=answers({200: shapes.PlannedAtom(many=True)}, (400, 404)),
        tags=["masterplans"],
    )
    def get(self, request: Request, masterplan_id: str) -> Response:
        return self.page()
