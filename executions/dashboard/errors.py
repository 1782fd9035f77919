"""Pages for what went wrong inside. Refusals (400, 403, 404) are plain templates that Django finds by name."""

from __future__ import annotations

import logging
import sys
import uuid

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

log = logging.getLogger(__name__)


def server_error(request: HttpRequest) -> HttpResponse:
    """500: a fixed sentence and a number that the log has too; nothing of the failure itself.

    Renders without request, user or database: any of them may be what failed.
    """
    request_id = request.META.get("MGE_REQUEST_ID") or uuid.uuid4().hex[:12]
    log.error("request %s failed: %s %s", request_id, request.method, request.path, exc_info=sys.exc_info())
    response = HttpResponse(render_to_string("500.html", {"request_id": request_id}), status=500)
    response["X-Request-ID"] = str(request_id)
    return response
