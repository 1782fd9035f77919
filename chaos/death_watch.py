"""When processes ended, to within a few hundredths of a second."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from chaos.process_table import Process

LOOK_S = 0.03


@dataclass(frozen=True, slots=True)
class Death:
    """A process that ended between two looks."""

    pid: int
    lived_at: datetime
    gone_at: datetime


class DeathWatch:
    """`with DeathWatch() as deaths:` looks at the watched processes from a thread of its own."""

    def __init__(self) -> None:
        self.deaths: list[Death] = []
        self._watched: dict[Process, datetime] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="deaths", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def watch(self, processes: Iterable[Process]) -> None:
        """Processes that live now."""
        now = datetime.now(UTC)
        with self._lock:
            for process in processes:
                self._watched.setdefault(process, now)

    def _look(self) -> None:
        while not self._over.wait(LOOK_S):
            with self._lock:
                for process, lived_at in list(self._watched.items()):
                    now = datetime.now(UTC)
                    if process.lives():
                        self._watched[process] = now
                    else:
                        self.deaths.append(Death(process.pid, lived_at, now))
                        del self._watched[process]
