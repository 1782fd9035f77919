"""The programs by class, and the list of all of them. Each is data: what it does and what must come of it."""

from __future__ import annotations

from trials.hostile.program import Program
from trials.hostile.programs import (
    benign,
    equality,
    exhausting,
    exits,
    files,
    kernel,
    network,
    patching,
    processes,
    text,
    waiting,
)

CLASSES: dict[str, list[Program]] = {
    "exits before the tests": exits.PROGRAMS,
    "equal to everything": equality.PROGRAMS,
    "changes how it is judged": patching.PROGRAMS,
    "text and parser": text.PROGRAMS,
    "uses too much": exhausting.PROGRAMS,
    "waits for ever": waiting.PROGRAMS,
    "network and sockets": network.PROGRAMS,
    "files": files.PROGRAMS,
    "processes": processes.PROGRAMS,
    "kernel": kernel.PROGRAMS,
    "benign": benign.PROGRAMS,
}
