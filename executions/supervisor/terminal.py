"""The terminal under a supervisor: Ctrl-C is for the supervisor alone, and what it says is read there."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from datetime import datetime

_speaking = threading.Lock()


def say(text: str = "") -> None:
    """A line for the person at the terminal. One that went away must not stop us."""
    with _speaking, contextlib.suppress(OSError, ValueError):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def say_now(text: str) -> None:
    """The same with the time of day, for what happens later on."""
    say(f"{datetime.now().astimezone():%H:%M:%S}  {text}")


@contextlib.contextmanager
def own_ctrl_c() -> Iterator[None]:
    """Be alone in the terminal's foreground.

    Started by make or a script, Ctrl-C would reach those too, and they would call an orderly end an interrupt.
    """
    group = os.getpgrp()
    if group == os.getpid() or not _in_foreground(group):
        yield
        return
    # A stopped supervisor would leave the terminal with nobody: who started us does not know of the new group.
    # A handler, not SIG_IGN, which our children would inherit.
    signal.signal(signal.SIGTSTP, lambda number, frame: None)
    os.setpgid(0, 0)
    _hand_terminal_to(os.getpgrp())
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # the terminal went away
            _hand_terminal_to(group)


def _hand_terminal_to(group: int) -> None:
    # From the background this is answered with SIGTTOU, unless that is blocked.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        os.tcsetpgrp(sys.stdin.fileno(), group)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _in_foreground(group: int) -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == group
    except (OSError, ValueError):  # no terminal, or no stdin at all
        return False
