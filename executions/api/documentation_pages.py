"""The OpenAPI document and the page that shows it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response


class SchemaView(SpectacularAPIView):
    """The OpenAPI document, as YAML or, by Accept or `?format=json`, as JSON. It tells of no data, so all may read it."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def _get_schema_response(self, request: Request) -> Response:
        return Response(_schema())


@lru_cache(maxsize=1)
def _schema() -> Any:
    """Made once a process: it takes half a second, and does not change."""
    return SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]


class DocsView(SpectacularSwaggerSplitView):
    """Swagger's page from the sidecar package. Its script comes from an address of its own and its look from a style sheet,
    so that it works under a policy without inline scripts and styles."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    template_name = "api/docs.html"
    url_name = "api:schema"
