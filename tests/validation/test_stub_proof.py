"""Tests that need not be tried on a stub, because their text shows that they fail on it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from executions.validation.expected_tests import expected_tests
from executions.validation.stub import stub_of
from executions.validation.stub_proof import all_fail_on_a_stub, own_functions
from tests.ground import ROOT
from tests.validation.conftest import Judge

START = "from answer import f\n\n\n"


def proved(tests: str, answer: str = "def f(x):\n    return x\n") -> bool:
    tree = ast.parse(answer)
    return all_fail_on_a_stub(tests, expected_tests(tests).ids, "answer.py", own_functions(tree, tree))


def one_test(*lines: str) -> str:
    return f"{START}def test_f():\n" + "".join(f"    {line}\n" for line in lines)


@pytest.mark.parametrize(
    "lines",
    [
        ["assert f(1) == 1"],
        ["x = [f(n) for n in (1, 2)]", "assert f(x)"],
        ["for x in f(1):", "    pass"],
        ["with f(1):", "    pass"],
        ["for x in (1, 2):", "    assert x", "assert {'a': [f(1)]}['a'] == 1"],
        ["assert len(f(1)) == 1 and f(2)"],
        ["if f(1):", "    return", "assert f(2)"],
    ],
)
def test_a_call_that_no_test_can_come_past_is_a_proof(lines: list[str]) -> None:
    assert proved(one_test(*lines))


@pytest.mark.parametrize(
    "lines",
    [
        ["assert True"],
        ["assert True or f(1)"],
        ["assert 1 < 0 < f(1)"],
        ["assert [f(n) for n in ()] == []"],
        ["try:", "    f(1)", "except NotImplementedError:", "    pass"],
        ["for x in ():", "    assert f(x)"],
        ["if not f:", "    return", "assert f(1)"],
        ["f = len", "assert f('a') == 1"],
        ["g = lambda: f(1)", "assert g"],
        ["assert f is not None"],
        ["yield f(1)"],
        ["globals()['f'] = len", "assert f('a')"],
    ],
)
def test_what_may_pass_on_a_stub_is_no_proof(lines: list[str]) -> None:
    assert not proved(one_test(*lines))


@pytest.mark.parametrize(
    "tests",
    [
        "from answer import *\n\ndef test_f():\n    assert f(1)\n",
        START + "def f(x):\n    return x\n\ndef test_f():\n    assert f(1)\n",
        START + "import pytest\n\n@pytest.mark.xfail\ndef test_f():\n    assert f(1)\n",
        START + "import pytest\npytestmark = pytest.mark.xfail\n\ndef test_f():\n    assert f(1)\n",
        START + "def test_f(f):\n    assert f(1)\n",
        START + "def test_f(monkeypatch):\n    assert f(1)\n",
        START + "def test_f():\n    assert f(1)\n\ndef test_g():\n    pass\n",
        START + "async def test_f():\n    assert f(1)\n",
        "from elsewhere import f\n\ndef test_f():\n    assert f(1)\n",
    ],
)
def test_a_name_that_may_mean_something_else_is_no_proof(tests: str) -> None:
    assert not proved(tests)


@pytest.mark.parametrize(
    "answer",
    [
        "async def f(x):\n    return x\n",
        "class f:\n    pass\n",
        "def f(x):\n    return x\nf = len\n",
        "f = len\n",
    ],
)
def test_only_functions_are_known_to_raise(answer: str) -> None:
    assert not proved(one_test("assert f(1) == 1"), answer)


def test_what_another_answer_brought_into_the_file_is_no_stub() -> None:
    file, answer = (
        ast.parse("def f(x):\n    return x\ndef g(x):\n    return x\n"),
        ast.parse("def g(x):\n    return x\n"),
    )
    assert own_functions(file, answer) == {"g"}


def sample_atoms() -> list[dict[str, Any]]:
    atoms: list[dict[str, Any]] = yaml.safe_load(
        Path(ROOT, "examples/ledgerly.yaml").read_text(encoding="utf-8")
    )["atoms"]
    return atoms


async def test_the_proofs_about_the_sample_plan_are_right(judged: Judge) -> None:
    atoms = sample_atoms()
    shown = 0
    for atom in atoms:
        tree = ast.parse(atom["reference_solution"])
        functions, tests, path = own_functions(tree, tree), atom["tests"], atom["target_path"]
        if not all_fail_on_a_stub(tests, expected_tests(tests).ids, path, functions):
            continue
        shown += 1
        files = {one["target_path"]: one["reference_solution"] for one in atoms if one["target_path"] != path}
        verdict = await judged(
            stub_of(tree), tests, validators="tests", target_path=path, entry_points=(), files=files
        )
        assert verdict.tests_passed == (), (atom["key"], verdict.tests_passed)
    assert shown >= 10
