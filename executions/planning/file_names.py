"""Names of the files and folders that an exported masterplan becomes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from hashlib import sha256

from executions.planning.specs import MAX_SLUG_LENGTH

RESERVED_ON_WINDOWS = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{device}{number}" for device in ("com", "lpt") for number in "0123456789¹²³"]
)
MANIFEST = "manifest.json"
PYTEST_INI = "pytest.ini"
CONFTEST = "conftest.py"


def slug_of(name: str, taken: Collection[str] = ()) -> str:
    """Lower-case ASCII letters and digits joined by hyphens, at most `MAX_SLUG_LENGTH`, not one of `taken`.

    A name without a single such letter gets a slug from its digest, so that it stays the same every time.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:MAX_SLUG_LENGTH].strip("-")
    if not slug or slug in RESERVED_ON_WINDOWS:
        slug = f"plan-{slug or sha256(name.encode()).hexdigest()[:8]}"
    free, number = slug, 1
    while free in taken:
        number += 1
        end = f"-{number}"
        free = slug[: MAX_SLUG_LENGTH - len(end)].rstrip("-") + end
    return free


def tests_begin_with(slug: str) -> str:
    """What the names of all test files of a plan begin with, and of none but these."""
    return f"test_{slug}_"


def atom_test_file(slug: str, key: str) -> str:
    """The file for the tests of one atom; keys that differ only in non-word characters share it."""
    word = re.sub(r"\W", "_", key)
    return f"{tests_begin_with(slug)}_{word}.py"


def acceptance_test_file(slug: str, number: int) -> str:
    """The file for the plan's acceptance tests with this number, from 1."""
    return f"{tests_begin_with(slug)}acceptance_{number}.py"


def wave_test_file(slug: str, wave: int, number: int) -> str:
    """The file for the plan's tests with this number, from 1, among those of the wave."""
    return f"{tests_begin_with(slug)}wave_{wave}" + (f"_{number}" if number > 1 else "") + ".py"


def folded(path: str) -> str:
    """The form in which two paths are equal if some file system takes them for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
