"""What a trial found: a table for people, JSON for machines in `var/trials/`."""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Table:
    """Columns as wide as they must be; numbers to the right."""

    def __init__(self, *heads: str) -> None:
        self._rows: list[tuple[object, ...]] = [heads]

    def row(self, *cells: object) -> None:
        """As many cells as there are heads. Raises ValueError."""
        if len(cells) != len(self._rows[0]):
            raise ValueError(f"{len(cells)} cells under {len(self._rows[0])} heads")
        self._rows.append(cells)

    def __str__(self) -> str:
        shown = [[_shown(cell) for cell in row] for row in self._rows]
        widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
        right = [
            all(isinstance(row[place], int | float) for row in self._rows[1:]) for place in range(len(widths))
        ]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if is_number else cell.ljust(width)
                for cell, width, is_number in zip(row, widths, right, strict=True)
            ).rstrip()
            for row in shown
        )


def _shown(cell: object) -> str:
    return f"{cell:.1f}" if isinstance(cell, float) else str(cell)


RESULTS = ROOT / "var" / "trials"
"""Where results go unless a trial is told otherwise."""


def write_json(name: str, content: Mapping[str, Any], folder: Path = RESULTS) -> Path:
    """Writes one trial's result, with its command and the machine's kind, to a new file in `folder`, which it returns."""
    path = folder / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [f"trials.{name}", *sys.argv[1:]],
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
    path.write_text(json.dumps({**about, **content}, indent=1) + "\n", encoding="utf-8")
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
