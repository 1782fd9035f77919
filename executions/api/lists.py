"""What the lists share: filters, keyset pages, and the refusal of parameters that nobody reads."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django_filters.rest_framework import DjangoFilterBackend  # type: ignore[import-untyped]
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from executions.api.pagination import KeysetPagination
from executions.api.views import ApiView


class ListView(ApiView, GenericAPIView[Any]):
    """A list: subclasses give the queryset that the user may see, a shape and perhaps a `filterset_class`."""

    pagination_class = KeysetPagination
    filter_backends = (DjangoFilterBackend,)
    filterset_class: Any = None

    @property
    def parameters(self) -> Collection[str]:  # type: ignore[override]
        own = () if self.filterset_class is None else self.filterset_class.base_filters
        return {*own, "cursor", "limit"}

    def keyset(self, request: Request) -> tuple[str, ...]:
        """The order of the list: a column that ends in a unique one."""
        if request.query_params.get("ordering") == "created_at":
            return ("created_at", "id")
        return ("-created_at", "-id")

    def page(self) -> Response:
        rows = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self.get_serializer(rows, many=True).data)
