"""One fork server and one run as the supervisor sees them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time

from ..mge_inside.family import family, own_proc

TYPE_CHECKING = False  # importing typing would make the start slower
if TYPE_CHECKING:
    from collections.abc import Iterator

READY = b"ready\n"
_BROKEN = b"broken "
_START_SECONDS = 15.0
_ANSWER_SECONDS = 5.0
"""A fork takes a millisecond; whoever needs this long for it is stuck."""
_KEPT_ERRORS = 4096


class ForkServer:
    """A process that forks one monitor for each run. `hear` and `read_errors` when its descriptors are readable."""

    def __init__(self, command: list[str], environment: dict[str, str], suite: str, uid: int) -> None:
        """Starts it; it runs as `uid` where that is not 0 and it can. Raises OSError."""
        self.suite = suite
        self.ready = False
        self.retired = False
        """Gets no more runs."""
        self.gone = False
        self.runs: dict[int, Run] = {}
        self.used = 0
        self.start_by = time.monotonic() + _START_SECONDS
        self._errors = bytearray()
        self._unread = b""
        self.line, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [*command, suite, str(uid)],
                env=environment,
                cwd="/",
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
                bufsize=0,
            )
        except OSError:
            self.line.close()
            raise
        finally:
            theirs.close()
        self.errors_end = self._process.stderr.fileno() if self._process.stderr else -1
        self.line.setblocking(False)
        os.set_blocking(self.errors_end, False)

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether it still runs; its end may not have been heard yet."""
        return self._process.poll() is None

    def give(self, run: Run, theirs: socket.socket, uid: int) -> None:
        """Has a monitor forked for `run`, which gets `theirs`."""
        self.used += 1
        self.runs[run.id] = run
        self._say(f"run {run.id} {uid}", theirs.fileno())

    def kill(self, run: int) -> None:
        """Kills the run's monitor; where it has namespaces, everything below with it."""
        self._say(f"kill {run}")

    def _say(self, order: str, *descriptors: int) -> None:
        try:
            socket.send_fds(self.line, [order.encode() + b"\n"], list(descriptors))
        except (BlockingIOError, ConnectionError):
            # It takes orders in microseconds; one that lets hundreds of them lie is stuck.
            self.destroy()

    def hear(self) -> Iterator[tuple[str, ...]]:
        """What it has said; `gone` is set when that was the end."""
        while True:
            try:
                data = self.line.recv(4096)
            except BlockingIOError:
                return
            except ConnectionError:
                data = b""
            if not data:
                self.gone = True
                return
            *lines, self._unread = (self._unread + data).split(b"\n")
            for line in lines:
                yield tuple(line.decode().split())

    def read_errors(self) -> bool:
        """False at the end."""
        try:
            data = os.read(self.errors_end, 65536)
        except BlockingIOError:
            return True
        self._errors += data[: _KEPT_ERRORS - len(self._errors)]
        return bool(data)

    def why(self) -> str:
        """Its last words."""
        return self._errors.decode(errors="replace").strip()[-500:] or "no word from it"

    def dismiss(self) -> None:
        """Tells it that it is no longer needed; it then ends by itself."""
        self.line.shutdown(socket.SHUT_WR)

    def destroy(self) -> None:
        """Ends it and everything below it."""
        proc, _ = own_proc()
        # bubblewrap's own promise, to take along what it started, does not hold for another uid.
        below = family(proc, self.pid)
        if proc >= 0:
            os.close(proc)
        for pid in (*below, *([self.pid] if self.is_alive() else [])):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def wait_until(self, deadline: float) -> None:
        """Until it has ended; at the deadline (by the monotonic clock) it is killed."""
        try:
            self._process.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            self.destroy()
            self._process.wait()

    def close(self) -> None:
        """After its end."""
        self.wait_until(time.monotonic() + 1)
        self.line.close()
        if self._process.stderr:
            self._process.stderr.close()


class Run:
    """One run, from the product's order to the word that goes back."""

    def __init__(
        self, number: int, suite: str, seconds: float, most: int, room: str, configuration: bytes
    ) -> None:
        self.id, self.suite, self.room = number, suite, room
        self._seconds, self._most, self._configuration = seconds, most, configuration
        self.server: ForkServer | None = None
        self.uid = 0
        self.room_by = float("inf")
        """Begun again: until when the folder of the earlier try must be gone."""
        self.tries = 0
        self.how = ""
        """Set as soon as it is known how it ends, whatever the monitor will tell."""
        self.cpu_ms = 0.0
        self.rewind()

    def rewind(self) -> None:
        """As if it had never begun."""
        self.server = None
        self.started = False
        self.told = bytearray()
        self.broken = b""
        self.complete = self.told_too_much = False
        self.deadline = self.kill_at = float("inf")
        self._unsent = memoryview(self._configuration)

    def begin(self, server: ForkServer, uid: int) -> None:
        self.tries += 1
        self.server = server
        self.begun = time.monotonic()
        self.deadline = self.begun + _ANSWER_SECONDS
        self.line, theirs = socket.socketpair()
        self.line.setblocking(False)
        server.give(self, theirs, uid)
        theirs.close()

    def answered(self) -> None:
        """There is a monitor. The program's own clock begins with it, not while the machine makes room for it."""
        if not self.started:
            self.deadline = time.monotonic() + _START_SECONDS

    @property
    def duration_ms(self) -> float:
        return (time.monotonic() - self.begun) * 1000 if self.tries else 0.0

    def send(self) -> bool:
        """Hands over more of the configuration; whether there is more to come."""
        try:
            self._unsent = self._unsent[self.line.send(self._unsent) :]
        except BlockingIOError:
            return True
        except ConnectionError:
            return False  # it ended at once; whoever reads learns why
        return bool(self._unsent)

    def receive(self) -> bool:
        """Takes what the monitor says; False when nothing more is to be expected."""
        try:
            data = self.line.recv(1 << 18)
        except BlockingIOError:
            return True
        except ConnectionError:
            data = b""
        self._take(data)
        return bool(data) and not self.told_too_much

    def receive_rest(self) -> None:
        """After the monitor's end: what still lies in the line."""
        while self.line.fileno() >= 0:
            try:
                data = self.line.recv(1 << 18)
            except (BlockingIOError, ConnectionError):
                data = b""
            self._take(data)
            if not data:
                return

    def _take(self, data: bytes) -> None:
        self.told += data
        if not self.started and self.told.startswith(READY):
            self.started = True
            del self.told[: len(READY)]
            self.deadline = time.monotonic() + self._seconds
        self.told_too_much = len(self.told) > self._most
        if not data:
            if self.started:
                self.complete = is_complete(self.told)
            elif self.told.startswith(_BROKEN):
                self.broken = bytes(self.told[len(_BROKEN) :]).strip()


def is_complete(told: bytes | bytearray) -> bool:
    """Whether the monitor's last message is there as a whole: a line of numbers, then as many bytes as it says."""
    head, newline, rest = bytes(told).partition(b"\n")
    fields = head.split()
    return bool(newline) and len(fields) == 7 and len(rest) == int(fields[5]) + int(fields[6])
