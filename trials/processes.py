"""Processes below this one, as the kernel shows them."""

from __future__ import annotations

import os
import re
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_RUN = re.compile(r"\b[0-9a-f]{16,}\b")


def descendants(root: int) -> list[int]:
    """All living processes below `root`; one that has ended and was not collected does not live."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = _stat(int(name))
            if fields and fields[0] not in "ZX":
                children.setdefault(int(fields[1]), []).append(int(name))
    found: list[int] = []
    pending = [root]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found


def kind_of(pid: int) -> str:
    """Owner and command line, without the numbers of a single run; "" when it has ended."""
    try:
        uid = os.stat(f"/proc/{pid}").st_uid
        line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
    owner = str(uid) if uid < 0x7000_0000 else "a uid of a run"
    return f"{owner}: {_RUN.sub('…', line).strip()[-120:]}"


def resident_bytes(pid: int) -> int:
    """Resident memory of one process, 0 when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def private_bytes(pid: int) -> int:
    """Resident memory that no other process shares, 0 when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
        return (int(fields[1]) - int(fields[2])) * _PAGE
    except (OSError, IndexError):
        return 0


def shared_memory() -> int:
    """Bytes of the whole machine in shared mappings, memory files and tmpfs; no process is charged for most of them."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("Shmem:"):
            return int(line.split()[1]) * 1024
    return 0


def descriptors(pid: int) -> int:
    """Open file descriptors of one process, 0 when it has ended."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def _stat(pid: int) -> list[str]:
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return []


def threads(pid: int) -> int:
    """Threads of one process, 0 when it has ended."""
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0
