"""Comparisons that are decided outside of the sandbox: same verdicts, same words, nothing to forge."""

from __future__ import annotations

from pathlib import Path

import pytest

from executions.validation.sandbox.sandbox import Sandbox
from executions.validation.verdict import Verdict
from tests.validation.conftest import Judge, at_any_level

pytestmark = [pytest.mark.needs_sandbox]

START = "from answer import f\n\n\n"
BOTH = pytest.mark.parametrize("start", ["", "import pytest\n"], ids=["own", "pytest"])


@pytest.fixture
def sandbox(sandbox_data: Path) -> Sandbox:
    """One level does for all: nothing here touches the walls."""
    return at_any_level(sandbox_data)


def rejecting(verdict: Verdict) -> list[tuple[str, str]]:
    return [(finding.rule, finding.message) for finding in verdict.findings if finding.severity.blocks]


def one_test(*lines: str) -> str:
    return f"{START}def test_f():\n" + "".join(f"    {line}\n" for line in lines)


@BOTH
@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("assert f(1) == 2", "assert f(1) == 2: got 0, expected 2"),
        ("assert 2 == f(1), 'two'", "assert 2 == f(1): got 2, expected 0 (two)"),
        ("assert f(1) is None", "assert f(1) is None: left is 0, right is None"),
        ("assert f(1)", "assert f(1): got 0"),
        ("assert not f(1) + 1", "assert not f(1) + 1: got 1"),
        ("assert [f(1), {f(1)}] == [0.5]", "assert [f(1), {f(1)}] == [0.5]: got [0, {0}], expected [0.5]"),
        ("assert f(1) == 0 and f(2) == [\n        3]", "assert f(2) == [ 3]: got 0, expected [3]"),
    ],
)
async def test_what_fails_is_told_as_if_compared_inside(
    judged: Judge, line: str, told: str, start: str
) -> None:
    verdict = await judged("def f(x):\n    return 0\n", start + one_test(line))
    assert rejecting(verdict) == [("test-failed", f"test_f: {told}")]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("self.assertEqual(f(1), 8)", "0 != 8"),
        ("self.assertEqual(8, f(1), 'eight')", "8 != 0 : eight"),
        ("self.assertEqual([f(1)], [8])", "Lists differ: [0] != [8]\n\nFirst differing element 0:\n0\n8\n\n- [0]\n+ [8]"),
        ("self.assertTrue(f(1))", "0 is not true"),
        ("self.assertFalse(not f(1), 'no')", "True is not false : no"),
        ("self.assertIsNone(f(1))", "0 is not None"),
        ("self.assertIsNotNone(None if f(1) == 0 else 1)", "unexpectedly None"),
        ("self.assertIs(f(1), False)", "0 is not False"),
    ],
)  # fmt: skip
async def test_unittest_keeps_its_words(judged: Judge, line: str, told: str) -> None:
    tests = (
        "import unittest\nfrom answer import f\nclass T(unittest.TestCase):\n"
        f"    def test_f(self):\n        {line}\n"
    )
    verdict = await judged("def f(x):\n    return 0\n", tests)
    assert rejecting(verdict) == [("test-failed", f"T::test_f: {told} (at `{line}`)")]


@BOTH
@pytest.mark.parametrize(
    "after",
    [
        "raise ValueError",
        "import os; os._exit(0)",
        "import unittest; raise unittest.SkipTest('no')",
        "assert f(1) == 1",
    ],
)
async def test_the_first_failure_of_a_test_is_its_failure(judged: Judge, after: str, start: str) -> None:
    verdict = await judged("def f(x):\n    return x\n", start + one_test("assert f(2) == 1", after))
    assert ("test-failed", "test_f: assert f(2) == 1: got 2, expected 1") in rejecting(verdict)


@BOTH
async def test_a_loop_may_compare_any_number_of_times(judged: Judge, start: str) -> None:
    tests = start + one_test("for n in range(20_000):", "    assert f(n) == True")
    assert (await judged("def f(x):\n    return x * 0 + 1\n", tests)).passed
    verdict = await judged("def f(x):\n    return x\n", tests)
    assert rejecting(verdict) == [("test-failed", "test_f: assert f(n) == True: got 0, expected True")]


