"""The first process inside the sandbox: sets the room up, watches one test process, tells what became of it.

Protocol, over inherited pipes: stdin brings one length and one marshalled configuration, and then stays open
as the caller's lifeline (end of file: the caller is gone, everything is killed). stdout takes the line
`ready`, and at the end one line of numbers followed by the test process's report and its output. The
configuration's keys are written by `sandbox.runner.configuration`.
"""

from __future__ import annotations

import marshal
import os
import resource
import select
import sys
import time

from . import confinement, suite
from .channel import Channel

TYPE_CHECKING = False  # known to type checkers; importing typing costs each run milliseconds
if TYPE_CHECKING:
    from typing import Any

    _Config = dict[str, Any]

_TICK = 0.1
_SIGKILL = 9
_PAGE = resource.getpagesize()


def main() -> None:
    config = _read_configuration()
    confinement.become_monitor()
    _prepare_room(config)
    if config["suite"] == "pytest":
        # Before the fork: afterwards the folder it is bound from may be out of reach.
        sys.path.append(config["packages"])
        from . import pytest_suite  # noqa: F401
    os.write(1, b"ready\n")
    watch = _Watch(config)
    watch.until_the_end()
    _empty_room(config)
    watch.tell()
    os._exit(0)


def _read_configuration() -> _Config:
    size = int.from_bytes(_read_exactly(8), "big")
    config: _Config = marshal.loads(_read_exactly(size))  # noqa: S302 - written by our own side of the pipe
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


def _prepare_room(config: _Config) -> None:
    """Writes the project's files, which the test process may read and not change."""
    project, scratch = config["project"], config["scratch"]
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


def _empty_room(config: _Config) -> None:
    room = config["room"]
    if not room:
        return  # a tmpfs that goes with the namespace
    for folder, folders, _ in os.walk(room):  # a program may have locked us out of its folders
        for name in folders:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.chmod(path, 0o700)
    for folder, folders, files in os.walk(room, topdown=False):
        for name in files:
            os.unlink(os.path.join(folder, name))
        for name in folders:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                os.unlink(path)
            else:
                os.rmdir(path)
    os.rmdir(room)


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
        started = time.monotonic()
        self.deadline = started + config["wall_seconds"]
        self.report_end, report_start = os.pipe()
        self.output_end, output_start = os.pipe()
        self.child = os.fork()
        if self.child == 0:
            _become_test_process(config, report_start, output_start)
        os.close(report_start)
        os.close(output_start)

    def until_the_end(self) -> None:
        poll = select.poll()
        readable = select.POLLIN | select.POLLHUP
        for descriptor in (0, self.report_end, self.output_end):
            os.set_blocking(descriptor, False)
            poll.register(descriptor, readable)
        next_look = time.monotonic() + _TICK
        while not self.killed_for:
            for descriptor, _ in poll.poll(_TICK * 1000):
                if descriptor == 0:
                    self.killed_for = "caller"
                elif not self._drain(descriptor):
                    poll.unregister(descriptor)
            if self._child_has_ended():
                break
            now = time.monotonic()
            if now >= self.deadline:
                self.killed_for = "wall"
            elif now >= next_look:
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

    def _look_at_sizes(self) -> None:
        if not os.path.isdir("/proc/self"):
            return
        private = 0
        for pid in _family():
            try:
                with open(f"/proc/{pid}/statm", "rb") as file:
                    fields = file.read().split()
            except OSError:
                continue
            private += (int(fields[1]) - int(fields[2])) * _PAGE
        self.memory_peak = max(self.memory_peak, private)
        if private > self.config["memory_of_all"]:
            self.killed_for = "memory"
        elif self.config["room"] and _size_of(self.config["scratch"]) > self.config["scratch_size"]:
            self.killed_for = "disk"

    def _kill_all(self) -> None:
        """Until no process of this run is left, or two seconds have passed."""
        give_up = time.monotonic() + 2
        while True:
            _kill_family(self.config["uid"])
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid and pid == self.child:
                self.status, self.child = status, 0
            elif not pid:
                if time.monotonic() > give_up:
                    return
                time.sleep(0.002)

    def tell(self) -> None:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_us = int((used.ru_utime + used.ru_stime) * 1_000_000)
        head = (
            f"{self.status} {self.killed_for or '-'} {cpu_us} {used.ru_maxrss} {self.output_seen} "
            f"{len(self.report)} {len(self.output)}\n"
        )
        data = head.encode() + self.report + self.output
        while data:
            data = data[os.write(1, data) :]


def _family() -> list[int]:
    """Every process below this one; in a namespace of our own that is everybody else."""
    own = os.getpid()
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parents[int(name)] = int(file.read().rsplit(b")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
    found = []
    for pid in parents:
        above, seen = parents[pid], 0
        while above not in (0, own) and seen < 1000:
            above, seen = parents.get(above, 0), seen + 1
        if above == own:
            found.append(pid)
    return found


def _kill_family(uid: int) -> None:
    if os.getpid() == 1:
        _kill(-1)  # everybody in this process namespace but us
    elif uid:
        killer = os.fork()
        if killer == 0:
            confinement.drop_user(uid)
            _kill(-1)  # everybody of the run's own uid but the caller
            os._exit(0)
        os.waitpid(killer, 0)
    elif os.path.isdir("/proc/self"):
        for pid in _family():
            _kill(pid)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, _SIGKILL)
    except ProcessLookupError:
        return  # gone already


def _size_of(folder: str) -> int:
    total = 0
    for where, folders, files in os.walk(folder):
        total += 4096 * len(folders)
        for name in files:
            try:
                total += os.lstat(os.path.join(where, name)).st_blocks * 512
            except OSError:
                continue
    return total


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
            limits["RLIMIT_NPROC"] += _tasks_of(os.getuid())
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
