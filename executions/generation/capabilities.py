"""Which optional parameters an (endpoint, model) takes.

Sampling parameters are gone from the first-party API (400 "temperature: Extra inputs are not permitted" on
every model), and its models endpoint does not say so; other servers that speak `/v1/messages` still take
them. So there is data of our own for the first-party API, and everything else is learned from the refusal
that names a parameter. A parameter that is not sent never fails an atom: it is reported with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from executions.generation.ladder import EFFORTS, HIGHER

if TYPE_CHECKING:
    from executions.generation.client import Endpoint

FIRST_PARTY_HOST = "api.anthropic.com"
NO_TEMPERATURE = "the Claude API accepts no sampling parameters"


@dataclass(frozen=True, slots=True)
class _EffortSupport:
    """Effort of the models whose id begins with `prefix`, by SDK 2.12's model data and the vendor's pages."""

    prefix: str
    levels: tuple[str, ...]
    default: str = "high"


_UP_TO_HIGH = EFFORTS[:3]
_WITHOUT_XHIGH = ("low", "medium", "high", "max")

# Longest prefix wins: `claude-opus-5-5` before `claude-opus-5`.
_EFFORT = sorted(
    (
        _EffortSupport("claude-opus-4-5", _UP_TO_HIGH),
        _EffortSupport("claude-opus-4-6", _WITHOUT_XHIGH),
        _EffortSupport("claude-opus-4-7", EFFORTS),
        _EffortSupport("claude-opus-4-8", EFFORTS),
        _EffortSupport("claude-opus-5", EFFORTS),
        _EffortSupport("claude-opus-5-5", EFFORTS, default="medium"),
        _EffortSupport("claude-sonnet-4-6", _WITHOUT_XHIGH),
        _EffortSupport("claude-sonnet-5", EFFORTS),
        _EffortSupport("claude-haiku-5-5", EFFORTS, default="medium"),
        _EffortSupport("claude-fable-5", EFFORTS),
    ),
    key=lambda support: -len(support.prefix),
)


class Capabilities:
    """What is known and what was learned, for the life of the process. Safe to share between threads."""

    def __init__(self) -> None:
        self._refused: dict[tuple[str, str, str, str], str] = {}

    def plan(
        self, endpoint: Endpoint, model: str, requested: Mapping[str, object]
    ) -> tuple[dict[str, object], dict[str, str]]:
        """Split the requested optional parameters into those to send and those dropped, each with the reason.

        `requested` has `temperature` and `effort`; None means not asked for and appears in neither result.
        """
        applied: dict[str, object] = {}
        dropped: dict[str, str] = {}
        for name, value in requested.items():
            if value is None:
                continue
            reason = self._refused.get(_key(endpoint, model, name))
            if reason is None and name == "temperature" and is_first_party(endpoint.base_url):
                reason = NO_TEMPERATURE
            if reason is None and name == "effort":
                value, reason = _effort_for(model, str(value))
            if reason is None:
                applied[name] = value
            else:
                dropped[name] = reason
        return applied, dropped

    def learn(self, endpoint: Endpoint, model: str, param: str, reason: str) -> None:
        """Remember that this model at this endpoint refuses `param`; `reason` is what it answered."""
        self._refused[_key(endpoint, model, param)] = reason


def is_first_party(base_url: str | None) -> bool:
    """Whether calls go to the vendor's own API."""
    return base_url is None or urlsplit(base_url).hostname == FIRST_PARTY_HOST


def _key(endpoint: Endpoint, model: str, param: str) -> tuple[str, str, str, str]:
    return endpoint.name, endpoint.base_url or "", model, param


def _effort_for(model: str, wanted: str) -> tuple[str, str | None]:
    """The level to send and, where it cannot be sent, why."""
    bare = model.rpartition("/")[2].lower()
    support = next((known for known in _EFFORT if bare.startswith(known.prefix)), None)
    if support is None:
        return wanted, f"{model} is not known to take an effort"
    if wanted == HIGHER:
        above = support.levels[support.levels.index(support.default) + 1 :]
        if not above:
            return wanted, f"{model} already works at its highest effort, {support.default}"
        wanted = above[0]
    if wanted not in support.levels:
        return wanted, f"{model} takes effort {', '.join(support.levels)}, not {wanted}"
    return wanted, None
