"""The watchdog: sends canaries through a node's queue and says when its workers have to be replaced.

A canary is judged only if an idle worker was there all the time that it was out, and none of the node's workers began
anything else meanwhile: a busy node, a long queue or a database that was away are no fault of its workers.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import DatabaseError, InterfaceError, connection

from executions.engine import canaries, dialect
from executions.models import NodeWorker

log = logging.getLogger(__name__)

FAILURES = 2
"""Canaries in a row that had to fail before workers are replaced."""
FRESH = timedelta(seconds=6)
"""A worker whose last beat is older may be dead or stopped: nothing is expected of it."""
AFTER_OUTAGE_S = 15.0
"""django-q2's pusher pauses for ten seconds when the queue was away."""


@dataclass(slots=True)
class _Flight:
    """A canary that is out."""

    id: uuid.UUID
    sent: float
    seen: set[tuple[int, datetime | None]]
    """What each worker had last begun or ended when it was sent."""
    idle_all_along: bool = True
    moved: bool = False
    """A worker of the node has begun or ended something since."""
    ran: float | None = None


@dataclass(slots=True)
class Watchdog:
    """Looks after one node; call `look` about once a second.

    Args:
        node: whose workers are watched.
        wait_s: how long a canary may need, and the pause between two of them.
    """

    node: uuid.UUID
    wait_s: float
    failed: int = 0
    _flight: _Flight | None = field(default=None, init=False)
    _not_before: float = field(default=0.0, init=False)

    def look(self) -> str:
        """Why the node's workers have to be replaced; empty when they need not be. Raises what the database raises."""
        now = time.monotonic()
        if now < self._not_before:
            return ""
        if not canaries.queue_answers():
            self._hold_off(now)
            return ""
        try:
            workers = self._workers()
            idle = any(busy_since is None for _, busy_since, _ in workers)
            if self._flight is None:
                if idle:
                    seen = {(pid, worked_at) for pid, _, worked_at in workers}
                    self._flight = _Flight(canaries.send(self.node), now, seen)
                return ""
            return self._judge(self._flight, workers, idle, now)
        except (DatabaseError, InterfaceError):
            self._hold_off(now)
            raise

    def _hold_off(self, now: float) -> None:
        """The database or the queue is away: nothing that is out can be judged."""
        self._flight, self._not_before = None, now + AFTER_OUTAGE_S

    def _judge(
        self,
        flight: _Flight,
        workers: Sequence[tuple[int, datetime | None, datetime | None]],
        idle: bool,
        now: float,
    ) -> str:
        flight.idle_all_along &= idle
        known = {pid for pid, _ in flight.seen}
        flight.moved |= any(
            (pid, worked_at) not in flight.seen and (pid in known or worked_at is not None)
            for pid, _, worked_at in workers
        )
        found = canaries.sight(flight.id)
        if found.acknowledged:
            self.failed = 0
            self._land(flight, now)
            return ""
        if found.ran and flight.ran is None:
            flight.ran = now
        if now - (flight.ran or flight.sent) < self.wait_s:
            return ""
        if flight.ran is None and (flight.moved or not flight.idle_all_along):
            # Not judged: the next one tells.
            self._land(flight, now)
            return ""
        self.failed += 1
        what = "was run but never acknowledged" if found.ran else "was not taken by any idle worker"
        log.warning(
            "node=%s a message %s for %g s (%d of %d)", self.node, what, self.wait_s, self.failed, FAILURES
        )
        self._land(flight, now, pause=False)
        return f"its queue is stuck: a message {what}" if self.failed >= FAILURES else ""

    def _land(self, flight: _Flight, now: float, *, pause: bool = True) -> None:
        canaries.forget(flight.id)
        self._flight = None
        if pause:
            self._not_before = now + self.wait_s

    def _workers(self) -> list[tuple[int, datetime | None, datetime | None]]:
        """Process number, since when it is busy, when it last began or ended something; of those with a fresh beat."""
        with connection.cursor() as cursor:
            since = dialect.now(cursor) - FRESH
        rows = NodeWorker.objects.filter(node=self.node, beat_at__gte=since)
        return list(rows.values_list("pid", "busy_since", "worked_at"))
