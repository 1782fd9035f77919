"""Processes of one installation, seen from outside: who they are, and which of them are left."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_PIPE_WAITS = ("anon_pipe_read", "pipe_read", "pipe_wait")
"""What the kernel calls waiting at a pipe; django-q2's monitor does little else."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process; pid and start time together are never used twice."""

    pid: int
    started: int
    """Clock ticks since boot."""
    parent: int
    command: str
    threads: int
    waits_at: str
    """The kernel's name for what its main thread waits at; empty where the kernel does not tell."""

    def lives(self) -> bool:
        """A zombie has ended, too."""
        now = _stat(self.pid)
        return now is not None and now[0] not in "ZX" and now[2] == self.started


def _stat(pid: int) -> tuple[str, int, int, int] | None:
    """State, parent, start and threads of a process; None when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[1]), int(fields[19]), int(fields[17])


def look_at(pid: int) -> Process | None:
    """A living process, or None."""
    found = _stat(pid)
    if found is None or found[0] in "ZX":
        return None
    folder = Path(f"/proc/{pid}")
    try:
        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        waits_at = (folder / "wchan").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return Process(pid, found[2], found[1], command, found[3], waits_at)


def _all_pids() -> Iterable[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def with_variable(name: str, value: str) -> list[Process]:
    """The living processes that were started with this environment variable."""
    mine = f"{name}={value}".encode()
    found = []
    for pid in _all_pids():
        try:
            if mine not in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                continue
        except OSError:
            continue
        process = look_at(pid)
        if process is not None:
            found.append(process)
    return found


def tree_of(root: int) -> list[Process]:
    """A living process and all that descend from it, whatever their environment."""
    children: dict[int, list[Process]] = {}
    for pid in _all_pids():
        process = look_at(pid)
        if process is not None:
            children.setdefault(process.parent, []).append(process)
    top = look_at(root)
    found = [] if top is None else [top]
    queue = [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += [one.pid for one in below]
    return found


def send(pid: int, number: signal.Signals) -> bool:
    """Send a signal; False when there is no such process any more."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Roles:
    """Who is who in one node. 0 or empty: not there now."""

    supervisor: int
    web: int
    parent: int
    """django-q2's outermost process."""
    sentinel: int
    workers: tuple[int, ...]
    monitor: int
    pusher: int

    @property
    def complete(self) -> bool:
        return bool(self.parent and self.sentinel and self.workers and self.monitor and self.pusher)


def roles_of(supervisor: int, processes: Iterable[Process], known_workers: frozenset[int]) -> Roles:
    """Sort one node's processes by their place in its tree.

    django-q2 forks worker, monitor and pusher alike. Workers are the ones that report themselves (`known_workers`), or
    where none does, the ones with threads of ours; the monitor waits at a pipe; the pusher is the one left.
    """
    by_parent: dict[int, list[Process]] = {}
    for process in processes:
        by_parent.setdefault(process.parent, []).append(process)
    below = by_parent.get(supervisor, [])
    web = next((one.pid for one in below if "daphne" in one.command), 0)
    parent = next((one.pid for one in below if "qcluster" in one.command), 0)
    forks = [one for one in by_parent.get(parent, []) if parent and "qcluster" in one.command]
    sentinel = forks[0].pid if forks else 0
    hands = [one for one in by_parent.get(sentinel, []) if sentinel and "qcluster" in one.command]
    workers = [one for one in hands if one.pid in known_workers] or [one for one in hands if one.threads >= 3]
    others = sorted(
        (one for one in hands if one not in workers and one.threads <= 2),
        key=lambda one: (one.threads > 1, one.waits_at not in _PIPE_WAITS, one.started, one.pid),
    )
    monitor, pusher = (others[0].pid, others[1].pid) if len(others) == 2 else (0, 0)
    return Roles(supervisor, web, parent, sentinel, tuple(one.pid for one in workers), monitor, pusher)


def still_alive(seen: Mapping[tuple[int, int], Process]) -> list[Process]:
    """Those of the processes once seen that have not ended."""
    return [process for process in seen.values() if process.lives()]
