"""Remembers which tests pass on a stub; each set of tests is tried once, however many answers are in flight."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass

MOST_KEPT = 4096


@dataclass(frozen=True, slots=True)
class StubOutcome:
    """What running an atom's tests against a stub showed."""

    passed: tuple[str, ...]
    """Tests that prove nothing, by name; hidden ones as `hidden::name`."""
    all_of_them: bool


class StubRuns:
    """Safe to use from any thread and event loop."""

    def __init__(self, most_kept: int = MOST_KEPT) -> None:
        self._most_kept = most_kept
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, StubOutcome] = OrderedDict()
        self._in_flight: dict[str, Future[StubOutcome | None]] = {}

    async def outcome(self, key: str, run: Callable[[], Awaitable[StubOutcome]]) -> StubOutcome:
        """What `run` gave for `key`, now or before. Raises what it raises; then the next one tries again."""
        while True:
            with self._lock:
                kept = self._kept.get(key)
                if kept is not None:
                    self._kept.move_to_end(key)
                    return kept
                ahead = self._in_flight.get(key)
                if ahead is None:
                    mine = self._in_flight[key] = Future()
                    break
            # Shielded: a waiter that is cancelled must not cancel what others wait for.
            found = await asyncio.shield(asyncio.wrap_future(ahead))
            if found is not None:
                return found
        found = None
        try:
            found = await run()
        finally:
            with self._lock:
                del self._in_flight[key]
                if found is not None:
                    self._kept[key] = found
                    if len(self._kept) > self._most_kept:
                        self._kept.popitem(last=False)
            mine.set_result(found)
        return found


def stub_key(*parts: str | Iterable[str]) -> str:
    """One name for everything that the outcome depends on."""
    digest = hashlib.sha256()
    for part in parts:
        for text in [part] if isinstance(part, str) else part:
            data = text.encode()
            digest.update(len(data).to_bytes(8, "big") + data)
        digest.update(b"\xff" * 8)  # no length: the end of a part
    return digest.hexdigest()
