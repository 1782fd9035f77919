"""Pieces of work that are cheaper together: collected for a moment, done as one, answered one by one."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

PieceT = TypeVar("PieceT")
ResultT = TypeVar("ResultT")

WINDOW_SECONDS = 0.02
"""How long the first piece of a batch waits for others."""
MOST_TOGETHER = 64
LONGEST_SECONDS = 0.25
"""Where nothing is gained by hurrying the next batch fills on, for so long at most: while one is being worked on, and while
others wait for what comes after the batch.
"""
_SHORTEST_LOOK = 0.005


class InFlight:
    """How many answers are at some stage, by event loop."""

    def __init__(self) -> None:
        self._counts: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, int] = weakref.WeakKeyDictionary()

    @contextmanager
    def one(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        self._counts[loop] = self._counts.get(loop, 0) + 1
        try:
            yield
        finally:
            self._counts[loop] -= 1

    def count(self) -> int:
        return self._counts.get(asyncio.get_running_loop(), 0)


class MicroBatches(Generic[PieceT, ResultT]):
    """Gathers the pieces of one event loop for 20 ms at most, or 64 of them. A piece waits for nobody where nobody else is
    in flight.
    """

    def __init__(
        self,
        work: Callable[[Sequence[PieceT]], Awaitable[Sequence[ResultT]]],
        in_flight: InFlight,
        ahead: InFlight | None = None,
        *,
        window: float = WINDOW_SECONDS,
    ) -> None:
        """`work` gives one result for each piece, in order; what it raises reaches all pieces of the batch.

        `in_flight`: who may bring a piece. `ahead`: who has had an answer and waits for a turn at what comes next.
        `window`: seconds that the first piece of a batch waits for others.
        """
        self._work = work
        self._in_flight = in_flight
        self._ahead = ahead or InFlight()
        self._window = window
        # A future belongs to the loop that it was made in.
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Collecting[PieceT, ResultT]]
        self._by_loop = weakref.WeakKeyDictionary()

    async def submit(self, piece: PieceT) -> ResultT:
        loop = asyncio.get_running_loop()
        collecting = self._by_loop.get(loop)
        if collecting is None:
            collecting = self._by_loop[loop] = _Collecting(
                self._work, self._in_flight, self._ahead, self._window
            )
        return await collecting.add(piece)


class _Collecting(Generic[PieceT, ResultT]):
    """The batches of one event loop. It keeps no reference to the loop, or the loop would never be forgotten."""

    def __init__(
        self,
        work: Callable[[Sequence[PieceT]], Awaitable[Sequence[ResultT]]],
        in_flight: InFlight,
        ahead: InFlight,
        window: float,
    ) -> None:
        self._work = work
        self._in_flight = in_flight
        self._ahead = ahead
        self._window = window
        self._waiting: list[tuple[PieceT, asyncio.Future[ResultT]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._due = False
        self._latest = 0.0

    def add(self, piece: PieceT) -> asyncio.Future[ResultT]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[ResultT] = loop.create_future()
        self._waiting.append((piece, future))
        if len(self._waiting) >= MOST_TOGETHER:
            self._send()
        elif len(self._waiting) == 1:
            self._due, self._latest = False, loop.time() + LONGEST_SECONDS
            self._timer = loop.call_later(self._window, self._window_is_over)
        # Only at the end of this turn of the loop: others that begin in the same turn are in flight by then.
        loop.call_soon(self._send_if_complete)
        return future

    def _send_if_complete(self) -> None:
        if self._waiting and len(self._waiting) >= self._in_flight.count():
            self._send()

    def _window_is_over(self) -> None:
        loop = asyncio.get_running_loop()
        if self._is_wanted() or loop.time() >= self._latest:
            self._send()
            return
        self._due = True
        self._timer = loop.call_later(max(self._window, _SHORTEST_LOOK), self._window_is_over)

    def _is_wanted(self) -> bool:
        return not self._running and not self._ahead.count()

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting:
            return
        batch, self._waiting, self._due = self._waiting, [], False
        task = asyncio.get_running_loop().create_task(self._done(batch))
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._due and self._is_wanted():
            self._send()

    async def _done(self, batch: list[tuple[PieceT, asyncio.Future[ResultT]]]) -> None:
        wanted = [(piece, future) for piece, future in batch if not future.done()]
        if not wanted:
            return
        try:
            results = await self._work([piece for piece, _ in wanted])
        except asyncio.CancelledError:
            for _, future in wanted:
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - told to everybody who waits for it
            for _, future in wanted:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(wanted, results, strict=True):
            if not future.done():
                future.set_result(result)