NOT_PLAIN = {
    "a Decimal": ("from decimal import Decimal\ndef f(x):\n    return Decimal(x)\n", "assert f(2) == 2"),
    "a Counter": (
        "from collections import Counter\ndef f(x):\n    return Counter('aab')\n",
        "assert f(1) == {'a': 2, 'b': 1}",
    ),
    "an __eq__ of its own": (
        "class P:\n    def __init__(self, x):\n        self.x = x\n    def __eq__(self, other):\n"
        "        return isinstance(other, int) and self.x == other\ndef f(x):\n    return P(x)\n",
        "assert f(1) == 1 and f(2) == 2",
    ),
    "much too large": ("def f(x):\n    return 'x' * 100_000\n", f"assert f(1) == '{'x' * 100_000}'"),
    "a named tuple": (
        "from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(x):\n    return P(x, 2)\n",
        "assert f(1) == (1, 2)",
    ),
    "a truth of its own": (
        "class P:\n    def __bool__(self):\n        return False\ndef f(x):\n    return P()\n",
        "assert not f(1)",
    ),
}


@BOTH
@pytest.mark.parametrize("name", NOT_PLAIN)
async def test_what_is_not_plain_gets_the_same_verdict(judged: Judge, name: str, start: str) -> None:
    source, line = NOT_PLAIN[name]
    verdict = await judged(source, start + one_test(line))
    assert verdict.passed, verdict.findings
    assert verdict.tests_passed == ("test_f",)


@BOTH
async def test_what_failed_outside_has_failed_whatever_is_said_inside(judged: Judge, start: str) -> None:
    """It answers wrongly as long as values are compared outside, and lets others ask for the other way."""
    source = (
        "import sys\nclass Own:\n    def __eq__(self, other):\n        return other == 1\n"
        "def f(x):\n    inside = '_mge_' not in open(sys._getframe(1).f_code.co_filename).read()\n"
        "    return Own() if x == 1 else 2 if inside else 'wrong'\n"
    )
    verdict = await judged(source, start + one_test("assert f(1) == 1", "assert f(2) == 2"))
    assert ("test-failed", "test_f: assert f(2) == 2: got 'wrong', expected 2") in rejecting(verdict)


@BOTH
async def test_the_expected_values_are_nowhere_to_be_found(judged: Judge, start: str) -> None:
    """The answer looks for a number in every text and constant of its process."""
    source = (
        "import gc, sys\n\ndef texts():\n    frame = sys._getframe()\n    while frame:\n"
        "        yield repr(frame.f_locals)\n        yield repr(frame.f_code.co_consts)\n        frame = frame.f_back\n"
        "    for o in gc.get_objects():\n        if type(o) in (dict, list, tuple):\n"
        "            for v in (o.values() if type(o) is dict else o):\n"
        "                if type(v) in (str, int):\n                    yield str(v)\n"
        "    import glob\n    for path in glob.glob('**/test*.py', recursive=True):\n        yield open(path).read()\n"
        "WANTED = str(700000000 + 42)\n"
        "def f(x):\n    return next((text[:300] for text in texts() if text != WANTED and WANTED in text), None)\n"
    )
    tests = one_test("found = f(1)", "assert not found", "assert int() == 700000042")
    verdict = await judged(source, start + tests)
    assert [rule for rule, _ in rejecting(verdict)] == ["test-failed"]
    assert "assert int() == 700000042" in rejecting(verdict)[0][1]  # and not the one before it


@BOTH
async def test_without_the_comparisons_that_it_must_have_come_to_no_test_passes(
    judged: Judge, start: str
) -> None:
    source = (
        "import sys\nkept = []\ndef f(x):\n    kind = type(sys._getframe(1).f_globals['@mge'])\n"
        "    kept.append(kind.value)\n    if x == 1:\n        kind.value = lambda *a: None\n"
        "    if x == 3:\n        kind.value = kept[0]\n    return x\n"  # and nobody sees what it did
    )
    lines = [f"assert f({n}) == {n if n in (1, 4) else 0}" for n in range(1, 5)]
    verdict = await judged(source, start + one_test(*lines))
    assert rejecting(verdict) == [
        ("forged-result", "test_f is reported as passed without having come to `f(2) == 0`")
    ]
