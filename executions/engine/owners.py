"""Owners of leases: how a process is named in them, and whether the one behind a name still lives.

A name tells the host, the place on it (boot and process namespace), the process number and when that process started, so
that a later process or another container with the same number is not taken for it. Only a process at the same place can
judge: for everybody else an owner is dead when its lease has ended.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from executions.scripted_model.processes import WatchedProcess


def process_name() -> str:
    """This process, in a lease: host, place, process number and start."""
    pid = os.getpid()
    return f"{host()}:{place()}:{pid}:{WatchedProcess.now(pid).started or '-'}"


def owner_name() -> str:
    """Name of a runner: its process and a random part, so that no two runners ever share one."""
    return f"{process_name()}:{secrets.token_hex(6)}"


@dataclass(frozen=True, slots=True)
class Owner:
    """A name, taken apart."""

    host: str
    place: str
    process: WatchedProcess

    @classmethod
    def read(cls, name: str) -> Owner | None:
        """None for a name that no process of ours has given itself."""
        parts = name.split(":")
        if len(parts) not in (4, 5) or not parts[2].isdigit():
            return None
        started = None if parts[3] == "-" else parts[3]
        return cls(parts[0], parts[1], WatchedProcess(int(parts[2]), started))

    @property
    def is_here(self) -> bool:
        """Whether its process number means something to this process."""
        return self.host == host() and self.place == place()


def has_ended(name: str) -> bool:
    """Whether the process behind a name has certainly ended: False as well for all that cannot be judged from here."""
    owner = Owner.read(name)
    return owner is not None and owner.is_here and not owner.process.lives()


def host() -> str:
    return short_host(socket.gethostname())


def short_host(name: str) -> str:
    """A host's name as it stands in the names of owners."""
    return name.replace(":", "_")[:40]


@lru_cache(maxsize=1)
def place() -> str:
    """Where process numbers are what they are here: this boot of the kernel and this process namespace."""
    return hashlib.sha256(f"{_boot_id()} {_process_namespace()}".encode()).hexdigest()[:8]


def _boot_id() -> str:
    """The kernel's id of this boot; a constant where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "no-boot-id"


def _process_namespace() -> str:
    """Containers on one host may share its name and boot, never this."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return "one"
