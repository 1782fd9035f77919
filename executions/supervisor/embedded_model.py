"""The embedded scripted model at the end of a run: it ends by itself once the last workers that use it have ended."""

from __future__ import annotations

import time
from pathlib import Path

from executions.scripted_model.embedded import PORT_FILE_NAME
from executions.scripted_model.processes import WatchedProcess

PATIENCE_S = 6.0
LOOK_S = 0.05


def wait_for_its_end(data_dir: Path) -> bool:
    """Wait for the model of a data folder to end, also one that was only starting.

    False when it goes on: workers of another command on this data folder use it as well. Without /proc nothing is
    waited for.
    """
    deadline = time.monotonic() + PATIENCE_S
    for model in _models(data_dir):
        while model.lives():
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK_S)
    return True


def _models(data_dir: Path) -> list[WatchedProcess]:
    mine = str(data_dir / PORT_FILE_NAME).encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = entry.read_bytes().split(b"\0")
        except OSError:  # it ended this moment, or is not ours to look at
            continue
        if b"scripted_model" in arguments and mine in arguments:
            found.append(WatchedProcess.now(int(entry.parent.name)))
    return found
