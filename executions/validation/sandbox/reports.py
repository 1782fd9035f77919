"""Reads what the test process reported, trusting nothing of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

_FIELDS = {"kind": str, "test": str, "outcome": str, "message": str, "line": int, "at": int}
_KINDS = {"loading", "not-loaded", "begin", "result", "problem", "trick", "value", "finished"}


@dataclass(frozen=True, slots=True)
class Reported:
    """One line of the report."""

    kind: str
    test: str
    outcome: str
    """Of a value: the name of its comparison."""
    message: str
    line: int
    """Of the target file; 0 for none."""
    at: int = 0
    """Of the test module; 0 for none."""


@dataclass(frozen=True, slots=True)
class Report:
    """All lines in order. `voided` says why nothing of it may be believed, "" when it may."""

    lines: tuple[Reported, ...] = field(default=())
    finished: bool = False
    """The epilogue came, last, and counted as many lines as there are."""
    voided: str = ""


def read_report(data: bytes, nonce: str) -> Report:
    """The report in `data`; every line must carry the nonce and exactly the known fields."""
    lines: list[Reported] = []
    *complete, rest = data.split(b"\n")
    prefix = f"{nonce} ".encode()
    finished = False
    for raw in complete:
        if finished:
            return Report(tuple(lines), voided="something was reported after the end of the run")
        reported = _read_line(raw.removeprefix(prefix)) if raw.startswith(prefix) else None
        if reported is None:
            return Report(tuple(lines), voided="the report holds a line that the runner did not write")
        if reported.kind == "finished":
            if reported.line != len(lines):
                return Report(tuple(lines), voided="lines are missing from the report")
            finished = True
        else:
            lines.append(reported)
    if rest and finished:
        return Report(tuple(lines), voided="something was reported after the end of the run")
    return Report(tuple(lines), finished)


def _read_line(raw: bytes) -> Reported | None:
    try:
        value: Any = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or set(value) != set(_FIELDS) or value["kind"] not in _KINDS:
        return None
    if any(type(value[name]) is not kind for name, kind in _FIELDS.items()):
        return None
    return Reported(**value)
