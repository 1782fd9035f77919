"""Settings that a person gives when starting: checked all at once, completed by the plan's and the site's defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from django.conf import settings

from executions.engine.configuration import Configuration
from executions.generation.ladder import LadderError, ladder_from
from executions.services.errors import InvalidSettings

DEFAULT_MODEL = "claude-sonnet-5-5"
SCRIPTED_MODEL = "scripted-sonnet"
VALIDATORS = ("syntax", "contract", "lint", "types", "tests")
MOST_CONCURRENCY = 1000
MOST_ATTEMPTS = 20
LONGEST_ATTEMPT_S = 24 * 3_600
LONGEST_EXECUTION_S = 365 * 24 * 3_600


def configure(
    given: Mapping[str, Any], *, plan_defaults: Mapping[str, Any] | None = None, scripted: bool = False
) -> Configuration:
    """The frozen configuration. `scripted`: the embedded scripted model, whatever the environment names.

    Values may be text (from a command line) or JSON values. Raises InvalidSettings with every problem.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    for source, place in ((plan_defaults or {}, "defaults."), (given, "")):
        for key, value in source.items():
            parse = _PARSERS.get(key)
            if parse is None:
                problems.append(f"{place}{key}: unknown setting; known are {', '.join(sorted(_PARSERS))}")
                continue
            try:
                values[key] = parse(value)
            except ValueError as error:
                problems.append(f"{place}{key}: {error}")
    max_attempts = values.get("max_attempts")
    try:
        ladder = ladder_from(values.get("ladder"), max_attempts=max_attempts)
    except LadderError as error:
        problems.append(str(error))
        ladder = ladder_from(None)
    if not settings.MGE_CACHE:
        # A plan that asks for it can run all the same; a person who does is told.
        if "cache" in given and values.get("cache") == "on":
            problems.append("cache: it is switched off on this site (MGE_CACHE)")
        values["cache"] = "off"
    if problems:
        raise InvalidSettings(problems)
    configured = bool(settings.ANTHROPIC_BASE_URL or settings.ANTHROPIC_API_KEY) and not scripted
    model = values.get("model") or ("" if scripted else settings.MGE_MODEL)
    if scripted and not model.startswith("scripted-"):
        model = SCRIPTED_MODEL
    model = model or (DEFAULT_MODEL if configured else SCRIPTED_MODEL)
    asked = [model, *(rung.model for rung in ladder if rung.model)]
    foreign = sorted({one for one in asked if not configured and not one.startswith("scripted-")})
    if foreign:
        raise InvalidSettings(
            [
                f"model: no endpoint is set (ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL), so {', '.join(foreign)} cannot be asked"
            ]
        )
    return Configuration(
        model=model,
        endpoint="configured" if configured else "embedded",
        schedule=values.get("schedule", "waves"),
        max_concurrency=values.get("max_concurrency", settings.MGE_MAX_CONCURRENCY),
        max_attempts=len(ladder),
        ladder=ladder,
        validators=values.get("validators", "full"),
        on_dependency_failure=values.get("on_dependency_failure", "block"),
        budget_usd=values.get("budget_usd"),
        seed=values.get("seed"),
        call_timeout_s=values.get("call_timeout_s"),
        attempt_timeout_s=values.get("attempt_timeout_s"),
        execution_timeout_s=values.get("execution_timeout_s"),
        cache=values.get("cache", "on"),
        # By default nobody has to look for a run to come to its end; what gates find is shown beside it.
        gate_wave=values.get("gate_wave", "report"),
        gate_masterplan=values.get("gate_masterplan", "report"),
    )


def _one_of(*allowed: str, later: tuple[str, ...] = ()) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value in later:
            raise ValueError(f"{value!r} is not built yet; use {' or '.join(allowed)}")
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed + later)}, not {value!r}")
        return str(value)

    return parse


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        try:
            number = int(str(value))
        except ValueError:
            raise ValueError(f"must be a whole number from {low} to {high}, not {value!r}") from None
        if not low <= number <= high:
            raise ValueError(f"must be from {low} to {high}, not {number}")
        return number

    return parse


def _call_timeout(value: Any) -> int:
    # The tasks of the workers are as patient as the site's own limit, and end what takes longer.
    return _whole(1, max(1, int(settings.MGE_CALL_TIMEOUT_SECONDS)))(value)


def _model(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 200 or not value.isprintable():
        raise ValueError("must be the name of a model, at most 200 characters")
    return value.strip()


def _validators(value: Any) -> str:
    if value in ("full", "syntax"):
        return str(value)
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(one, str) for one in names):
        raise ValueError(f"must be full, syntax, or a list of {', '.join(VALIDATORS)}")
    chosen = [one.strip() for one in names]
    unknown = [one for one in chosen if one not in VALIDATORS]
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}; known are full, {', '.join(VALIDATORS)}")
    return ",".join(one for one in VALIDATORS if one in chosen)


def _budget(value: Any) -> str:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"must be an amount in USD, not {value!r}") from None
    # Money is counted in whole billionths: less than one would be no budget at all.
    if not amount.is_finite() or amount < Decimal("1e-9") or amount > 1_000_000:
        raise ValueError("must be above 0 and at most 1,000,000")
    return str(amount)


def _switch(value: Any) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def _cache(value: Any) -> str:
    return _one_of("on", "off")(_switch(value))


_PARSERS: Mapping[str, Callable[[Any], Any]] = {
    "model": _model,
    "schedule": _one_of("waves", "flow"),
    "max_concurrency": _whole(1, MOST_CONCURRENCY),
    "max_attempts": _whole(1, MOST_ATTEMPTS),
    "ladder": lambda value: value,
    "validators": _validators,
    "cache": _cache,
    "on_dependency_failure": _one_of("block", "continue", "stop"),
    "gate_wave": _one_of("report", "stop"),
    "gate_masterplan": _one_of("report", "stop"),
    "on_untested": _one_of("accept", later=("review",)),
    "budget_usd": _budget,
    "seed": _whole(0, 2**63 - 1),
    "call_timeout_s": _call_timeout,
    "attempt_timeout_s": _whole(1, LONGEST_ATTEMPT_S),
    "execution_timeout_s": _whole(1, LONGEST_EXECUTION_S),
}

SETTINGS = frozenset(_PARSERS)
"""Keys that a person may set."""
