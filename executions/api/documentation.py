"""What the OpenAPI document says beyond what views and shapes say themselves: statuses, slashes, and its pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import OpenApiResponse
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from executions.api.errors import PROBLEM_TYPE

MEANING: Mapping[int, str] = {
    400: "What was sent cannot be used; the detail says what and why.",
    401: "No credentials, or a token that is unknown, revoked or expired.",
    403: "You may see this but not do that, or the CSRF token of a session is missing.",
    404: "There is no such thing, or you may not see it.",
    409: "It does not fit the state; the detail names it.",
    413: "The body is too large.",
    415: "The body is not of a type that is read here.",
    422: "The body does not have the shape that is asked for.",
    429: "Too many requests of yours within a minute; `Retry-After` says how long to wait.",
    500: "Something went wrong inside; it is recorded under the request id.",
}
ALWAYS = (401, 403, 429, 500)
WITH_BODY = (413, 415)


class DetailBody(serializers.Serializer[Any]):
    detail = serializers.CharField()
    request_id = serializers.CharField(required=False, help_text="of a failure inside")


class FoundProblem(serializers.Serializer[Any]):
    place = serializers.CharField()
    line = serializers.IntegerField(allow_null=True)
    message = serializers.CharField()


class ProblemBody(serializers.Serializer[Any]):
    """RFC 9457, with a `code` that stays when the wording changes."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    problems = FoundProblem(many=True, required=False)
    state = serializers.CharField(required=False, help_text="of the execution, where an action does not fit it")
    model = serializers.CharField(required=False, help_text="whose cost was not confirmed")
    retry_after = serializers.IntegerField(required=False, help_text="seconds")
    request_id = serializers.CharField(required=False, help_text="of a failure inside")


def answers(good: Mapping[Any, Any], statuses: Iterable[int] = (), *, original: bool = False) -> dict[Any, Any]:
    """The responses of an operation: the good ones, those `statuses`, and those that every operation has."""
    responses = dict(good)
    for status in sorted({*statuses, *ALWAYS}):
        body, content = (DetailBody, "application/json") if original else (ProblemBody, PROBLEM_TYPE)
        responses[status, content] = OpenApiResponse(body, MEANING[status])
    return responses


def one_path_each(endpoints: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """Every route answers with and without a slash at its end; described is the one that is written in our texts."""
    return [one for one in endpoints if one[0].startswith("/api/v2/") and one[0].endswith("/") != _is_originals(one[0])]


def _is_originals(path: str) -> bool:
    return path.startswith("/api/v2/execution/")


class SchemaView(SpectacularAPIView):
    """The OpenAPI document, as YAML or, where asked for by Accept or `?format=json`, as JSON. It tells of no data, so all may read it."""

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
