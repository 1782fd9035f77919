"""`GET /metrics` in Prometheus' text format; `?atoms=1` names atoms."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterator

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import REGISTRY, disable_created_metrics
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from executions.metrics.collector import ExecutionCollector

# The time at which each series came to be would be one more series for each.
disable_created_metrics()  # type: ignore[no-untyped-call]

NEVER_FILLED = ("django_migrations_", "django_model_")
"""Families that django-prometheus registers and nothing here fills."""
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP")

COLLECTOR = ExecutionCollector()


class _Scrape(Collector):
    """What the database knows, then what this process has counted itself, that look at the database included."""

    def __init__(self, *, by_atom: bool) -> None:
        self._by_atom = by_atom

    def collect(self) -> Iterator[Metric]:
        yield from COLLECTOR.collect(by_atom=self._by_atom)
        for family in REGISTRY.collect():
            if not family.name.startswith(NEVER_FILLED):
                yield family


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Everything, or 403. A scraper that is allowed gets an answer also while the database is away."""
    if not _allowed(request):
        return HttpResponseForbidden(
            "metrics are for this machine, for staff, and for who knows MGE_METRICS_TOKEN\n",
            content_type="text/plain",
        )
    by_atom = request.GET.get("atoms") == "1"
    return HttpResponse(generate_latest(_Scrape(by_atom=by_atom)), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _allowed(request: HttpRequest) -> bool:
    # The session last: to read it takes the database.
    return _from_this_machine(request) or _has_token(request) or _is_staff(request)


def _from_this_machine(request: HttpRequest) -> bool:
    # A proxy on this machine speaks for anybody; a site with a public address has one, whether it says so or not.
    if settings.MGE_PUBLIC_URL or any(name in request.headers for name in FORWARDED):
        return False
    try:
        address = ipaddress.ip_address(request.META.get("REMOTE_ADDR") or "")
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _has_token(request: HttpRequest) -> bool:
    """`Authorization: Bearer …`, as Prometheus sends with `authorization: {credentials: …}`."""
    token: str = settings.MGE_METRICS_TOKEN
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return (
        bool(token)
        and scheme.lower() == "bearer"
        and secrets.compare_digest(given.strip().encode(), token.encode())
    )


def _is_staff(request: HttpRequest) -> bool:
    user = request.user
    return user.is_active and getattr(user, "is_staff", False)
