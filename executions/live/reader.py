"""Threads that read the database for the event loop. Each has a connection of its own; all are closed with the reader."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connections

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 3


class Reader:
    """`await reader.read(function, …)` runs a synchronous reading function off the loop.

    Not `sync_to_async`: outside of a request all of that shares one thread, so one slow query would hold up every socket.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="live-read")
        self._known = threading.local()
        self._connections: list[Any] = []

    async def read(self, what: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises what `what` raises; a broken connection is replaced once before that."""

        def work() -> T:
            self._remember()
            try:
                return what(*args, **kwargs)
            except (OperationalError, InterfaceError):
                # Only the thread that owns a dead connection can heal it, and only by closing it.
                connections["default"].close()
                return what(*args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _remember(self) -> None:
        if not getattr(self._known, "remembered", False):
            self._known.remembered = True
            connection = connections["default"]
            # Closed by whoever ends the reader: a thread of the pool cannot be told to do it itself.
            connection.inc_thread_sharing()
            self._connections.append(connection)

    async def close(self) -> None:
        """Wait for the reads under way and close every connection."""

        def work() -> None:
            self._pool.shutdown(wait=True)
            for connection in self._connections:
                connection.close()

        await asyncio.get_running_loop().run_in_executor(None, work)
