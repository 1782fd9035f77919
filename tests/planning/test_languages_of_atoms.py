"""An atom says its language: by which names, into which files, and what of it reaches the project."""

from __future__ import annotations

from typing import Any

import pytest

from executions.planning.export import Accepted, plan_files
from executions.planning.format import InvalidMasterplan, PlanSpec, load_document

PYTHON = {"key": "py", "target_path": "pkg/a.py", "tests": "def test_a():\n    pass\n", "description": "d"}
SCRIPT = {
    "key": "js",
    "language": "JavaScript",
    "entry_point": "f",
    "target_path": "web/a.js",
    "tests": "import test from 'node:test';\n",
}


def loaded(*atoms: dict[str, Any]) -> PlanSpec:
    (plan,) = load_document({"name": "p", "atoms": list(atoms)}, origin="test")
    return plan


def problems(*atoms: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidMasterplan) as refused:
        loaded(*atoms)
    return [str(problem) for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("word", "path", "stored"),
    [
        (None, "a.py", "python"),
        ("PY", "a.py", "python"),
        ("js", "a.js", "javascript"),
        ("JavaScript", "a.mjs", "javascript"),
        ("javascript", "a.jsx", "javascript"),
        ("ts", "a.ts", "typescript"),
        ("TypeScript", "web/a.tsx", "typescript"),
    ],
)
def test_a_language_is_stored_by_its_one_name(word: str | None, path: str, stored: str) -> None:
    plan = loaded({"key": "a", "language": word, "target_path": path})
    assert plan.atoms[0].language == stored


def test_an_unknown_language_is_refused_with_its_place_and_the_known_ones() -> None:
    fourth = {**SCRIPT, "language": "cobol"}
    others = [{**PYTHON, "key": f"p{n}", "target_path": f"pkg/p{n}.py"} for n in range(3)]
    assert problems(*others, fourth) == [
        'atoms[3] ("js").language: "cobol" is not known here; known are python, javascript, typescript'
    ]


def test_the_tests_of_other_languages_need_not_be_python_and_are_told_not_to_run() -> None:
    plan = loaded(PYTHON, SCRIPT, {**SCRIPT, "key": "more", "target_path": "web/b.js"})
    assert [(warning.place, warning.message) for warning in plan.warnings] == [
        (
            'atoms[1] ("js")',
            "an atom in JavaScript: only its syntax is checked, its tests are not run (and 1 times more)",
        )
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"target_path": "web/a.py"}, "must end with .js or .mjs or .cjs or .jsx for JavaScript"),
        ({"target_path": "../a.js"}, 'must not contain the part ".."'),
        ({"language": "ts"}, "must end with .ts or .mts or .cts or .tsx for TypeScript"),
        ({"entry_point": "a.b"}, '"a.b" is not a name that JavaScript code can define'),
    ],
)
def test_what_does_not_fit_the_language_is_refused(change: dict[str, Any], expected: str) -> None:
    assert any(expected in problem for problem in problems({**SCRIPT, **change}))


def test_names_that_only_javascript_knows_are_names_there() -> None:
    assert loaded({**SCRIPT, "entry_point": ["$", "$el", "_x"]}).atoms[0].entry_points == ("$", "$el", "_x")
    assert problems({**PYTHON, "entry_point": "$el"})


def test_only_python_atoms_can_share_a_file() -> None:
    assert problems(SCRIPT, {**SCRIPT, "key": "two", "entry_point": "g"}) == [
        'atoms[1] ("two").target_path: is already the file of "js": only Python atoms can share one'
    ]


def test_every_file_is_exported_and_tests_only_where_pytest_can_run_them() -> None:
    plan = loaded(PYTHON, SCRIPT)
    accepted = {"py": Accepted("py", "x = 1\n", "tested"), "js": Accepted("js", "export let f\n", "static")}
    files = plan_files(plan, accepted)
    assert files["web/a.js"] == "export let f\n"
    assert [path for path in files if path.startswith("test_")] == ["test_p__py.py"]
