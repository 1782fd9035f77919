"""Keys of the answer cache: digests of all that an answer, and the verdict on it, depend on.

Two atoms with the same `key` are asked the same, by the same ladder, and judged by the same checks: the accepted answer
of one is an answer of the other. With the same `verdict_key` too, the verdict holds as well and no test need run again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from executions.generation.ladder import Rung, as_json
from executions.generation.prompts import Prompt


@dataclass(frozen=True, slots=True)
class Asked:
    """What the model is asked first, what it would be asked next, and what an answer must pass."""

    prompt: Prompt
    """Of the first rung, without history; holds the accepted code of the dependencies as far as it is shown."""
    model: str
    ladder: Sequence[Rung]
    max_attempts: int
    endpoint: str
    """Its name: the same model elsewhere may be another."""
    seed: int | None
    requires: Sequence[str]
    validators: str
    validators_version: int
    """Goes up whenever the checks may judge the same answer otherwise."""
    language: str
    signature: str
    entry_points: Sequence[str]
    tests: str
    hidden_tests: str


@dataclass(frozen=True, slots=True)
class JudgedAmong:
    """What a verdict depends on besides the answer and the checks."""

    target_path: str
    files: Mapping[str, str]
    """Other files of the project that the atom builds on, whether its prompt shows them or not."""
    same_file: Sequence[tuple[str, str]]
    """(key, code) of what it builds on in its own file."""


def answer_key(asked: Asked) -> str:
    """SHA-256, in hexadecimal digits."""
    return _digest(
        {
            "system": asked.prompt.system,
            "user": asked.prompt.user,
            "model": asked.model,
            "ladder": as_json(asked.ladder),
            "max_attempts": asked.max_attempts,
            "endpoint": asked.endpoint,
            "seed": asked.seed,
            "requires": list(asked.requires),
            "validators": asked.validators,
            "validators_version": asked.validators_version,
            "language": asked.language,
            "signature": asked.signature,
            "entry_points": list(asked.entry_points),
            "tests": asked.tests,
            "hidden_tests": asked.hidden_tests,
        }
    )


def verdict_key(among: JudgedAmong) -> str:
    """SHA-256, in hexadecimal digits."""
    return _digest(
        {
            "target_path": among.target_path,
            "files": dict(among.files),
            "same_file": [list(part) for part in among.same_file],
            # Code that was accepted under one Python may fail under the next.
            "python": list(sys.version_info[:2]),
        }
    )


def _digest(value: Mapping[str, Any]) -> str:
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()
