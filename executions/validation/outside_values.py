"""Reads values that the test process wrote down (`sandbox.mge_inside.values`), trusting nothing of them. Pure."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import dataclass
from typing import Any

_MOST_DIGITS = 16  # of a number written as such; larger ones come in hex
_MAX_SHOWN = 300


class BadValue(ValueError):
    """Nothing that the test process's own code would have written."""


class NotPlain(Exception):
    """The value cannot be compared outside; `str()` names its type, or says why."""


@dataclass(frozen=True, slots=True)
class Named:
    """A value of a subclass, for messages."""

    name: str
    value: Any


def read_json(text: str) -> Any:
    """The JSON in `text`, without floats and constants, which the writer never uses. Raises BadValue."""
    try:
        return json.loads(text, parse_float=_refuse, parse_constant=_refuse, parse_int=_small)
    except (ValueError, RecursionError) as error:
        raise BadValue(f"not JSON: {str(error)[:100]}") from error


def decoded(written: Any, *, names: bool = False) -> Any:
    """The value, of exact built-in types; with `names` subclasses appear as Named. Raises BadValue, NotPlain."""
    try:
        return _value(written, names)
    except (IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise BadValue("a value that nobody wrote") from error


def shown(value: Any) -> str:
    """`repr`, the same in every process, and cut."""
    text = _shown(value)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


def _small(digits: str) -> int:
    if len(digits.lstrip("-")) > _MOST_DIGITS:
        raise ValueError("a number too long")
    return int(digits)


def _refuse(_: str) -> Any:
    raise ValueError("a number in a way that is not used")


def _value(written: Any, names: bool) -> Any:
    if written is None or type(written) in (bool, int, str):
        return written
    match written:
        case ["i", str(digits)]:
            return int(digits, 16)
        case ["f", str(digits)]:
            return float.fromhex(digits)
        case ["c", str(real), str(imaginary)]:
            return complex(float.fromhex(real), float.fromhex(imaginary))
        case ["b", str(digits)]:
            return bytes.fromhex(digits)
        case ["u", str(digits)]:
            return bytes.fromhex(digits).decode("utf-8", "surrogatepass")
        case ["l", [*items]]:
            return [_value(item, names) for item in items]
        case ["t", [*items]]:
            return tuple(_value(item, names) for item in items)
        case ["s" | "z" as tag, [*items]]:
            values = [_value(item, names) for item in items]
            found = set(values) if tag == "s" else frozenset(values)
            return _all_kept(found, len(values))
        case ["d", [*items]] if len(items) % 2 == 0:
            values = [_value(item, names) for item in items]
            return _all_kept(dict(zip(values[::2], values[1::2], strict=True)), len(values) // 2)
        case ["n", str(name), inner]:
            value = _value(inner, names)
            return Named(name, value) if names else value
        case ["?", str(reason)]:
            raise NotPlain(reason)
    raise ValueError


def _all_kept(found: Any, size: int) -> Any:
    """A set or dict, unless what was written would have been two things in one place."""
    if len(found) != size:
        raise ValueError
    return found


def _shown(value: Any) -> str:
    kind = type(value)
    if kind is Named:
        inner = _shown(value.value)
        return f"{value.name}{inner}" if inner.startswith("(") else f"{value.name}({inner})"
    if kind is list:
        return f"[{', '.join(map(_shown, value))}]"
    if kind is tuple:
        return f"({', '.join(map(_shown, value))}{',' if len(value) == 1 else ''})"
    if kind is dict:
        return "{" + ", ".join(f"{_shown(key)}: {_shown(item)}" for key, item in value.items()) + "}"
    if kind in (set, frozenset):
        inside = "{" + ", ".join(_in_order(value)) + "}" if value else ""
        return (inside or "set()") if kind is set else f"frozenset({inside})"
    try:
        return repr(value)
    except ValueError:  # too many digits
        return hex(value)


def _in_order(values: set[Any] | frozenset[Any]) -> list[str]:
    # Without an error sets are sorted by what contains what, and nan by nothing: as they happen to come.
    if all(map(_has_an_order, values)):
        with contextlib.suppress(TypeError):
            return [_shown(value) for value in sorted(values)]
    return sorted(map(_shown, values))


def _has_an_order(value: Any) -> bool:
    if type(value) is tuple:
        return all(map(_has_an_order, value))
    return type(value) in (bool, int, str, bytes) or (type(value) is float and not math.isnan(value))
