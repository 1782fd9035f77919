"""What the scripted model remembers of the requests it got: the log, and the numbers of `GET /stats`."""

from __future__ import annotations

import json
from collections import Counter, deque
from pathlib import Path
from typing import Any, TextIO

MOST_KEPT = 50_000
"""Requests that `GET /log` can show; older ones are forgotten (a log file keeps them)."""


class RequestLedger:
    """Counts and keeps the calls of `/v1/messages`."""

    def __init__(self, log_file: Path | None = None) -> None:
        """Raises OSError when the log file cannot be opened."""
        self._file: TextIO | None = log_file.open("a", encoding="utf-8") if log_file else None
        self._in_flight = 0
        self.restart()

    def restart(self) -> None:
        """Forgets all calls but those in flight now."""
        self._calls = 0
        self._max_in_flight = self._in_flight
        self._complete = 0
        self._outcomes: Counter[str] = Counter()
        self._calls_per_atom: Counter[str] = Counter()
        self._kept: deque[dict[str, Any]] = deque(maxlen=MOST_KEPT)

    def begin(self) -> None:
        self._calls += 1
        self._in_flight += 1
        self._max_in_flight = max(self._max_in_flight, self._in_flight)

    def end(self, entry: dict[str, Any], *, complete: bool) -> None:
        """`complete`: the client was given a whole answer."""
        self._in_flight -= 1
        self._complete += complete
        self._outcomes[entry["outcome"]] += 1
        if entry["atom"] is not None:
            self._calls_per_atom[entry["atom"]] += 1
        self._kept.append(entry)
        if self._file is not None:
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def entries(self) -> list[dict[str, Any]]:
        """The kept calls in the order in which they ended."""
        return list(self._kept)

    def stats(self) -> dict[str, Any]:
        return {
            "calls": self._calls,
            "in_flight": self._in_flight,
            "max_in_flight": self._max_in_flight,
            "complete_answers": self._complete,
            "outcomes": dict(self._outcomes),
            "calls_per_atom": dict(self._calls_per_atom),
        }

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
