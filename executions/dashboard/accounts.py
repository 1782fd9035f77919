"""Signing in and out, and what is said to who tried too often."""

from __future__ import annotations

import math
from typing import Any

from axes.helpers import get_cool_off
from django.contrib import messages
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse_lazy

from executions.dashboard.words import duration


class Login(LoginView):
    template_name = "accounts/login.html"
    redirect_authenticated_user = True


class PasswordChange(PasswordChangeView):
    template_name = "accounts/password_change.html"
    success_url = reverse_lazy("dashboard:execution_list")

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, "Your password is changed. Other sessions of yours have ended.")
        return super().form_valid(form)


def locked_out(
    request: HttpRequest, _response: HttpResponse | None = None, _credentials: Any = None
) -> HttpResponse:
    """Too many wrong passwords (django-axes): 429 that says how long, without saying whether the name exists."""
    span = get_cool_off(request)
    context = {"wait": None if span is None else duration(span).removesuffix(" 00 s")}
    answer = render(request, "accounts/locked_out.html", context, status=429)
    if span is not None:
        answer["Retry-After"] = str(math.ceil(span.total_seconds()))
    return answer
