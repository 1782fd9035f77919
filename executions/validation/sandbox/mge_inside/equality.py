"""Asks whether two things are equal in a way that an object which says yes to everything cannot pass.

Whoever defines `__eq__` decides what it says. So it is asked several times, in random order and always from here: for what
the tests compare it with, twice, and for things that nothing equal to that can be equal to as well.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # known to type checkers; importing typing costs each run milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_MOST_VISITED, _MOST_SUSPECTS = 20_000, 20
# Taken now: an answer may replace what the builtins module holds later.
_type, _all, _any, _len, _bool, _range, _sorted = type, all, any, len, bool, range, sorted
_int, _float, _str, _bytes, _complex, _list, _tuple = int, float, str, bytes, complex, list, tuple
_set, _frozenset, _dict, _NoneType, _Range, _BaseException = (
    set,
    frozenset,
    dict,
    type(None),
    range,
    BaseException,
)
_object, _id, _random, _dicts = object, id, os.urandom, (dict.keys, dict.values)
_attribute = object.__getattribute__
_MANY = tuple((kind, kind.__iter__) for kind in (list, tuple, set, frozenset))
_mro = type.__dict__["__mro__"].__get__
_FUNCTION, _MODULE = type(lambda: None), type(os)


class Stranger:
    """Equal to nothing but itself."""


def equal(
    left: Any, right: Any, on_trick: Callable[[], None], suspect: Callable[[Any], bool], *, truth: bool
) -> Any:
    """`left == right`; `suspect` says of a value with a mind of its own whether it is to be asked.

    `truth`: only whether the answer is true matters. Otherwise one that is no bool is handed on as it is, since the
    comparison may build something: an array, a query.
    """
    return _asked(left, right, on_trick, suspect, _is_equal, truth)


def unequal(
    left: Any, right: Any, on_trick: Callable[[], None], suspect: Callable[[Any], bool], *, truth: bool
) -> Any:
    """`left != right`."""
    return _asked(left, right, on_trick, suspect, _is_not_unequal, truth)


def held(item: Any, container: Any, on_trick: Callable[[], None], suspect: Callable[[Any, str], bool]) -> Any:
    """`item in container`: what holds even what nobody else has proves nothing."""
    answer = item in container
    if (
        answer
        and suspect(container, "__contains__")
        and _all(_says(_holds, container, other) is True for other in (Stranger(), _object()))
    ):
        on_trick()
    return answer


def ordered(
    left: Any, right: Any, on_trick: Callable[[], None], suspect: Callable[[Any, str], bool], *, less: bool
) -> Any:
    """`left < right` or `left > right`: nothing is less than itself, not even what is less than all others."""
    answer = left < right if less else left > right
    if answer is True:
        for value, method in (
            (left, "__lt__" if less else "__gt__"),
            (right, "__gt__" if less else "__lt__"),
        ):
            if suspect(value, method) and _says(_is_less if less else _is_greater, value, value) is True:
                on_trick()
    return answer


def _holds(container: Any, item: Any) -> Any:
    return item in container


def _is_less(left: Any, right: Any) -> Any:
    return left < right


def _is_greater(left: Any, right: Any) -> Any:
    return left > right


def _is_equal(left: Any, right: Any) -> Any:
    return left == right


def _is_not_unequal(left: Any, right: Any) -> Any:
    return left != right


def _asked(left: Any, right: Any, on_trick: Any, suspect: Any, ask: Any, truth: bool) -> Any:
    if _is_plain(_type(left)) and _is_plain(_type(right)):
        return ask(left, right)
    suspects = [_suspects(left, suspect), _suspects(right, suspect)]
    if not suspects[0] and not suspects[1]:
        return ask(left, right)
    yes = ask is _is_equal
    asks = [(0, left, right), (0, left, right)]
    if suspects[0]:
        asks += [(1, left, Stranger()), (1, left, _object())]
        asks += [(2, left, decoy) for decoy in _decoys(right)] if not suspects[1] else []
    if suspects[1]:
        asks += [(3, Stranger(), right), (3, _object(), right)]
        asks += [(4, decoy, right) for decoy in _decoys(left)] if not suspects[0] else []
    order = _random(_len(asks))
    answers: dict[int, list[bool]] = {}
    real: list[Any] = []
    for index in _sorted(_range(_len(asks)), key=order.__getitem__):
        group, one, other = asks[index]
        if group == 0:
            answer = ask(one, other)
            real.append(_bool(answer) if truth else answer)
        else:
            answers.setdefault(group, []).append(_says(ask, one, other) is yes)
    if not _all(_type(answer) is _bool for answer in real):
        return real[0]  # an array, or whatever the tests make of it
    if real[0] is not real[1]:
        return not yes  # it changes its mind: nothing is proved
    if real[0] is yes and (
        _any(_all(said) for said in answers.values())
        or _any(_agrees_with_all(item, ask, yes) for item in suspects[0] + suspects[1])
    ):
        on_trick()
    return real[0]


def _says(ask: Any, one: Any, other: Any) -> Any:
    try:
        return _bool(ask(one, other))
    except _BaseException:
        return None


def _agrees_with_all(item: Any, ask: Any, yes: bool) -> bool:
    """Of something deep inside: what it was compared with is not known, but it cannot be all of these."""
    return _all(_says(ask, item, other) is yes for other in (Stranger(), _object())) or _all(
        _says(ask, item, other) is yes for other in (7919, "another\0", 2.5e9, (Stranger(),))
    )


def _is_plain(kind: Any) -> bool:
    # By identity: a type may define what makes it equal to another.
    return (
        kind is _int or kind is _str or kind is _bool or kind is _float or kind is _NoneType
        or kind is _bytes or kind is _complex or kind is _type or kind is _Range
        or kind is _FUNCTION or kind is _MODULE
    )  # fmt: skip


def _suspects(value: Any, suspect: Any) -> list[Any]:
    """Everything in `value` that decides for itself what it is equal to."""
    found: list[Any] = []
    seen: set[int] = _set()
    pending = [value]
    visited = 0
    while pending and visited < _MOST_VISITED and _len(found) < _MOST_SUSPECTS:
        item = pending.pop()
        visited += 1
        kind = _type(item)
        if _is_plain(kind) or _id(item) in seen:
            continue
        seen.add(_id(item))
        if not _is_container(kind):
            if suspect(item):
                found.append(item)
            pending.extend(_attributes(item))
        pending.extend(_parts(item, kind))
    return found


def _is_container(kind: Any) -> bool:
    return kind is _list or kind is _tuple or kind is _dict or kind is _set or kind is _frozenset


def _parts(item: Any, kind: Any) -> Iterator[Any]:
    for above in _mro(kind):
        if above is _dict:
            for part in _dicts:
                yield from part(item)
            return
        for exact, iterate in _MANY:
            if above is exact:
                yield from iterate(item)
                return


def _attributes(item: Any) -> list[Any]:
    try:
        return [*_attribute(item, "__dict__").values()]
    except _BaseException:
        slots = _type(item).__dict__.get("__slots__", ())
    values = []
    for name in slots if _type(slots) is _tuple else ():
        try:
            values.append(_attribute(item, name))
        except _BaseException:
            continue
    return values


def _decoys(value: Any) -> list[Any]:
    """Things like `value` that nothing equal to it can be equal to as well."""
    return [_unlike(value, 7919, "\0another"), _unlike(value, -104729, "another\0")]


def _unlike(value: Any, number: int, text: str) -> Any:
    kind = _type(value)
    if kind is _int or kind is _bool:
        return value + number
    if kind is _float or kind is _complex:
        return value + number if value + number != value and value == value else number + 0.5
    if kind is _str:
        return value + text if number > 0 else text + value
    if kind is _bytes:
        return value + text.encode()
    if kind is _list or kind is _tuple:
        return kind([_unlike(item, number, text) for item in value] or [Stranger()])
    if kind is _dict:
        return {key: _unlike(item, number, text) for key, item in value.items()} or {text: number}
    if kind is _set or kind is _frozenset:
        return kind([*value, text])
    return Stranger()
