"""What a peer's module offers, and what it is given.

`benchmarks.peers.on_<name>.executor(given)` is an async context manager: entered, the tool is set up and its workers are
up; its value runs a plan to its end, and again the next one.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.atom_work import AtomWork, Done, WorkPlan

STOP_S = 30.0

RunPlan = Callable[[WorkPlan], Awaitable[Mapping[str, Done]]]
"""Comes back when every atom is done and what the tool stores of it is stored."""


@dataclass(frozen=True, slots=True)
class Given:
    url: str
    """Of the scripted model."""
    database: str
    """URL of an empty PostgreSQL database."""
    concurrency: int
    """Atoms in flight, where the tool can have as many."""
    folder: Path
    """For files of the tool."""


@asynccontextmanager
async def connected(given: Given) -> AsyncIterator[AtomWork]:
    """The work with its client, for tools that work in this very event loop."""
    work = AtomWork("peer", given.url)
    await work.connect()
    try:
        yield work
    finally:
        await work.close()


@contextmanager
def child(command: Sequence[str], given: Given, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the tool's own; asked to end with the block, killed where it does not."""
    process = subprocess.Popen(
        command, cwd=given.folder, env={**os.environ, **environment}, stdin=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
