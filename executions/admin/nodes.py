"""Nodes in the admin: who works, on how much, why some claim nothing, who has ended."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from executions.admin.evidence import EvidenceAdmin, EvidenceInline
from executions.engine.owners import short_host
from executions.models import Node, NodeWorker
from executions.services.nodes import claims_by_process, node_state


class WorkerInline(EvidenceInline):
    model = NodeWorker
    fields = ("pid", "busy_since", "worked_at", "beat_at")
    readonly_fields = fields
    show_change_link = False


@admin.register(Node)
class NodeAdmin(EvidenceAdmin):
    list_display = (
        "host",
        "pid",
        "state",
        "claims",
        "isolation",
        "version",
        "schema",
        "problem",
        "started_at",
        "heartbeat_at",
        "stopped_at",
    )
    list_filter = ("isolation", "draining", "host")
    search_fields = ("host", "id")
    inlines = (WorkerInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # Nodes belong to nobody; the admin is for staff, who may see them all.
        nodes = Node.objects.prefetch_related("workers")
        self._held: Counter[tuple[str, int]] = claims_by_process()
        return nodes

    @admin.display(description="state")
    def state(self, node: Node) -> str:
        return node_state(node, datetime.now(UTC))

    @admin.display(description="claims")
    def claims(self, node: Node) -> int:
        return sum(self._held[short_host(node.host), worker.pid] for worker in node.workers.all())
