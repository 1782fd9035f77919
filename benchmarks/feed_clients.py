"""Two clients that follow an execution's events, one by WebSocket, one by long poll, and note when each arrives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import aiohttp

R = TypeVar("R")
LINGER_S = 2.0
"""How long what was written last may be under way."""


class Clients:
    """Of one site and one execution."""

    def __init__(self, url: str, execution: str, *, cookie: str, token: str) -> None:
        """`cookie`: of a browser in which somebody who may see the execution is signed in; `token`: for REST."""
        self._url = url
        self._execution = execution
        self._cookie = cookie
        self._token = token
        self._arrived: dict[str, dict[int, float]] = {"a WebSocket": {}, "a long poll": {}}

    async def follow(self, write: Callable[[], R]) -> tuple[dict[str, dict[int, float]], R]:
        """Follow while `write` works in a thread: arrivals by event number in Unix seconds, by client; what `write` gave."""
        async with aiohttp.ClientSession() as session:
            followers = [asyncio.create_task(one(session)) for one in (self._by_socket, self._by_polling)]
            try:
                written = await asyncio.to_thread(write)
                await asyncio.sleep(LINGER_S)
                for follower in followers:
                    if follower.done():
                        follower.result()
            finally:
                for follower in followers:
                    follower.cancel()
                    with suppress(asyncio.CancelledError):
                        await follower
        return self._arrived, written

    async def _by_socket(self, session: aiohttp.ClientSession) -> None:
        url = f"{self._url.replace('http', 'ws', 1)}/ws/execution/{self._execution}/"
        headers = {"Cookie": self._cookie, "Origin": self._url}
        async with session.ws_connect(url, headers=headers) as socket:
            while True:
                frame = await socket.receive_json()
                at = time.time()
                seen = self._arrived["a WebSocket"]
                seen.update({event["seq"]: at for event in frame.get("events", [])})

    async def _by_polling(self, session: aiohttp.ClientSession) -> None:
        url = f"{self._url}/api/v2/executions/{self._execution}/events/"
        after = 0
        while True:
            parameters = {"after": str(after), "wait": "25"}
            headers = {"Authorization": f"Bearer {self._token}"}
            async with session.get(url, params=parameters, headers=headers) as answer:
                answer.raise_for_status()
                page = await answer.json()
            at = time.time()
            after = page["after"]
            self._arrived["a long poll"].update({event["seq"]: at for event in page["events"]})
