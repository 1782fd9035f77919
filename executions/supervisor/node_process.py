"""The outermost process of a node: it runs a django-q2 cluster and sees to it that the cluster works, or ends.

django-q2 alone goes on as if nothing had happened when its guard is killed, hangs at a stop after some of its processes
were, and tells its tasks nothing of a stop. Whoever started the node starts it again when it ends with one of the statuses
below.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, connections
from django_q.cluster import Cluster as DjangoQCluster

from executions.engine import node
from executions.models import NodeWorker
from executions.supervisor.leash import forks_die_with_their_parent
from executions.supervisor.supervisor import Regularly, StopSignals
from executions.supervisor.watchdog import Watchdog

log = logging.getLogger(__name__)

STARTED_BADLY, GUARD_DIED, STUCK, BY_FORCE = 1, 5, 6, 7
"""Exit statuses: the cluster could not start; its guard died; its queue was stuck; it had to be killed at a stop."""
LOOK_S = 0.1
WATCH_S = 1.0
RELEASE_S = 6.0
"""How long giving work back and django-q2's own stop may take after the grace time for work in flight."""
KEPT_S = 60.0
"""How long a process of the node uses a connection before it opens another."""
RECORD_S = 3.0
"""How long a database that hangs may keep us from stopping."""

Say = Callable[[str], None]


class NodeProcess:
    """`NodeProcess(signals, say).run()`: until it is told to stop, or has to end.

    Args:
        signals: asked whether to stop; a second one ends at once.
        say: a line for whoever reads our output.
    """

    def __init__(self, signals: StopSignals, say: Say) -> None:
        self._signals, self._say = signals, say
        self._stuck = ""

    def run(self, *, once: bool = False) -> int:
        """The exit status. `once`: start, stop in order, and that is all (django-q2's --run-once)."""
        if sys.platform == "linux":
            forks_die_with_their_parent()
        # A connection must not be used on both sides of a fork.
        connections.close_all()
        _keep_connections()
        with _held_back():
            cluster = DjangoQCluster()
            self._signals.listen()
        try:
            cluster.start()
        except RuntimeError as error:
            self._say(str(error))
            return STARTED_BADLY
        self._node = node.node_id(cluster.sentinel.pid)
        watchdog = Watchdog(self._node, settings.MGE_CANARY_SECONDS)

        def look() -> None:
            self._stuck = self._stuck or watchdog.look()

        with Regularly(look, name="watchdog", every_s=min(WATCH_S, watchdog.wait_s / 4), say=log.warning):
            while not (self._signals.count or once or self._stuck) and cluster.sentinel.is_alive():
                time.sleep(LOOK_S)
        try:
            if self._signals.count or once:
                return self._stop(cluster)
            if self._stuck:
                self._say(f"{self._stuck}; ending these workers")
                self._let_busy_ones_end()
                return STUCK
            self._say("the workers' guard died")
            return GUARD_DIED
        finally:
            # Its workers die with it; a killed one leaves nothing that could be stopped in order.
            cluster.sentinel.kill()
            cluster.sentinel.join(RELEASE_S)
            _in_time(lambda: node.stopped(self._node))

    def _stop(self, cluster: DjangoQCluster) -> int:
        """Claim nothing more, let what is in flight end or be given back, and end django-q2 in its own order."""
        asked = self._signals.count
        _in_time(lambda: node.drain(self._node))
        # In a thread: this waits for the guard to hear it, for ever if that has just died.
        threading.Thread(target=cluster.stop_event.set, daemon=True).start()
        deadline = time.monotonic() + settings.MGE_DRAIN_SECONDS + RELEASE_S
        while cluster.sentinel.is_alive():
            if time.monotonic() > deadline or self._signals.count > asked:
                self._say("the workers did not end in time: killed")
                return BY_FORCE
            time.sleep(LOOK_S)
        return 0

    def _let_busy_ones_end(self) -> None:
        """The stuck queue is no fault of those that work: they have the grace time, too."""
        _in_time(lambda: node.drain(self._node))
        deadline = time.monotonic() + settings.MGE_DRAIN_SECONDS + node.HEARTBEAT_S
        while time.monotonic() < deadline and not self._signals.count:
            if _in_time(lambda: _busy(self._node)) is not True:
                return
            time.sleep(LOOK_S)


def _busy(node_id: uuid.UUID) -> bool:
    return NodeWorker.objects.filter(node=node_id, busy_since__isnull=False).exists()


def _in_time(work: Callable[[], bool | None]) -> bool | None:
    """Do it in a thread with a connection of its own; None when the database fails or takes too long."""
    done: list[bool | None] = []

    def run() -> None:
        try:
            done.append(work())
        except (DatabaseError, InterfaceError) as error:
            log.warning("node state not recorded: %s", type(error).__name__)
        finally:
            connection.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(RECORD_S)
    return done[0] if done else None


def _keep_connections() -> None:
    """For this process and all that it forks. A web process closes its connection after each request; here django-q2 would
    open one for each look into the queue, ten times a second. On PostgreSQL it now asks before each look whether the
    connection is still alive: its pusher does not survive a dead one. The engine's threads heal theirs by hand.
    """
    for database in connections.settings.values():
        database["CONN_MAX_AGE"] = KEPT_S
        database["CONN_HEALTH_CHECKS"] = True


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Signals that ask to stop wait: django-q2's own handlers are there for a moment, with nothing to stop yet."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
