"""Run a program on a leash: it ends, with all that it forked, when the process that holds the leash has ended.

Started by path, in the child: `python -P leash.py DESCRIPTORS GRACE PROGRAM ARGUMENT…`. PROGRAM is a Python file or the
name of a module. DESCRIPTORS are numbers joined by commas; the first one is the reading end of a pipe whose writing
end only the holder has. However the holder ends, the kernel closes its end, and that is seen here.

Standard library only, and nothing of ours: this runs before Django is there.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Take the leash, then become PROGRAM."""
    descriptors = [int(number) for number in arguments[0].split(",")]
    for descriptor in descriptors:
        # For this program and its forks, not for what they execute: a stranger must not keep the listening socket.
        os.set_inheritable(descriptor, False)
    threading.Thread(
        target=_end_with_holder, args=(descriptors[0], float(arguments[1])), name="leash", daemon=True
    ).start()
    if sys.platform == "linux":
        forks_die_with_their_parent()
    sys.path.insert(0, str(ROOT))
    sys.argv = arguments[2:]
    if sys.argv[0].endswith(".py"):
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_with_holder(leash: int, grace_s: float) -> None:
    # Nothing is ever written: the read returns at the end of the file, that is of the holder.
    while os.read(leash, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_s)
    # The program is its group's leader: this ends whatever is left, this process included.
    os.killpg(os.getpgrp(), signal.SIGKILL)


def forks_die_with_their_parent() -> None:
    """Processes that this one forks, and those that they fork, are killed when their own parent dies.

    For django-q2, whose guard and workers go on as orphans when the process above them is killed, taking new work. It
    holds for forks from a main thread (the signal follows the thread); what is executed by `subprocess` is not touched.
    """
    libc = ctypes.CDLL(None)
    parent = 0

    def remember() -> None:
        nonlocal parent
        parent = os.getpid()

    def die_with_parent() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # it died before we asked to be told

    os.register_at_fork(before=remember, after_in_child=die_with_parent)


if __name__ == "__main__":
    main(sys.argv[1:])
