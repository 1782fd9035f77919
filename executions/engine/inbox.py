"""The ledger's inbox: changes come from the event loop, one thread takes them out, and sleeps until they are due.

A queue of the standard library would wake that thread for each change; to be woken costs more than what it then does.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """Any number of threads put things in; one waits and takes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[T, bool]] = deque()
        self._counted = 0
        self._due = math.inf
        """By the monotonic clock: when the first of them has waited as long as it may."""
        self._enough = 0
        """With so many that count the bell is rung."""
        self._urgent = False
        self._closed = False
        self._bell = threading.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def counted(self) -> int:
        """How many of those that are there count."""
        return self._counted

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is put in; what is there still waits to be taken."""
        return self._closed

    def put(self, one: T, *, within_s: float = math.inf, counts: bool = True, urgent: bool = False) -> None:
        """`within_s`: as long as it may wait. `counts`: it is one of those of which some number is enough. `urgent`: all that is
        there is waited for now, however little it is.
        """
        due = time.monotonic() + within_s
        with self._lock:
            self._waiting.append((one, counts))
            self._counted += counts
            self._urgent = self._urgent or urgent
            ring = urgent or self._counted >= self._enough or due < self._due
            self._due = min(self._due, due)
        if ring:
            self._bell.set()

    def hurry(self) -> None:
        """What is there is waited for now, however little it is."""
        with self._lock:
            self._urgent = True
        self._bell.set()

    def close(self) -> None:
        self._closed = True
        self._bell.set()

    def wait_for_any(self) -> None:
        """Sleep until something is there or was hurried, or nothing more comes."""
        self._enough = 0
        while True:
            self._bell.clear()
            # Asked after the bell was silenced: what is put in from here on rings again.
            if self._waiting or self._urgent or self._closed:
                return
            self._bell.wait()

    def wait_until_due(self, enough: int) -> None:
        """Sleep until something has waited as long as it may, so many are there that count, or nothing is to be waited for."""
        self._enough = enough
        while True:
            self._bell.clear()
            with self._lock:
                rest_s = self._due - time.monotonic()
                if self._counted >= enough or self._urgent or self._closed or rest_s <= 0:
                    return
            self._bell.wait(None if rest_s == math.inf else rest_s)

    def take(self, most: int | None = None) -> list[T]:
        """What is there, in the order in which it came; at most so many. What is left is due."""
        with self._lock:
            self._urgent = False
            count = len(self._waiting) if most is None else min(most, len(self._waiting))
            taken = [self._waiting.popleft() for _ in range(count)]
            self._counted -= sum(counts for _, counts in taken)
            self._due = -math.inf if self._waiting else math.inf
        return [one for one, _ in taken]
