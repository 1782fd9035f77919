"""What processes used: CPU seconds and peak memory, read from /proc while they live."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Usage:
    """Of one process, as last seen."""

    command: str
    cpu_s: float = 0.0
    peak_mb: float = 0.0


class Watched:
    """`with Watched(root_pid, database="…") as watched:` looks at the root's descendants and the database's processes.

    `database`: name of a PostgreSQL database; its server processes carry it in their titles. Linux only.
    """

    def __init__(self, root_pid: int, *, database: str = "", every_s: float = 0.2) -> None:
        self._root = root_pid
        self._database = database
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_often, name="watch", daemon=True)
        self.processes: dict[int, Usage] = {}
        """The root and its descendants."""
        self.servers: dict[int, Usage] = {}
        """Server processes of the database."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look_often(self) -> None:
        while not self._stop.wait(self._every_s):
            self._look()

    def _look(self) -> None:
        parents: dict[int, int] = {}
        cpu: dict[int, float] = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended
            pid = int(folder.name)
            parents[pid] = int(fields[1])
            cpu[pid] = (int(fields[11]) + int(fields[12])) / TICKS
        for pid in parents:
            if self._is_ours(pid, parents):
                self._note(self.processes, pid, cpu[pid])
            elif self._database and self._database in _command(pid) and _command(pid).startswith("postgres:"):
                self._note(self.servers, pid, cpu[pid])

    def _is_ours(self, pid: int, parents: dict[int, int]) -> bool:
        while pid in parents:
            if pid == self._root:
                return True
            pid = parents[pid]
        return False

    @staticmethod
    def _note(found: dict[int, Usage], pid: int, cpu_s: float) -> None:
        usage = found.setdefault(pid, Usage(_command(pid)))
        usage.cpu_s = max(usage.cpu_s, cpu_s)
        usage.peak_mb = max(usage.peak_mb, _peak_mb(pid))


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _peak_mb(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        return 0.0
    return 0.0
