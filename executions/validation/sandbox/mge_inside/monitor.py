"""The first process of a run: sets the room up, watches one test process, tells what became of it.

Forked by the fork server, with one end of a socket. That brings one length and one marshalled configuration, and then
stays open as the lifeline (end of file: nobody is interested any more, everything is killed). The other way go the line
`ready`, and at the end one line of numbers followed by the test process's report and its output; or the line `broken`
with the reason, when the room could not be set up. The configuration's keys are written by
`sandbox.runner.configuration`.
"""

from __future__ import annotations

import marshal
import os
import resource
import select
import sys
import time

from . import confinement, namespaces, suite
from .channel import Channel
from .family import family, kill_family, own_proc, read_proc, watched
from .rooms import empty_room, usage

TYPE_CHECKING = False  # known to type checkers; importing typing costs each run milliseconds
if TYPE_CHECKING:
    from typing import Any

    _Config = dict[str, Any]

_TICK, _SHORT_TICK = 0.1, 0.01
_PAGE = resource.getpagesize()
_MOST_FILES = 8192
_NEIGHBOURS = 16


def main(line: int, *, kind: str, uid: int) -> None:
    """Never returns. `line`: the socket; `kind`: of namespaces, see there; `uid`: of the test process, 0 for ours."""
    code = 1
    try:
        os.dup2(line, 0)
        os.dup2(line, 1)
        os.closerange(3, 4096)
        if kind == "user":
            namespaces.name_user()
        confinement.become_monitor(alone=bool(kind))
        config = _read_configuration()
        config["uid"] = uid
        config["proc"] = _prepare_room(config, kind)
        if config["suite"] == "pytest":
            # Before the fork: afterwards the folder it is bound from may be out of reach.
            sys.path.append(config["packages"])
            from . import pytest_suite  # noqa: F401
        _write(b"ready\n")
        watch = _Watch(config)
        watch.until_the_end()
        if config["room"]:  # else it goes with the namespace
            empty_room(config["room"])
        watch.tell()
        code = 2 if watch.gave_up else 0
    except BaseException as error:  # noqa: BLE001 - the process ends here, whatever it was
        os.write(1, f"broken {type(error).__name__}: {error}\n".encode(errors="replace")[:2000])
    finally:
        os._exit(code)


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def _read_configuration() -> _Config:
    size = int.from_bytes(_read_exactly(8), "big")
    config: _Config = marshal.loads(_read_exactly(size))  # noqa: S302 - written by our own side of the line
    return config


def _read_exactly(size: int) -> bytes:
    parts = []
    while size:
        part = os.read(0, size)
        if not part:
            os._exit(3)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _prepare_room(config: _Config, kind: str) -> tuple[int, int]:
    """Writes the project's files, which the test process may read and not change.

    Returns a descriptor of /proc (-1 where there is none) and the number of this process there.
    """
    project, scratch = config["project"], config["scratch"]
    proc = namespaces.furnish(kind, project, scratch, config["scratch_size"]) if kind else own_proc()
    if config["room"]:
        os.mkdir(config["room"], 0o711)
        os.mkdir(project, 0o755)
        os.mkdir(scratch, 0o700)
        if config["uid"]:
            os.chown(scratch, config["uid"], config["uid"])
    folders = {project}
    for path, text in config["files"].items():
        place = os.path.join(project, path)
        parent = os.path.dirname(place)
        if parent not in folders:
            os.makedirs(parent, 0o755, exist_ok=True)
            folders.add(parent)
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
    if kind:
        namespaces.seal(project)
    return proc


