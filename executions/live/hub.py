"""One tailer per web process and event loop: it reads what changed once and hands it to every socket that watches.

Sockets pull: a channel keeps the latest pages in memory, a socket takes what lies above its own cursor whenever it is ready
for another frame, and reads the database itself when memory does not reach back far enough. So a slow socket costs nothing
but its own lateness, and no buffer grows with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
import uuid
import weakref
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

from django.db import DatabaseError, InterfaceError

from executions.live import feed, frames
from executions.live.feed import Cursor, Page
from executions.live.frames import CloseCode, Farewell
from executions.live.reader import Reader
from executions.live.wakers import Waker, waker_for_database

log = logging.getLogger(__name__)

LOOK_ANYWAY_S = 1.5
"""A look this long after the last one, whether woken or not: any wake-up may be lost."""
LOOK_AT_MOST_EVERY_S = 0.05
RETRY_S = 1.0
KEPT_EVENTS = 5000
KEPT_PAGES = 200
KEPT_EXECUTIONS = 2000
SOCKETS_PER_USER = 50
SOCKETS_PER_PROCESS = 2000


class Channel:
    """What is known of one watched execution since somebody began to watch it."""

    def __init__(self) -> None:
        self.cursor = Cursor()
        self.version = 0
        """Goes up with every page: newer than what a socket has `seen` means there is something to take."""
        self.gone = False
        self.watchers: set[asyncio.Event] = set()
        self._pages: deque[tuple[int, Page]] = deque()
        self._encoded: dict[tuple[int, int], tuple[str, Page]] = {}

    @property
    def head(self) -> int:
        """Number of the last event that is known here; 0 before the first look."""
        return self.cursor.seq or 0

    def add(self, page: Page | None) -> None:
        """The next page of the tailer; None: the execution is gone."""
        if page is None:
            self.gone = True
        else:
            self.version += 1
            self.cursor = Cursor(page.seq, page.state.execution)
            self._pages.append((self.version, page))
            self._encoded.clear()
            kept = sum(len(one.events) for _, one in self._pages)
            while len(self._pages) > 1 and (len(self._pages) > KEPT_PAGES or kept > KEPT_EVENTS):
                kept -= len(self._pages.popleft()[1].events)
        for watcher in self.watchers:
            watcher.set()

    def take(self, after: int, seen: int) -> tuple[str, Page] | None:
        """An `events` frame, ready to send, with all above `after` and all totals newer than version `seen`, and its page.

        None when memory does not reach back to `after`: read the database. Sockets in step share the encoded text.
        """
        found = self._encoded.get((after, seen))
        if found is None:
            page = feed.merge(
                (page for version, page in self._pages if version > seen or page.seq > after), after
            )
            if page is None or page.seq < self.head:
                return None
            found = self._encoded[after, seen] = frames.encode(frames.events(page)), page
        return found


class ListChannel:
    """Totals of the executions that changed lately."""

    def __init__(self) -> None:
        self.version = 0
        self.floor = 0
        """Changes up to this version may be forgotten."""
        self.watchers: set[asyncio.Event] = set()
        self._latest: OrderedDict[str, tuple[int, Mapping[str, Any]]] = OrderedDict()
        self._active: set[uuid.UUID] = set()

    @property
    def active(self) -> frozenset[uuid.UUID]:
        """Executions that were under way at the last look."""
        return frozenset(self._active)

    def add(self, found: list[dict[str, Any]]) -> None:
        changed = [one for one in found if self._latest.get(one["id"], (0, None))[1] != one]
        self._active = {uuid.UUID(one["id"]) for one in found if not feed.State(one).ended}
        for one in changed:
            self.version += 1
            self._latest[one["id"]] = (self.version, one)
            self._latest.move_to_end(one["id"])
        while len(self._latest) > KEPT_EXECUTIONS:
            self.floor = self._latest.popitem(last=False)[1][0]
        if changed:
            for watcher in self.watchers:
                watcher.set()

    def take(self, seen: int) -> list[Mapping[str, Any]] | None:
        """Executions that changed after version `seen`, oldest change first; None when some may be forgotten."""
        if seen < self.floor:
            return None
        newest_first = []
        for version, execution in reversed(self._latest.values()):
            if version <= seen:
                break
            newest_first.append(execution)
        return newest_first[::-1]


class Hub:
    """The tailer of this process and loop. Begins with the first socket (`Hub.join`) and ends with the last (`leave`)."""

    _of_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = weakref.WeakKeyDictionary()

    def __init__(self, loop: asyncio.AbstractEventLoop, waker: Callable[[Callable[[], None]], Waker]) -> None:
        self._pid = os.getpid()
        self._loop = loop
        self.reader = Reader()
        self._members: Counter[object] = Counter()
        self._channels: dict[uuid.UUID, Channel] = {}
        self._list: ListChannel | None = None
        self._woken = asyncio.Event()
        self._waker = waker(self._wake)
        self._tail: asyncio.Task[None] | None = None
        self._end: asyncio.Task[None] | None = None

    @classmethod
    def join(cls, member: object, waker: Callable[[Callable[[], None]], Waker] = waker_for_database) -> Hub:
        """The hub of the running loop, with one more socket, of the user `member`. Every join needs a `leave`.

        Raises Farewell when that user, or the process, has too many sockets already.
        """
        loop = asyncio.get_running_loop()
        hub = cls._of_loop.get(loop)
        # A forked child inherits a hub whose threads did not come along.
        if hub is None or hub._pid != os.getpid():
            hub = cls._of_loop[loop] = cls(loop, waker)
            hub._start()
        if hub._members[member] >= SOCKETS_PER_USER or hub._members.total() >= SOCKETS_PER_PROCESS:
            raise Farewell(CloseCode.TOO_MANY, "too many sockets are open")
        hub._members[member] += 1
        return hub

    async def leave(self, member: object) -> None:
        self._members[member] -= 1
        if self._members[member] <= 0:
            del self._members[member]
        if not self._members and self._of_loop.get(self._loop) is self:
            del self._of_loop[self._loop]
            self._end = self._loop.create_task(self._stop(), name="live-stop")
            # Whoever is cancelled while waiting leaves a hub that still ends.
            await asyncio.shield(self._end)

    @contextmanager
    def watching(self, execution_id: uuid.UUID, wake: asyncio.Event) -> Iterator[Channel]:
        """A channel of an execution; `wake` is set whenever something may be taken from it."""
        channel = self._channels.get(execution_id)
        if channel is None:
            channel = self._channels[execution_id] = Channel()
            self._woken.set()
        channel.watchers.add(wake)
        try:
            yield channel
        finally:
            channel.watchers.discard(wake)
            if not channel.watchers:
                self._channels.pop(execution_id, None)

    @contextmanager
    def watching_list(self, wake: asyncio.Event) -> Iterator[ListChannel]:
        """The channel of all executions; what a user may see of it is the socket's question."""
        if self._list is None:
            self._list = ListChannel()
            self._woken.set()
        channel = self._list
        channel.watchers.add(wake)
        try:
            yield channel
        finally:
            channel.watchers.discard(wake)
            if not channel.watchers:
                self._list = None

    def check(self) -> None:
        """Raises what ended the tailer, if something did."""
        if self._tail is not None and self._tail.done() and not self._tail.cancelled():
            self._tail.result()

    def _start(self) -> None:
        self._waker.start()
        self._tail = self._loop.create_task(self._run(), name="live-tail")
        self._tail.add_done_callback(lambda _: self._wake_watchers())

    async def _stop(self) -> None:
        if self._tail is not None:
            self._tail.cancel()
            await asyncio.wait([self._tail])
        await self._loop.run_in_executor(None, self._waker.stop)
        await self.reader.close()

    def _wake(self) -> None:
        # The loop may have been closed under us; then nobody is there to be woken.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._woken.set)

    def _wake_watchers(self) -> None:
        watchers = [channel.watchers for channel in self._channels.values()]
        if self._list is not None:
            watchers.append(self._list.watchers)
        for watcher in chain.from_iterable(watchers):
            watcher.set()

    async def _run(self) -> None:
        looked = 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_ANYWAY_S):
                    await self._woken.wait()
            await asyncio.sleep(max(0.0, looked + LOOK_AT_MOST_EVERY_S - time.monotonic()))
            self._woken.clear()
            looked = time.monotonic()
            try:
                await self._look()
            except (DatabaseError, InterfaceError) as error:
                log.warning("the live feed cannot read the database: %s", error)
                await asyncio.sleep(RETRY_S)
                self._woken.set()

    async def _look(self) -> None:
        watched = dict(self._channels)
        pages = await self.reader.read(
            feed.read_changes, {one: channel.cursor for one, channel in watched.items()}
        )
        for execution_id, page in pages.items():
            watched[execution_id].add(page)
            if page is not None and page.more:
                self._woken.set()
        channel = self._list
        if channel is not None:
            channel.add(await self.reader.read(feed.read_active, channel.active))
