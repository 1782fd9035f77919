"""What the OpenAPI document says beyond what views and shapes say themselves: statuses and slashes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers

from executions.api.errors import PROBLEM_TYPE
from executions.api.fields import Body

MEANING: Mapping[int, str] = {
    400: "What was sent cannot be used; the detail says what and why.",
    401: "No credentials, or a token that is unknown, revoked or expired.",
    403: "You may see this but not do that, or the CSRF token of a session is missing.",
    404: "There is no such thing, or you may not see it.",
    409: "It does not fit the state; the detail names it.",
    413: "The body is too large.",
    415: "The body is not of a type that is read here.",
    422: "The body does not have the shape that is asked for, or the `Idempotency-Key` stands for another request.",
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
    state = serializers.CharField(
        required=False, help_text="of the execution, where an action does not fit it"
    )
    model = serializers.CharField(required=False, help_text="whose cost was not confirmed")
    retry_after = serializers.IntegerField(required=False, help_text="seconds")
    request_id = serializers.CharField(required=False, help_text="of a failure inside")


def answers(
    good: Mapping[Any, Any], statuses: Iterable[int] = (), *, original: bool = False
) -> dict[Any, Any]:
    """The responses of an operation: the good ones, those `statuses`, and those that every operation has."""
    responses = dict(good)
    for status in sorted({*statuses, *ALWAYS}):
        body, content = (DetailBody, "application/json") if original else (ProblemBody, PROBLEM_TYPE)
        responses[status, content] = OpenApiResponse(body, MEANING[status])
    return responses


class ClosedBody(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]  # registers itself by being defined
    target_class = Body
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> Any:
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return {**schema, "additionalProperties": False}


class OperationSchema(AutoSchema):
    """How drf-spectacular describes an operation of ours."""

    def get_description(self) -> str:  # type: ignore[override]
        return ""  # where nothing is said of an operation; a view's docstring is for those who read the code

    def _is_list_view(self, serializer: Any = None) -> bool:
        if serializer is not None:
            return bool(super()._is_list_view(serializer))
        # The package would guess from the first response, and takes that of an error for it.
        return self.method == "GET" and getattr(self.view, "pagination_class", None) is not None


def one_path_each(endpoints: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """Every route answers with and without a slash at its end; described is the one that is written in our texts."""
    return [
        one
        for one in endpoints
        if one[0].startswith("/api/v2/") and one[0].endswith("/") != _is_originals(one[0])
    ]


def _is_originals(path: str) -> bool:
    return path.startswith("/api/v2/execution/")
