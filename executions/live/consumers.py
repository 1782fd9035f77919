"""The two feeds: one execution by its events, and the list of all that a user may see."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from executions.live import feed, frames, viewers
from executions.live.feed import Page, Snapshot
from executions.live.frames import CloseCode, Farewell
from executions.live.hub import Channel, Hub
from executions.live.sockets import FeedSocket
from executions.states import EXECUTION_ENDED

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

    Viewer = AbstractBaseUser | AnonymousUser

FAR_BEHIND = 5000
"""Events behind which a client that takes snapshots (`resync=1`) gets one instead of a replay."""
MOST_SEQ = 2**63 - 1
CHECKED_IDS = 5000


class ExecutionFeed(FeedSocket):
    """`/ws/execution/<uuid>/?after=<seq>`: every event above `after`, exactly once, in order, with the state it leads to.

    Without `after` the feed starts at the snapshot in `hello`. With `resync=1` the client prefers a snapshot to a long replay.
    """

    visibility = staticmethod(viewers.may_see)

    async def stream(self, hub: Hub, user: Viewer) -> None:
        after, takes_snapshots = self._start()
        await self.look_again(hub, user)
        # Watched before anything is read: what is committed from now on is in the channel or in the reads, or in both.
        with hub.watching(self.execution_id, self.wake) as channel:
            snapshot = await self._snapshot(hub, with_atoms=after is None)
            self.seq = snapshot.seq if after is None else after
            await self.say(frames.hello(snapshot, self.seq))
            self.greeted = True
            self._totals: Mapping[str, Any] = snapshot.state.execution
            self._told_end = -1
            seen, head = 0, snapshot.seq
            if self.seq > head or (takes_snapshots and head - self.seq > FAR_BEHIND):
                head = await self._resync(hub)
            await self._tell_end(head)
            if self.seq < head:
                self.wake.set()
            while True:
                user = await self.rest(hub, user)
                if not self.may_send:
                    continue
                page, seen = await self._next(hub, channel, seen, head)
                if page is not None:
                    head = max(head, page.head)
                    if self.seq < max(head, channel.head):
                        self.wake.set()
                await self._tell_end(head)

    async def look_again(self, hub: Hub, user: Viewer) -> None:
        if not await hub.reader.read(self.visibility, user, self.execution_id):
            raise Farewell(CloseCode.NOT_FOUND, "no such execution")

    @property
    def execution_id(self) -> uuid.UUID:
        found: uuid.UUID = self.scope["url_route"]["kwargs"]["execution_id"]
        return found

    def _start(self) -> tuple[int | None, bool]:
        after = self.question("after")
        if after is not None and not (after.isascii() and after.isdigit() and int(after[:20]) <= MOST_SEQ):
            raise Farewell(CloseCode.BAD_REQUEST, "after is the number of an event")
        return None if after is None else int(after), self.question("resync") == "1"

    async def _snapshot(self, hub: Hub, *, with_atoms: bool) -> Snapshot:
        snapshot = await hub.reader.read(feed.read_snapshot, self.execution_id, atoms=with_atoms)
        if snapshot is None:
            raise Farewell(CloseCode.NOT_FOUND, "no such execution")
        return snapshot

    async def _resync(self, hub: Hub) -> int:
        """Skip the replay; returns the number that the client is at now."""
        snapshot = await self._snapshot(hub, with_atoms=True)
        self.seq, self._totals = snapshot.seq, snapshot.state.execution
        await self.say(frames.resync(snapshot))
        return snapshot.seq

    async def _next(self, hub: Hub, channel: Channel, seen: int, head: int) -> tuple[Page | None, int]:
        """Send the next frame, if there is one: from memory, or from the database where memory does not reach."""
        if channel.gone:
            raise Farewell(CloseCode.NOT_FOUND, "the execution is gone")
        version = channel.version
        if self.seq >= head and version == seen:
            return None, seen
        taken = channel.take(self.seq, seen) if channel.head >= max(self.seq, head) else None
        if taken is None:
            if self.seq >= max(head, channel.head):
                # What the tailer has read is older than what this socket has sent.
                return None, version
            page = await hub.reader.read(feed.read_page, self.execution_id, self.seq)
            if page is None:
                raise Farewell(CloseCode.NOT_FOUND, "the execution is gone")
            if page.head > self.seq and (not page.events or page.events[0]["seq"] != self.seq + 1):
                # The events that would come next are kept no longer.
                await self._resync(hub)
                return None, seen
            text = frames.encode(frames.events(page))
        else:
            seen = version
            text, page = taken
        if page.events or page.state.execution != self._totals:
            await self.say(text)
            self.seq, self._totals = page.seq, page.state.execution
            self.owes(page.seq)
        return page, seen

    async def _tell_end(self, head: int) -> None:
        """`final`, once, when the last event of an ended execution has been sent."""
        if self._totals["status"] not in EXECUTION_ENDED:
            self._told_end = -1
        elif self.seq == self._totals["seq"] and self.seq >= head and self._told_end != self.seq:
            self._told_end = self.seq
            await self.say(frames.final(self.seq, self._totals["status"]))


class ListFeed(FeedSocket):
    """`/ws/executions/`: the newest executions that the user may see, then the totals of each that changes."""

    visibility = staticmethod(viewers.visible_among)

    async def stream(self, hub: Hub, user: Viewer) -> None:
        self._checked: dict[str, bool] = {}
        self._told: dict[str, Mapping[str, Any]] = {}
        with hub.watching_list(self.wake) as channel:
            seen = channel.version
            await self._greet(hub, user)
            while True:
                user = await self.rest(hub, user)
                if channel.version == seen or not self.may_send:
                    continue
                changed, version = channel.take(seen), channel.version
                seen = version
                if changed is None:
                    await self._greet(hub, user)
                    continue
                await self._tell(hub, user, changed)

    async def look_again(self, hub: Hub, user: Viewer) -> None:
        # Asked anew, one by one, as they change.
        self._checked.clear()

    async def _greet(self, hub: Hub, user: Viewer) -> None:
        found = await hub.reader.read(feed.read_list, user)
        self._told = {one["id"]: one for one in found}
        await self.say(frames.hello_list(found))
        self.greeted = True

    async def _tell(self, hub: Hub, user: Viewer, changed: Iterable[Mapping[str, Any]]) -> None:
        news = [one for one in changed if self._told.get(one["id"]) != one]
        unknown = [one["id"] for one in news if one["id"] not in self._checked]
        if unknown:
            visible = await hub.reader.read(self.visibility, user, [uuid.UUID(one) for one in unknown])
            if len(self._checked) > CHECKED_IDS:
                self._checked.clear()
            self._checked |= {one: uuid.UUID(one) in visible for one in unknown}
        shown = [one for one in news if self._checked.get(one["id"], False)]
        if shown:
            self._told |= {one["id"]: one for one in shown}
            await self.say(frames.executions(shown))
