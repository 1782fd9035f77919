"""Tests that pass where nothing is prove nothing; that is said, and rejects nobody."""

from __future__ import annotations

import ast
import asyncio
import threading

import pytest

from executions.findings import Severity
from executions.validation.candidate import Candidate
from executions.validation.pipeline import SandboxUnavailable, Validator
from executions.validation.sandbox.sandbox import Sandbox
from executions.validation.stub import stub_of
from executions.validation.stub_runs import StubOutcome, StubRuns, stub_key
from executions.validation.verdict import Verdict
from tests.validation.conftest import Judge

GOOD = "def f(x):\n    return 2 * x\n"
REAL = "from answer import f\ndef test_two():\n    assert f(1) == 2\n"
EMPTY = "def test_there():\n    assert callable(f)\ndef test_nothing():\n    pass\n"
RUNNERS = pytest.mark.parametrize("start", ["", "import pytest\n"], ids=["own", "pytest"])


def warnings(verdict: Verdict) -> list[tuple[str, Severity, str]]:
    return [(f.rule, f.severity, f.message) for f in verdict.findings if f.rule == "tests-prove-nothing"]


@RUNNERS
async def test_tests_that_need_the_answer_are_silent(judged: Judge, start: str) -> None:
    verdict = await judged(GOOD, start + REAL)
    assert (verdict.passed, verdict.findings) == (True, ())


@RUNNERS
async def test_tests_that_prove_nothing_are_named(judged: Judge, start: str) -> None:
    verdict = await judged(GOOD, start + REAL + EMPTY)
    assert verdict.passed
    assert verdict.assurance == "tested"
    assert warnings(verdict) == [
        (
            "tests-prove-nothing",
            Severity.WARNING,
            "some of its tests pass on code that only raises NotImplementedError, so they prove nothing: "
            "test_there, test_nothing",
        )
    ]


async def test_it_is_said_when_it_is_all_of_them(judged: Judge) -> None:
    hidden = "import answer\ndef test_secret():\n    assert answer.f is not None, 'quiet'\n"
    verdict = await judged(GOOD, f"from answer import f\n{EMPTY}", hidden_tests=hidden)
    assert verdict.passed
    [(_, _, message)] = warnings(verdict)
    assert message.startswith("all its tests pass on code that only raises")
    assert message.endswith("test_there, test_nothing, hidden::test_secret")
    assert "quiet" not in message


async def test_a_rejected_answer_is_not_tried_on_a_stub(judged: Judge) -> None:
    verdict = await judged("def f(x):\n    return 3\n", REAL + EMPTY)
    assert warnings(verdict) == []


async def test_a_value_that_only_looks_empty_proves_something(judged: Judge) -> None:
    source = "class Box:\n    pass\nLIMIT = 5\ndef f(x):\n    return None\n"
    tests = (
        "from answer import LIMIT, Box, f\ndef test_limit():\n    assert LIMIT == 5\n"
        "def test_none():\n    assert f(1) is None\n"
        "def test_box():\n    assert isinstance(Box(), Box)\n"
    )
    verdict = await judged(source, tests)
    [(_, _, message)] = warnings(verdict)
    assert message.endswith(": test_box")


async def test_it_is_tried_once_for_all_answers(sandbox: Sandbox) -> None:
    validator = Validator(sandbox, max_parallel=2)
    first, *others = await asyncio.gather(
        *(
            validator.validate(Candidate(GOOD + f"x = {n}\n", REAL + EMPTY, ("f",), "answer.py"))
            for n in range(4)
        )
    )
    later = await validator.validate(Candidate(GOOD + "x = 9\n", REAL + EMPTY, ("f",), "answer.py"))
    costs = sorted(verdict.cpu_ms for verdict in (first, *others))
    assert all(warnings(verdict) == warnings(first) != [] for verdict in (*others, later))
    assert len(validator._stubs._kept) == 1
    assert costs[0] > 0


ANSWER = '''
"""Doc."""
from __future__ import annotations
import os
from dataclasses import dataclass
from enum import Enum
__all__ = ["f", "Color"]
A, (B, *C) = 1, (2, 3)
D: int = 5
E: int
if os.sep:
    def g(x, *, y=1): return x
else:
    g = None
try:
    import json as j
except ImportError:
    j = None
class Color(Enum):
    RED = 1
class Broken(ValueError):
    def __init__(self, code): self.code = code
class Worse(Broken): pass
@dataclass(frozen=True)
class P:
    __slots__ = ("x",)
    x: int = 3
    @property
    def double(self): return self.x * 2
    @double.setter
    def double(self, v): pass
    @staticmethod
    def s(): return 1
    @classmethod
    def c(cls): return 1
    class Inner:
        def m(self): return 1
    async def later(self): return 1
    def __del__(self): pass
async def f(x): return 1
'''


