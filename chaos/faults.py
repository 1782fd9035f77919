"""The faults: what each does to the running product, and whose calls in flight it may cost."""

from __future__ import annotations

import http
import http.client
import random
import re
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from chaos.death_watch import DeathWatch
from chaos.installation import Installation, Node, process_of
from chaos.model_process import ModelProcess
from chaos.moments import Moment
from chaos.private_services import PrivatePostgres, PrivateRedis
from chaos.process_table import Process, Roles, look_at, send
from chaos.waiting import InVain, wait_for

VICTIM_S = 20.0
"""How long to wait for a process of the kind that is to be struck."""

WEB_S = 60.0


class Kind(StrEnum):
    """What is done."""

    KILL_BUSY = "kill -9 of a busy worker"
    KILL_IDLE = "kill -9 of an idle worker"
    KILL_SENTINEL = "kill -9 of q2's sentinel"
    KILL_MONITOR = "kill -9 of q2's monitor"
    KILL_PUSHER = "kill -9 of q2's pusher"
    KILL_PARENT = "kill -9 of q2's parent"
    KILL_SUPERVISOR = "kill -9 of the supervisor"
    KILL_WEB = "kill -9 of the web process"
    STOP_WORKER = "SIGSTOP of a worker beyond its lease"
    CUT = "database connections cut"
    RESTART = "PostgreSQL restarted"
    CRASH = "PostgreSQL crashed"
    REDIS_FLUSH = "Redis flushed"
    REDIS_RESTART = "Redis restarted"


ALWAYS = (
    Kind.KILL_BUSY,
    Kind.KILL_IDLE,
    Kind.KILL_SENTINEL,
    Kind.KILL_MONITOR,
    Kind.KILL_PUSHER,
    Kind.KILL_PARENT,
    Kind.KILL_SUPERVISOR,
    Kind.KILL_WEB,
    Kind.STOP_WORKER,
)
ON_POSTGRES = (Kind.CUT, Kind.RESTART, Kind.CRASH)
ON_REDIS = (Kind.REDIS_FLUSH, Kind.REDIS_RESTART)


class NoVictim(Exception):
    """There was nobody of the kind to strike; the message says whom."""


@dataclass(slots=True)
class Fault:
    """A fault that was injected."""

    kind: Kind
    moment: Moment
    at: datetime
    node: str = ""
    until: datetime | None = None
    """Set where the fault lasted: calls of the stopped ones that were in flight between `at` and then may be lost."""
    stopped: frozenset[int] | None = frozenset()
    """Process ids of the runners that could not go on meanwhile; None: nobody could."""
    dying: tuple[Process, ...] = ()
    """Processes that end by it, at once or some time later."""
    in_flight: int = 0
    """Calls in flight at it, by the scripted model's count."""
    note: str = ""
    held: tuple[tuple[str, str], ...] = ()
    """Execution and key of the atoms that its victims held."""
    recovered_s: float | None = None
    """Until those were all claimed again; where none was held, until the next claim; of the web process, until it
    answered. None: nothing of the kind came after it."""


