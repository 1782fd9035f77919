"""Users, and clients that act with a token of theirs."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User
from rest_framework.test import APIClient

from executions.services.tokens import create_token


@dataclass(frozen=True)
class Person:
    user: User
    client: APIClient


def client_of(user: User) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {create_token(owner=user)[1]}")
    return client
