"""Nodes: for staff, since they belong to nobody."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from executions.api.documentation import answers
from executions.api.views import ApiView
from executions.services.nodes import node_list

STATES = ("working", "refusing", "draining", "silent", "stopped")


class WorkerShape(serializers.Serializer[Any]):
    pid = serializers.IntegerField()
    busy_since = serializers.DateTimeField(allow_null=True)
    beat_at = serializers.DateTimeField()


class NodeShape(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    host = serializers.CharField()
    pid = serializers.IntegerField(help_text="of the process above its workers")
    state = serializers.CharField(help_text=f"one of {', '.join(STATES)}")
    problem = serializers.CharField(help_text="why it claims nothing; empty where it does")
    version = serializers.CharField()
    schema = serializers.CharField(help_text="last migration that its code knows")
    isolation = serializers.CharField()
    draining = serializers.BooleanField(help_text="told to stop: claims nothing more")
    claims = serializers.IntegerField(help_text="atoms that its workers hold under a lease")
    workers = WorkerShape(many=True)
    started_at = serializers.DateTimeField()
    heartbeat_at = serializers.DateTimeField()
    heartbeat_age_s = serializers.FloatField()
    stopped_at = serializers.DateTimeField(allow_null=True)


class NodeListShape(serializers.Serializer[Any]):
    results = NodeShape(many=True)


class Nodes(ApiView):
    @extend_schema(
        operation_id="nodes_list",
        summary="Nodes that are there or ended within the last hour; for staff",
        responses=answers({200: NodeListShape}, (400,)),
        tags=["nodes"],
    )
    def get(self, request: Request) -> Response:
        if not self.user.is_staff:
            raise PermissionDenied("nodes are shown to staff only")
        return Response(NodeListShape({"results": [asdict(node) for node in node_list()]}).data)
