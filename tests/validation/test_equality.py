"""Whoever says yes to everything is found out; whoever means it is asked a few times and nothing happens."""

from __future__ import annotations

import datetime
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.validation.sandbox.mge_inside import equality


class Everything:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class EveryNumber:
    def __eq__(self, other: object) -> bool:
        return isinstance(other, int | float)

    __hash__ = None  # type: ignore[assignment]


class FirstTime:
    asked = 0

    def __eq__(self, other: object) -> bool:
        self.asked += 1
        return self.asked == 1

    __hash__ = None  # type: ignore[assignment]


class Meta(type):
    def __eq__(cls, other: object) -> bool:
        return True

    __hash__ = type.__hash__


class Disguised(metaclass=Meta):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


@dataclass
class Point:
    x: Any
    y: Any = 0


@dataclass(slots=True)
class Slotted:
    x: Any


def asked(left: Any, right: Any, *, truth: bool = True) -> tuple[Any, list[int]]:
    tricks: list[int] = []
    return equality.equal(left, right, lambda: tricks.append(1), lambda value: True, truth=truth), tricks


def compared(left: Any, right: Any) -> tuple[Any, bool]:
    """(what is said, whether a trick was noticed)"""
    said, tricks = asked(left, right)
    unsaid = equality.unequal(left, right, lambda: tricks.append(1), lambda value: True, truth=True)
    assert not tricks or said is True or unsaid is False
    return said, bool(tricks)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (Everything(), 2), (2, Everything()), ([Everything()], [2]), ([[[Everything()]]], [[[2]]]),
        (Point(Everything()), Point(2)), (Slotted(Everything()), Slotted(2)),
        ({"a": Everything()}, {"a": 2}), ([*range(500), Everything()], [*range(500), 9]),
        (EveryNumber(), 2), ([EveryNumber()], [2]), (Point(1, Everything()), Point(1, 2)), (Disguised(), "text"),
        ((Everything(),), (None,)), (Everything(), Everything()), (EveryNumber(), float("inf")),
    ],
)  # fmt: skip
def test_what_equals_everything_is_noticed(left: Any, right: Any) -> None:
    assert compared(left, right)[1]


def test_what_changes_its_mind_is_not_equal() -> None:
    for _ in range(50):  # the order is random
        said, tricks = asked(FirstTime(), 2)
        assert said is False or tricks


HONEST = [
    (Decimal("1.5"), 1.5), (Fraction(1, 2), 0.5), (Counter("aab"), {"a": 2, "b": 1}), (OrderedDict(a=1), {"a": 1}),
    (Point(1, 2), Point(1, 2)), (Slotted([1]), Slotted([1])), ([Point(Decimal(1))], [Point(1)]), (deque([1]), deque([1])),
    (datetime.date(2020, 1, 1), datetime.date(2020, 1, 1)), ({Point: 1}, {Point: 1}), (object, object), (len, len), (1j, 1j),
    ({"k": {Fraction(1)}}, {"k": {1}}), (bytearray(b"x"), b"x"), (range(3), range(3)), (float("inf"), Decimal("inf")),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right"), HONEST)
def test_honest_equality_is_left_alone(left: Any, right: Any) -> None:
    assert compared(left, right) == (True, False)
    assert compared(right, left) == (True, False)


@pytest.mark.parametrize(
    ("left", "right"), [(Point(1), Point(2)), (Decimal(1), 2), (Point(1), 1), (Everything, 3)]
)
def test_what_is_not_equal_is_not(left: Any, right: Any) -> None:
    assert compared(left, right) == (False, False)


def test_answers_that_are_no_bool_come_back_as_they_are() -> None:
    class Array:
        def __eq__(self, other: object) -> Any:
            return [True, False]

        __hash__ = None  # type: ignore[assignment]

    assert asked(Array(), 1, truth=False) == ([True, False], [])
    assert asked(Array(), 1) == (True, [1])


def test_a_structure_that_holds_itself_comes_to_an_end() -> None:
    endless: list[Any] = [Point(1)]
    endless.append(endless)
    assert compared(endless, endless) == (True, False)


NESTED = st.recursive(
    st.integers() | st.floats() | st.text() | st.none() | st.booleans() | st.binary(),
    lambda inner: (
        st.lists(inner, min_size=1) | st.tuples(inner) | st.dictionaries(st.text(), inner, min_size=1)
    ),
    max_leaves=8,
)


@given(NESTED)
def test_a_decoy_is_never_equal_to_what_it_stands_for(value: Any) -> None:
    for decoy in equality._decoys(value):
        assert decoy != value
