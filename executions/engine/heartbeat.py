"""The heartbeat: prolongs a runner's leases from a thread and a connection of its own, whatever the event loop is doing."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from django.db import DatabaseError, InterfaceError, connection

from executions.engine.claims import renew_leases

log = logging.getLogger(__name__)


class Heartbeat:
    """`with Heartbeat(owner, lease):` beats every third of the lease."""

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
        try:
            while not self._stop.wait(self._lease.total_seconds() / 3):
                try:
                    renew_leases(self._owner, self._lease)
                except (DatabaseError, InterfaceError) as error:
                    # The next beat opens a new connection. Leases outlive two missed beats.
                    log.warning("heartbeat of %s missed: %s", self._owner, type(error).__name__)
                    connection.close()
        finally:
            connection.close()
