"""Reported values are compared by Python's own equality, and whatever nobody asked for voids the report."""

from __future__ import annotations

from typing import Any

import pytest

from executions.validation.expected_tests import expected_tests
from executions.validation.outside import Outside
from executions.validation.outside_judgement import OutsideJudgement, compare_outside
from executions.validation.outside_masking import outside_of
from executions.validation.sandbox.mge_inside.values import encoded
from executions.validation.sandbox.reports import Reported


def compared(
    line: str, *texts: str, name: str = "", test: str = "test_f", begun: str = "test_f"
) -> OutsideJudgement:
    tests = f"from answer import f\ndef test_f():\n    {line}\n"
    outside = outside_of(tests, expected_tests(tests))
    name = name or next(iter(outside.comparisons))
    lines = [Reported("begin", begun, "", "", 0)]
    return compare_outside([*lines, *(Reported("value", test, name, text, 0) for text in texts)], outside)


@pytest.mark.parametrize(
    ("literal", "value", "holds"),
    [
        ("1", True, True), ("1", 1.0, True), ("1.0", 1, True), ("True", 1, True), ("0.0", -0.0, True), ("'a'", b"a", False),
        ("float('nan')", float("nan"), False), ("[float('nan')]", [float("nan")], False), ("(1,)", [1], False),
        ("{1, 2}", frozenset((2, 1)), True), ("{'a': 1, 'b': 2}", {"b": 2, "a": 1}, True), ("None", None, True),
        ("None", 0, False), ("0.1", 0.1, True), ("0.30000000000000004", 0.1 + 0.2, True), ("0.3", 0.1 + 0.2, False),
        ("1 + 2j", 1 + 2j, True), ("10000000000000000000000", 10**22, True), ("'\\ud800'", "\ud800", True),
    ],
)  # fmt: skip
def test_equality_is_that_of_python(literal: str, value: Any, holds: bool) -> None:
    result = compared(f"assert f(1) == {literal}", encoded(value))
    assert (result.forged, result.not_plain) == ("", set())
    assert (result.failed == {}) is holds


def test_identity_is_asked_where_the_tests_ask_for_it() -> None:
    assert compared("assert f(1) is True", encoded(True)).failed == {}
    assert compared("assert f(1) is True", encoded(1)).failed
    assert compared("assert f(1) is None", encoded(object())).failed == {
        "test_f": "assert f(1) is None: left is <object>, right is None"
    }


def test_the_first_failure_counts() -> None:
    result = compared("assert f(1) == 2", encoded(2), encoded(3), encoded(4))
    assert result.failed == {"test_f": "assert f(1) == 2: got 3, expected 2"}


def test_a_long_value_is_cut_and_costs_no_time_to_explain() -> None:
    tests = (
        "import unittest\nfrom answer import f\nclass T(unittest.TestCase):\n"
        f"    def test_f(self):\n        self.assertEqual(f(1), {list(range(2000))})\n"
    )
    outside = outside_of(tests, expected_tests(tests))
    [name] = outside.comparisons
    lines = [
        Reported("begin", "T::test_f", "", "", 0),
        Reported("value", "T::test_f", name, encoded(list(range(1, 2001))), 0),
    ]
    [message] = compare_outside(lines, outside).failed.values()
    assert len(message) < 1000


@pytest.mark.parametrize(
    "forged",
    [
        {"name": "_mge_eq_7"},
        {"name": "elsewhere"},
        {"test": "test_g"},
        {"begun": ""},
        {"texts": ("",)},
        {"texts": ("[1]",)},
        {"texts": ('["l",[1.5]]',)},
        {"texts": ("[" * 100_000,)},
        {"line": "assert f(1)", "texts": ("true",)},
        {"line": "assert f(1)", "texts": ("[1,true]",)},
        {"line": "assert f(1)", "texts": ('[true,["q"]]',)},
    ],
    ids=str,
)
def test_what_our_own_code_would_not_report_is_forged(forged: dict[str, Any]) -> None:
    call: dict[str, Any] = {"line": "assert f(1) == 2", "texts": ("2",)} | forged
    line, texts = call.pop("line"), call.pop("texts")
    if line == "assert f(1)" and texts == ('[true,["q"]]',):
        # The value of a truth is only looked at where it has to be told.
        line, texts = "assert not f(1)", texts
    assert compared(line, *texts, **call).forged


def test_a_test_is_not_asked_for_what_may_not_run() -> None:
    tests = (
        "from answer import f\ndef check(c):\n    assert c(1) == c(2)\n    if c(3):\n        assert c(4) < 5\n"
        "def test_f():\n    check(f)\n    for n in []:\n        assert f(n) != 3\n    assert f(5) < 6\n"
        "def test_g():\n    if f(1):\n        return\n    assert f(7) < 8\n"
    )
    outside: Outside = outside_of(tests, expected_tests(tests))
    assert outside.required_lines == {"test_f": {3, 10, -6}, "test_g": frozenset()}
