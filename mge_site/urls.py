"""Routes of the site."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("accounts/", include("executions.dashboard.account_urls")),
    path("", include("executions.dashboard.urls")),
]

handler500 = "executions.dashboard.errors.server_error"
