"""The ladder: what each attempt at an atom does differently from the one before.

The default keeps the original's temperatures (0.7, 0.5, 0.3, 0.3) and changes the method as well, because two
rounds of repair bring most of what repair can bring (arXiv 2604.10508) and a fresh start restores what a long
thread of failed repairs loses (arXiv 2506.18403).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any

EFFORTS = ("low", "medium", "high", "xhigh", "max")
"""The levels a model may know, in rising order."""
HIGHER = "higher"
"""An effort of its own: one step above the model's default, whatever that is; resolved by `Capabilities`."""
MAX_RUNGS = 20
MAX_TOKENS_LIMIT = 1_000_000


class Strategy(StrEnum):
    """How an attempt goes about it."""

    GENERATE = "generate"
    """From the specification alone."""
    REPAIR = "repair"
    """Correct the best answer so far by its findings."""
    DIAGNOSE = "diagnose"
    """Say in one paragraph what is wrong, then correct it, in one answer."""
    FRESH = "fresh"
    """Another plan from the start: the failed code is not shown, only what was tried and why it failed."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of a ladder."""

    number: int
    """The attempt it is for, from 1."""
    strategy: Strategy
    temperature: float | None
    """Requested temperature, 0 to 2; None asks for none. Whether it is sent is decided by `Capabilities`."""
    effort: str | None
    """One of `EFFORTS`, `HIGHER`, or None for the model's own default."""
    model: str | None
    """Model of this rung; None is the execution's model."""
    max_tokens: int
    """Limit of the answer; thinking counts within it, so it is several times what code needs."""


DEFAULT_LADDER: tuple[Rung, ...] = (
    Rung(1, Strategy.GENERATE, 0.7, None, None, 16_384),
    Rung(2, Strategy.REPAIR, 0.5, None, None, 16_384),
    Rung(3, Strategy.DIAGNOSE, 0.3, HIGHER, None, 32_768),
    Rung(4, Strategy.FRESH, 0.3, None, None, 16_384),
)


class LadderError(ValueError):
    """A ladder that cannot be used; the message names the place and what is wrong there."""


def ladder_from(value: object, *, max_attempts: int | None = None) -> tuple[Rung, ...]:
    """The ladder described by `value`.

    `value` is None or "default", a list of rungs, or that list as JSON text. A rung is an object of any of
    the keys of `Rung`; what it leaves out comes from the default rung of the same number (from the last one
    beyond it). `max_attempts` (1 to 20) cuts the ladder, or lengthens it by repeating its last rung.

    Raises `LadderError`.
    """
    rungs = _rungs_from(value)
    if max_attempts is None:
        return rungs
    wanted = _whole_number("max_attempts", max_attempts, low=1, high=MAX_RUNGS)
    last = rungs[-1]
    repeated = tuple(replace(last, number=number) for number in range(len(rungs) + 1, wanted + 1))
    return rungs[:wanted] + repeated


@lru_cache(maxsize=256)
def rung_json(rung: Rung) -> Mapping[str, Any]:
    """One rung as `as_json` gives it; the same object each time, not to be changed."""
    return MappingProxyType(as_json([rung])[0])


def as_json(ladder: Sequence[Rung]) -> list[dict[str, Any]]:
    """The ladder as plain values that JSON can hold; `ladder_from` reads it back unchanged."""
    return [{**asdict(rung), "strategy": rung.strategy.value} for rung in ladder]


def _rungs_from(value: object) -> tuple[Rung, ...]:
    if isinstance(value, str) and value.strip() not in ("", "default"):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise LadderError(f'ladder: neither "default" nor JSON: {error}') from None
    if value is None or isinstance(value, str):
        return DEFAULT_LADDER
    if not isinstance(value, list | tuple):
        raise LadderError(f'ladder: must be "default" or a list of rungs, not {_kind(value)}')
    if not 1 <= len(value) <= MAX_RUNGS:
        raise LadderError(f"ladder: must have 1 to {MAX_RUNGS} rungs, not {len(value)}")
    return tuple(_rung_from(entry, position) for position, entry in enumerate(value))


def _rung_from(entry: object, position: int) -> Rung:
    where = f"ladder[{position}]"
    if isinstance(entry, Rung):
        entry = asdict(entry)
    if not isinstance(entry, Mapping):
        raise LadderError(f"{where}: must be an object, not {_kind(entry)}")
    rung = replace(DEFAULT_LADDER[min(position, len(DEFAULT_LADDER) - 1)], number=position + 1)
    for key, given in entry.items():
        place = f"{where}.{key}"
        match key:
            case "number":
                if isinstance(given, bool) or given != position + 1:
                    raise LadderError(f"{place}: must be {position + 1}, the rung's place, not {given!r}")
            case "strategy":
                rung = replace(rung, strategy=_strategy(place, given))
            case "temperature":
                rung = replace(rung, temperature=_temperature(place, given))
            case "effort":
                rung = replace(rung, effort=_effort(place, given))
            case "model":
                rung = replace(rung, model=_model(place, given))
            case "max_tokens":
                rung = replace(rung, max_tokens=_whole_number(place, given, low=1, high=MAX_TOKENS_LIMIT))
            case _:
                known = "number, strategy, temperature, effort, model, max_tokens"
                raise LadderError(f"{place}: unknown key; a rung has {known}")
    return rung


def _strategy(place: str, given: object) -> Strategy:
    if not isinstance(given, str) or given not in list(Strategy):
        raise LadderError(f"{place}: must be one of {', '.join(Strategy)}, not {given!r}")
    return Strategy(given)


def _temperature(place: str, given: object) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise LadderError(f"{place}: must be a number from 0 to 2 or null, not {given!r}")
    if not 0 <= given <= 2:
        raise LadderError(f"{place}: must be from 0 to 2, not {given!r}")
    return float(given)


def _effort(place: str, given: object) -> str | None:
    known = (*EFFORTS, HIGHER)
    if given is None:
        return None
    if not isinstance(given, str) or given not in known:
        raise LadderError(f"{place}: must be one of {', '.join(known)} or null, not {given!r}")
    return given


def _model(place: str, given: object) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str) or not given.strip() or len(given) > 200:
        raise LadderError(
            f"{place}: must be the name of a model (at most 200 characters) or null, not {given!r}"
        )
    return given.strip()


def _whole_number(place: str, given: object, *, low: int, high: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise LadderError(f"{place}: must be a whole number from {low} to {high}, not {given!r}")
    if not low <= given <= high:
        raise LadderError(f"{place}: must be from {low} to {high}, not {given}")
    return given


def _kind(value: object) -> str:
    names = {dict: "an object", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)
