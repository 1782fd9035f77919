"""What a masterplan file says once it has been read and checked, and what is wrong with a bad one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MAX_FILE_BYTES = 50_000_000
MAX_DEPTH = 50
"""Levels of objects and lists inside one another, the file's own one counted."""
MAX_ATOMS = 100_000
"""In one plan, and in all plans of one file together."""
MAX_TEXT_BYTES = 256 * 1024
"""Of any one text, tests included, in UTF-8."""
MAX_NAME_LENGTH = 200
"""Characters of an atom's key and of any name."""
MAX_SLUG_LENGTH = 40
"""With it and `MAX_NAME_LENGTH` the name of an exported test file stays below the usual 255 bytes."""
MAX_PROBLEMS = 1_000
"""Listed of one file; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a masterplan file, or odd about it."""

    place: str
    """Where, as a path into the document: `masterplans[0].atoms[3] ("he-003").target_path`."""
    message: str
    line: int | None = None
    """Line of the file, from 1; None where there is no file or the place could not be found in it."""

    def __str__(self) -> str:
        return (
            f"{self.place} (line {self.line}): {self.message}"
            if self.line
            else f"{self.place}: {self.message}"
        )


class InvalidMasterplan(Exception):
    """A masterplan file that is refused, with every problem found in it."""

    problems: tuple[Problem, ...]

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True)
class AtomSpec:
    """One atom as the plan describes it. Texts that were not given are empty."""

    key: str
    name: str
    description: str
    language: str
    signature: str
    contract: str
    prompt: str
    tests: str
    hidden_tests: str
    target_path: str
    instructions: str
    entry_points: tuple[str, ...]
    """Names that must be bound at the top level of the target file."""
    depends_on: tuple[str, ...]
    """Keys of other atoms of the plan, each once."""
    approval: bool
    """A person must agree before this atom starts."""
    position: int
    """Place in the plan, from 0."""


@dataclass(frozen=True, slots=True)
class WaveTest:
    """A pytest module that is run once all atoms of a wave have ended."""

    wave: int
    """Number of the wave, from 1."""
    tests: str


@dataclass(frozen=True, slots=True)
class PlanSpec:
    """One masterplan, read and checked."""

    name: str
    slug: str
    """File-name form of the name, unique within the file that was read."""
    description: str
    instructions: str
    atoms: tuple[AtomSpec, ...]
    requires: tuple[str, ...] = ()
    wave_tests: tuple[WaveTest, ...] = ()
    acceptance_tests: tuple[str, ...] = ()
    """Pytest modules for the whole project."""
    approvals: tuple[int, ...] = ()
    """Waves that wait for a person, ascending."""
    defaults: Mapping[str, object] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()
    digest: str = ""
    """SHA-256 (hex) over everything the product keeps of the plan; slug and warnings are not part of it."""
