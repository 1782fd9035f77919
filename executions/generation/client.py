"""One call to a model over `/v1/messages`: what is sent, what came back, or which fault it was.

The SDK's own retries are off: when to try again is the engine's business. Nothing is read from the
environment.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from executions.generation.capabilities import FIRST_PARTY_HOST, Capabilities
from executions.generation.faults import (
    FaultKind,
    ProviderFault,
    kind_of_status,
    may_be_billed,
    names_parameter,
    retry_after_seconds,
)

if TYPE_CHECKING:
    import anthropic

__all__ = ["Endpoint", "FaultKind", "ModelAnswer", "ModelClient", "ModelRequest", "ProviderFault", "Usage"]

MAX_CONNECTIONS = 1_000
CONNECT_TIMEOUT_S = 10.0
MESSAGE_LIMIT = 2_000
_WIRE_NAMES = {"temperature": ("temperature",), "effort": ("output_config", "effort")}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server that speaks `/v1/messages`."""

    name: str
    """What people call it; part of what is learned about it."""
    base_url: str | None
    """None is the vendor's own API."""
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ModelRequest:
    model: str
    system: str
    user: str
    max_tokens: int
    temperature: float | None
    """Requested; None asks for none."""
    effort: str | None
    """Requested level, or "higher"; None leaves the model's default."""
    timeout_s: float
    """Seconds for the whole call, connecting and reading included."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a call as the provider counts them: `input_tokens` excludes what the cache read and wrote."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    raw: Mapping[str, object]
    """The provider's usage object, whole."""


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    text: str
    """All text blocks joined; thinking left out. May be empty."""
    stop_reason: str
    """As the provider says: `end_turn`, `max_tokens`, `refusal`, …; judged by the caller."""
    model: str
    """The model that answered."""
    request_id: str
    usage: Usage
    applied: Mapping[str, object]
    """Optional parameters that were sent, as sent."""
    dropped: Mapping[str, str]
    """Optional parameters that were asked for and not sent, each with the reason."""