@dataclass(slots=True)
class Striker:
    """Injects faults into one installation."""

    installation: Installation
    model: ModelProcess
    rng: random.Random
    lease_s: float
    deaths: DeathWatch
    postgres: PrivatePostgres | None = None
    redis: PrivateRedis | None = None
    database: str = ""

    def strike(self, kind: Kind, moment: Moment, wait: Callable[[], bool]) -> Fault:
        """Choose the victim, `wait` for the moment, inject. Raises NoVictim."""
        if kind in (Kind.KILL_BUSY, Kind.STOP_WORKER):
            return self._strike_busy(kind, moment, wait)
        outside = {
            Kind.CUT: self._cut,
            Kind.RESTART: lambda: self._restart_postgres(immediate=False),
            Kind.CRASH: lambda: self._restart_postgres(immediate=True),
            Kind.REDIS_FLUSH: self._flush,
            Kind.REDIS_RESTART: self._restart_redis,
        }.get(kind)
        if outside is not None:
            wait()
            fault = self._begin(kind, moment)
            # Runners need Redis only to be woken: without it not one call may be lost.
            fault.stopped = frozenset() if kind in ON_REDIS else None
            fault.note = outside()
            self._over(fault)
            if kind in (Kind.RESTART, Kind.CRASH) and fault.until is not None:
                # Nobody could renew a lease meanwhile: one may end before its owner gets to it.
                fault.until += timedelta(seconds=self.lease_s)
            return fault
        node, pid, roles = self._victim(kind)
        wait()
        if kind is Kind.KILL_IDLE and pid in self.installation.lease_owners():
            raise NoVictim("the idle worker became busy")
        fault = self._begin(kind, moment, node.name)
        if kind is not Kind.KILL_WEB:
            # A killed guard takes its workers with it; a cluster that is wedged is replaced whole, a little later.
            self._condemn(fault, roles.workers)
        if kind is Kind.KILL_SUPERVISOR:
            node.kill_supervisor()
        elif not send(pid, signal.SIGKILL):
            raise NoVictim(f"{kind}: it has ended by itself")
        if kind in (Kind.KILL_SUPERVISOR, Kind.KILL_SENTINEL, Kind.KILL_PARENT):
            fault.held = self._held(fault)
        if kind is Kind.KILL_SUPERVISOR:
            node.start()
        if kind is Kind.KILL_WEB:
            fault.recovered_s = self._until_web_answers(node)
        return fault

    def _held(self, fault: Fault) -> tuple[tuple[str, str], ...]:
        pids = {one.pid for one in fault.dying}
        rows = self.installation.query(
            "SELECT execution_id, key, lease_owner FROM executions_atomrun"
            " WHERE status IN ('generating', 'validating') AND lease_owner <> ''"
        )
        return tuple((str(row[0]), row[1]) for row in rows if process_of(row[2]) in pids)

    @staticmethod
    def _until_web_answers(node: Node) -> float | None:
        """The listening socket outlives the web process: a request waits for the next one."""
        began = time.monotonic()
        address = re.search(r"Open http://127\.0\.0\.1:(\d+)/", node.said())
        while address is not None and time.monotonic() - began < WEB_S:
            caller = http.client.HTTPConnection("127.0.0.1", int(address[1]), timeout=WEB_S)
            try:
                caller.request("GET", "/healthz", headers={"Host": "localhost"})
                if caller.getresponse().status == http.HTTPStatus.OK:
                    return time.monotonic() - began
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)
            finally:
                caller.close()
        return None

    def _condemn(self, fault: Fault, pids: Iterable[int]) -> None:
        """These will end by it, or may."""
        fault.dying = tuple(process for pid in pids if (process := look_at(pid)) is not None)
        self.deaths.watch(fault.dying)

    def _strike_busy(self, kind: Kind, moment: Moment, wait: Callable[[], bool]) -> Fault:
        try:
            wait_for(self._busy, "a worker holds an atom", seconds=VICTIM_S)
            at_home = {one.pid: node.name for node in self.installation.nodes for one in node.processes()}
            wait()
            # From here on every millisecond counts: the moment passes.
            newest = self._newest_caller() if moment is Moment.INTENT else None
            pid = newest or self.rng.choice(wait_for(self._busy, "a worker holds an atom", seconds=VICTIM_S))
        except InVain as error:
            raise NoVictim(str(error)) from error
        fault = self._begin(kind, moment, at_home.get(pid, ""))
        self._condemn(fault, (pid,))
        if not send(pid, signal.SIGKILL if kind is Kind.KILL_BUSY else signal.SIGSTOP):
            raise NoVictim("the busy worker has ended by itself")
        fault.held = self._held(fault)
        if kind is Kind.KILL_BUSY:
            return fault
        fault.stopped = frozenset({pid})
        if not self.installation.write_lock_is_free():
            fault.note = "it held SQLite's lock"
            fault.stopped = None
        time.sleep(2 * self.lease_s + self.rng.uniform(0.0, self.lease_s))
        self._over(fault)
        if not send(pid, signal.SIGCONT):
            fault.note = (fault.note + "; " if fault.note else "") + "replaced while it was stopped"
        return fault

    def _busy(self) -> list[int]:
        return sorted(pid for pid in self.installation.lease_owners() if look_at(pid) is not None)

    def _newest_caller(self) -> int | None:
        """Whose call was recorded last and is still open."""
        rows = self.installation.query(
            "SELECT owner FROM executions_call WHERE outcome = '' ORDER BY started_at DESC LIMIT 1"
        )
        return process_of(rows[0][0]) if rows else None

    def _victim(self, kind: Kind) -> tuple[Node, int, Roles]:
        """A node in which everybody is there, and in it the process to be struck."""

        def whole() -> tuple[Node, int, Roles] | None:
            nodes = list(self.installation.nodes)
            self.rng.shuffle(nodes)
            holders = self.installation.lease_owners()
            known = self.installation.known_workers()
            for node in nodes:
                roles = node.roles(known)
                if kind is Kind.KILL_SUPERVISOR and node.ended() is None and roles.complete:
                    return node, node.supervisor, roles
                if kind is Kind.KILL_WEB and roles.web:
                    return node, roles.web, roles
                if not roles.complete:
                    continue
                idle = [pid for pid in roles.workers if pid not in holders]
                pids: Mapping[Kind, int] = {
                    Kind.KILL_IDLE: self.rng.choice(idle) if idle else 0,
                    Kind.KILL_SENTINEL: roles.sentinel,
                    Kind.KILL_MONITOR: roles.monitor,
                    Kind.KILL_PUSHER: roles.pusher,
                    Kind.KILL_PARENT: roles.parent,
                }
                if pids.get(kind):
                    return node, pids[kind], roles
            return None

        try:
            found = wait_for(whole, f"somebody for: {kind}", seconds=VICTIM_S, look_s=0.3)
        except InVain as error:
            raise NoVictim(str(error)) from error
        assert found is not None  # noqa: S101  wait_for returns true values only
        return found

    def _begin(self, kind: Kind, moment: Moment, node: str = "") -> Fault:
        counts = self.model.counts()
        return Fault(kind, moment, datetime.now(UTC), node, in_flight=counts.in_flight)

    @staticmethod
    def _over(fault: Fault) -> Fault:
        fault.until = datetime.now(UTC)
        return fault

    def _cut(self) -> str:
        assert self.postgres is not None  # noqa: S101  dealt on PostgreSQL only
        some = self.rng.random() < 0.5
        cut = self.postgres.cut_connections(
            self.database, share=(lambda: self.rng.random() < 0.5) if some else lambda: True
        )
        return f"{cut} connections"

    def _restart_postgres(self, *, immediate: bool) -> str:
        assert self.postgres is not None  # noqa: S101  dealt on PostgreSQL only
        away = self.rng.uniform(0.0, 2.0)
        self.postgres.stop(immediate=immediate)
        time.sleep(away)
        began = time.monotonic()
        self.postgres.start()
        return f"away for {away + time.monotonic() - began:.1f} s"

    def _flush(self) -> str:
        assert self.redis is not None  # noqa: S101  dealt with Redis only
        self.redis.forget_all()
        return ""

    def _restart_redis(self) -> str:
        assert self.redis is not None  # noqa: S101  dealt with Redis only
        away = self.rng.uniform(0.0, 2.0)
        self.redis.stop()
        time.sleep(away)
        self.redis.start()
        return f"away for {away:.1f} s"
