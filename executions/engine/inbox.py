"""The ledger's inbox: changes come from the event loop, one thread takes them out, and sleeps until enough are there.

A queue of the standard library would wake that thread for each change; to be woken costs more than what it then does.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """Any number of threads put things in; one waits and takes."""

    def __init__(self) -> None:
        self._waiting: deque[T] = deque()
        self._bell = threading.Event()
        self._enough = 1
        """With so many the bell is rung."""
        self._urgent = False
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is put in; what is there still waits to be taken."""
        return self._closed

    def put(self, one: T, *, urgent: bool = False) -> None:
        """`urgent`: it is waited for now, however few there are."""
        self._waiting.append(one)
        if urgent:
            self._urgent = True
        if urgent or len(self._waiting) >= self._enough:
            self._bell.set()

    def hurry(self) -> None:
        """What is there is waited for now, however little it is."""
        self._urgent = True
        self._bell.set()

    def close(self) -> None:
        self._closed = True
        self._bell.set()

    def wait_for(self, enough: int, longest_s: float | None = None) -> None:
        """Sleep until so many are there, one of them is urgent, nothing more comes, or the time is over."""
        self._enough = enough
        self._bell.clear()
        # Asked after the bell was silenced: what is put in from here on finds `enough` and rings again.
        if len(self._waiting) < enough and not self._urgent and not self._closed:
            self._bell.wait(longest_s)

    def take(self, most: int | None = None) -> list[T]:
        """What is there, in the order in which it came; at most so many."""
        # Before anything is taken: what comes meanwhile may be taken with it, and one rest less is no harm.
        self._urgent = False
        count = len(self._waiting) if most is None else min(most, len(self._waiting))
        return [self._waiting.popleft() for _ in range(count)]
