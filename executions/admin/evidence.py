"""What all our admin pages share: rows that the user may see, read only, without costly counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from executions.dashboard.visible_text import code_point, pieces
from executions.services.reports import NANO

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
    _TabularInline = admin.TabularInline[Any, Any]
else:
    _ModelAdmin = admin.ModelAdmin
    _TabularInline = admin.TabularInline


class EvidenceAdmin(_ModelAdmin):
    """Read-only; rows by the one visibility rule."""

    show_full_result_count = False
    list_per_page = 50

    class Media:
        css = {"all": ("executions/css/admin.css",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset: QuerySet[Any] = self.model.objects.visible_to(request.user)
        ordering = self.get_ordering(request)
        return queryset.order_by(*ordering) if ordering else queryset

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class EvidenceInline(_TabularInline):
    """Rows below another row, read only."""

    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def text_block(text: str) -> SafeString | str:
    """Text of a model, a person or a plan as it is: escaped, line breaks kept, invisible characters shown."""
    if not text:
        return "-"
    shown = "".join(
        plain + (f"⟨{code_point(suspect)}⟩" if suspect else "") for plain, suspect in pieces(text)
    )
    return format_html('<pre class="mge-text">{}</pre>', shown)


def usd(nano: int | None) -> str:
    return "-" if nano is None else f"${nano / NANO:.4f}"


def link(row: Model | None, label: str = "") -> SafeString | str:
    """A link to a row's admin page."""
    if row is None:
        return "-"
    address = reverse(f"admin:executions_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', address, label or str(row))
