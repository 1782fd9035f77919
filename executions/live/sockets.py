"""What every socket of the feed does: it says who may look, keeps its pace, beats its heart, and says why it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs

from channels.generic.websocket import AsyncWebsocketConsumer  # type: ignore[import-untyped]
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError

from executions.live import frames, viewers
from executions.live.frames import CloseCode, Farewell
from executions.live.hub import Hub

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """Times of a socket in seconds, and how much a client may send."""

    frame_every: float = 0.1
    """At most one frame in this time."""
    heartbeat: float = 20.0
    """A quiet socket says this often that it lives."""
    recheck: float = 60.0
    """Who looks, and what that person may see, is asked again this often."""
    window: int = 8
    """Frames that a client which acknowledges may owe."""
    patience: float = 60.0
    """How long a full window may stay full."""
    inbound_rate: float = 20.0
    """Frames a second that a client may send, on average …"""
    inbound_burst: float = 60.0
    """… and at once."""


class FeedSocket(AsyncWebsocketConsumer, ABC):  # type: ignore[misc]
    """Base of every feed. A subclass names its rule of visibility; without one the site does not start."""

    visibility: ClassVar[Any] = None
    """The function of `executions.live.viewers` that decides what a user sees in this feed."""
    pace: ClassVar[Pace] = Pace()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not callable(cls.visibility):
            raise ImproperlyConfigured(
                f"{cls.__name__} has no rule of visibility: nobody may be shown its feed"
            )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wake = asyncio.Event()
        self.seq = 0
        """Number of the last event sent; stays 0 in a feed without numbers."""
        self.greeted = False
        self._task: asyncio.Task[None] | None = None
        self._hub: Hub | None = None
        self._closed = False
        now = time.monotonic()
        self._last_frame = 0.0
        self._last_check = now
        self._owed: deque[tuple[int, float]] = deque(maxlen=self.pace.window)
        self._acknowledges = False
        self._allowance = self.pace.inbound_burst
        self._allowance_at = now

    # --- What a feed is ----------------------------------------------------------------------------------------------

    @abstractmethod
    async def stream(self, hub: Hub, user: AbstractBaseUser | AnonymousUser) -> None:
        """Greet with `hello`, then send frames for ever, resting with `rest`. Raises Farewell to end the socket."""

    @abstractmethod
    async def look_again(self, hub: Hub, user: AbstractBaseUser | AnonymousUser) -> None:
        """Raises Farewell when this user may no longer look."""

    # --- Its life ----------------------------------------------------------------------------------------------------

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            # Also when the server cancels us without a word of disconnecting.
            await self._clear_up()

    async def _clear_up(self) -> None:
        try:
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait([self._task])
                if not self._task.cancelled():
                    self._task.result()
        finally:
            if self._hub is not None:
                await self._hub.leave(self.scope["user"].pk)

    async def connect(self) -> None:
        # Accepted first, whoever it is: only an open socket can be told a code.
        await self.accept()
        self._task = asyncio.create_task(self._serve(), name=f"live-{type(self).__name__}")

    async def disconnect(self, code: int) -> None:
        self._closed = True

    async def _serve(self) -> None:
        farewell: Farewell | None = Farewell(CloseCode.BROKEN, "a failure inside")
        try:
            await self._look_at_feed()
        except Farewell as reason:
            farewell = reason
        except asyncio.CancelledError:
            farewell = None
            raise
        except (DatabaseError, InterfaceError) as error:
            log.warning("a socket ends, the database cannot be read: %s", error)
        finally:
            if farewell is not None:
                await self._part(farewell)

    async def _look_at_feed(self) -> None:
        user = self.scope["user"]
        if not user.is_authenticated:
            raise Farewell(CloseCode.SIGNED_OUT, "nobody is signed in")
        self._hub = Hub.join(user.pk)
        await self.stream(self._hub, user)

    async def _part(self, farewell: Farewell) -> None:
        if not self._closed:
            self._closed = True
            last = frames.bye(farewell) if self.greeted else frames.denied(farewell)
            await self.send(text_data=frames.encode(last))
            await self.close(int(farewell.code))

    # --- Its pace ----------------------------------------------------------------------------------------------------

    async def say(self, frame: Mapping[str, Any] | str) -> None:
        """Send a frame, encoded or not."""
        self._last_frame = time.monotonic()
        await self.send(text_data=frame if isinstance(frame, str) else frames.encode(frame))

    def owes(self, seq: int) -> None:
        """The frame just sent, up to event `seq`, is one that the client may acknowledge."""
        self._owed.append((seq, time.monotonic()))

    @property
    def may_send(self) -> bool:
        """The client can take another frame: it does not acknowledge at all, or keeps up."""
        return not self._acknowledges or len(self._owed) < self.pace.window

    async def rest(
        self, hub: Hub, user: AbstractBaseUser | AnonymousUser
    ) -> AbstractBaseUser | AnonymousUser:
        """Until there may be something to send, keeping the distance between frames; returns who is looking now."""
        pace = self.pace
        await asyncio.sleep(max(0.0, self._last_frame + pace.frame_every - time.monotonic()))
        due = min(self._last_frame + pace.heartbeat, self._last_check + pace.recheck)
        if not self.may_send:
            due = min(due, self._owed[0][1] + pace.patience)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, due - time.monotonic())):
                await self.wake.wait()
        self.wake.clear()
        hub.check()
        now = time.monotonic()
        if not self.may_send and now >= self._owed[0][1] + pace.patience:
            raise Farewell(CloseCode.TOO_SLOW, "frames were not acknowledged")
        if now >= self._last_check + pace.recheck:
            self._last_check = now
            user = await hub.reader.read(viewers.user_of_session, self.scope["session"].session_key)
            if not user.is_authenticated:
                raise Farewell(CloseCode.SIGNED_OUT, "signed out")
            await self.look_again(hub, user)
        if now >= self._last_frame + pace.heartbeat:
            await self.say(frames.heartbeat(self.seq or None))
        return user

    # --- What a client says ------------------------------------------------------------------------------------------

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        now = time.monotonic()
        pace = self.pace
        self._allowance = (
            min(pace.inbound_burst, self._allowance + (now - self._allowance_at) * pace.inbound_rate) - 1
        )
        self._allowance_at = now
        if self._allowance < 0:
            await self._end(Farewell(CloseCode.TOO_MANY, "too many frames"))
        elif text_data is None:
            await self.say(frames.error("bad_frame", "frames are JSON text"))
        elif len(text_data) > frames.MOST_BYTES or len(text_data.encode()) > frames.MOST_BYTES:
            await self._end(Farewell(CloseCode.TOO_BIG, f"a frame may have {frames.MOST_BYTES} bytes"))
        else:
            await self._hear(text_data)

    async def _hear(self, text: str) -> None:
        try:
            frame = json.loads(text)
        except (ValueError, RecursionError):
            frame = None
        if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
            await self.say(frames.error("bad_frame", "a frame is a JSON object with a type"))
        elif frame["type"] != "ack":
            await self.say(frames.error("unknown_type", "this feed understands: ack"))
        elif type(frame.get("seq")) is not int or frame["seq"] < 0:
            await self.say(frames.error("bad_frame", "ack needs seq, the number of the last event received"))
        else:
            self._acknowledges = True
            while self._owed and self._owed[0][0] <= frame["seq"]:
                self._owed.popleft()
            self.wake.set()

    async def _end(self, farewell: Farewell) -> None:
        if self._task is not None:
            self._task.cancel()
        await self._part(farewell)

    def question(self, name: str) -> str | None:
        """A value of the query string. Raises Farewell when it is there twice."""
        try:
            values = parse_qs(
                self.scope["query_string"].decode("ascii"), keep_blank_values=True, max_num_fields=20
            ).get(name, [])
        except (UnicodeDecodeError, ValueError):
            raise Farewell(CloseCode.BAD_REQUEST, "the query cannot be read") from None
        if len(values) > 1:
            raise Farewell(CloseCode.BAD_REQUEST, f"{name} is there twice")
        return values[0] if values else None
