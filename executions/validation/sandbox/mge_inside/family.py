"""Which processes there are below one, and ending them."""

from __future__ import annotations

import os
import sys
import time

from . import confinement

TYPE_CHECKING = False  # known to type checkers; importing typing costs each run milliseconds
if TYPE_CHECKING:
    from collections.abc import Collection

_SIGKILL = 9


def own_proc() -> tuple[int, int]:
    """A descriptor of /proc (-1 where there is none) and our own number there."""
    if sys.platform != "linux" or not os.path.isdir("/proc/self"):
        return -1, 0
    return os.open("/proc", os.O_RDONLY | os.O_DIRECTORY), os.getpid()


def watched(pid: int) -> int:
    """A descriptor that becomes readable when the child ends; -1 where there is no such thing."""
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):
        return -1


def read_proc(proc: int, name: str) -> bytes:
    """The first 4 kB of a file of /proc. Raises OSError."""
    descriptor = os.open(name, os.O_RDONLY, dir_fd=proc)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)


def _children(proc: int, own: int) -> list[int]:
    return [pid for pid, parent in _parents(proc).items() if parent == own]


def family(proc: int, own: int) -> list[int]:
    """Every process below `own`, by the numbers of the /proc that the descriptor shows."""
    parents = _parents(proc)
    found = []
    for pid in parents:
        above, seen = parents[pid], 0
        while above not in (0, own) and seen < 1000:
            above, seen = parents.get(above, 0), seen + 1
        if above == own:
            found.append(pid)
    return found


def _parents(proc: int) -> dict[int, int]:
    parents = {}
    for name in os.listdir(proc) if proc >= 0 else ():
        if name.isdigit():
            try:
                parents[int(name)] = int(read_proc(proc, f"{name}/stat").rsplit(b")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
    return parents


def kill_family(uid: int, proc: tuple[int, int]) -> None:
    """Sends SIGKILL to all of a run but its monitor, who calls this: everybody in its namespace, of its uid, or below."""
    if os.getpid() == 1:
        _kill(-1)  # everybody in this process namespace but us
    elif uid:
        killer = os.fork()
        if killer == 0:
            confinement.drop_user(uid)
            _kill(-1)  # everybody of the run's own uid but the caller
            os._exit(0)
        os.waitpid(killer, 0)
    else:
        for pid in family(*proc):
            _kill(pid)


def _top_below(own: int, pid: int, parents: dict[int, int]) -> int:
    """The child of `own` that `pid` is or descends from; 0 when it does not."""
    seen = 0
    while parents.get(pid, 0) not in (0, own) and seen < 1000:
        pid, seen = parents[pid], seen + 1
    return pid if parents.get(pid) == own else 0


def kill_below(own: int, but: Collection[int]) -> None:
    """Ends the children of `own` that are not in `but`, and all below them; for two seconds at most."""
    proc, _ = own_proc()
    give_up = time.monotonic() + 2
    while proc >= 0 and time.monotonic() < give_up:
        # One look at the table: a process that a living run forks between two looks would pass for a stray.
        parents = _parents(proc)
        strays = {pid for pid in parents if _top_below(own, pid, parents) not in (0, *but)}
        if not strays:
            break
        for pid in strays:
            _kill(pid)
        time.sleep(0.002)
        for pid in _children(proc, own):
            if pid not in but:
                os.waitpid(pid, os.WNOHANG)
    if proc >= 0:
        os.close(proc)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, _SIGKILL)
    except ProcessLookupError:
        return  # gone already
