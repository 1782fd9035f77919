"""Nodes in the admin: who works, who has ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from executions.admin.evidence import EvidenceAdmin
from executions.models import Node
from executions.services.explain import NODE_ALIVE


@admin.register(Node)
class NodeAdmin(EvidenceAdmin):
    list_display = (
        "host",
        "pid",
        "alive",
        "isolation",
        "version",
        "draining",
        "started_at",
        "heartbeat_at",
        "stopped_at",
    )
    list_filter = ("isolation", "draining", "host")
    search_fields = ("host", "id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # Nodes belong to nobody; the admin is for staff, who may see them all.
        return Node.objects.all()

    @admin.display(boolean=True, description="alive")
    def alive(self, node: Node) -> bool:
        return node.stopped_at is None and datetime.now(UTC) - node.heartbeat_at < NODE_ALIVE
