"""Lint and types: what is certain rejects, everything else is a note, and one bad file is nobody else's trouble."""

from __future__ import annotations

import ast
import asyncio
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from executions.findings import Finding, Severity
from executions.validation.candidate import Candidate
from executions.validation.pipeline import Validator
from executions.validation.sandbox.sandbox import Sandbox
from executions.validation.static import checker_process
from executions.validation.static.checks import StaticChecks
from executions.validation.static.piece import Piece
from executions.validation.verdict import Isolation, Verdict

STATIC = "contract,lint,types"


def piece(text: str, *, path: str = "answer.py", files: Mapping[str, str] | None = None) -> Piece:
    return Piece(text, ast.parse(text), path, files or {})


async def lint(checks: StaticChecks, text: str) -> list[Finding]:
    with checks.one_in_flight():
        return await checks.lint(piece(text), lambda line: line)


async def types(checks: StaticChecks, one: Piece) -> list[Finding]:
    with checks.one_in_flight():
        return await checks.types(one, lambda line: line)


def told(findings: list[Finding]) -> list[tuple[str, str, int | None]]:
    return [(finding.severity.value, finding.rule, finding.line) for finding in findings]


@pytest.fixture
def validator(tmp_path: Path) -> Validator:
    """Judges without running anything."""
    return Validator(Sandbox.detect(data_dir=tmp_path, forced=Isolation.NONE), validators=STATIC)


async def judged(validator: Validator, source: str, **more: object) -> Verdict:
    fields: dict[str, object] = {"entry_points": ("f",), "target_path": "answer.py", **more}
    return await validator.validate(Candidate(source=source, tests="", **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "rule", "line"),
    [
        ("def f(x):\n    return y\n", "lint-F821", 2),
        ("def f(x):\n    'ä'; return 'ä' + wörd\n", "lint-F821", 2),
        ("def f(x):\n    if x:\n        return math.pi\n", "lint-F821", 3),
        ("class A:\n    n = missing\n", "lint-F821", 2),
        ("def f(x):\n    return missing  # noqa\n", "lint-F821", 2),
        ("# ruff: noqa\ndef f(x):\n    return missing\n", "lint-F821", 3),
        ("def f(x):\n    return '%s %s' % (x,)\n", "lint-F507", 2),
        ("def f(x):\n    return '{} {}'.format(x)\n", "lint-F524", 2),
    ],
)
async def test_what_is_certain_rejects(text: str, rule: str, line: int) -> None:
    found = await lint(StaticChecks(), text)
    assert ("ERROR", rule, line) in told(found)


@pytest.mark.parametrize(
    "text",
    [
        "def f(x: 'Later') -> 'Never':\n    return x\n",
        "from __future__ import annotations\ndef f(x: Later):\n    y: Never = x\n    return y\n",
        "try:\n    text = unicode\nexcept Exception:\n    text = str\n",
        "import contextlib\nwith contextlib.suppress(Exception):\n    missing\n",
        "import sys\nif sys.version_info < (3,):\n    text = unicode\n",
        "from os.path import *\ndef f():\n    return join('a', 'b')\n",
        "def f():\n    return made\nglobals()['made'] = 1\n",
        "exec('made = 1')\ndef f():\n    return made\n",
        "import builtins\nbuiltins.made = 1\ndef f():\n    return made\n",
        "def first(): return 1\nvalue = first()\ndel first\n",
        "def f():\n    global made\n    made = 1\ndef g():\n    return made\n",
        "import os\nx = [i for i in range(3)]\nprint(__file__, __name__, os.name)\n",
        "try:\n    '%s %s' % (1,)\nexcept TypeError:\n    pass\n",
    ],
)
async def test_what_can_be_wrong_about_working_code_does_not(text: str) -> None:
    assert [one for one in await lint(StaticChecks(), text) if one.severity.blocks] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import os\n", [("INFO", "lint-F401", 1)]),
        ("def f():\n    x = 1\n", [("INFO", "lint-F841", 2)]),
        ("def f(x=[]):\n    return x\n", [("WARNING", "lint-B006", 1)]),
        ("x = {1: 2, 1: 3}\n", [("WARNING", "lint-F601", 1)]),
        ("x=1;y  =2\nl = lambda :0\nif x == None: pass\n" + "z = '" + "a" * 200 + "'\n", []),
    ],
    ids=["import", "variable", "default", "key", "style"],
)
async def test_the_rest_is_a_note_and_style_is_none(
    text: str, expected: list[tuple[str, str, int | None]]
) -> None:
    assert told(await lint(StaticChecks(), text)) == expected


async def test_the_same_note_is_told_once_with_how_often_more() -> None:
    [finding] = await lint(StaticChecks(), "import os\nimport re\nimport json\n")
    assert finding.message.endswith("(and 2 more)")


async def test_types_are_notes() -> None:
    found = await types(StaticChecks(), piece("import math\nx: str = 1\nmath.no_such_thing(2)\n"))
    assert {finding.severity for finding in found} == {Severity.WARNING}
    assert [finding.line for finding in found] == [2, 3]
    assert "no_such_thing" in found[1].message


