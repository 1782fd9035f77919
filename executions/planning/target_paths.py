"""Which target paths are safe to write anywhere, and which of them cannot stand side by side."""

from __future__ import annotations

import keyword
import sys
from collections.abc import Iterable

from executions.languages import PYTHON, Language
from executions.planning.file_names import CONFTEST, RESERVED_ON_WINDOWS, folded
from executions.planning.places import Place, quoted

MAX_PATH_LENGTH = 240
"""Characters: leaves room for the folder of the export within the 260 that Windows grants."""
MAX_PATH_PARTS = 20
MAX_PART_BYTES = 200
FORBIDDEN = frozenset('\\:*?"<>|')
"""Separators and wildcards of some system; the colon is in drive letters and alternate streams."""
RUNS_THE_TESTS = frozenset({"pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments"})


def unsafe(path: str) -> str:
    """What makes a path unsafe as a file inside a project's folder, or nothing.

    Rules of all systems hold on every one of them: a plan written here may be exported there.
    """
    if not path:
        return "must not be empty"
    if not path.isprintable():
        return "contains a control or other unprintable character"
    if bad := sorted(FORBIDDEN & set(path)):
        return f"contains {' '.join(bad)}, which is not portable (folders are separated by /)"
    if path.startswith("/"):
        return "must be relative to the project's root"
    if len(path) > MAX_PATH_LENGTH:
        return f"is longer than {MAX_PATH_LENGTH} characters"
    parts = path.split("/")
    if len(parts) > MAX_PATH_PARTS:
        return f"has more than {MAX_PATH_PARTS} parts"
    return next((message for part in parts if (message := _unsafe_part(part))), "")


def _unsafe_part(part: str) -> str:
    if not part:
        return "has an empty part (// or a / at the end)"
    if part in (".", ".."):
        return f"must not contain the part {quoted(part)}"
    if part.startswith("."):
        return f"must not be hidden, as {quoted(part)} is"
    if part != part.strip() or part.endswith("."):
        return f"has the part {quoted(part)}, which begins or ends with a space or ends with a dot"
    if len(part.encode()) > MAX_PART_BYTES:
        return f"has a part longer than {MAX_PART_BYTES} bytes"
    if part.split(".")[0].casefold().strip() in RESERVED_ON_WINDOWS:
        return f"has the part {quoted(part)}, a name that Windows reserves"
    return ""


def unusable_for(language: Language, path: str) -> str:
    """What makes a safe path no file for generated code in this language, or nothing."""
    name = path.rpartition("/")[2]
    if not name.endswith(language.endings):
        return (
            "must end with "
            + " or ".join(language.endings)
            + ("" if language is PYTHON else f" for {language.title}")
        )
    if language is not PYTHON:
        return ""
    if folded(name) == CONFTEST:
        return "must not be a conftest.py: pytest would run it, and it could bend every test"
    if path == "__init__.py":
        return "must not be the root's own __init__.py: the project's root is no package"
    return ""


def odd_as_module(path: str) -> str:
    """Why Python might not import this module by its name, or nothing. Not an error: it may be a script."""
    names = path.removesuffix(".py").split("/")
    for name in names:
        if not name.isidentifier() or keyword.iskeyword(name):
            return f"{quoted(name)} is no name that Python can import"
    if names[0] in sys.stdlib_module_names or names[0] in RUNS_THE_TESTS:
        return f"{quoted(names[0])} is also a module of Python or of pytest; one hides the other"
    return ""


def clashes(paths: Iterable[tuple[Place, str]]) -> list[tuple[Place, str]]:
    """What keeps these safe paths from standing in one folder. Twice the same is no clash: a shared file."""
    found: list[tuple[Place, str]] = []
    spelled: dict[str, str] = {}
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for place, path in paths:
        parts = path.split("/")
        prefixes = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
        message = ""
        for prefix in prefixes:
            known = spelled.setdefault(folded(prefix), prefix)
            if known != prefix:
                message = f"{quoted(prefix)} differs from {quoted(known)} only in case"
                break
        whole, around = folded(path), [folded(prefix) for prefix in prefixes[:-1]]
        if not message and whole in folders:
            message = f"{quoted(path)} is also a folder, that of {quoted(folders[whole])}"
        if not message and (module := whole.removesuffix(".py")) != whole and module in folders:
            message = f"Python cannot import both {quoted(path)} and the package of {quoted(folders[module])}"
        for folder in around:
            if not message and folder in files:
                message = f"lies inside {quoted(files[folder])}, which is a file"
            if not message and f"{folder}.py" in files:
                message = f"Python cannot import both this and the module {quoted(files[f'{folder}.py'])}"
        if message:
            found.append((place, message))
        files.setdefault(whole, path)
        for folder in around:
            folders.setdefault(folder, path)
    return found
