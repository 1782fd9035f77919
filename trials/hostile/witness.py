"""Sees from outside what a program has left or touched: files, processes, sockets, listeners, memory, words."""

from __future__ import annotations

import ctypes
import os
import stat
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from trials.hostile.bait import Bait
from trials.processes import descendants, kind_of, private_bytes, resident_bytes, shared_memory

GRACE_SECONDS = 2.0
"""After this much time nothing of a run may be left."""
MOST_CALLER_GROWTH = 64 << 20
MOST_OF_ALL = 3 << 29
"""Memory of all processes below the caller, with what they share. The promise is 1 GiB, looked at ten times a second."""
_LISTENS = "0A"
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class _Trace:
    """What a file looks like; the time of its last reading left out."""

    mode: int
    uid: int
    size: int
    changed_ns: int


@dataclass(slots=True)
class Witness:
    """`begin` before a program, `end` after it: the sentences that `end` returns say what should not be."""

    bait: Bait
    temporary: Path
    """The trial's own temporary folder; the sandbox makes its rooms in there."""
    own_code: Path
    """Files of the product that programs can read at some levels."""
    grace: float = GRACE_SECONDS
    _kinds: Counter[str] = field(default_factory=Counter)
    _files: dict[str, _Trace] = field(default_factory=dict)
    _memory: int = 0
    _shared: int = 0
    _watching: threading.Event = field(default_factory=threading.Event)
    _watcher: threading.Thread | None = None
    _seen: list[str] = field(default_factory=list)
    most_used: int = 0

    def learn(self) -> None:
        """Takes what runs now, and what lies in the watched folders, for what belongs here."""
        # Whatever loses its parent below us becomes ours, so nothing can hide by forking twice.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        time.sleep(self.grace)  # what the last runs used may still be on its way out
        self._kinds |= self._living()
        self._files = self._traces()
        self.bait.callers()

    def begin(self) -> None:
        self._memory = resident_bytes(os.getpid())
        self._seen, self.most_used = [], 0
        self._shared = shared_memory()
        self._watching.clear()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def end(self, told: str) -> list[str]:
        """`told` is everything that the product says about the run. Waits for an orderly end as long as one may take."""
        self._watching.set()
        if self._watcher is not None:
            self._watcher.join()
        found = list(dict.fromkeys(self._seen))
        found += [f"the verdict tells {word}" for word in self.bait.secrets if word in told]
        found += [f"somebody called at the bait: {name}" for name in self.bait.callers()]
        grown = resident_bytes(os.getpid()) - self._memory
        if grown > MOST_CALLER_GROWTH:
            found.append(f"the caller grew by {grown >> 20} MB")
        if self.most_used > MOST_OF_ALL:
            found.append(f"{self.most_used >> 20} MB were in use")
        deadline = time.monotonic() + self.grace
        while (left := [*self._left_processes(), *self._left_files()]) and time.monotonic() < deadline:
            time.sleep(0.02)
        if left:
            # Told once; the next program is not blamed for it.
            self._files = self._traces()
            self._kinds |= self._living()
        return found + left

    def _watch(self) -> None:
        """While the program runs: what cannot be seen afterwards."""
        port = f":{self.bait.facts.closed_port:04X}"
        while not self._watching.wait(0.1):
            if any(port in line for line in _listening()):
                self._seen.append("somebody listens at a port of the host")
            private = sum(private_bytes(pid) for pid in descendants(os.getpid()))
            self.most_used = max(self.most_used, private + max(shared_memory() - self._shared, 0))

    def _living(self) -> Counter[str]:
        return Counter(kind for pid in descendants(os.getpid()) if (kind := kind_of(pid)))

    def _left_processes(self) -> list[str]:
        more = self._living() - self._kinds
        return [f"{count} processes are left: {kind}" for kind, count in sorted(more.items())]

    def _left_files(self) -> list[str]:
        now, before = self._traces(), self._files
        found = [f"new: {path}" for path in _topmost(now.keys() - before.keys())]
        found += [f"gone: {path}" for path in _topmost(before.keys() - now.keys())]
        found += [
            f"changed: {path}" for path in sorted(now.keys() & before.keys()) if now[path] != before[path]
        ]
        return found

    def _traces(self) -> dict[str, _Trace]:
        return dict(_traces(self._watched()))

    def _watched(self) -> Iterator[Path]:
        """Everything in what is ours alone; elsewhere only what carries the token, since others work there too."""
        facts = self.bait.facts
        for folder in (Path(facts.folder), self.temporary, self.own_code):
            yield folder
            for where, folders, files in os.walk(folder):
                folders[:] = [name for name in folders if name != "__pycache__"]
                yield from (Path(where, name) for name in (*folders, *files) if not name.endswith(".pyc"))
        elsewhere = ("/", "/tmp", "/var/tmp", "/dev", "/dev/shm", "/dev/mqueue", "/run", "/usr/lib")  # noqa: S108
        for place in (*elsewhere, facts.home, facts.project, facts.site_packages):
            try:
                yield from (Path(place, name) for name in os.listdir(place) if facts.token in name)
            except OSError:
                continue  # not ours to list, so not ours to write


def _topmost(paths: Iterable[str]) -> list[str]:
    """Those that lie in none of the others."""
    found: list[str] = []
    for path in sorted(paths):
        if not found or not path.startswith(f"{found[-1]}/"):
            found.append(path)
    return found


def _traces(paths: Iterable[Path]) -> Iterator[tuple[str, _Trace]]:
    for path in paths:
        try:
            found = path.lstat()
        except OSError:
            continue  # gone in the meantime
        folder = stat.S_ISDIR(found.st_mode)
        yield (
            str(path),
            _Trace(
                found.st_mode,
                found.st_uid,
                0 if folder else found.st_size,
                0 if folder else found.st_mtime_ns,
            ),
        )


def _listening() -> list[str]:
    """Lines of the host's tables of TCP sockets that listen."""
    lines = []
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(name).read_text().splitlines()[1:]
        except OSError:
            continue
        lines += [row for row in rows if row.split()[3] == _LISTENS]
    return lines
