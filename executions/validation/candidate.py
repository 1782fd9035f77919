"""One answer together with everything that is needed to judge it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Candidate:
    """An answer to an atom. Nothing in it is trusted; `tests` come from the masterplan's author."""

    source: str | bytes
    """The answer as it came; bytes must be UTF-8."""
    tests: str
    """One test module that imports from the project's root; blank: there is nothing to run."""
    entry_points: tuple[str, ...]
    """Names that must be bound at the top level of the target file."""
    target_path: str
    """Where the answer belongs, relative to the project's root, with forward slashes."""
    signature: str = ""
    """Checked when it parses as `def`, `async def` or `class`; otherwise only prompt text."""
    hidden_tests: str = ""
    """A second test module; only the names of its failed tests ever leave the validator."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The other files of the project so far, path to text."""
    language: str = "python"
    """A name or alias of `executions.languages`; one that is not known there is a finding."""
    file_text: str | None = None
    """The whole assembled target file; None when the answer alone is the file."""
