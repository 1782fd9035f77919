"""CPU seconds and peak memory of a process with all that it started, at one moment. Linux only.

Time of children that have ended is in it once somebody has waited for them; what a process did before it was looked at
for the first time is so, too. For what is sampled while it lives see `benchmarks.processes`.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Moment:
    """CPU seconds of each living process of a tree: its own, and those of the children it has waited for."""

    own: dict[int, float]
    waited_for: dict[int, float]

    @property
    def total_s(self) -> float:
        return sum(self.own.values()) + sum(self.waited_for.values())

    def busiest_since(self, earlier: Moment) -> int:
        """The process that worked most since."""
        return max(self.own, key=lambda pid: self.own[pid] - earlier.own.get(pid, 0.0))


def look(root: int) -> Moment:
    """The root and its descendants now."""
    parents: dict[int, int] = {}
    own: dict[int, float] = {}
    waited_for: dict[int, float] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        pid = int(folder.name)
        parents[pid] = int(fields[1])
        own[pid] = (int(fields[11]) + int(fields[12])) / TICKS
        waited_for[pid] = (int(fields[13]) + int(fields[14])) / TICKS
    mine = {pid for pid in parents if _descends(pid, root, parents)}
    return Moment(
        {pid: own[pid] for pid in mine},
        {pid: waited_for[pid] for pid in mine},
    )


def _descends(pid: int, root: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        if pid == root:
            return True
        pid = parents[pid]
    return False


def forget_peaks(moment: Moment) -> None:
    """Peak memory counts from now on, where the kernel lets us."""
    for pid in moment.own:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="utf-8")


def peak_mb(pid: int) -> float:
    """Highest resident memory since `forget_peaks`, else since its start; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


def parent_of(pid: int) -> int:
    """0 when there is no such process here."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])


def command_of(pid: int) -> str:
    """Name of its program; '' when there is no such process here."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
