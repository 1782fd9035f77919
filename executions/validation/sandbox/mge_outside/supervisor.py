"""Keeps fork servers up, hands runs to them, and holds the clock that no sandboxed program can reach.

Standard input is a socket to the product. It brings first `settings`, then `run` and `cancel`; back goes one `ended`
for each of them (see `_Supervisor`). End of file: the product's process is gone, so everything is ended.
One thread, one poll; nothing here waits for anybody.
"""

from __future__ import annotations

import os
import random
import select
import socket
import sys
import time
import traceback
from collections import deque

from ..mge_inside import confinement
from ..mge_inside.family import kill_below
from ..mge_inside.rooms import empty_room
from .fork_servers import ForkServer, Run
from .frames import Unframer, frame

TYPE_CHECKING = False  # importing typing would make the start slower
if TYPE_CHECKING:
    from typing import Any

_TICK = 0.25
_FAREWELL_SECONDS = 3.5
_TRIES = 3
"""A run whose fork server died under it is begun again, but not for ever: it may be its own doing."""
_STRAY_SECONDS = 1.0
"""What a dead fork server left behind ends by itself, by its lifelines; what has not after this time is killed."""
_ROOM_SECONDS = 10.0
_FAILED_STARTS = 3
_SUITES = 2


def main() -> None:
    os.umask(0o022)  # what is written for a run must be readable by it
    supervisor = _Supervisor(socket.socket(fileno=0))
    try:
        supervisor.serve()
    except BaseException:  # noqa: BLE001 - the last word of this process; the product begins its runs again on another
        traceback.print_exc()
    finally:
        supervisor.leave()
        os._exit(0)


