"""The languages an atom may be in, and how far the product goes with each. Imports nothing of ours: every floor asks here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """A language that answers can be asked for and judged in."""

    name: str
    """As it is stored, e.g. `javascript`."""
    title: str
    """As people write it, e.g. `JavaScript`."""
    aliases: frozenset[str]
    """Other words for it in a masterplan, in lower case."""
    endings: tuple[str, ...]
    """What names of its files end with; the usual one first."""
    runs_tests: bool
    """Whether tests are run. Where not, an answer is judged by its text, and its assurance is `static`."""


PYTHON = Language("python", "Python", frozenset({"py", "python3"}), (".py",), runs_tests=True)
JAVASCRIPT = Language(
    "javascript",
    "JavaScript",
    frozenset({"js", "ecmascript"}),
    (".js", ".mjs", ".cjs", ".jsx"),
    runs_tests=False,
)
TYPESCRIPT = Language(
    "typescript", "TypeScript", frozenset({"ts"}), (".ts", ".mts", ".cts", ".tsx"), runs_tests=False
)
LANGUAGES = (PYTHON, JAVASCRIPT, TYPESCRIPT)
KNOWN = ", ".join(language.name for language in LANGUAGES)
"""For messages."""

_BY_WORD = {word: one for one in LANGUAGES for word in (one.name, *one.aliases)}


def language_named(word: str) -> Language | None:
    """The language with this name or alias, in any case; Python for no word at all, None for an unknown one."""
    return _BY_WORD.get(word.strip().casefold()) if word.strip() else PYTHON


def runs_tests(word: str) -> bool:
    """Whether the tests of an atom in this language are run, and so are pytest modules."""
    language = language_named(word)
    return language is not None and language.runs_tests


def not_tested(atoms: Mapping[str, int]) -> list[str]:
    """A sentence for each language whose tests are not run, given the number of atoms by the word for their language."""
    counts: dict[Language, int] = {}
    for word, number in atoms.items():
        language = language_named(word)
        if language is not None and not language.runs_tests:
            counts[language] = counts.get(language, 0) + number
    return [
        f"1 atom in {language.title}: only its syntax is checked, its tests are not run"
        if counts[language] == 1
        else f"{counts[language]} atoms in {language.title}: only their syntax is checked, their tests are not run"
        for language in LANGUAGES
        if counts.get(language)
    ]
