"""Wake-ups: something may have been committed. They carry no data, and any of them may be lost: the hub also looks by itself.

SQLite: `PRAGMA data_version` of a private connection (this host only). PostgreSQL: LISTEN (any number of hosts). Otherwise
the clock.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection

from executions.engine.wake_up import CHANNEL

log = logging.getLogger(__name__)

DATA_VERSION_S = 0.025
"""Between two looks at SQLite's counter: 20-90 microseconds each, so about 0.4 % of a core."""
POLL_S = 0.75
RECONNECT_S = 1.0
NOTICE_STOP_S = 0.25
"""How long a listening thread may take to notice that it is to end."""


class Waker(ABC):
    """Calls `wake` from a thread of its own whenever something may have been committed, from `start` until `stop`."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and its connection; blocks for a moment."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._watch()
            except (sqlite3.Error, psycopg.Error) as error:
                log.warning("%s: %s; trying again", type(self).__name__, error)
                # What was missed meanwhile is found by looking.
                self._wake()
                self._stopping.wait(RECONNECT_S)

    @abstractmethod
    def _watch(self) -> None:
        """Connect and wake until stopped; an error of the database means: again, with a new connection."""


class DataVersionWaker(Waker):
    """SQLite changes `data_version` of every connection but the writer's own at each commit."""

    def __init__(self, wake: Callable[[], None], file: Path) -> None:
        super().__init__(wake)
        self._file = file

    def _watch(self) -> None:
        with closing(
            sqlite3.connect(f"{self._file.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        ) as private:
            before = private.execute("PRAGMA data_version").fetchone()
            self._wake()
            while not self._stopping.wait(DATA_VERSION_S):
                now = private.execute("PRAGMA data_version").fetchone()
                if now != before:
                    before = now
                    self._wake()


class ListenWaker(Waker):
    """PostgreSQL tells at the writer's commit. Needs a session of its own: behind a transaction pooler nothing arrives."""

    def __init__(self, wake: Callable[[], None], parameters: Mapping[str, Any]) -> None:
        super().__init__(wake)
        self._parameters = parameters

    def _watch(self) -> None:
        with psycopg.connect(**self._parameters, autocommit=True) as private:
            private.execute(f"LISTEN {CHANNEL}")
            self._wake()
            while not self._stopping.is_set():
                for _ in private.notifies(timeout=NOTICE_STOP_S, stop_after=1):
                    self._wake()


class PollWaker(Waker):
    """Any database: wake by the clock."""

    def _watch(self) -> None:
        while not self._stopping.wait(POLL_S):
            self._wake()


def waker_for_database(wake: Callable[[], None]) -> Waker:
    """The best waker for the database that the settings name."""
    if connection.vendor == "postgresql":
        return ListenWaker(wake, connection.get_connection_params())
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite" and Path(name).is_file():
        return DataVersionWaker(wake, Path(name))
    return PollWaker(wake)
