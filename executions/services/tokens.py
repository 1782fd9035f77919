"""Make, recognise and revoke tokens."""

from __future__ import annotations

import hmac
import re
import secrets
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from executions.models import ApiToken
from executions.services.errors import NotFound

if TYPE_CHECKING:
    from django.contrib.auth.models import User

TEXT = re.compile(r"mge_(?P<key_id>[a-z0-9]{12})_(?P<secret>[A-Za-z0-9_-]{43})", re.ASCII)
KEY_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
USE_IS_NOTED_EVERY = timedelta(minutes=1)
"""A write for each request would make every reading request one that waits for the database's write lock."""


def create_token(*, owner: User, name: str = "", days: int | None = None) -> tuple[ApiToken, str]:
    """A new token, and its text, which is kept nowhere. `days`: how long it is good for; None: until it is revoked."""
    key_id = "".join(secrets.choice(KEY_ID_LETTERS) for _ in range(12))
    text = f"mge_{key_id}_{secrets.token_urlsafe(32)}"
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    token = ApiToken.objects.create(
        key_id=key_id, digest=_digest(text), owner=owner, name=name, expires_at=expires_at
    )
    return token, text


def owner_of(text: str) -> User | None:
    """Who acts with this token; None when it is unknown, revoked, expired, or its owner may not log in."""
    match = TEXT.fullmatch(text)
    if match is None:
        return None
    token = ApiToken.objects.select_related("owner").filter(key_id=match["key_id"]).first()
    if token is None or not hmac.compare_digest(token.digest, _digest(text)):
        return None
    now = datetime.now(UTC)
    if (
        not token.enabled
        or not token.owner.is_active
        or (token.expires_at is not None and token.expires_at <= now)
    ):
        return None
    if token.last_used_at is None or now - token.last_used_at >= USE_IS_NOTED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    owner: User = token.owner
    return owner


def revoke_token(*, key_id: str) -> None:
    """It is refused from now on. Revoking twice changes nothing. Raises NotFound."""
    if not ApiToken.objects.filter(key_id=key_id).update(enabled=False):
        raise NotFound(f"there is no token {key_id!r}")


def _digest(text: str) -> str:
    # Not slow on purpose, as a password's is: the secret has 256 random bits and cannot be guessed.
    return sha256(text.encode()).hexdigest()
