"""Which comparisons are taken out of a test module, and that nothing else of it changes."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from executions.validation.expected_tests import expected_tests
from executions.validation.outside import Outside
from executions.validation.outside_literals import NotLiteral, literal_value
from executions.validation.outside_masking import outside_of, prepared

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def outside(text: str) -> Outside:
    return outside_of(text, expected_tests(text))


def body(*lines: str, start: str = "from answer import f\n") -> str:
    return start + "def test_f():\n" + "".join(f"    {line}\n" for line in lines)


def method(*lines: str, start: str = "") -> str:
    head = "import unittest\nfrom answer import f\nclass T(unittest.TestCase):\n"
    return head + start + "    def test_f(self):\n" + "".join(f"        {line}\n" for line in lines)


@pytest.mark.parametrize(
    ("line", "means", "expected"),
    [
        ("assert f(1) == 23", "eq", 23),
        ("assert 23 == f(1)", "eq", 23),
        ("assert'text'==f(1)", "eq", "text"),
        ("assert f(1) == [\n        23,\n    ], 'no'", "eq", [23]),
        ("assert f(1) == {'a': (1, -2.5)}", "eq", {"a": (1, -2.5)}),
        ("assert f(1) == set()", "eq", set()),
        ("assert f(1) == float('inf')", "eq", float("inf")),
        ("assert f(1) == 2.0 / 4.0", "eq", 0.5),
        ("assert f(1) == tuple([1, 2])", "eq", (1, 2)),
        ("assert f(1) is None", "is", None),
        ("assert(f(1))", "truth", True),
        ("assert f(1).ok, 'no'", "truth", True),
        ("assert not f(1)", "truth", False),
        ("assert not(f(1))", "truth", False),
    ],
)
def test_a_literal_is_taken_out_of_an_assert(line: str, means: str, expected: Any) -> None:
    found = outside(body(line))
    [comparison] = found.comparisons.values()
    assert (comparison.means, comparison.expected) == (means, expected)
    assert "23" not in found.text
    assert "'no'" not in found.text
    assert found.required == {"test_f": {comparison.name}}
    assert len(ast.parse(found.text).body) == len(ast.parse(body(line)).body)
    assert found.text.count("\n") == body(line).count("\n")


@pytest.mark.parametrize(
    ("line", "means", "expected"),
    [
        ("self.assertEqual(f(1), 23)", "eq", 23),
        ("self.assertEqual(23, f(1), msg='no')", "eq", 23),
        ("self.assertTrue(f(1), 'no')", "truth", True),
        ("self.assertFalse(f(1))", "truth", False),
        ("self.assertIsNone(f(1))", "none", True),
        ("self.assertIsNotNone(f(1))", "none", False),
        ("self.assertIs(f(1), True)", "is", True),
    ],
)
def test_a_literal_is_taken_out_of_unittests_asserts(line: str, means: str, expected: Any) -> None:
    found = outside(method(line))
    [comparison] = found.comparisons.values()
    assert (comparison.means, comparison.expected) == (means, expected)
    assert not {"23", "'no'", "assertTrue", "assertFalse", "None("} & set(
        found.text.replace(")", " ").split()
    )
    assert found.required == {"T::test_f": {comparison.name}}


@pytest.mark.parametrize(
    "text",
    [
        body("assert f(1) == f(2)"),
        body("assert f(1) < 2"),
        body("assert True, 'prints'"),
        body("assert 1 == 1"),
        body("assert f(1) == 2 == 2"),
        body("assert f(1) == set()", start="set = list\nfrom answer import f\n"),
        body("try:\n        assert f(1) == 2\n    except AssertionError:\n        pass"),
        body("with pytest.raises(AssertionError):\n        assert f(1) == 2", start="import pytest\n"),
        body("def inner():\n        assert f(1) == 2\n    f(inner)"),
        body("f(lambda: check())", start="from answer import f\ndef check():\n    assert f(1) == 2\n"),
        body("f(check)", start="from answer import f\ndef check():\n    assert f(1) == 2\n"),
        body("assert f(1) == 2", start="import pytest\n@pytest.mark.xfail\n"),
        body("assert f(1) == 2", start="from answer import again\n@again\n"),
        body("yield\n    assert f(1) == 2"),
        body("_mge_ = 3\n    assert f(1) == 2"),
        "from answer import f\nassert f(1) == 2\ndef test_f(): pass\n",
        method("self.assertEqual(f(1), 2)", start="    def assertEqual(self, a, b): pass\n"),
        method("self.assertEqual(f(1), f(2))"),
        method("self.assertEqual(*f(1), 2)"),
        method("self.assertNotEqual(f(1), 2)"),
        method("with self.assertRaises(Exception):\n            self.assertEqual(f(1), 2)"),
        method("other.assertEqual(f(1), 2)"),
    ],
)
def test_what_could_change_its_meaning_stays_inside(text: str) -> None:
    found = outside(text)
    assert found.comparisons == {}
    assert found.text == text


def test_only_what_every_passed_test_has_come_to_is_required() -> None:
    found = outside(
        "from answer import f\n"
        "def check(c):\n    assert c(1) == 11\n    for n in (1, 2):\n        assert c(n) == 12\n"
        "def early():\n    if f(0):\n        return\n    assert f(3) == 13\n"
        "def test_f(early_too=None):\n    check(f)\n    early()\n    with open('x'):\n        assert f(4) == 14\n"
        "    if f(5):\n        assert f(5) == 15\n    assert f(6) == 16\n    while f(7):\n        return\n"
        "    assert f(8) == 18\n"
    )
    required = {found.comparisons[name].expected for name in found.required["test_f"]}
    assert {c.expected for c in found.comparisons.values()} == {11, 12, 13, 15, 16, 18}
    assert required == {11, 16}


def test_a_test_inherited_by_two_classes_is_required_of_both() -> None:
    found = outside(
        "import unittest\nfrom answer import f\nclass Base(unittest.TestCase):\n"
        "    def test_b(self):\n        self.assertEqual(f(1), 2)\nclass More(Base):\n    pass\n"
    )
    assert found.required == {"Base::test_b": {"_mge_eq_0"}, "More::test_b": {"_mge_eq_0"}}


def test_windows_line_ends_and_wide_characters_do_not_shift_anything() -> None:
    found = outside("from answer import f\r\ndef test_f():\r\n    'ä😀'; assert f('ß') == 'ö', 'ü'\r\n")
    assert (
        found.text == "from answer import f\ndef test_f():\n    'ä😀'; assert f('ß') == (_mge_eq_0), (None)\n"
    )


@pytest.mark.parametrize(
    "text",
    ["f(1)", "[x]", "{**a}", "...", "10**9", "'a' * 3", "[1] + [2]", "1 / 0", "{[]: 1}", "float('1.5')", "dict(a=1)",
     "1 << 3", "f'{1}'", "lambda: 1"],
)  # fmt: skip
def test_what_needs_running_is_no_literal(text: str) -> None:
    with pytest.raises(NotLiteral):
        literal_value(ast.parse(text, mode="eval").body)


def test_a_module_is_looked_at_once() -> None:
    text = body("assert f(1) == 99")
    assert prepared(text) is prepared(text)


@pytest.mark.needs_data
def test_nearly_all_of_the_shared_masterplans_is_compared_outside() -> None:
    asserted = taken = 0
    for path in (DATA / "humaneval.json", DATA / "five-classes.json"):
        held = json.loads(path.read_text())
        for plan in held.get("masterplans") or [held]:
            for atom in plan["atoms"]:
                tree = ast.parse(atom["tests"])
                asserted += sum(
                    (isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant))
                    or (isinstance(node, ast.Attribute) and node.attr.startswith("assert"))
                    for node in ast.walk(tree)
                )  # fmt: skip
                found = outside(atom["tests"])
                taken += len(found.comparisons)
                assert found.text.count("\n") == atom["tests"].count("\n")
    assert taken > 0.95 * asserted, (taken, asserted)
