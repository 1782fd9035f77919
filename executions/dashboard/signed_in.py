"""Who is asking. Every page but the login asks here first."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import resolve_url
from django_htmx.http import HttpResponseClientRedirect

from executions.permissions import Right, may

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def is_partial(request: HttpRequest) -> bool:
    """Whether htmx asks for a piece of a page, not a whole one."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-Boosted") != "true"


def signed_in(view: View[P]) -> View[P]:
    """Send who is not signed in to the login page, and back here afterwards."""

    @wraps(view)
    def checked(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        if is_partial(request):
            # A redirect would be followed by the script, and the login page swapped into a piece of this one.
            return HttpResponseClientRedirect(resolve_url(settings.LOGIN_URL))
        return redirect_to_login(request.get_full_path() if request.method == "GET" else "/")

    return checked


def person(request: HttpRequest) -> User:
    """The user behind a request that `signed_in` let through."""
    user = request.user
    if not isinstance(user, User):
        raise PermissionDenied("not signed in")
    return user


def require(request: HttpRequest, right: Right) -> User:
    """The user, if his roles give the right; else 403. Look the row up first: the invisible is 404."""
    if not may(request.user, right):
        raise PermissionDenied(f"Your role does not allow this: the right to {right.value} is missing.")
    return person(request)


def no_content() -> HttpResponse:
    """Answer to a piece of script that needs nothing back."""
    return HttpResponse(status=204)
