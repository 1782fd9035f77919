"""Addresses of the sockets, and what a connection passes before it reaches one: its origin, then who it is."""

from __future__ import annotations

from typing import Any

from asgiref.sync import ThreadSensitiveContext
from channels.auth import AuthMiddlewareStack  # type: ignore[import-untyped]
from channels.generic.websocket import AsyncWebsocketConsumer  # type: ignore[import-untyped]
from channels.routing import URLRouter  # type: ignore[import-untyped]
from channels.security.websocket import AllowedHostsOriginValidator  # type: ignore[import-untyped]
from django.core.exceptions import ImproperlyConfigured
from django.urls import URLPattern, path, re_path

from executions.live import frames
from executions.live.consumers import ExecutionFeed, ListFeed
from executions.live.frames import CloseCode, Farewell
from executions.live.sockets import FeedSocket


class NoSuchFeed(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Every other address: told so and closed. Without it each one would be an error in the log."""

    async def connect(self) -> None:
        farewell = Farewell(CloseCode.NOT_FOUND, "no such feed")
        await self.accept()
        await self.send(text_data=frames.encode(frames.denied(farewell)))
        await self.close(int(farewell.code))


class Identified:
    """Finds out who connects, in a thread of this socket's own that is gone again before the feed begins.

    Outside of a request all database work of the authentication shares one thread; one slow query would hold up every socket.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        identified: dict[str, Any] = {}

        async def note(found: Any, receive: Any, send: Any) -> None:
            identified.update(found)

        async with ThreadSensitiveContext():
            await AuthMiddlewareStack(note)(scope, receive, send)
        await self._inner(identified, receive, send)


def feed_route(route: str, consumer: type[FeedSocket]) -> URLPattern:
    """A route of a feed. Raises ImproperlyConfigured for a consumer that has no rule of visibility."""
    if not issubclass(consumer, FeedSocket):
        raise ImproperlyConfigured(f"{consumer.__name__} at {route} has no rule of visibility")
    found: URLPattern = path(route, consumer.as_asgi())
    return found


websocket_application = AllowedHostsOriginValidator(
    Identified(
        URLRouter(
            [
                feed_route("ws/execution/<uuid:execution_id>/", ExecutionFeed),
                feed_route("ws/executions/", ListFeed),
                re_path(r"", NoSuchFeed.as_asgi()),
            ]
        )
    )
)
