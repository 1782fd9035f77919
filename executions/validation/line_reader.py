"""Reads lines from a descriptor in bounded memory, and can be told to stop while it waits for one."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from dataclasses import dataclass

_CHUNK = 64 * 1024


class Unreadable(Exception):
    """The input cannot be read any further; says why."""


@dataclass(frozen=True, slots=True)
class TooLong:
    """Stands for a line that was read past, not kept."""

    size: int
    """Its bytes, line feed left out."""


class LineReader:
    """Iterate over it in one thread; `stop` comes from any."""

    def __init__(self, descriptor: int, most: int) -> None:
        """`most`: bytes of a line that is kept. The descriptor stays the caller's."""
        self._descriptor = descriptor
        self._most = most
        self._wake_end, self._wake_start = os.pipe()

    def __enter__(self) -> LineReader:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._wake_start)
        os.close(self._wake_end)

    def stop(self) -> None:
        """Ends the iteration, even while it waits for input."""
        os.write(self._wake_start, b"x")

    def __iter__(self) -> Iterator[bytes | TooLong]:
        """Lines without their line feed; the last one needs none. Raises Unreadable."""
        held, skipped = bytearray(), 0
        while data := self._more():
            *ended, rest = data.split(b"\n")
            for part in ended:
                held += part
                yield self._line(held, skipped)
                held, skipped = bytearray(), 0
            held += rest
            if skipped or len(held) > self._most:
                skipped += len(held)
                held.clear()
        if held or skipped:
            yield self._line(held, skipped)

    def _line(self, held: bytearray, skipped: int) -> bytes | TooLong:
        size = skipped + len(held)
        return TooLong(size) if size > self._most else bytes(held)

    def _more(self) -> bytes:
        """What can be read now; nothing at the end or after `stop`."""
        poll = select.poll()
        poll.register(self._wake_end, select.POLLIN)
        poll.register(self._descriptor, select.POLLIN)
        if any(descriptor == self._wake_end for descriptor, _ in poll.poll()):
            return b""
        try:
            return os.read(self._descriptor, _CHUNK)
        except OSError as error:
            raise Unreadable(error.strerror or str(error)) from error
