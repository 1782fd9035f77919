"""Ctrl-C and SIGTERM while a command waits: noticed at the next look, wherever the program was when they came.

Python's own handler raises KeyboardInterrupt at once. In a finalizer that is swallowed, with a traceback on the terminal, and the
person has pressed in vain.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class CtrlC:
    """Takes both signals within `taken`. Within `waiting` the first one is kept for the next `sleep`; a second one before that,
    and any outside of it, is raised at once: whatever hangs must not keep a person from leaving.
    """

    def __init__(self) -> None:
        self._waits = False
        self._came = False

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """The handler. Raises KeyboardInterrupt."""
        if not self._waits or self._came:
            self._came = False
            raise KeyboardInterrupt
        self._came = True

    def sleep(self, seconds: float) -> None:
        """Sleep, then raise KeyboardInterrupt where somebody wants to stop."""
        time.sleep(seconds)
        if self._came:
            self._came = False
            raise KeyboardInterrupt

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While `sleep` is called again and again."""
        self._waits, self._came = True, False
        try:
            yield
        finally:
            self._waits = False

    @contextmanager
    def taken(self) -> Iterator[None]:
        """SIGTERM means the same: it comes from whoever has no terminal. In a thread, as of a test, nothing changes."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, self.handle) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)