class _Watch:
    """One test process from its start until nothing of it is left."""

    def __init__(self, config: _Config) -> None:
        self.config = config
        self.report = bytearray()
        self.output = bytearray()
        self.output_seen = 0
        self.killed_for = ""
        self.status = 0
        self.memory_peak = 0
        self.gave_up = False
        self.crowd = 0
        """So many processes on the host are worth a look at once; 0: the kernel itself limits ours."""
        if not config["own_processes"] and config["proc"][0] >= 0:
            self.crowd = len(os.listdir(config["proc"][0])) + int(config["rlimits"]["RLIMIT_NPROC"])
        started = time.monotonic()
        self.deadline = started + config["wall_seconds"]
        self.report_end, report_start = os.pipe()
        self.output_end, output_start = os.pipe()
        self.child = os.fork()
        if self.child == 0:
            _become_test_process(config, report_start, output_start)
        os.close(report_start)
        os.close(output_start)
        self.child_end = watched(self.child)

    def until_the_end(self) -> None:
        poll = select.poll()
        readable = select.POLLIN | select.POLLHUP
        poll.register(0, readable)
        for descriptor in (self.report_end, self.output_end):
            os.set_blocking(descriptor, False)
            poll.register(descriptor, readable)
        if self.child_end >= 0:
            poll.register(self.child_end, readable)
        tick = _TICK if self.child_end >= 0 and not self.crowd else _SHORT_TICK
        next_look = time.monotonic() + _TICK
        while not self.killed_for:
            for descriptor, _ in poll.poll(tick * 1000):
                if descriptor == 0:
                    self.killed_for = "caller"
                elif descriptor != self.child_end and not self._drain(descriptor):
                    poll.unregister(descriptor)
            if self._child_has_ended():
                break
            now = time.monotonic()
            if now >= self.deadline:
                self.killed_for = "wall"
            elif now >= next_look or self._is_crowded():
                next_look = now + _TICK
                self._look_at_sizes()
        self._kill_all()
        self._drain(self.report_end)
        self._drain(self.output_end)

    def _drain(self, descriptor: int) -> bool:
        """Takes what is there, a bounded number of times; False at the end of the pipe."""
        for _ in range(64):
            try:
                data = os.read(descriptor, 65536)
            except BlockingIOError:
                return True
            if not data:
                return False
            if descriptor == self.report_end:
                self.report += data
                if len(self.report) > self.config["report_limit"]:
                    self.killed_for = "report"
                    return False
            else:
                self.output_seen += len(data)
                room = self.config["output_kept"] - len(self.output)
                self.output += data[: max(room, 0)]
                if self.output_seen > self.config["output_total"]:
                    self.killed_for = "output"
                    return False
        return True

    def _child_has_ended(self) -> bool:
        if not self.child:
            return True
        pid, status = os.waitpid(self.child, os.WNOHANG)
        if pid:
            self.status, self.child = status, 0
        return bool(pid)

    def _is_crowded(self) -> bool:
        return self.crowd > 0 and len(os.listdir(self.config["proc"][0])) > self.crowd

    def _look_at_sizes(self) -> None:
        resident = 0
        members = family(*self.config["proc"])
        for pid in members:
            try:
                resident += int(read_proc(self.config["proc"][0], f"{pid}/statm").split()[1]) * _PAGE
            except OSError:
                continue
        if resident > self.config["memory_of_all"]:
            resident = sum(map(self._memory_of, members))
        self.memory_peak = max(self.memory_peak, resident)
        if not self.config["own_processes"]:
            tasks = sum(map(self._tasks_of, members))
            if tasks > self.config["rlimits"]["RLIMIT_NPROC"]:
                self.killed_for = "processes"
        if resident > self.config["memory_of_all"]:
            self.killed_for = self.killed_for or "memory"
        if self.config["room"]:
            size, entries = usage(self.config["scratch"], most_entries=_MOST_FILES + 1)
            if size > self.config["scratch_size"] or entries > _MOST_FILES:
                self.killed_for = self.killed_for or "disk"

    def _memory_of(self, pid: int) -> int:
        """Bytes that are in memory for this process: its own, and what it shares; not the files that it reads."""
        return sum(
            int(line.split()[1]) * 1024
            for line in self._status_of(pid)
            if line.startswith((b"RssAnon", b"RssShmem"))
        )

    def _tasks_of(self, pid: int) -> int:
        return sum(int(line.split()[1]) for line in self._status_of(pid) if line.startswith(b"Threads"))

    def _status_of(self, pid: int) -> list[bytes]:
        try:
            return read_proc(self.config["proc"][0], f"{pid}/status").splitlines()
        except OSError:
            return []

    def _kill_all(self) -> None:
        """Until no process of this run is left, or two seconds have passed."""
        give_up = time.monotonic() + 2
        while True:
            kill_family(self.config["uid"], self.config["proc"])
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid and pid == self.child:
                self.status, self.child = status, 0
            if time.monotonic() > give_up:
                self.gave_up = True
                return
            if not pid:
                time.sleep(0.002)

    def tell(self) -> None:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_us = int((used.ru_utime + used.ru_stime) * 1_000_000)
        head = (
            f"{self.status} {self.killed_for or '-'} {cpu_us} {used.ru_maxrss} {self.output_seen} "
            f"{len(self.report)} {len(self.output)}\n"
        )
        _write(head.encode() + self.report + self.output)


def _become_test_process(config: _Config, report: int, output: int) -> None:
    """In the fork: never returns."""
    code = 1
    try:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.setsid()
        top = os.dup2(report, 9)
        os.closerange(3, top)
        os.closerange(top + 1, 4096)
        limits = dict(config["rlimits"])
        if not config["uid"] and not config["own_processes"]:
            # The kernel counts all processes of the user, the neighbour runs' too; ours are counted by the monitor.
            limits["RLIMIT_NPROC"] += _tasks_of(os.getuid()) + _NEIGHBOURS * limits["RLIMIT_NPROC"]
        confinement.set_limits(limits)
        confinement.drop_user(config["uid"])
        if config["landlock"]:
            confinement.apply_landlock(config["readable"], config["writable"], scoped=config["scoped"])
        if config["seccomp"]:
            confinement.install_filter(config["seccomp"])
        os.environ.clear()
        os.environ.update(config["environment"])
        os.chdir(config["project"])
        suite.run(config, Channel(top, config["nonce"]))
        code = 0
    except BaseException as error:  # noqa: BLE001 - the process ends here, whatever it was
        os.write(2, f"test process: {type(error).__name__}: {error}\n".encode(errors="replace")[:2000])
    os._exit(code)


def _tasks_of(uid: int) -> int:
    """Threads that a user already has: RLIMIT_NPROC counts them all, in every session."""
    total = 0
    for name in os.listdir("/proc") if sys.platform == "linux" else ():
        if name.isdigit():
            try:
                if os.stat(f"/proc/{name}").st_uid == uid:
                    total += len(os.listdir(f"/proc/{name}/task"))
            except OSError:
                continue
    return total
