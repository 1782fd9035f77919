"""The product's end of the sandbox: one supervisor for this process, started when it is first needed.

The supervisor keeps nothing that matters. When it dies, the runs that were on it are begun again on a new one.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from executions.validation.sandbox.isolation import Launch, SandboxUnavailable
from executions.validation.sandbox.mge_outside.frames import Unframer, frame
from executions.validation.sandbox.runner import uids_of_runs

_FOLDER = Path(__file__).resolve().parent.parent
_RECYCLE = 500
_FAREWELL_SECONDS = 8.0


class SupervisorLost(Exception):
    """The supervisor ended under the run; nothing is known of it, nothing of it is left."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What the supervisor says of one run; see `mge_outside.supervisor` for `how`."""

    how: str
    told: bytes
    cpu_ms: float
    duration_ms: float


class Service:
    """Runs of one level. Safe from any thread; a child process that is forked gets a supervisor of its own."""

    def __init__(self, launch: Launch, *, servers: int, parallel: int) -> None:
        """`servers` fork servers at most for each suite, `parallel` runs at the same time."""
        self._launch = launch
        self._servers, self._parallel = servers, parallel
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._supervisor: _Supervisor | None = None
        _services.add(self)

    @property
    def pid(self) -> int | None:
        """The supervisor's process, if there is one."""
        return self._supervisor.pid if self._supervisor else None

    def submit(
        self, suite: str, seconds: float, most: int, room: str, configuration: bytes
    ) -> tuple[Future[Ended], Callable[[], None]]:
        """Has one run done. `seconds`: of the outer clock; `most`: bytes that its monitor may tell; `room`: its
        folder on this host, if any.

        Returns a future of its end, which raises SupervisorLost when the supervisor dies, and what cancels it: then the
        future still waits until nothing of the run is left. Raises SandboxUnavailable.
        """
        if self._launch.own_uid and not uids_of_runs()[0]:
            raise SandboxUnavailable("this container maps too few user ids to give each run its own")
        with self._lock, _starting:
            if self._supervisor is None or self._supervisor.lost:
                self._supervisor = _Supervisor(self._launch, self._servers, self._parallel)
            supervisor = self._supervisor
        number = next(self._numbers)
        future = supervisor.begin(number, suite, seconds, most, room, configuration)
        return future, lambda: supervisor.cancel(number)

    def close(self) -> None:
        """Ends the supervisor, and with it whatever runs; returns when all is gone."""
        with self._lock:
            if self._supervisor is not None:
                self._supervisor.close()
                self._supervisor = None

    def forget(self) -> None:
        """In a forked child: the supervisor is the parent's."""
        self._lock = threading.Lock()
        if self._supervisor is not None:
            self._supervisor.forget()
            self._supervisor = None


_services: weakref.WeakSet[Service] = weakref.WeakSet()
# Held while a supervisor is started, and by whoever forks: a child must not keep the ends of its sockets.
_starting = threading.Lock()


def _forget_all() -> None:
    _starting.release()
    for service in list(_services):
        service.forget()


def _close_all() -> None:
    for service in list(_services):
        service.close()


os.register_at_fork(before=_starting.acquire, after_in_parent=_starting.release, after_in_child=_forget_all)
atexit.register(_close_all)


class _Supervisor:
    """One supervisor process from its start to its end."""

    def __init__(self, launch: Launch, servers: int, parallel: int) -> None:
        self._line, theirs = socket.socketpair()
        self._lock = threading.Lock()
        self._pending: dict[int, Future[Ended]] = {}
        self._unsent: SimpleQueue[bytes] = SimpleQueue()
        self.lost = False
        enter = f"import sys; sys.path.append({str(_FOLDER)!r}); from sandbox.mge_outside.supervisor import main; main()"
        python = getattr(sys, "_base_executable", "") or sys.executable
        try:
            self._process = subprocess.Popen(
                [os.path.realpath(python), "-S", "-s", "-P", "-B", "-X", "utf8", "-c", enter],
                env={},
                cwd="/",
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            self._line.close()
            raise SandboxUnavailable(f"the sandbox's supervisor did not start: {error}") from error
        finally:
            theirs.close()
        uids, uid_count, uid_blocks = uids_of_runs() if launch.own_uid else (0, 0, 0)
        settings = {
            "command": list(launch.command),
            "environment": dict(launch.environment),
            "servers": servers,
            "parallel": parallel,
            "recycle": _RECYCLE,
            "uids": uids,
            "uid_count": uid_count,
            "uid_blocks": uid_blocks,
        }
        self._send(frame("settings", settings))
        for work in (self._listen, self._speak):
            threading.Thread(target=work, name="sandbox", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def begin(
        self, number: int, suite: str, seconds: float, most: int, room: str, configuration: bytes
    ) -> Future[Ended]:
        future: Future[Ended] = Future()
        future.set_running_or_notify_cancel()  # from here on it cannot be cancelled under our hands
        with self._lock:
            if self.lost:
                future.set_exception(SupervisorLost())
                return future
            self._pending[number] = future
        self._send(frame("run", number, suite, seconds, most, room, configuration))
        return future

    def cancel(self, number: int) -> None:
        self._send(frame("cancel", number))

    def _send(self, data: bytes) -> None:
        self._unsent.put(data)

    def _speak(self) -> None:
        """In a thread of its own, so that a supervisor that does not listen holds up nobody."""
        while data := self._unsent.get():
            try:
                self._line.sendall(data)
            except OSError:
                return  # the listener notices the end, and says it to all

    def _listen(self) -> None:
        incoming = Unframer()
        while True:
            try:
                data = self._line.recv(1 << 20)
            except OSError:
                break
            if not data:
                break
            for _, number, how, told, cpu_ms, duration_ms in incoming.feed(data):
                with self._lock:
                    future = self._pending.pop(number, None)
                if future is not None:
                    future.set_result(Ended(how, told, cpu_ms, duration_ms))
        self._process.wait()
        with self._lock:
            self.lost = True
            pending, self._pending = self._pending, {}
            self._line.close()
        self._unsent.put(b"")
        for future in pending.values():
            future.set_exception(SupervisorLost())

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(_FAREWELL_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()  # it is stopped, or worse; what is below it notices
            self._process.wait()

    def forget(self) -> None:
        self._line.close()