class ModelClient:
    """Calls one endpoint. Made once per process; connects at the first call, in the event loop of that call.

    Used from another loop it connects anew, so close it before its loop ends.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        capabilities: Capabilities | None = None,
        *,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self.endpoint = endpoint
        self.capabilities = capabilities or Capabilities()
        self._max_connections = max_connections
        self._sdk: anthropic.AsyncAnthropic | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def complete(self, request: ModelRequest) -> ModelAnswer:
        """Make one call. A 400 that names an optional parameter is answered by repeating without it.

        Raises `ProviderFault`; cancelling closes the connection at once.
        """
        requested = {"temperature": request.temperature, "effort": request.effort}
        while True:
            applied, dropped = self.capabilities.plan(self.endpoint, request.model, requested)
            outcome = await self._attempt(request, applied, dropped)
            if isinstance(outcome, ModelAnswer):
                return outcome
            # Each round takes away at least one of the two parameters, so this ends.
            refused = self._refused_parameters(outcome, applied)
            if not refused:
                raise outcome
            for name in refused:
                reason = f"refused with {outcome.status}: {outcome.message[:200]}"
                self.capabilities.learn(self.endpoint, request.model, name, reason)

    async def close(self) -> None:
        """Close all connections. The next call connects again."""
        sdk, self._sdk, self._loop = self._sdk, None, None
        if sdk is not None:
            await sdk.close()

    @staticmethod
    def _refused_parameters(fault: ProviderFault, applied: Mapping[str, object]) -> list[str]:
        if fault.status not in (400, 422):
            return []
        return [
            name
            for name in applied
            if any(names_parameter(fault.message, wire) for wire in _WIRE_NAMES[name])
        ]

    async def _attempt(
        self, request: ModelRequest, applied: Mapping[str, object], dropped: Mapping[str, str]
    ) -> ModelAnswer | ProviderFault:
        # The fault is returned, not raised: raised in here it would carry the SDK's error, which holds the
        # key.
        import anthropic
        import httpx2

        sdk = self._connect()
        extra: dict[str, Any] = {}
        if "temperature" in applied:
            extra["temperature"] = applied["temperature"]
        if "effort" in applied:
            extra["output_config"] = {"effort": applied["effort"]}
        timeout = httpx2.Timeout(request.timeout_s, connect=min(CONNECT_TIMEOUT_S, request.timeout_s))
        details: dict[str, Any] = {"applied": applied, "dropped": dropped}
        try:
            # The transport's timeout is per read: an answer that trickles in would never end.
            async with asyncio.timeout(request.timeout_s):
                raw = await sdk.messages.with_raw_response.create(
                    model=request.model,
                    max_tokens=request.max_tokens,
                    system=_sendable(request.system),
                    messages=[{"role": "user", "content": _sendable(request.user)}],
                    extra_body=extra or None,
                    timeout=timeout,
                )
        except anthropic.APIStatusError as error:
            return self._status_fault(error, details)
        except TimeoutError:
            message = f"no answer within {request.timeout_s:g} s"
            return ProviderFault(FaultKind.TIMEOUT, message, possibly_billed=True, **details)
        except anthropic.APIConnectionError as error:
            return self._connection_fault(error, details)
        request_id = raw.headers.get("request-id") or ""
        try:
            return _read_message(json.loads(raw.http_response.content), request, request_id, applied, dropped)
        except ValueError as error:
            message = f"the answer cannot be read: {error}"
            status = raw.http_response.status_code
            return ProviderFault(
                FaultKind.BAD_BODY,
                message,
                status=status,
                request_id=request_id,
                possibly_billed=True,
                **details,
            )

    def _status_fault(self, error: anthropic.APIStatusError, details: Mapping[str, Any]) -> ProviderFault:
        message = error.api_message or (error.body if isinstance(error.body, str) else json.dumps(error.body))
        error_type = error.error_code or error.type or ""
        kind = kind_of_status(
            error.status_code, error_type=error.type or "", error_code=error.error_code or "", message=message
        )
        return ProviderFault(
            kind,
            self._without_key(message)[:MESSAGE_LIMIT],
            status=error.status_code,
            error_type=error_type,
            retry_after_s=retry_after_seconds(error.response.headers),
            request_id=error.request_id or "",
            possibly_billed=may_be_billed(error.status_code),
            **details,
        )

    def _connection_fault(
        self, error: anthropic.APIConnectionError, details: Mapping[str, Any]
    ) -> ProviderFault:
        import aiohttp
        import anthropic
        import httpx2

        cause = error.__cause__
        root = cause.__cause__ if cause is not None and cause.__cause__ is not None else cause
        said = self._without_key(str(root) or type(root).__name__)[:MESSAGE_LIMIT]
        # Where no connection was made, nothing can have been worked on.
        never_sent = isinstance(
            root, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError
        ) or isinstance(cause, httpx2.ConnectTimeout | httpx2.PoolTimeout | httpx2.UnsupportedProtocol)
        if isinstance(error, anthropic.APITimeoutError):
            kind, message = FaultKind.TIMEOUT, f"timed out: {said}"
        elif isinstance(cause, httpx2.ReadError | httpx2.DecodingError):
            kind, message = FaultKind.BAD_BODY, f"the answer was cut off: {said}"
        elif isinstance(cause, httpx2.UnsupportedProtocol):
            kind, message = FaultKind.CONFIGURATION, f"not an address to call: {said}"
        else:
            kind, message = FaultKind.CONNECTION, f"no connection: {said}"
        return ProviderFault(kind, message, possibly_billed=not never_sent, **details)

    def _without_key(self, text: str) -> str:
        # Short keys are placeholders for local servers ("x"), and would tear ordinary words apart.
        key = self.endpoint.api_key
        return text.replace(key, "[key]") if len(key) >= 8 else text

    def _connect(self) -> anthropic.AsyncAnthropic:
        loop = asyncio.get_running_loop()
        if self._sdk is None or self._loop is not loop:
            self._sdk, self._loop = _open(self.endpoint, self._max_connections), loop
        return self._sdk


def _open(endpoint: Endpoint, max_connections: int) -> anthropic.AsyncAnthropic:
    # Most of a second to import: paid by the process that calls models, at its first call.
    import anthropic
    import httpx2

    base_url = endpoint.base_url or f"https://{FIRST_PARTY_HOST}"
    sdk = anthropic.AsyncAnthropic(
        api_key=endpoint.api_key,
        base_url=base_url,
        max_retries=0,
        open_telemetry=False,
        http_client=anthropic.DefaultAioHttpClient(
            verify=_tls(),
            # A redirect would take the key and the prompt to an address nobody configured.
            follow_redirects=False,
            trust_env=not _is_loopback(base_url),
            limits=httpx2.Limits(max_connections=max_connections, max_keepalive_connections=max_connections),
        ),
    )
    # The SDK adds the headers of ANTHROPIC_CUSTOM_HEADERS, the key's own among them, and offers no switch.
    sdk._custom_headers = {}
    # It joins the same address and path for each call, a tenth of what a call costs.
    sdk._prepare_url = cache(sdk._prepare_url)  # type: ignore[method-assign]
    return sdk


@cache
def _tls() -> ssl.SSLContext:
    """Reading the certificates costs tens of milliseconds, so they are read once."""
    import httpx2

    return httpx2.create_ssl_context()


def _is_loopback(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _read_message(
    body: object,
    request: ModelRequest,
    request_id: str,
    applied: Mapping[str, object],
    dropped: Mapping[str, str],
) -> ModelAnswer:
    """Read a message out of the decoded body. Raises ValueError where it is not one.

    Read here and not by the SDK's models, which take any shape and fail later; local servers leave out much.
    """
    if not isinstance(body, dict) or not isinstance(body.get("content"), list):
        raise ValueError("not a message")  # noqa: TRY004 - the caller handles one error for "unreadable"
    texts = [
        block.get("text")
        for block in body["content"]
        if isinstance(block, dict) and block.get("type") == "text"
    ]
    usage = body.get("usage")
    return ModelAnswer(
        text=_sendable("".join(text for text in texts if isinstance(text, str))),
        stop_reason=str(body.get("stop_reason") or ""),
        model=str(body.get("model") or request.model),
        request_id=request_id,
        usage=_read_usage(usage if isinstance(usage, dict) else {}),
        applied=dict(applied),
        dropped=dict(dropped),
    )


def _sendable(text: str) -> str:
    """JSON may spell half of a surrogate pair and a null, which cannot be sent or stored everywhere."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")


def _read_usage(raw: Mapping[str, object]) -> Usage:
    def tokens(name: str) -> int:
        value = raw.get(name)
        return value if isinstance(value, int) and value > 0 else 0

    return Usage(
        input_tokens=tokens("input_tokens"),
        output_tokens=tokens("output_tokens"),
        cache_read_tokens=tokens("cache_read_input_tokens"),
        cache_write_tokens=tokens("cache_creation_input_tokens"),
        raw=raw,
    )
