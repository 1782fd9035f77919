"""What can go wrong between us and a model, and what it means: try again later, or stop.

None of it is the model's answer being wrong: a fault never uses up an attempt and never reaches a prompt.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum


class FaultKind(StrEnum):
    """Why a call brought no answer."""

    RATE_LIMITED = "rate_limited"
    """429: too much at once."""
    OVERLOADED = "overloaded"
    """529 or 503: the provider is short of capacity."""
    SERVER_ERROR = "server_error"
    """Any other 5xx, and 409."""
    TIMEOUT = "timeout"
    """No answer in time."""
    CONNECTION = "connection"
    """The connection could not be made, or broke before the answer began."""
    BAD_BODY = "bad_body"
    """An answer came but cannot be read: cut off, not JSON, not a message."""
    SPEND_LIMIT = "spend_limit"
    """The account may spend no more; trying again cannot help."""
    CONFIGURATION = "configuration"
    """The request is refused for what it is: key, address, model, a parameter that must be sent."""

    @property
    def fatal(self) -> bool:
        """Whether the same call would fail again however long one waits."""
        return self in (FaultKind.SPEND_LIMIT, FaultKind.CONFIGURATION)


class ProviderFault(Exception):
    """A call that brought no answer."""

    def __init__(
        self,
        kind: FaultKind,
        message: str,
        *,
        status: int | None = None,
        error_type: str = "",
        retry_after_s: float | None = None,
        request_id: str = "",
        possibly_billed: bool = False,
        applied: Mapping[str, object] | None = None,
        dropped: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        """For people; never holds the key."""
        self.status = status
        """HTTP status; None where no answer came."""
        self.error_type = error_type
        """The provider's own code or type, e.g. `overloaded_error`."""
        self.retry_after_s = retry_after_s
        """Seconds the provider asks to wait, as asked, without a cap; None where it does not say."""
        self.request_id = request_id
        self.possibly_billed = possibly_billed
        """The request may have been worked on: its reserved cost counts as possibly spent."""
        self.applied = dict(applied or {})
        self.dropped = dict(dropped or {})

    @property
    def fatal(self) -> bool:
        return self.kind.fatal

    def __str__(self) -> str:
        status = f" ({self.status})" if self.status is not None else ""
        return f"{self.kind}{status}: {self.message}"


_SPEND_CODES = frozenset({"enforced_spend_limit_reached", "contract_spend_limit_reached", "billing_error"})
_SPEND_WORDS = re.compile(r"credit balance|(usage|spend(ing)?|billing) limit", re.IGNORECASE)


def kind_of_status(status: int, *, error_type: str, error_code: str, message: str) -> FaultKind:
    """The kind of an HTTP error by its status and the provider's own words."""
    if status == 402 or error_code in _SPEND_CODES or error_type in _SPEND_CODES:
        return FaultKind.SPEND_LIMIT
    if status in (400, 403, 429) and _SPEND_WORDS.search(message):
        return FaultKind.SPEND_LIMIT
    if status == 429:
        return FaultKind.RATE_LIMITED
    if status in (503, 529) or error_type == "overloaded_error":
        return FaultKind.OVERLOADED
    if status == 408:
        return FaultKind.TIMEOUT
    if status >= 500 or status == 409:
        return FaultKind.SERVER_ERROR
    return FaultKind.CONFIGURATION


def may_be_billed(status: int) -> bool:
    """Whether a request answered with this status may have been worked on before (timeouts and conflicts)."""
    return status in (408, 409, 502, 504)


def retry_after_seconds(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Seconds to wait by `retry-after-ms`, else `retry-after` (seconds or an HTTP date); None if not said."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    after = headers.get("retry-after")
    seconds = _number(after)
    if seconds is not None or after is None:
        return seconds
    try:
        date = parsedate_to_datetime(after)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


_REFUSAL = re.compile(
    r"not (permitted|supported|allowed|available|accepted)|deprecated|un(supported|known|recognized|expected)"
    r"|extra|does(n't| not) support|invalid|may only|must|cannot|forbidden",
    re.IGNORECASE,
)


def names_parameter(message: str, wire_name: str) -> bool:
    """Whether a 400's message refuses the parameter `wire_name`, and does not just quote text with the word.

    Known wordings: "temperature: Extra inputs are not permitted", "`temperature` is deprecated for this
    model.", "Unsupported parameter: 'temperature'", and lists of {"loc": ["body", "temperature"], ...}.
    """
    for found in re.finditer(rf"(?<![\w-]){re.escape(wire_name)}(?![\w-])", message):
        around = message[max(0, found.start() - 80) : found.end() + 80]
        if _REFUSAL.search(around):
            return True
    return False
