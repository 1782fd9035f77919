"""What an orchestrator asks, without credentials: does the process live, is the site ready to work."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from executions.services.readiness import readiness


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """This process answers. Asks nothing else: a restart mends no database."""
    return JsonResponse({"status": "alive"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when database, schema and workers are there; else 503 and, for each, why not."""
    found = readiness()
    ready = not any(found.values())
    checks = {name: {"ready": not reason, "reason": reason} for name, reason in found.items()}
    return JsonResponse(
        {"status": "ready" if ready else "not ready", "checks": checks}, status=200 if ready else 503
    )
