"""Which tests a module holds, and which runner understands them, is read from its text alone."""

from __future__ import annotations

import pytest

from executions.validation.expected_tests import UnreadableTests, expected_tests


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("def test_a(): pass\ndef check(x): pass\ndef test_b(): pass", ["test_a", "test_b"]),
        (
            "import unittest\nclass A(unittest.TestCase):\n    def test_b(self): pass\n    def test_a(self): pass",
            ["A::test_a", "A::test_b"],
        ),
        (
            "from unittest import TestCase\nclass Base(TestCase):\n    def test_x(self): pass\n"
            "class More(Base):\n    def test_y(self): pass",
            ["Base::test_x", "More::test_x", "More::test_y"],
        ),
        (
            "import unittest\nclass Mixin:\n    def test_m(self): pass\nclass C(Mixin, unittest.TestCase): pass",
            ["C::test_m"],
        ),
        (
            "class TestThing:\n    def test_a(self): pass\n    def helper(self, x): pass",
            ["TestThing::test_a"],
        ),
        ("class Helper:\n    def test_like(self, x): pass\ndef test_a(): pass", ["test_a"]),
        ("x = 1\n", []),
    ],
)
def test_plain_tests_are_for_the_own_runner(text: str, ids: list[str]) -> None:
    found = expected_tests(text)
    assert (list(found.ids), found.runner) == (ids, "own")


@pytest.mark.parametrize(
    "text",
    [
        "import pytest\ndef test_a(): pass",
        "from pytest import approx\ndef test_a(): pass",
        "def test_a(tmp_path): pass",
        "async def test_a(): pass",
        "def setup_module(): pass\ndef test_a(): pass",
        "from shared import *\ndef test_a(): pass",
        "from shared import test_b\ndef test_a(): pass",
        "if True:\n    def test_b(): pass\ndef test_a(): pass",
        "for n in (1, 2):\n    globals()[f'test_{n}'] = lambda: None\ndef test_a(): pass",
        "class TestA:\n    def setup_method(self): pass\n    def test_b(self): pass\ndef test_a(): pass",
        "class TestA:\n    def test_b(self, tmp_path): pass\ndef test_a(): pass",
        "from base import Base\nclass TestA(Base):\n    def test_b(self): pass\ndef test_a(): pass",
        "test_b = lambda: None\ndef test_a(): pass",
    ],
)
def test_whatever_may_add_tests_later_goes_to_pytest(text: str) -> None:
    found = expected_tests(text)
    assert found.runner == "pytest"
    assert "test_a" in found.ids


def test_a_module_that_does_not_parse_is_the_plans_fault() -> None:
    with pytest.raises(UnreadableTests):
        expected_tests("def test_a(:")