async def test_types_know_the_earlier_files_each_answer_its_own() -> None:
    """Two answers whose earlier files contradict each other, and one beside its file, asked at the same time."""
    checks = StaticChecks()
    text = "from pkg.base import number\nx: int = number()\n"
    right, wrong, relative = await asyncio.gather(
        types(checks, piece(text, files={"pkg/base.py": "def number() -> int:\n    return 1\n"})),
        types(checks, piece(text, files={"pkg/base.py": "def number() -> str:\n    return ''\n"})),
        types(
            checks,
            piece(
                "from .base import number\nx: str = number()\n",
                path="pkg/answer.py",
                files={"pkg/base.py": "def number() -> int:\n    return 1\n", "web/a.js": "let x"},
            ),
        ),
    )
    assert right == []
    assert [finding.line for finding in wrong] == [2]
    assert [finding.line for finding in relative] == [2]


async def test_a_module_that_is_not_installed_here_says_nothing() -> None:
    assert await types(StaticChecks(), piece("import nowhere\nx: int = nowhere.y\n")) == []


async def test_a_file_that_hides_a_module_of_python_bends_only_its_own_answer() -> None:
    checks = StaticChecks()
    odd, plain = await asyncio.gather(
        types(checks, piece("from typing import Any\n", files={"typing.py": "x = 1\n"})),
        types(checks, piece("from typing import Any\nx: Any = 1\n")),
    )
    assert plain == []
    assert all(finding.severity is Severity.WARNING for finding in odd)


FLOOD = "".join(f"x{number}\n" for number in range(8_000))
"""So much to say of it that no checker's output is read to its end."""


async def test_one_bad_file_never_fails_its_neighbours() -> None:
    checks = StaticChecks()
    before, flood, after = await asyncio.gather(
        lint(checks, "import os\n"), lint(checks, FLOOD), lint(checks, "def f():\n    return y\n")
    )
    assert told(before) == [("INFO", "lint-F401", 1)]
    assert told(flood) == [("WARNING", "lint-unavailable", None)]
    assert told(after) == [("ERROR", "lint-F821", 2)]


async def test_a_checker_that_takes_too_long_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker_process, "WALL_SECONDS", 0.0)
    checks = StaticChecks()
    assert told(await lint(checks, "x = 1\n")) == [("WARNING", "lint-unavailable", None)]
    assert told(await types(checks, piece("x = 1\n"))) == [("WARNING", "types-unavailable", None)]


async def test_a_checker_that_is_not_installed_is_a_note(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(checker_process.sysconfig, "get_path", lambda _: str(tmp_path))
    [finding] = await lint(StaticChecks(), "x = 1\n")
    assert (finding.severity, finding.rule) == (Severity.WARNING, "lint-unavailable")
    assert "could not be started" in finding.message


async def test_nothing_is_left_in_the_folder_for_temporary_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    checks = StaticChecks()
    await asyncio.gather(lint(checks, "import os\n"), lint(checks, FLOOD), types(checks, piece("x = 1\n")))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("turns", [0, 1, 2, 5, 20, 100])
def test_a_loop_that_ends_meanwhile_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, turns: int
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    async def begin_only() -> None:
        checks = StaticChecks()
        begun = [asyncio.ensure_future(lint(checks, "import os\n")), types(checks, piece("x = 1\n"))]
        waiting = asyncio.gather(*begun)
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(begin_only())
    assert os.listdir(tmp_path) == []


async def test_an_undefined_name_ends_the_validation_before_the_tests(validator: Validator) -> None:
    verdict = await judged(validator, "def f(x):\n    return y\n")
    assert not verdict.passed
    assert [(f.severity.value, f.rule, f.line) for f in verdict.findings] == [("ERROR", "lint-F821", 2)]


async def test_notes_leave_a_verdict_passed(validator: Validator) -> None:
    verdict = await judged(validator, "import os\ndef f(x) -> int:\n    return 'a'\n")
    assert verdict.passed
    assert [f.rule for f in verdict.findings] == ["lint-F401", "types-invalid-explicit-return"]


async def test_only_the_answers_own_part_of_a_shared_file_is_told_of_by_its_own_lines(
    validator: Validator,
) -> None:
    answer = "def f(x):\n    return earlier(x) + y\n"
    whole = f"import re\n\n\ndef earlier(x):\n    return undefined_there\n\n\n{answer}"
    verdict = await judged(validator, answer, file_text=whole)
    assert [(f.rule, f.line) for f in verdict.findings] == [("lint-F821", 2)]


async def test_a_set_without_lint_does_not_lint(tmp_path: Path) -> None:
    nothing = Sandbox.detect(data_dir=tmp_path, forced=Isolation.NONE)
    verdict = await judged(Validator(nothing, validators="syntax"), "def f(x):\n    return y\n")
    assert (verdict.passed, verdict.findings) == (True, ())


@pytest.mark.parametrize("depth", [150, 900])
@pytest.mark.parametrize("start", ["1 + ", "not ", "lambda: ", "1 if 1 else "])
async def test_deep_code_that_compiles_gets_its_verdict(validator: Validator, start: str, depth: int) -> None:
    answer = f"x = {start * depth}1\nif {start * depth}1:\n    pass\n\n\ndef f(x):\n    return y\n"
    for whole in (None, f"import re\n\n\n{answer}"):
        verdict = await judged(validator, answer, file_text=whole)
        assert [(f.rule, f.line) for f in verdict.findings if f.severity.blocks] == [("lint-F821", 7)]
