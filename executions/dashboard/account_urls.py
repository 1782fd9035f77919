"""Addresses of sign-in, under the names that Django looks for."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from executions.dashboard.accounts import Login, PasswordChange

urlpatterns = [
    path("login/", Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("password/", PasswordChange.as_view(), name="password_change"),
]
