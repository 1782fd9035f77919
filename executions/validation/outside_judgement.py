"""Decides, outside of the sandbox, the comparisons whose literals never went in. Pure."""

from __future__ import annotations

import unittest
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from executions.validation.outside import Comparison, Outside
from executions.validation.outside_values import BadValue, Named, NotPlain, decoded, read_json, shown
from executions.validation.sandbox.reports import Reported

_MAX_MESSAGE = 2000
# unittest explains a difference by difflib, whose time grows with the square of what it is given and more.
_SHORT = 400


@dataclass(slots=True)
class OutsideJudgement:
    """What the reported values say."""

    failed: dict[str, str] = field(default_factory=dict)
    """For each test that failed here: the message of its first failure."""
    seen: dict[str, set[str]] = field(default_factory=dict)
    """For each test: the names of the comparisons that were reported."""
    not_plain: set[str] = field(default_factory=set)
    """Tests of which a value came that can only be compared inside."""
    forged: str = ""
    """Why the report cannot stem from our own code; "" when it can."""


def compare_outside(lines: Iterable[Reported], outside: Outside) -> OutsideJudgement:
    """All values of one report. Nothing that they hold makes this raise."""
    result = OutsideJudgement()
    running = ""
    for line in lines:
        if line.kind == "begin":
            running = line.test
        if line.kind != "value":
            continue
        comparison = outside.comparisons.get(line.outcome)
        if comparison is None or not running or line.test != running:
            result.forged = "it holds a value that no test asked for"
            return result
        result.seen.setdefault(line.test, set()).add(comparison.name)
        try:
            message = _failure(comparison, read_json(line.message), outside)
        except BadValue:
            result.forged = "it holds a value that cannot be read"
            return result
        except NotPlain:
            result.not_plain.add(line.test)
            continue
        if message:
            result.failed.setdefault(line.test, message)
    return result


def _failure(comparison: Comparison, written: Any, outside: Outside) -> str:
    """What to say about a comparison that failed, "" when it held. Raises BadValue, NotPlain."""
    if comparison.means in ("truth", "none"):
        if not isinstance(written, list) or len(written) != 2 or type(written[0]) is not bool:
            raise BadValue("a truth that nobody wrote")
        holds = written[0] is comparison.expected
        got = _for_people(written[1])
    else:
        holds = _holds(comparison, written)
        got = None if holds else _for_people(written)
    if holds:
        return ""
    if comparison.method:
        return _in_words_of_unittest(comparison, written, got, outside.statement(comparison.line))
    return _in_words_of_assert(comparison, got)


def _holds(comparison: Comparison, written: Any) -> bool:
    try:
        value = decoded(written)
    except NotPlain:
        if comparison.means == "is":
            return False  # None, True and False are plain
        raise
    if comparison.means == "is":
        return value is comparison.expected
    sides = (comparison.expected, value) if comparison.literal_first else (value, comparison.expected)
    return bool(sides[0] == sides[1])


def _for_people(written: Any) -> Any:
    """The value with the names of its types; where it did not come, its own type's name."""
    try:
        return decoded(written, names=True)
    except NotPlain as reason:
        return _Unseen(str(reason))


@dataclass(frozen=True, slots=True)
class _Unseen:
    name: str

    def __repr__(self) -> str:
        return f"<{self.name}>"


def _in_words_of_assert(comparison: Comparison, got: Any) -> str:
    sides = [shown(got), shown(comparison.expected)]
    if comparison.literal_first:
        sides.reverse()
    if comparison.means == "eq":
        told = f"got {sides[0]}, expected {sides[1]}"
    elif comparison.means == "is":
        told = f"left is {sides[0]}, right is {sides[1]}"
    else:
        told = f"got {sides[0]}"
    text = comparison.text if len(comparison.text) <= 300 else comparison.text[:300] + "…"
    said = f" ({comparison.said[:300]})" if comparison.said else ""
    return f"assert {text}: {told}{said}"


def _in_words_of_unittest(comparison: Comparison, written: Any, got: Any, statement: str) -> str:
    told = _explained(comparison, written, got)
    if comparison.said:
        told = f"{told} : {comparison.said}"
    return f"{told[:_MAX_MESSAGE]} (at `{statement[:200]}`)" if statement else told[:_MAX_MESSAGE]


def _explained(comparison: Comparison, written: Any, got: Any) -> str:
    if comparison.method == "assertTrue":
        return f"{shown(got)} is not true"
    if comparison.method == "assertFalse":
        return f"{shown(got)} is not false"
    if comparison.means == "none":
        return f"{shown(got)} is not None" if comparison.expected else "unexpectedly None"
    first, second = (comparison.expected, got) if comparison.literal_first else (got, comparison.expected)
    if comparison.means == "is":
        return f"{shown(first)} is not {shown(second)}"
    if max(len(repr(first)), len(repr(second))) <= _SHORT and not _holds_sets(got):
        value = decoded(written)
        first, second = (
            (comparison.expected, value) if comparison.literal_first else (value, comparison.expected)
        )
        try:
            unittest.TestCase().assertEqual(first, second)  # noqa: PT009 - for its words
        except AssertionError as error:
            return str(error)
    return f"{shown(first)} != {shown(second)}"


def _holds_sets(value: Any) -> bool:
    """Their order would differ from process to process."""
    if isinstance(value, Named):
        return _holds_sets(value.value)
    if isinstance(value, list | tuple):
        return any(map(_holds_sets, value))
    if isinstance(value, dict):
        return any(map(_holds_sets, [*value, *value.values()]))
    return isinstance(value, set | frozenset)
