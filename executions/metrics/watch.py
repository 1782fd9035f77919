"""HTTP and queries of the web process, counted by django-prometheus.

Its database engines are not used: they make a class for each cursor and count in every process, also where nobody asks
(11 to 31 microseconds for a query on SQLite, 59 to 78 on PostgreSQL), and they break `executemany` with an iterator.
The same counters are filled from Django's own hook for queries instead, in the process that serves `/metrics`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db.backends.signals import connection_created
from django.http import HttpRequest, HttpResponseBase
from django_prometheus.db import (
    connection_errors_total,
    connections_total,
    errors_total,
    execute_many_total,
    execute_total,
    query_duration_seconds,
)
from django_prometheus.middleware import PrometheusAfterMiddleware
from prometheus_client import REGISTRY

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# Only an engine of its own could count these.
REGISTRY.unregister(connection_errors_total)


class WatchMiddleware(PrometheusAfterMiddleware):  # type: ignore[misc]  # untyped package
    """Counts requests by view, method and status. Made once, by whoever serves requests: then queries are watched as well."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        connection_created.connect(_watch_connection, dispatch_uid="mge-metrics")

    def label_metric(
        self, metric: Any, request: HttpRequest, response: HttpResponseBase | None = None, **labels: Any
    ) -> Any:
        # One family takes the method as it was sent: anybody could invent methods, and each would stay as a new series.
        if "method" in labels:
            labels["method"] = self._method(request)
        return super().label_metric(metric, request, response, **labels)


def _watch_connection(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    connections_total.labels(connection.alias, connection.vendor).inc()
    if _watch_query not in connection.execute_wrappers:
        connection.execute_wrappers.append(_watch_query)


def _watch_query(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    connection: BaseDatabaseWrapper = context["connection"]
    labels = (connection.alias, connection.vendor)
    executed = len(params) if many and hasattr(params, "__len__") else 1
    execute_total.labels(*labels).inc(executed)
    if many:
        execute_many_total.labels(*labels).inc(executed)
    with query_duration_seconds.labels(*labels).time():
        try:
            return execute(sql, params, many, context)
        except Exception as error:
            errors_total.labels(*labels, type(error).__name__).inc()
            raise
