"""`Idempotency-Key`: a request that is sent twice acts once, and the second one gets the first one's answer.

Use: `@idempotent` on a view's `post`. The key, the action and the answer are one transaction: a crash keeps all of them or
none. Errors are not kept, so the same request may be tried again; equal requests at the same time wait for the first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from django.db import transaction
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from executions.api.errors import Refusal
from executions.services.idempotency import (
    KEPT_FOR,
    LONGEST_KEY,
    KeptAnswer,
    KeyReused,
    claim_key,
    keep_answer,
)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
IDEMPOTENCY_KEY = OpenApiParameter(
    HEADER,
    {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[ -~]*[!-~][ -~]*$"},
    OpenApiParameter.HEADER,
    description="A text of your own, new for each request that you mean. Sent again within"
    f" {KEPT_FOR.total_seconds() / 3600:.0f} hours with the same request, it acts no second time: the first answer comes"
    f" again, with the header `{REPLAYED}: true`. With another request it is refused (422). Errors are not kept.",
)

Handler = TypeVar("Handler", bound=Callable[..., Any])


def idempotent(handler: Handler) -> Handler:
    """Heed `Idempotency-Key` around a view's method, and tell of it in the OpenAPI document."""

    @wraps(handler)
    def once(view: Any, request: Request, *args: Any, **kwargs: Any) -> Any:
        key = _key_of(request)
        if key is None:
            return handler(view, request, *args, **kwargs)
        digest = _digest(request)
        try:
            with transaction.atomic():
                kept = claim_key(user=view.user, key=key, digest=digest)
                if kept is not None:
                    return _replay(kept)
                response = handler(view, request, *args, **kwargs)
                if response.status_code >= 400:
                    transaction.set_rollback(True)
                else:
                    keep_answer(user=view.user, key=key, answer=_kept(response))
        except KeyReused:
            raise Refusal(
                422,
                "idempotency_key_reused",
                f"{HEADER}: this key was used for another request of yours; use a new key for a new request",
            ) from None
        return response

    return cast(Handler, extend_schema(parameters=[IDEMPOTENCY_KEY])(once))


def _key_of(request: Request) -> str | None:
    """The request's key; None where it brings none. Raises Refusal (400) when it cannot be one."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    key = key.strip(" ")
    if not key:
        raise Refusal(400, "malformed_idempotency_key", f"{HEADER}: must not be empty")
    if len(key) > LONGEST_KEY:
        raise Refusal(
            400,
            "malformed_idempotency_key",
            f"{HEADER}: must have at most {LONGEST_KEY} characters, not {len(key)}",
        )
    if not (key.isascii() and key.isprintable()):
        raise Refusal(400, "malformed_idempotency_key", f"{HEADER}: must be printable ASCII")
    return key


def _digest(request: Request) -> str:
    """Of method, path and body, as they are read: how the JSON is written does not matter, nor a slash at the end."""
    body = json.dumps(request.data, sort_keys=True)
    asked = f"{request.method}\n{request.path.rstrip('/')}\n{body}"
    return hashlib.sha256(asked.encode()).hexdigest()


def _kept(response: Response) -> KeptAnswer:
    body: bytes = JSONRenderer().render(response.data)
    headers = {name: value for name, value in response.headers.items() if name != "Content-Type"}
    return KeptAnswer(response.status_code, body.decode(), headers)


def _replay(kept: KeptAnswer) -> HttpResponse:
    return HttpResponse(
        kept.body,
        status=kept.status_code,
        content_type="application/json",
        headers={**kept.headers, REPLAYED: "true"},
    )
