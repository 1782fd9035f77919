"""A django-q2 cluster as a child process: one node."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Callable, Sequence

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from executions.engine import node
from executions.models import Node
from executions.supervisor.child import Child
from executions.supervisor.log_file import LogFile
from executions.supervisor.node_process import BY_FORCE, GUARD_DIED, STUCK

log = logging.getLogger(__name__)

STOP_GRACE_S = 10.0
BAD_START = 2
HOW = {GUARD_DIED: "its guard died", STUCK: "its queue was stuck", BY_FORCE: "it had to be killed at a stop"}


class Cluster:
    """Workers of our own, started by a command or the supervisor.

    Args:
        log_file: where their output goes; without one `cluster.log` in the data folder.
        own_output: let them write where we write, instead.
        lend: descriptors that every process of the cluster keeps open, see `Child`.
    """

    name = "workers"

    def __init__(
        self, *, log_file: LogFile | None = None, own_output: bool = False, lend: Sequence[int] = ()
    ) -> None:
        self.node_id = uuid.uuid4()
        self._log = None if own_output else log_file or LogFile(settings.MGE_DATA_DIR / "cluster.log")
        with contextlib.nullcontext() if self._log is None else self._log.open() as sink:
            self._child = Child(
                [str(settings.BASE_DIR / "manage.py"), "qcluster"],
                log=sink,
                environment={"MGE_NODE_ID": str(self.node_id)},
                lend=lend,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    def ended(self) -> bool:
        return self._child.ended() is not None

    def how_it_ended(self) -> str:
        status = self._child.ended()
        if status == BAD_START and self._log is not None:
            # It said why, at last.
            return "; ".join(self._log.last_lines(1)) or self._child.how_it_ended()
        return HOW.get(status or 0, "") or self._child.how_it_ended()

    def ready(self) -> str:
        """Once a worker of it has shown life: how generated code is isolated there. Else empty."""
        close_old_connections()
        found = Node.objects.filter(pk=self.node_id).values_list("isolation", flat=True).first()
        return "" if found is None else str(found)

    def ask_to_end(self) -> None:
        """No new claims; what is in flight is finished."""
        _put_on_record(lambda: node.drain(self.node_id))
        self._child.ask_to_end()

    def wait(self, longest_s: float) -> bool:
        return self._child.wait(longest_s)

    def end(self) -> None:
        """Kill what is left of it, and put on record that the node has ended."""
        self._child.kill()
        _put_on_record(lambda: node.stopped(self.node_id))

    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """No new claims, then an orderly end within the grace time; what is left of the group is killed."""
        self.ask_to_end()
        self.wait(grace_s)
        self.end()


def _put_on_record(write: Callable[[], None]) -> None:
    """A database that is away must not keep us from stopping; the node's heartbeat ends anyway."""
    close_old_connections()
    try:
        write()
    except (DatabaseError, InterfaceError) as error:
        log.warning("node state not recorded: %s", type(error).__name__)
        connection.close()
