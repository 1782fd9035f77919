"""Keyset pagination: `{next, previous, results}`. No total: the counters of an execution have it, and counting rows is slow."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import QuerySet
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

MOST = 500


def _check(position: Any) -> None:
    """Raises ValueError or OverflowError for a place that the database could not be asked for."""
    if isinstance(position, datetime):
        if position.tzinfo is None:
            raise ValueError("a time without a zone")
        position.astimezone(UTC)


class KeysetPagination(CursorPagination):
    """`ordering` of the view's `keyset` names a unique order; what cannot be understood is refused, not ignored."""

    page_size = 50
    page_size_query_param = "limit"
    max_page_size = MOST

    def get_page_size(self, request: Request) -> int:
        text = request.query_params.get("limit")
        if text is None:
            return self.page_size
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST and len(text) <= 9):
            raise ValidationError({"limit": f"must be a whole number from 1 to {MOST}"})
        return int(text)

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> tuple[str, ...]:
        ordering: tuple[str, ...] = view.keyset(request)
        return ordering

    def paginate_queryset(  # type: ignore[override]  # keysets are columns: no other sequence will do
        self, queryset: QuerySet[Any], request: Request, view: Any = None
    ) -> list[Any] | None:
        self._field = queryset.model._meta.get_field(view.keyset(request)[0].lstrip("-"))
        return super().paginate_queryset(queryset, request, view)

    def decode_cursor(self, request: Request) -> Cursor | None:
        try:
            cursor = super().decode_cursor(request)
            if cursor is not None and cursor.position is not None:
                _check(self._field.to_python(cursor.position))
        except (NotFound, ValueError, OverflowError, TypeError, DjangoValidationError) as error:
            raise NotFound("there is no such page: the cursor is not one that was given out here") from error
        return cursor

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            {"name": "cursor", "in": "query", "required": False, "schema": {"type": "string", "minLength": 1},
             "description": "From `next` or `previous` of another page."},
            {"name": "limit", "in": "query", "required": False,
             "schema": {"type": "integer", "minimum": 1, "maximum": MOST, "default": self.page_size},
             "description": "Results on a page."},
        ]  # fmt: skip
