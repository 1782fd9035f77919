"""Messages between the product and the supervisor: eight bytes of length, then marshalled plain values.

Both ends are ours; what a sandboxed program has written travels as bytes inside and is never decoded here.
"""

from __future__ import annotations

import marshal

TYPE_CHECKING = False  # importing typing would make the supervisor's start slower
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_HEAD = 8


def frame(*values: Any) -> bytes:
    """One message."""
    data = marshal.dumps(values)
    return len(data).to_bytes(_HEAD, "big") + data


class Unframer:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Any, ...]]:
        """Takes what has arrived; gives the messages that are complete now."""
        self._pending += data
        while len(self._pending) >= _HEAD:
            end = _HEAD + int.from_bytes(self._pending[:_HEAD], "big")
            if len(self._pending) < end:
                return
            values: tuple[Any, ...] = marshal.loads(bytes(self._pending[_HEAD:end]))  # noqa: S302 - from our own side
            del self._pending[:end]
            yield values
