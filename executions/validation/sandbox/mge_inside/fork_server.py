"""Keeps a warm Python from which each run is forked: starting one costs ten times as much.

It runs no generated code itself. Standard input is a socket to the supervisor, which brings lines:
`run ID UID` with a descriptor beside it (the run's own socket, see `monitor`) and `kill ID`; back go `ready`, `begun ID`
for each run that is forked, and `ended ID STATUS MICROSECONDS` with its exit status and the processor time that the
kernel counted for all of it. End of file: the supervisor is gone, and with it every run.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import socket
import sys
import time

from . import confinement, monitor
from .family import kill_below
from .namespaces import fork_into_namespaces

# What generated code imports most, loaded once instead of in every run.
_WARM = (
    "abc", "bisect", "collections", "copy", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools",
    "heapq", "inspect", "io", "itertools", "json", "math", "operator", "random", "re", "statistics", "string", "textwrap",
    "threading", "traceback", "types", "typing", "unittest",
)  # fmt: skip
# CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_NET_ADMIN, CAP_SYS_ADMIN: to make namespaces, and to hand a run over to its uid.
_CAPABILITIES = 1 << 5 | 1 << 6 | 1 << 7 | 1 << 12 | 1 << 21
_FAREWELL_SECONDS = 2.5
"""Where a run has no namespaces its monitor clears up when its lifeline is cut; this long it may take."""


def main() -> None:
    """Arguments: the kind of namespaces ("root", "user" or "-"), the folder of pytest, the suite to load first, and a uid
    for this process (0: stay who we are).
    """
    kind, packages, loaded, uid = sys.argv[1:5]
    confinement.offer_to_the_memory_killer()
    if kind == "root" and int(uid):
        confinement.keep_only(int(uid), _CAPABILITIES)
    confinement.adopt_orphans()
    for name in _WARM:
        importlib.import_module(name)
    if loaded == "pytest":
        sys.path.append(packages)
        importlib.import_module("mge_inside.pytest_suite")
        sys.path.remove(packages)
    gc.collect()
    gc.freeze()  # or the first collection in each run touches, and so copies, all that was loaded here
    server = _ForkServer("" if kind == "-" else kind)
    try:
        server.serve()
    except ConnectionError:
        server.leave()  # the supervisor died while it was spoken to


class _ForkServer:
    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._line = socket.socket(fileno=0)
        self._runs: dict[int, bytes] = {}
        """By process: the run that it is the monitor of."""
        self._unread = b""
        self._given: list[int] = []
        """Descriptors of orders that have not been obeyed yet."""
        self._bell, ringing = os.pipe()
        os.set_blocking(self._bell, False)
        os.set_blocking(ringing, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(ringing, warn_on_full_buffer=False)

    def serve(self) -> None:
        self._line.sendall(b"ready\n")
        poll = select.poll()
        poll.register(self._line, select.POLLIN)
        poll.register(self._bell, select.POLLIN)
        while True:
            ready = dict(poll.poll(1000))
            if self._bell in ready:
                self._drain_bell()
            self._bury()
            if self._line.fileno() in ready and not self._listen():
                break
        self.leave()

    def _listen(self) -> bool:
        """Takes the orders that have come; False when there will be no more."""
        data, descriptors, *_ = socket.recv_fds(self._line, 4096, 16)
        self._given += descriptors
        *orders, self._unread = (self._unread + data).split(b"\n")
        for order in orders:
            self._obey(order)
        return bool(data)

    def _obey(self, line: bytes) -> None:
        order, run, *rest = line.split()
        if order == b"run":
            self._start(run, int(rest[0]), self._given.pop(0))
        else:
            for pid, one in self._runs.items():
                if one == run:
                    os.kill(pid, signal.SIGKILL)

    def _start(self, run: bytes, uid: int, line: int) -> None:
        try:
            pid = fork_into_namespaces(self._kind)
        except OSError as error:
            os.write(line, f"broken {error}\n".encode())
            os.close(line)
            self._tell(run, 1 << 8, 0.0)
            return
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            monitor.main(line, kind=self._kind, uid=uid)
        os.close(line)
        self._runs[pid] = run
        self._line.sendall(b"begun %s\n" % run)

    def _bury(self) -> None:
        """Tells of the runs that have ended. Whoever else is our child now lost its monitor, and goes too."""
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                break
            run = self._runs.pop(pid, None)
            if run is not None:
                if status and not self._kind:  # it did not end them itself
                    kill_below(os.getpid(), but=self._runs)
                self._tell(run, status, used.ru_utime + used.ru_stime)

    def _tell(self, run: bytes, status: int, seconds: float) -> None:
        self._line.sendall(b"ended %s %d %d\n" % (run, status, int(seconds * 1_000_000)))

    def _drain_bell(self) -> None:
        try:
            while os.read(self._bell, 4096):
                pass
        except BlockingIOError:
            return

    def leave(self) -> None:
        """The lifelines are cut with the supervisor's end, so the monitors are ending already."""
        deadline = time.monotonic() + _FAREWELL_SECONDS
        while self._runs and time.monotonic() < deadline:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            self._runs.pop(pid, None)
            if not pid:
                time.sleep(0.005)
        for pid in self._runs:
            os.kill(pid, signal.SIGKILL)
        os._exit(0)
