"""Whether a process still lives, told apart from a later one that was given the same number."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class WatchedProcess:
    """A process as it was when watching began."""

    pid: int
    started: str | None
    """Its start in clock ticks since boot; None where the system does not tell (no /proc)."""

    @classmethod
    def now(cls, pid: int) -> WatchedProcess:
        state = _state_and_start(pid)
        return cls(pid, state[1] if state else None)

    def lives(self) -> bool:
        """False once it has ended; a zombie that nobody has asked after has ended too."""
        state = _state_and_start(self.pid)
        if state is not None:
            return state[0] not in "ZX" and state[1] == self.started
        if Path("/proc/self/stat").exists():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def _state_and_start(pid: int) -> tuple[str, str] | None:
    """Fields 3 and 22 of /proc/PID/stat (proc(5)), counted from behind the name, which may hold anything."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return fields[0], fields[19]
