"""Places inside a masterplan document, how people read them, and the list of problems found at them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping

from executions.planning.specs import MAX_PROBLEMS, InvalidMasterplan, Problem

Place = tuple[str | int, ...]
"""Keys and list positions from the document's root down."""

LineFinder = Callable[[Collection[Place]], Mapping[Place, int]]
"""Gives the lines (from 1) of those places that can be found in the text that was read."""


def no_lines(wanted: Collection[Place]) -> Mapping[Place, int]:
    """The `LineFinder` of a document that never was a text."""
    return {}


def quoted(text: str, limit: int = 80) -> str:
    """A text as it may be shown in a message: in double quotes, shortened, control characters escaped."""
    shown = text if len(text) <= limit else text[: limit - 1] + "…"
    return json.dumps(shown, ensure_ascii=not shown.isprintable())


def written(place: Place, document: object) -> str:
    """The place as a path; list items that have a text `key` carry it: `atoms[3] ("he-003").tests`."""
    parts: list[str] = []
    value = document
    for step in place:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
            parts.append(f"[{step}]")
            key = value.get("key") if isinstance(value, dict) else None
            if isinstance(key, str):
                parts.append(f" ({quoted(key)})")
        else:
            value = value.get(step) if isinstance(value, dict) else None
            plain = step.replace("-", "_").isidentifier() and step.isprintable()
            parts.append((f".{step}" if parts else step) if plain else f"[{quoted(step)}]")
    return "".join(parts)


class ProblemList:
    """Collects what is wrong with one document, and in the end says it all at once."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        """Name of the file or request: the place of problems that concern the document as a whole."""
        self._found: dict[tuple[Place, str], int | None] = {}
        self._left_out = 0

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, place: Place, message: str, line: int | None = None) -> None:
        if len(self._found) < MAX_PROBLEMS or (place, message) in self._found:
            self._found.setdefault((place, message), line)
        else:
            self._left_out += 1

    def error(self, document: object, find_lines: LineFinder) -> InvalidMasterplan:
        """The exception that tells them, as found, each with its line where there is one."""
        ancestors = {place[:depth] for place, _ in self._found for depth in range(1, len(place) + 1)}
        lines = find_lines(ancestors)
        problems = [
            Problem(
                place=written(place, document) or self.origin,
                message=message,
                line=line or _nearest(place, lines),
            )
            for (place, message), line in self._found.items()
        ]
        if self._left_out:
            problems.append(Problem(self.origin, f"{self._left_out} more problems are not listed"))
        return InvalidMasterplan(problems)


def _nearest(place: Place, lines: Mapping[Place, int]) -> int | None:
    """The line of the place, or else of the closest one around it that stands in the text."""
    return next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), None)
