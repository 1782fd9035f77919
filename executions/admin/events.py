"""The history in the admin."""

from __future__ import annotations

from django.contrib import admin

from executions.admin.evidence import EvidenceAdmin
from executions.models import Event


@admin.register(Event)
class EventAdmin(EvidenceAdmin):
    list_display = ("seq", "execution", "type", "wave", "atom", "attempt", "at")
    list_filter = ("type", "at")
    search_fields = ("execution__id", "atom", "type")
    ordering = ("-at", "-seq")
