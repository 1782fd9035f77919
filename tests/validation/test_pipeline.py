"""Level 1 as a whole, at every isolation level that this machine grants."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from executions.findings import Severity
from executions.validation.candidate import Candidate
from executions.validation.pipeline import SandboxUnavailable, Validator, validator_set
from executions.validation.sandbox.sandbox import Sandbox
from executions.validation.verdict import Isolation, Verdict
from tests.validation.conftest import Judge

DOUBLES = "def f(x):\n    return 2 * x\n"
TESTS = "from answer import f\n\n\ndef test_two():\n    assert f(1) == 2\n\n\ndef test_six():\n    assert f(3) == 6\n"


def rules(verdict: Verdict) -> list[str]:
    return [finding.rule for finding in verdict.findings]


async def test_a_right_answer_passes(judged: Judge, sandbox: Sandbox) -> None:
    verdict = await judged(DOUBLES, TESTS)
    assert verdict.findings == ()
    assert (verdict.passed, verdict.executed, verdict.assurance) == (True, True, "tested")
    assert verdict.isolation is sandbox.isolation
    assert (verdict.tests_passed, verdict.tests_total) == (("test_two", "test_six"), 2)
    assert verdict.cpu_ms > 0


async def test_a_failed_assert_tells_both_sides(judged: Judge) -> None:
    verdict = await judged("def f(x):\n    return x + 1\n", TESTS)
    assert not verdict.passed
    assert (verdict.assurance, verdict.tests_passed, verdict.tests_total) == ("", ("test_two",), 2)
    [finding] = verdict.findings
    assert (finding.severity, finding.rule) == (Severity.ERROR, "test-failed")
    assert finding.message == "test_six: assert f(3) == 6: got 4, expected 6"


async def test_an_exception_is_traced_to_the_answers_line(judged: Judge) -> None:
    verdict = await judged("def f(x):\n    y = 0\n    return x / y\n", TESTS)
    assert [finding.line for finding in verdict.findings] == [3, 3]
    assert "ZeroDivisionError: division by zero" in verdict.findings[0].message


async def test_the_line_is_that_of_the_answer_not_of_the_assembled_file(judged: Judge) -> None:
    answer = "def f(x):\n    return x / 0\n"
    whole = f"import os\n\n\ndef earlier():\n    return os.sep\n\n\n{answer}"
    verdict = await judged(
        answer, "from answer import earlier, f\ndef test_f():\n    earlier()\n    f(1)\n", file_text=whole
    )
    assert [finding.line for finding in verdict.findings] == [2]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("assert f(1)", "test_it: assert f(1): got 0"),
        ("assert not f(2) == 0", "test_it: assert not f(2) == 0: got True"),
        (
            "assert f(1) in (3, 4), 'range'",
            "test_it: assert f(1) in (3, 4): left is 0, right is (3, 4) (range)",
        ),
        ("assert f(1) == 0 and f(2) == 1", "test_it: assert f(2) == 1: got 0, expected 1"),
        ("assert f(1) < f(2) < f(3)", "test_it: assert f(1) < f(2) < f(3): got False"),
        ("for n in (0, 1):\n        assert f(n) == n, n", "test_it: assert f(n) == n: got 0, expected 1 (1)"),
    ],
)
async def test_every_kind_of_assert_is_told_in_plain_words(judged: Judge, body: str, told: str) -> None:
    verdict = await judged("def f(x):\n    return 0\n", f"from answer import f\ndef test_it():\n    {body}\n")
    assert [finding.message for finding in verdict.findings] == [told]


async def test_unittest_classes_run_with_their_fixtures(judged: Judge) -> None:
    tests = (
        "import unittest\nfrom answer import f\n\nclass Base(unittest.TestCase):\n"
        "    @classmethod\n    def setUpClass(cls):\n        cls.ready = True\n"
        "    def setUp(self):\n        self.value = 4\n"
        "    def test_base(self):\n        self.assertTrue(self.ready)\n\n"
        "class More(Base):\n    def test_more(self):\n        self.assertEqual(f(self.value), 8)\n"
        "    def test_sub(self):\n        for n in range(3):\n            with self.subTest(n=n):\n"
        "                self.assertEqual(f(n), 2 * n)\n"
    )
    verdict = await judged(DOUBLES, tests)
    assert verdict.passed, verdict.findings
    assert verdict.tests_passed == ("Base::test_base", "More::test_base", "More::test_more", "More::test_sub")
    verdict = await judged("def f(x):\n    return 8\n", tests)
    [finding] = verdict.findings
    assert finding.message.startswith("More::test_sub: 8 != 0 (at `self.assertEqual(f(n), 2 * n)`)")


@pytest.mark.parametrize("fixture", ["setUpClass(cls)", "tearDownClass(cls)"], ids=["before", "after"])
async def test_a_failed_class_fixture_fails_the_answer(judged: Judge, fixture: str) -> None:
    tests = (
        "import unittest\nfrom answer import f\nclass A(unittest.TestCase):\n"
        f"    @classmethod\n    def {fixture}:\n        raise RuntimeError('broken')\n"
        "    def test_a(self):\n        f(1)\n"
    )
    verdict = await judged(DOUBLES, tests)
    assert not verdict.passed
    assert "RuntimeError: broken" in verdict.findings[0].message


async def test_plain_test_classes_get_a_fresh_instance_each(judged: Judge) -> None:
    tests = (
        "from answer import f\nclass TestF:\n    def test_a(self):\n        self.x = f(1)\n"
        "    def test_b(self):\n        assert not hasattr(self, 'x')\n"
    )
    verdict = await judged(DOUBLES, tests)
    assert verdict.tests_passed == ("TestF::test_a", "TestF::test_b")


PYTEST = (
    "import pytest\nfrom answer import f\n\n@pytest.fixture\ndef four():\n    return 4\n\n"
    "@pytest.mark.parametrize('x', [1, 2])\ndef test_many(x):\n    assert f(x) == 2 * x\n\n"
    "def test_fixture(four, tmp_path):\n    (tmp_path / 'x').write_text('y')\n    assert f(four) == 8\n\n"
    "class TestRaises:\n    def test_type(self):\n        with pytest.raises(TypeError):\n            f(None)\n"
)


async def test_tests_that_need_pytest_get_it(judged: Judge) -> None:
    verdict = await judged(DOUBLES, PYTEST)
    assert verdict.findings == ()
    assert verdict.tests_passed == ("test_many[1]", "test_many[2]", "test_fixture", "TestRaises::test_type")


async def test_both_runners_tell_a_failure_in_the_same_words(judged: Judge) -> None:
    wrong = "def f(x):\n    return 3\n"
    plain = await judged(wrong, TESTS)
    by_pytest = await judged(wrong, f"import pytest\n{TESTS}")
    assert plain.findings == by_pytest.findings
    assert len(plain.findings) == 2


@pytest.mark.parametrize("start", ["", "import pytest\n"], ids=["own", "pytest"])
async def test_a_skipped_test_is_not_a_passed_one(judged: Judge, start: str) -> None:
    tests = (
        start
        + "import unittest\nfrom answer import f\ndef test_a():\n    raise unittest.SkipTest('no')\ndef test_b(): pass\n"
    )
    verdict = await judged(DOUBLES, tests)
    assert rules(verdict) == ["test-skipped"]


@pytest.mark.parametrize("start", ["", "import pytest\n"], ids=["own", "pytest"])
async def test_an_answer_that_cannot_be_imported(judged: Judge, start: str) -> None:
    verdict = await judged("import nowhere\ndef f(x): pass\n", start + TESTS)
    [finding] = [one for one in verdict.findings if one.severity.blocks]
    assert (finding.severity, finding.rule, finding.line) == (Severity.CRITICAL, "import-failed", 1)
    assert "No module named 'nowhere'" in finding.message
    assert verdict.tests_total == 2


async def test_earlier_files_are_there_and_read_only(judged: Judge) -> None:
    source = (
        "from lib.deep.part import base\n\ndef f(x):\n    try:\n        open('lib/deep/part.py', 'a').close()\n"
        "    except OSError:\n        return base + x\n    return 'changed'\n"
    )
    tests = "from pkg.answer import f\ndef test_f():\n    assert f(1) == 42\n"
    verdict = await judged(
        source, tests, target_path="pkg/answer.py", files={"lib/deep/part.py": "base = 41\n"}
    )
    assert verdict.passed, verdict.findings


async def test_the_standard_library_works(judged: Judge) -> None:
    source = (
        "import asyncio, concurrent.futures, ctypes, decimal, hashlib, json\n"
        "import shutil, sqlite3, ssl, subprocess, sys, tempfile, zlib\n"
        "async def later(x):\n    await asyncio.sleep(0)\n    return x\n"
        "def f(x):\n    with tempfile.TemporaryDirectory() as folder:\n"
        "        open(folder + '/a', 'w').close()\n        shutil.copy2(folder + '/a', folder + '/b')\n"
        "        sqlite3.connect(folder + '/db').execute('create table t (a)')\n"
        "    with concurrent.futures.ThreadPoolExecutor(8) as pool:\n        x = sum(pool.map(int, [x] * 8))\n"
        "    out = subprocess.run([sys.executable, '-c', 'print(1)'], capture_output=True, text=True)\n"
        "    return asyncio.run(later(x)) + int(out.stdout)\n"
    )
    verdict = await judged(source, "from answer import f\ndef test_f():\n    assert f(2) == 17\n")
    assert verdict.passed, verdict.findings


async def test_hidden_tests_decide_and_only_their_names_are_told(judged: Judge) -> None:
    hidden = "from answer import f\ndef test_secret():\n    assert f(7) == 14, 'the secret is 7'\n"
    learnt = "def f(x):\n    return {1: 2, 3: 6}[x]\n"
    verdict = await judged(learnt, TESTS, hidden_tests=hidden)
    assert [(f.rule, f.message) for f in verdict.findings] == [
        ("hidden-test-failed", "failed hidden tests: test_secret")
    ]
    verdict = await judged(DOUBLES, TESTS, hidden_tests=hidden)
    assert verdict.tests_passed == ("test_two", "test_six", "hidden::test_secret")


async def test_without_tests_the_assurance_is_static(judged: Judge) -> None:
    verdict = await judged(DOUBLES, "  \n")
    assert (verdict.passed, verdict.executed, verdict.assurance) == (True, False, "static")


async def test_a_set_without_tests_executes_nothing(judged: Judge) -> None:
    verdict = await judged("raise SystemExit\ndef f(x): pass\n", TESTS, validators="syntax,contract")
    assert (verdict.passed, verdict.executed, verdict.assurance) == (True, False, "static")
    verdict = await judged("def g(x): pass\n", TESTS, validators="syntax")
    assert verdict.passed
    verdict = await judged("def f(x:\n", TESTS, validators="syntax")
    assert rules(verdict) == ["syntax-error"]


async def test_an_answer_rejected_early_is_not_executed(judged: Judge) -> None:
    verdict = await judged("def g(x): pass\n", TESTS)
    assert (verdict.executed, rules(verdict)) == (False, ["entry-point-missing"])


async def test_a_module_without_tests_proves_nothing(judged: Judge) -> None:
    assert rules(await judged(DOUBLES, "from answer import f\nx = f(1)\n")) == ["no-tests"]
    assert rules(await judged(DOUBLES, "import pytest\nfrom answer import f\n")) == ["no-tests"]


async def test_many_at_once_give_the_verdicts_of_single_runs(sandbox: Sandbox) -> None:
    validator = Validator(sandbox, max_parallel=8)
    answers = [f"def f(x):\n    return {n} * x\n" for n in range(1, 13)]
    verdicts = await asyncio.gather(
        *(validator.validate(Candidate(text, TESTS, ("f",), "answer.py")) for text in answers)
    )
    assert [verdict.passed for verdict in verdicts] == [n == 2 for n in range(1, 13)]


def test_a_loop_outside_the_main_thread_serves_as_well(sandbox: Sandbox) -> None:
    validator, verdicts = Validator(sandbox, max_parallel=1), []

    async def two() -> None:
        candidate = Candidate(DOUBLES, TESTS, ("f",), "answer.py")
        verdicts.extend(await asyncio.gather(validator.validate(candidate), validator.validate(candidate)))

    for _ in range(2):  # each with a loop of its own
        thread = threading.Thread(target=lambda: asyncio.run(two()))
        thread.start()
        thread.join()
    assert [verdict.passed for verdict in verdicts] == [True] * 4


async def test_without_isolation_nothing_is_executed(tmp_path: Path) -> None:
    nothing = Sandbox.detect(data_dir=tmp_path, forced=Isolation.NONE)
    assert nothing.isolation is Isolation.NONE
    with pytest.raises(SandboxUnavailable, match="make system-packages"):
        await Validator(nothing).validate(Candidate(DOUBLES, TESTS, ("f",), "answer.py"))
    verdict = await Validator(nothing, validators="syntax").validate(
        Candidate(DOUBLES, TESTS, ("f",), "answer.py")
    )
    assert (verdict.passed, verdict.executed, verdict.isolation) == (True, False, Isolation.NONE)


async def test_unisolated_runs_only_by_choice_and_says_so(tmp_path: Path) -> None:
    chosen = Sandbox.detect(data_dir=tmp_path, forced=Isolation.UNISOLATED)
    verdict = await Validator(chosen).validate(Candidate(DOUBLES, TESTS, ("f",), "answer.py"))
    assert (verdict.passed, verdict.executed, verdict.isolation) == (True, True, Isolation.UNISOLATED)


@pytest.mark.parametrize("validators", ["fast", "syntax,fast", "", "full,syntax", frozenset()])
def test_an_unknown_validator_is_refused(validators: str | frozenset[str]) -> None:
    with pytest.raises(ValueError, match="unknown validators"):
        validator_set(validators)
