"""A test module as it goes into the sandbox, and what of it stays outside. Made by `outside_masking`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison that is decided outside."""

    name: str
    """What stands for it in the text that goes in."""
    means: str
    """"eq": the value, and whether it equals; "is": the same for None, True, False by identity; "truth": whether it
    is true; "none": whether it is None."""
    expected: Any
    """The literal; for "truth" and "none" the bool that is wanted."""
    text: str
    """Of the comparison as the author wrote it."""
    method: str = ""
    """unittest's name, e.g. `assertEqual`; "" for a plain assert."""
    literal_first: bool = False
    said: str = ""
    """The author's message: its text, or its source where it would have to be run."""
    line: int = 0
    """Of the test module."""


@dataclass(frozen=True, slots=True)
class Outside:
    """A test module prepared for the sandbox."""

    text: str
    """What goes in."""
    original: str
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    """By name."""
    required: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """For each test: the comparisons that it cannot have passed without."""
    required_lines: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """For each test: the lines of the asserts, wherever they are decided, that it cannot have passed without; as a
    negative number the line of a function that must have come to its end."""

    def statement(self, line: int) -> str:
        """The author's line of that number, "" where there is none."""
        lines = self.original.split("\n")
        return lines[line - 1].strip() if 0 < line <= len(lines) else ""


def inside_twin(outside: Outside) -> Outside:
    """The same tests with nothing taken out: everything is compared inside."""
    return replace(outside, text=outside.original, comparisons={}, required={})


def inside_only(tests: str) -> Outside:
    """The same module with nothing taken out."""
    text = one_newline(tests)
    return Outside(text=text, original=text)


def one_newline(text: str) -> str:
    """As Python's own reader does, also inside of string literals."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