class _Supervisor:
    """Messages of the product:

    `settings`, a dict: command and environment of a fork server; how many `servers` for each suite, how many runs in
    `parallel`, after how many runs a server is replaced (`recycle`), and which uids there are to choose from: the first
    (`uids`, 0: none are given), how many one supervisor takes (`uid_count`), and how many such blocks there are.
    `run`, id, suite, seconds of the outer clock, most bytes to be told, folder on the host ("": none), configuration.
    `cancel`, id.

    To the product: `ended`, id, how, what the monitor told, reason, milliseconds of processor time, milliseconds.
    `how` is "told", "silent" (it ended without a word), "outer" (the clock), "too-long", "broken" (our own fault; told
    says which) or "cancelled".
    """

    def __init__(self, product: socket.socket) -> None:
        self._product = product
        self._incoming = Unframer()
        self._outgoing = bytearray()
        self._settings: dict[str, Any] = {}
        self._waiting: deque[Run] = deque()
        self._runs: dict[int, Run] = {}
        self._servers: list[ForkServer] = []
        self._failed_starts = 0
        self._next_uid = 0
        self._strays_at = float("inf")
        self._rooms: list[str] = []
        self._poll = select.poll()
        self._at: dict[int, ForkServer | Run] = {}
        """By descriptor: whose it is."""
        product.setblocking(False)

    def serve(self) -> None:
        confinement.adopt_orphans()
        self._poll.register(self._product, select.POLLIN)
        while True:
            idle = not self._runs and all(server.ready for server in self._servers)
            idle = idle and self._strays_at == float("inf")
            for descriptor, events in self._poll.poll(None if idle else _TICK * 1000):
                if descriptor == self._product.fileno():
                    if not self._hear_product(events):
                        return
                elif descriptor in self._at:
                    self._hear(self._at[descriptor], descriptor, events)
            self._look_at_clocks()
            self._hand_out()
            self._speak()

    # The product

    def _hear_product(self, events: int) -> bool:
        if events & (select.POLLIN | select.POLLHUP):
            try:
                data = self._product.recv(1 << 20)
            except BlockingIOError:
                return True
            except ConnectionResetError:
                return False
            if not data:
                return False
            for order, *values in self._incoming.feed(data):
                self._obey(order, values)
        return True

    def _obey(self, order: str, values: list[Any]) -> None:
        if order == "settings":
            (self._settings,) = values
            if self._settings["uids"]:
                self._settings["parallel"] = min(self._settings["parallel"], self._settings["uid_count"] - 1)
                self._claim_uids()
        elif order == "run":
            run = Run(*values)
            self._runs[run.id] = run
            self._waiting.append(run)
        elif order == "cancel":
            run_or_none = self._runs.get(values[0])
            if run_or_none is not None:
                self._cancel(run_or_none)

    def _claim_uids(self) -> None:
        """Takes a block of uids that no other supervisor of this host has, as far as they can see each other."""
        first, count = self._settings["uids"], self._settings["uid_count"]
        for _ in range(100):
            self._settings["uids"] = first + random.randrange(self._settings["uid_blocks"]) * count  # noqa: S311
            self._mark = socket.socket(socket.AF_UNIX)
            try:
                self._mark.bind(f"\0mge-sandbox-uids-{self._settings['uids']}")
            except OSError:
                self._mark.close()
                continue
            return

    def _cancel(self, run: Run) -> None:
        if run.server is None:
            self._waiting.remove(run)
            self._end(run, "cancelled")
        else:
            run.how = "cancelled"
            self._cut(run)

    def _speak(self) -> None:
        while self._outgoing:
            try:
                sent = self._product.send(self._outgoing)
            except BlockingIOError:
                break
            except ConnectionError:
                return  # the next poll says that the product is gone
            del self._outgoing[:sent]
        wanted = select.POLLIN | (select.POLLOUT if self._outgoing else 0)
        self._poll.modify(self._product, wanted)

    # Runs

    def _hand_out(self) -> None:
        room = self._settings.get("parallel", 0) - (len(self._runs) - len(self._waiting))
        if room <= 0 or not self._waiting:
            return
        not_ready = set()
        for run in list(self._waiting):
            if run.tries and run.room and os.path.exists(run.room):
                if time.monotonic() > run.room_by:
                    self._waiting.remove(run)
                    run.broken = b"the folder of an earlier try cannot be removed"
                    self._end(run, "broken")
                continue  # its first monitor is still clearing up
            server = None if run.suite in not_ready else self._server_for(run.suite)
            if server is None:
                not_ready.add(run.suite)
                continue
            self._waiting.remove(run)
            run.uid = self._uid()
            run.begin(server, run.uid)
            self._watch(run, run.line.fileno(), select.POLLIN | select.POLLOUT)
            room -= 1
            if not room or len(not_ready) == _SUITES:
                return

    def _uid(self) -> int:
        if not self._settings["uids"]:
            return 0
        # The first one is the fork servers' own.
        taken = {run.uid for run in self._runs.values()}
        while True:
            self._next_uid = self._next_uid % (self._settings["uid_count"] - 1) + 1
            if (uid := int(self._settings["uids"]) + self._next_uid) not in taken:
                return uid

    def _server_for(self, suite: str) -> ForkServer | None:
        """The one with the least to do, or None while none is ready; a new one where all have work."""
        ours = [one for one in self._servers if one.suite == suite and not one.retired and one.is_alive()]
        if len(ours) < self._settings["servers"] and all(one.ready and one.runs for one in ours):
            self._start_server(suite)
        ready = [one for one in ours if one.ready]
        return min(ready, key=lambda one: len(one.runs)) if ready else None

    def _start_server(self, suite: str) -> None:
        try:
            server = ForkServer(
                self._settings["command"], self._settings["environment"], suite, self._settings["uids"]
            )
        except OSError as error:
            self._give_up(suite, str(error))
            return
        self._servers.append(server)
        self._watch(server, server.line.fileno(), select.POLLIN)
        self._watch(server, server.errors_end, select.POLLIN)

    def _hear(self, whose: ForkServer | Run, descriptor: int, events: int) -> None:
        if isinstance(whose, Run):
            self._hear_run(whose, events)
        elif descriptor == whose.errors_end:
            if not whose.read_errors():
                self._forget(descriptor)
        else:
            self._hear_server(whose)

    def _hear_run(self, run: Run, events: int) -> None:
        if events & select.POLLOUT and not run.send():
            self._poll.modify(run.line, select.POLLIN)
        if events & (select.POLLIN | select.POLLHUP | select.POLLERR) and not run.receive():
            self._forget(run.line.fileno())
            run.kill_at = min(run.kill_at, time.monotonic() + _FAREWELL_SECONDS)
            if run.told_too_much:
                run.how = run.how or "too-long"
                self._cut(run)

    def _hear_server(self, server: ForkServer) -> None:
        for word, *fields in server.hear():
            if word == "ready":
                server.ready = True
                self._failed_starts = 0
            elif word == "begun":
                if int(fields[0]) in server.runs:
                    server.runs[int(fields[0])].answered()
            elif word == "ended":
                run = server.runs.pop(int(fields[0]), None)
                if run is not None:
                    run.cpu_ms += int(fields[2]) / 1000
                    self._finish(run, killed=os.WIFSIGNALED(int(fields[1])))
        if server.gone:
            self._bury(server)
        elif server.retired and not server.runs:
            server.dismiss()

    def _finish(self, run: Run, *, killed: bool) -> None:
        """The monitor has ended, and with it everything below; what it told may still be in the line."""
        run.receive_rest()
        self._close(run)
        self._empty(run.room)
        if run.how:
            self._end(run, run.how)
        elif run.broken:
            self._end(run, "broken")
        elif killed and not run.complete and run.tries < _TRIES:
            self._begin_again(run)  # by nobody of ours: for memory, or by hand
        else:
            self._end(run, "told" if run.complete else "silent")

    def _end(self, run: Run, how: str) -> None:
        self._runs.pop(run.id, None)
        told = run.broken if how == "broken" else bytes(run.told) if how == "told" else b""
        self._outgoing += frame("ended", run.id, how, told, run.cpu_ms, run.duration_ms)

    def _cut(self, run: Run) -> None:
        """Cuts the lifeline: the monitor then ends everything, and itself."""
        self._close(run)
        run.kill_at = min(run.kill_at, time.monotonic() + _FAREWELL_SECONDS)

    # Clocks and deaths

    def _look_at_clocks(self) -> None:
        now = time.monotonic()
        for run in list(self._runs.values()):
            if run.server is None:
                continue
            if now >= run.deadline and not run.started:
                run.deadline = float("inf")
                run.server.destroy()  # it takes no orders; its runs are begun again elsewhere
            elif now >= run.deadline and not run.how and not run.complete:
                run.how = "outer"
                run.server.kill(run.id)
                run.kill_at = now + _FAREWELL_SECONDS
            elif now >= run.kill_at:
                # Neither its lifeline nor a signal ended it: then everything around it must go.
                run.kill_at = float("inf")
                run.server.destroy()
        if now >= self._strays_at:
            self._strays_at = float("inf")
            self._end_strays()
        for server in self._servers:
            if not server.retired and not server.is_alive():
                # What it had started may be ours now, and alive.
                server.retired, self._strays_at = True, now
            if not server.ready and now >= server.start_by:
                server.destroy()
            elif server.used >= self._settings["recycle"] and not server.retired:
                server.retired = True
                if not server.runs:
                    server.dismiss()

    def _end_strays(self) -> None:
        kill_below(os.getpid(), but={server.pid for server in self._servers})
        held = {run.room for run in self._runs.values() if run.server is not None}
        for room in set(self._rooms) - held:
            self._empty(room)
        self._rooms.clear()

    def _empty(self, room: str) -> None:
        try:
            if room and os.path.isdir(room):
                empty_room(room)
        except OSError as error:
            sys.stderr.write(f"sandbox: the folder {room} cannot be removed: {error}\n")

    def _begin_again(self, run: Run) -> None:
        run.rewind()
        run.room_by = time.monotonic() + _ROOM_SECONDS
        self._waiting.appendleft(run)

    def _bury(self, server: ForkServer) -> None:
        self._servers.remove(server)
        self._forget(server.line.fileno())
        if server.errors_end >= 0:
            server.read_errors()
            self._forget(server.errors_end)
        server.close()
        if not server.ready:
            self._failed_starts += 1
            if self._failed_starts >= _FAILED_STARTS:
                self._failed_starts = 0
                self._give_up(server.suite, server.why())
        self._strays_at = min(self._strays_at, time.monotonic() + _STRAY_SECONDS)
        for run in server.runs.values():
            self._close(run)
            if run.room:
                self._rooms.append(run.room)
            if run.how:
                self._end(run, run.how)
            elif run.tries >= _TRIES:
                run.broken = b"the run could not be started"
                self._end(run, "silent" if run.started else "broken")
            else:
                self._begin_again(run)

    def _give_up(self, suite: str, reason: str) -> None:
        for run in [run for run in self._waiting if run.suite == suite]:
            self._waiting.remove(run)
            run.broken = f"the sandbox did not start: {reason}".encode()
            self._end(run, "broken")

    def leave(self) -> None:
        """Ends every run and server; for at most three seconds."""
        for run in self._runs.values():
            if run.server is not None and run.line.fileno() >= 0:
                run.line.close()
        for server in self._servers:
            server.dismiss()
        deadline = time.monotonic() + _FAREWELL_SECONDS
        for server in self._servers:
            server.wait_until(deadline)
        self._servers.clear()
        self._rooms += [run.room for run in self._runs.values() if run.room]
        self._runs.clear()
        self._end_strays()

    def _close(self, run: Run) -> None:
        if run.line.fileno() >= 0:
            self._forget(run.line.fileno())
            run.line.close()

    def _watch(self, whose: ForkServer | Run, descriptor: int, events: int) -> None:
        self._at[descriptor] = whose
        self._poll.register(descriptor, events)

    def _forget(self, descriptor: int) -> None:
        if self._at.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)
