"""Kept answers in the admin: what later executions may take over, and whose it is."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from executions.admin.evidence import EvidenceAdmin, text_block
from executions.models import CachedAnswer


@admin.register(CachedAnswer)
class CachedAnswerAdmin(EvidenceAdmin):
    list_display = ("__str__", "scope", "assurance", "isolation", "tests_total", "created_at", "used_at")
    list_filter = ("assurance", "isolation", "scope", "created_at", "used_at")
    search_fields = ("scope", "key", "answer")
    fields = (
        "scope",
        "key",
        "shown_answer",
        ("assurance", "isolation", "tests_total"),
        "tests_passed",
        "verdict_key",
        "origin",
        ("created_at", "used_at"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # By scope they belong to people of all kinds; the admin is for staff, who may see them all.
        return CachedAnswer.objects.order_by("-used_at")

    def get_readonly_fields(self, request: object, obj: object = None) -> tuple[str, ...]:
        return ("shown_answer",)

    @admin.display(description="answer")
    def shown_answer(self, answer: CachedAnswer) -> SafeString | str:
        return text_block(answer.answer)
