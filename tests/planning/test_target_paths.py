"""Which target paths a plan may name."""

from __future__ import annotations

import pytest

from executions.planning.format import InvalidMasterplan, load_document
from executions.planning.target_paths import unsafe

UNSAFE = [
    "",
    "/etc/passwd.py",
    "../x.py",
    "a/../x.py",
    "a/./x.py",
    "./x.py",
    "a//x.py",
    "a/",
    "a\\x.py",
    "C:/x.py",
    "C:x.py",
    "x.py:stream",
    "a\0.py",
    "a\n.py",
    "a\u202e.py",
    "a\u2028.py",
    "nul.py",
    "a/CON/x.py",
    "a/com1.txt.py",
    "LPT¹.py",
    "a /x.py",
    "a./x.py",
    " x.py",
    ".git/hooks.py",
    "a/.hidden.py",
    "what?.py",
    "a/*.py",
    "x" * 201 + ".py",
    "/".join(["a"] * 20) + "/x.py",
    "/".join(["abcdefghij"] * 19) + "/" + "y" * 50 + ".py",
]


@pytest.mark.parametrize("path", UNSAFE)
def test_an_unsafe_path_is_refused(path: str) -> None:
    assert unsafe(path)


@pytest.mark.parametrize(
    "path", ["x.py", "pkg/x.py", "pkg/__init__.py", "a/b/c/d.py", "größe.py", "con_.py", "my-x.py"]
)
def test_a_plain_path_is_safe(path: str) -> None:
    assert unsafe(path) == ""


def problems(*paths: str) -> list[str]:
    atoms = [{"key": f"k{n}", "target_path": path, "tests": "def test(): 1"} for n, path in enumerate(paths)]
    try:
        load_document({"name": "My plan", "atoms": atoms}, origin="test")
    except InvalidMasterplan as invalid:
        return [problem.message for problem in invalid.problems]
    return []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("pkg/x.txt", "must end with .py"),
        ("pytest.ini", "must end with .py"),
        ("manifest.json", "must end with .py"),
        ("conftest.py", "must not be a conftest.py"),
        ("pkg/Conftest.py", "must not be a conftest.py"),
        ("__init__.py", "must not be the root's own __init__.py"),
        ("test_my-plan__k0.py", "has a name that the export needs for its own files"),
        ("pkg/test_my-plan_acceptance_1.py", "has a name that the export needs for its own files"),
    ],
)
def test_a_path_that_would_disturb_the_project_is_refused(path: str, message: str) -> None:
    (problem,) = problems(path)
    assert message in problem


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (("a.py/x.py", "a.py"), '"a.py" is also a folder, that of "a.py/x.py"'),
        (("a.py", "a.py/x.py"), 'lies inside "a.py", which is a file'),
        (("pkg/A.py", "pkg/a.py"), '"pkg/a.py" differs from "pkg/A.py" only in case'),
        (("Pkg/a.py", "pkg/b.py"), '"pkg" differs from "Pkg" only in case'),
        (("stra\u00dfe.py", "STRASSE.py"), '"STRASSE.py" differs from "straße.py" only in case'),
        (("e\u0301.py", "\u00e9.py"), "only in case"),
        (("pkg/a.py", "pkg/a/b.py"), 'Python cannot import both this and the module "pkg/a.py"'),
        (("pkg/a/b.py", "pkg/a.py"), 'Python cannot import both "pkg/a.py" and the package of "pkg/a/b.py"'),
    ],
)
def test_paths_that_cannot_stand_side_by_side_are_refused(paths: tuple[str, ...], message: str) -> None:
    (problem,) = problems(*paths)
    assert message in problem


def test_paths_in_one_folder_and_a_shared_file_are_fine() -> None:
    assert problems("pkg/a.py", "pkg/b.py", "pkg/a.py", "pkg/__init__.py", "other/a.py", "top.py") == []
