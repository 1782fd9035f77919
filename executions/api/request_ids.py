"""Every response says which request it answers (`X-Request-ID`), and what goes wrong inside is logged under that id."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

HEADER = "X-Request-ID"
USABLE = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)


class RequestIdMiddleware(MiddlewareMixin):
    """Keeps the id that a proxy gave, where it is harmless in a log line; gives one otherwise."""

    get_response: Callable[[HttpRequest], HttpResponse]

    def process_request(self, request: HttpRequest) -> None:
        given = request.headers.get(HEADER, "")
        request.META["MGE_REQUEST_ID"] = given if USABLE.fullmatch(given) else uuid.uuid4().hex

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response.headers[HEADER] = request_id(request)
        return response


def request_id(request: HttpRequest) -> str:
    """The id of this request; empty where the middleware did not see it."""
    return str(request.META.get("MGE_REQUEST_ID", ""))