def test_every_name_is_there_and_every_use_raises() -> None:
    names: dict[str, object] = {}
    exec(stub_of(ast.parse(ANSWER)), names)  # noqa: S102 - our own stub
    for use in (
        "g()", "A + 1", "B == 2", "bool(C)", "D()", "j.dumps", "Color.RED.value", "Color.RED == 1", "Broken(1)", "Worse(1)",
        "P().double", "P.s()", "P.c()", "P().c()", "P.Inner().m()", "f(1).send(None)", "P().later().send(None)", "P().x.y",
        "len(os)", "[*C]", "3 in C", "-A", "g(1, y=2)",
    ):  # fmt: skip
        with pytest.raises(NotImplementedError):
            eval(use, names)  # noqa: S307 - our own stub
    assert names["__all__"] == ["f", "Color"]
    assert "E" not in names
    assert eval("issubclass(Worse, ValueError)", names)  # noqa: S307
    assert asyncio.iscoroutinefunction(names["f"])
    assert not eval("hasattr(P, '__slots__')", names)  # noqa: S307


def test_what_others_gave_to_the_file_stays_real() -> None:
    answer = ast.parse("def f(x):\n    return 1\n")
    names: dict[str, object] = {}
    whole = ast.parse("import os\ndef given():\n    return os.sep\ndef f(x):\n    return 1\n")
    exec(stub_of(whole, answer), names)  # noqa: S102
    assert eval("given()", names) == "/"  # noqa: S307
    with pytest.raises(NotImplementedError):
        eval("f(1)", names)  # noqa: S307


async def test_whoever_asks_meanwhile_waits_for_the_one_run() -> None:
    runs, started, go_on, calls = StubRuns(), asyncio.Event(), asyncio.Event(), 0

    async def run() -> StubOutcome:
        nonlocal calls
        calls += 1
        started.set()
        await go_on.wait()
        return StubOutcome(("test_a",), all_of_them=True)

    first = asyncio.create_task(runs.outcome("k", run))
    await started.wait()
    others = [asyncio.create_task(runs.outcome("k", run)) for _ in range(3)]
    await asyncio.sleep(0)
    others.pop().cancel()
    go_on.set()
    results = await asyncio.gather(first, *others)
    assert {result.passed for result in results} == {("test_a",)}
    assert calls == 1


async def test_a_run_that_broke_is_tried_again_by_the_next() -> None:
    runs, started, break_now = StubRuns(), asyncio.Event(), asyncio.Event()

    async def broken() -> StubOutcome:
        started.set()
        await break_now.wait()
        raise SandboxUnavailable("gone")

    async def whole() -> StubOutcome:
        return StubOutcome((), all_of_them=False)

    first = asyncio.create_task(runs.outcome("k", broken))
    await started.wait()
    second = asyncio.create_task(runs.outcome("k", whole))
    await asyncio.sleep(0)
    break_now.set()
    with pytest.raises(SandboxUnavailable):
        await first
    assert await second == StubOutcome((), all_of_them=False)


def test_loops_of_other_threads_share_it() -> None:
    runs, inside, go_on, calls, results = StubRuns(), threading.Event(), threading.Event(), [], []

    async def run() -> StubOutcome:
        calls.append(1)
        inside.set()
        await asyncio.to_thread(go_on.wait)
        return StubOutcome((), all_of_them=False)

    def ask() -> None:
        results.append(asyncio.run(runs.outcome("k", run)))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    threads[0].start()
    inside.wait()
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert len(calls) == 1


async def test_only_so_many_are_kept() -> None:
    runs, calls = StubRuns(most_kept=2), []

    async def run() -> StubOutcome:
        calls.append(1)
        return StubOutcome((), all_of_them=False)

    for key in ("a", "b", "a", "c", "a", "b"):
        await runs.outcome(key, run)
    assert len(calls) == 4  # `b` was the one that had not been used for longest


def test_no_two_questions_share_a_key() -> None:
    keys = [
        stub_key("a", "b", ["c"]),
        stub_key("ab", "", ["c"]),
        stub_key("a", "b", ["c", ""]),
        stub_key("a", "b", "c", []),
    ]
    assert len(set(keys)) == len(keys)
