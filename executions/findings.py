"""What a validator has to say about an answer. Imports nothing of ours, so every floor may speak of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding weighs. Only CRITICAL and ERROR reject an answer and are fed back to the model."""

    CRITICAL = "CRITICAL"
    """The answer could not even be looked at or run: unreadable, does not parse, voided the run."""
    ERROR = "ERROR"
    """The answer is wrong: a test failed, a promised name is missing."""
    WARNING = "WARNING"
    """Worth a person's look; never rejects, never fed back."""
    INFO = "INFO"
    """For the record; never rejects, never fed back."""

    @property
    def blocks(self) -> bool:
        return self in (Severity.CRITICAL, Severity.ERROR)


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of a validator; stored as the model `Issue`."""

    severity: Severity
    rule: str
    """Stable short name in kebab case, e.g. `syntax-error`, `test-failed`, `entry-point-missing`."""
    message: str
    """For people and for the model: what was expected, what was seen. Capped by the validator that made it."""
    line: int | None = None
    """Line in the answer's own source, from 1; None where the finding has no place."""
    hint: str = ""
