"""One place where whatever goes wrong becomes a response.

Our routes answer `application/problem+json` (RFC 9457) with a `code` that stays the same when the wording changes; the
original's nine routes answer `{"detail": text}` as they always did.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from executions.api.request_ids import request_id
from executions.planning.delivery import ExportRefused
from executions.planning.format import InvalidMasterplan
from executions.services.errors import InvalidRequest, InvalidSettings, NotFound, StartRefused
from executions.states import WrongState

PROBLEM_TYPE = "application/problem+json"
FAILED_INSIDE = "Something went wrong here. It has been recorded under this request id."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is told to whoever asked."""

    status: int
    code: str
    detail: str
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further members of the problem object; the original's routes leave them out."""
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(exceptions.APIException):
    """Raised by a view to answer with just this problem."""

    def __init__(self, status: int, code: str, detail: str, **more: Any) -> None:
        super().__init__(detail, code)
        self.problem = Problem(status, code, detail, more)


def answer(exception: Exception, context: Mapping[str, Any]) -> Response:
    """Django REST framework's exception handler."""
    view, request = context["view"], context["request"]
    original = bool(getattr(view, "original", False))
    problem = problem_of(exception, original=original)
    if problem is None:
        log.error("request %s failed", request_id(request), exc_info=exception)
        problem = Problem(500, "failed_inside", FAILED_INSIDE)
    body: dict[str, Any]
    if original:
        body = {"detail": problem.detail}
    else:
        title = HTTPStatus(problem.status).phrase
        body = {
            "type": "about:blank",
            "title": title,
            "status": problem.status,
            "code": problem.code,
            "detail": problem.detail,
        }
        body.update(problem.more)
    if problem.status >= 500:
        body["request_id"] = request_id(request)
    content_type = "application/json" if original else PROBLEM_TYPE
    return Response(body, status=problem.status, headers=dict(problem.headers), content_type=content_type)


def problem_of(exception: Exception, *, original: bool) -> Problem | None:
    """The problem that an exception stands for; None when nobody foresaw it."""
    match exception:
        case Refusal():
            return exception.problem
        case NotFound() | Http404() | exceptions.NotFound():
            return Problem(404, "not_found", str(exception) or "there is no such thing")
        case WrongState():
            return Problem(
                400 if original else 409, "wrong_state", str(exception), {"state": exception.status}
            )
        case InvalidSettings():
            return Problem(
                400, "invalid_settings", _listed(exception.problems), {"problems": _plain(exception.problems)}
            )
        case InvalidRequest():
            return Problem(
                400,
                "invalid_request",
                _listed(exception.problems),
                {"problems": [_placed(problem) for problem in exception.problems]},
            )
        case StartRefused():
            return Problem(409, "start_refused", str(exception))
        case ExportRefused():
            return Problem(409, "export_refused", str(exception))
        case InvalidMasterplan():
            return _of_masterplan(exception)
        case DjangoPermissionDenied():
            return Problem(403, "not_allowed", "you may see this, but not do that")
        case exceptions.APIException():
            return _of_framework(exception, original=original)
    return None


def _of_masterplan(exception: InvalidMasterplan) -> Problem:
    problems = [{"place": one.place, "line": one.line, "message": one.message} for one in exception.problems]
    count = f"{len(problems)} problems" if len(problems) > 1 else "1 problem"
    return Problem(
        400, "invalid_masterplan", f"the masterplan has {count}; nothing was stored", {"problems": problems}
    )


def _of_framework(exception: exceptions.APIException, *, original: bool) -> Problem:
    match exception:
        case exceptions.ValidationError():
            problems = list(_flat(exception.detail))
            text = _listed(
                [f"{one['place']}: {one['message']}" if one["place"] else one["message"] for one in problems]
            )
            # The original's framework said 422 to a body of the wrong shape.
            return Problem(422 if original else 400, "invalid_request", text, {"problems": problems})
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            headers = {"WWW-Authenticate": getattr(exception, "auth_header", "Bearer")}
            return Problem(401, "not_authenticated", str(exception.detail), headers=headers)
        case exceptions.Throttled():
            wait = max(1, math.ceil(getattr(exception, "wait", None) or 1))
            text = f"too many requests; go on in {wait} seconds"
            return Problem(429, "too_many_requests", text, {"retry_after": wait}, {"Retry-After": str(wait)})
    code = {400: "malformed", 403: "not_allowed", 405: "method_not_allowed", 415: "unsupported_media_type"}
    return Problem(exception.status_code, code.get(exception.status_code, "refused"), str(exception.detail))


def _flat(detail: Any, place: str = "") -> list[dict[str, Any]]:
    """The nested detail of a validation error as a list of places and messages."""
    if isinstance(detail, Mapping):
        return [
            one
            for key, value in detail.items()
            for one in _flat(
                value, place if key == "non_field_errors" else f"{place}.{key}" if place else str(key)
            )
        ]
    if isinstance(detail, Sequence) and not isinstance(detail, str):
        return [one for value in detail for one in _flat(value, place)]
    return [{"place": place, "line": None, "message": str(detail)}]


def _plain(problems: Sequence[str]) -> list[dict[str, Any]]:
    return [{"place": "settings", "line": None, "message": problem} for problem in problems]


def _placed(problem: str) -> dict[str, Any]:
    """A problem that begins with the place it was found in, and a colon."""
    place, colon, message = problem.partition(": ")
    if not colon or " " in place:
        return {"place": "", "line": None, "message": problem}
    return {"place": place, "line": None, "message": message}


def _listed(problems: Sequence[str]) -> str:
    return "; ".join(problems)
