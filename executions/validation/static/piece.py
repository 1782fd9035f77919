"""What a checking program is given, and what it says, before anybody decided how much that weighs."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Piece:
    """A Python file to be checked."""

    text: str
    """The whole target file."""
    tree: ast.Module = field(repr=False)
    """Of `text`."""
    target_path: str
    files: Mapping[str, str] = field(default_factory=dict)
    """Other files of the project, which it may import."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One line of a checker's output."""

    rule: str
    message: str
    line: int
    column: int
    """In characters, from 1."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The checker has no word about this piece, not even alone."""

    reason: str


Remarks = tuple[Remark, ...] | Unavailable
