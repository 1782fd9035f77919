"""Routes of the site."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from executions.api.probes import healthz, readyz
from executions.metrics.views import metrics

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("api/", include("executions.api.urls")),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics, name="metrics"),
    path("accounts/", include("executions.dashboard.account_urls")),
    path("", include("executions.dashboard.urls")),
]

handler500 = "executions.dashboard.errors.server_error"
