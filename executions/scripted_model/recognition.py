"""Which atom a request is for: the one whose whole tests stand in it.

Every script is filed under its rarest line, so a request costs one look-up per line of its own, however many
atoms are known; the whole text of the tests is then compared. Where tests of several atoms stand in a
request, the longest win. Atoms whose tests are equal, letter by letter, are told apart by what else the
request holds of them (target path, description, signature, name); what is still equal then is the same atom
for every purpose, and the one loaded last is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import count

from executions.scripted_model.placement import AtomScript

COMMON = 16
"""A line that so many atoms share is used only where an atom has no rarer one."""


class TestsIndex:
    """The scripts of all known atoms, findable by the tests in a text."""

    __test__ = False  # the name is for tests, the class is none

    def __init__(self) -> None:
        self._scripts_by_line: dict[str, list[AtomScript]] = {}
        self._atoms_with_line: Counter[str] = Counter()
        self._lines_of: dict[AtomScript, tuple[str, ...]] = {}
        self._order = count()
        self._place_of: dict[AtomScript, int] = {}

    def __len__(self) -> int:
        return len(self._lines_of)

    def add(self, scripts: Sequence[AtomScript]) -> None:
        """Files scripts; those of one file together, so that their rare lines are known."""
        for script in scripts:
            self._atoms_with_line.update(_lines(script))
        for script in scripts:
            chosen = self._characteristic_lines(script)
            self._lines_of[script] = chosen
            self._place_of[script] = next(self._order)
            for line in chosen:
                self._scripts_by_line.setdefault(line, []).append(script)

    def remove(self, scripts: Iterable[AtomScript]) -> None:
        for script in scripts:
            self._atoms_with_line.subtract(_lines(script))
            del self._place_of[script]
            for line in self._lines_of.pop(script):
                others = self._scripts_by_line[line]
                others.remove(script)
                if not others:
                    del self._scripts_by_line[line]

    def find(self, text: str) -> AtomScript | None:
        """The script whose tests stand in `text` (line ends `\\n`), or None."""
        found: list[AtomScript] = []
        for line in self._scripts_by_line.keys() & set(text.split("\n")):
            found += [script for script in self._scripts_by_line[line] if script.atom.tests in text]
        if not found:
            return None
        longest = max(len(script.atom.tests) for script in found)
        found = [script for script in found if len(script.atom.tests) == longest]
        if len(found) == 1:
            return found[0]

        def agreement(script: AtomScript) -> tuple[tuple[bool, ...], int]:
            return tuple(bool(mark) and mark in text for mark in script.atom.marks), self._place_of[script]

        return max(found, key=agreement)

    def _characteristic_lines(self, script: AtomScript) -> tuple[str, ...]:
        """The rarest line and the rarest inner one: a prompt may join words of its own to the outer ones."""

        def rarity(line: str) -> tuple[int, int]:
            return self._atoms_with_line[line], -len(line)

        lines = script.atom.tests.split("\n")
        rarest = min((line for line in lines if line.strip()), key=rarity)
        inner = min((line for line in lines[1:-1] if line.strip()), key=rarity, default=rarest)
        if inner == rarest or self._atoms_with_line[inner] > COMMON:
            return (rarest,)
        return rarest, inner


def _lines(script: AtomScript) -> set[str]:
    return set(script.atom.tests.split("\n"))
