"""The heartbeat: prolongs a runner's leases from a thread and a connection of its own, whatever the event loop is doing."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from django.db import DatabaseError, InterfaceError, connection

from executions.engine.claims import renew_leases

log = logging.getLogger(__name__)

AGAIN = 0.2
"""Share of the usual wait after which a missed beat is made up for."""


class Heartbeat:
    """`with Heartbeat(owner, lease):` beats every third of the lease, and sooner after a beat that was missed."""

    def __init__(self, owner: str, lease: timedelta) -> None:
        self._owner = owner
        self._lease = lease
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        third = wait = self._lease.total_seconds() / 3
        try:
            while not self._stop.wait(wait):
                try:
                    renew_leases(self._owner, self._lease)
                    wait = third
                except (DatabaseError, InterfaceError) as error:
                    # The next beat opens a new connection. It must not wait its turn: a database that was away for a third of
                    # the lease comes back with little of it left.
                    log.warning("heartbeat of %s missed: %s", self._owner, type(error).__name__)
                    connection.close()
                    wait = third * AGAIN
        finally:
            connection.close()
