"""Tokens in the Authorization header. A request that brings one is judged by it alone: cookies do not count then."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from executions.services.tokens import owner_of

CHALLENGE = 'Bearer realm="MGE Execution"'


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer mge_…`. First in the list, so that who sends nothing is told 401 and how to do better."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        owner = owner_of(text.strip())
        if owner is None:
            raise AuthenticationFailed(
                "the token is unknown, revoked or expired; `manage.py token create` makes one"
            )
        return owner, None

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself by being defined
    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A token from `manage.py token create USERNAME`.",
        }
