"""What a check finds."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Inconsistency:
    """One place where the stored data is not what it must be."""

    execution_id: uuid.UUID | None
    """None: of the database as a whole."""
    check: str
    """The promise that is broken, in one stable word."""
    what: str
    """The thing that is wrong: a counter, an atom, an attempt, an event."""
    expected: str
    found: str

    def as_json(self) -> dict[str, Any]:
        return {
            "execution_id": None if self.execution_id is None else str(self.execution_id),
            "check": self.check,
            "what": self.what,
            "expected": self.expected,
            "found": self.found,
        }

    def __str__(self) -> str:
        place = "database" if self.execution_id is None else str(self.execution_id)
        return f"{place}  {self.check}  {self.what}: expected {self.expected}, found {self.found}"
