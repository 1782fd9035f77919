"""Values cross the border whole and told apart, and nothing that comes across can do harm."""

from __future__ import annotations

import enum
import itertools
import json
import math
from collections import Counter, OrderedDict, defaultdict, namedtuple
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.validation.outside_values import BadValue, NotPlain, decoded, read_json, shown
from executions.validation.sandbox.mge_inside.values import encoded

Pair = namedtuple("Pair", "x y")


class Level(enum.IntEnum):
    LOW = 1


class AlwaysEqual(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


HASHABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters())
    | st.binary(),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=6,
)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.sets(HASHABLE, max_size=4)
        | st.dictionaries(HASHABLE, inner, max_size=4)
    ),
    max_leaves=12,
)


def crossed(value: Any, *, names: bool = False) -> Any:
    return decoded(read_json(encoded(value)), names=names)


def same(one: Any, other: Any) -> bool:
    """Of one type and one look, all the way down; `==` would take 1 for True and nan for nothing."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, set | frozenset):
        return sorted(map(shown, one)) == sorted(map(shown, other))
    return repr(one) == repr(other)


@given(VALUES)
def test_a_plain_value_comes_across_as_it_is(value: Any) -> None:
    assert same(crossed(value), value)


@pytest.mark.parametrize(
    "value",
    [
        0.0,
        -0.0,
        math.inf,
        -math.inf,
        math.nan,
        5e-324,
        1 << 4000,
        -(1 << 53),
        True,
        1,
        1.0,
        "\ud83d\ude00",
        "😀",
    ],
    ids=repr,
)
def test_what_json_would_blur_stays_apart(value: Any) -> None:
    assert same(crossed(value), value)


@pytest.mark.parametrize(
    ("value", "base", "told"),
    [
        (Pair(1, 2), (1, 2), "Pair(1, 2)"),
        (defaultdict(int, a=1), {"a": 1}, "defaultdict({'a': 1})"),
        (Level.LOW, 1, "Level(1)"),
        ([Pair(1, 2)], [(1, 2)], "[Pair(1, 2)]"),
    ],
    ids=str,
)
def test_a_subclass_that_compares_like_its_base_is_sent_as_such(value: Any, base: Any, told: str) -> None:
    assert same(crossed(value), base)
    assert shown(crossed(value, names=True)) == told


@pytest.mark.parametrize(
    "value",
    [
        object(),
        AlwaysEqual(3),
        [AlwaysEqual(3)],
        OrderedDict(a=1),
        Counter("a"),
        Decimal(1),
        iter([1]),
        int,
        len,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_a_mind_of_its_own_is_only_named(value: Any) -> None:
    with pytest.raises(NotPlain):
        crossed(value)


def test_too_large_and_too_deep_are_said() -> None:
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    endless: list[Any] = []
    endless.append(endless)
    for value in ("x" * 100_000, list(range(100_000)), 1 << 1_000_000, deep, endless):
        with pytest.raises(NotPlain, match="too"):
            crossed(value)


def test_a_metaclass_cannot_trip_the_writer() -> None:
    class Meta(type):
        def __getattribute__(cls, name: str) -> Any:
            raise SystemExit(name)

        def __eq__(cls, other: object) -> bool:
            raise SystemExit("equal")

    class Odd(int, metaclass=Meta):
        pass

    assert json.loads(encoded(int.__new__(Odd, 3)))[0] == "?"


def test_equal_sets_are_written_alike_whatever_their_order() -> None:
    assert encoded({8, 0, 16}) == encoded({16, 0, 8})
    assert shown({"b", "a", "c"}) == "{'a', 'b', 'c'}"
    assert shown({10, 9, 2.5}) == "{2.5, 9, 10}"


@pytest.mark.parametrize(
    "values",
    [
        [frozenset({number}) for number in range(5)],
        [(frozenset({number}), 1) for number in range(5)],
        # In one place of the table all but the first: they come in the order in which they were put in.
        [math.nan, 1.0, 9.0, 17.0],
    ],
    ids=str,
)
def test_sets_of_what_has_no_order_are_written_and_shown_alike_all_the_same(values: list[Any]) -> None:
    orders = [list(order) for order in itertools.permutations(values)]

    assert len({shown(frozenset(order)) for order in orders}) == 1
    assert len({encoded(frozenset(order)) for order in orders}) == 1


@pytest.mark.parametrize(
    "text",
    [
        "", "[", "1.5", "NaN", "Infinity", "123456789012345678901", '["q",[]]', '["l"]', '["l",[],1]', '["d",["a"]]',
        '["d",["a",1,"a",2]]', '["s",[1,1]]', '["s",[["l",[]]]]', '["d",[["l",[]],1]]', '["i","zz"]', '["f","x"]',
        '["b","abc"]', '["u","ff"]', '{"a":1}', '["n","x"]', '["l",{"a":1}]', '["c","0x1p+0"]', "[" * 100_000,
        '["i",7]', '["?"]', '["f","0x1p+9999999"]',
    ],
)  # fmt: skip
def test_what_the_writer_does_not_write_is_refused(text: str) -> None:
    with pytest.raises(BadValue):
        decoded(read_json(text))


@given(st.text(max_size=80))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    try:
        decoded(read_json(text))
    except (BadValue, NotPlain):
        return
