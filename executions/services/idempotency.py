"""Requests that may be sent twice and must act once: claimed, acted on and answered in one transaction of the caller's.

The row of a key is inserted first. Another request with the same key waits for that transaction (PostgreSQL on the unique
row, SQLite on the write lock): it then finds the kept answer, or no row when the first one failed, and acts itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from executions.models import IdempotentRequest

if TYPE_CHECKING:
    from django.contrib.auth.models import User

KEPT_FOR = timedelta(hours=24)
"""How long a key stands for its request; afterwards it may stand for another one."""
LONGEST_KEY = 255


class KeyReused(Exception):
    """The key stands for another request of this user."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a request was answered."""

    status_code: int
    body: str
    headers: Mapping[str, str]


def claim_key(*, user: User, key: str, digest: str) -> KeptAnswer | None:
    """Claim a key for the request with this digest; the answer that was kept when the same request has been acted on.

    The caller is in a transaction, in which it acts and calls `keep_answer`, or which it undoes. Raises KeyReused.
    """
    now = datetime.now(UTC)
    mine = IdempotentRequest.objects.filter(user=user, key=key)
    mine.filter(created_at__lt=now - KEPT_FOR).delete()
    while True:
        # Waits for whoever inserted the same key and has not committed.
        IdempotentRequest.objects.bulk_create(
            [IdempotentRequest(user=user, key=key, request_digest=digest, created_at=now)],
            ignore_conflicts=True,
        )
        found = mine.first()
        if found is not None:
            break
    if found.request_digest != digest:
        raise KeyReused(key)
    if found.status_code is None:
        return None
    return KeptAnswer(found.status_code, str(found.body), found.headers)


def keep_answer(*, user: User, key: str, answer: KeptAnswer) -> None:
    """Keep what the request of a claimed key was answered; in the transaction of `claim_key`."""
    IdempotentRequest.objects.filter(user=user, key=key).update(
        status_code=answer.status_code, body=answer.body, headers=dict(answer.headers)
    )


def forget_requests(older_than: timedelta = KEPT_FOR) -> int:
    """Delete what was kept for longer; returns how many. Only what is expired should be forgotten: `KEPT_FOR` at least."""
    old = IdempotentRequest.objects.filter(created_at__lt=datetime.now(UTC) - older_than)
    count: int = old.delete()[0]
    return count
