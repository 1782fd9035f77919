"""One of a kind: a file lock that our children hold too, so that it is free only when all have ended."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from executions.scripted_model.processes import WatchedProcess

PATIENCE_S = 8.0
"""How long to wait for what an earlier run left behind; longer than a child outlives a killed supervisor."""
LOOK_S = 0.1


class AlreadyRunning(Exception):
    """Another one has what only one may have; the message says which."""


class OnlyOne:
    """The lock. Forks have it as well; lend its descriptor to other children. It goes with the last that has it, however
    that ends."""

    def __init__(self, file: Path, refusal: Callable[[int], str]) -> None:
        """Waits a while for the remains of a holder that has ended; then raises AlreadyRunning.

        Args:
            file: the lock; it stays, with the last holder's process number in it.
            refusal: what to say, given that number; 0 where it is not known.
        """
        self.descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + PATIENCE_S
        while not self._locked():
            holder = self._holder()
            if WatchedProcess.now(holder).lives() or time.monotonic() > deadline:
                os.close(self.descriptor)
                raise AlreadyRunning(refusal(holder))
            time.sleep(LOOK_S)
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, str(os.getpid()).encode(), 0)

    def _locked(self) -> bool:
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _holder(self) -> int:
        """Who locked it; 0 when that one has not written its number yet."""
        text = os.pread(self.descriptor, 20, 0)
        return int(text) if text.isdigit() else 0

    def release(self) -> None:
        """At an orderly end."""
        os.close(self.descriptor)


def only_supervisor(data_dir: Path) -> OnlyOne:
    """Raises AlreadyRunning where another supervisor has the data folder."""
    return OnlyOne(
        data_dir / "supervisor.lock",
        lambda holder: (
            f"{data_dir} is in use already, by process {holder}; stop that one, or name another folder in MGE_DATA_DIR"
        ),
    )
