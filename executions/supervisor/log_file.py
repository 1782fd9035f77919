"""The log of a child: capped whenever the child is started, and read back when it dies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

LARGEST = 5 * 1024 * 1024
"""Bytes; a larger log becomes `<name>.1`, in place of the one before it."""
TAIL_BYTES = 16 * 1024


class LogFile:
    """A file that a child's output is appended to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begun = 0

    def open(self) -> IO[bytes]:
        """For a child that is about to start; `last_lines` then tells of this child alone."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and self.path.stat().st_size > LARGEST:
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        sink = self.path.open("ab")
        self._begun = sink.seek(0, os.SEEK_END)
        return sink

    def last_lines(self, most: int) -> list[str]:
        """What was written last since `open`, without empty lines."""
        try:
            with self.path.open("rb") as source:
                size = source.seek(0, os.SEEK_END)
                source.seek(max(self._begun, size - TAIL_BYTES))
                text = source.read().decode(errors="replace")
        except FileNotFoundError:
            return []
        return [line for line in text.splitlines() if line.strip()][-most:]
