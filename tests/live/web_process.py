"""A real daphne over the test database, as users run it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import aiohttp
from django.conf import settings as site
from django.db import connection

from tests.live.socket_client import PATIENCE_S, check_frame

ROOT = Path(__file__).resolve().parents[2]


def database_url() -> str:
    """The test database as another process names it."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{Path(settings['NAME']).absolute()}"
    who = quote(settings["USER"]) + (f":{quote(settings['PASSWORD'])}" if settings["PASSWORD"] else "")
    return f"postgres://{who}@{settings['HOST']}:{settings['PORT'] or 5432}/{settings['NAME']}"


class WebProcess:
    """`with WebProcess() as web:`; killed at the end of the block."""

    def __init__(self, port: int = 0) -> None:
        environment = {
            **os.environ,
            "DATABASE_URL": database_url(),
            # The same folder: its secret key signs the sessions.
            "MGE_DATA_DIR": str(site.MGE_DATA_DIR),
            "DJANGO_SETTINGS_MODULE": "mge_site.settings",
        }
        self._written = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        # Listening already: whoever connects before daphne is up waits in the queue.
        with socket.create_server(("127.0.0.1", port)) as door:
            self.port: int = door.getsockname()[1]
            self.url = f"http://127.0.0.1:{self.port}"
            self._process = subprocess.Popen(
                [sys.executable, "-m", "daphne", "--fd", str(door.fileno()), "mge_site.asgi:application"],
                env=environment,
                cwd=ROOT,
                stderr=self._written,
                stdout=subprocess.DEVNULL,
                pass_fds=[door.fileno()],
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._written.close()

    def log(self) -> str:
        """What it has written so far."""
        self._written.seek(0)
        return self._written.read().decode()


class WebSocket:
    """A client over the network; every frame is held against the published document."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse, channel: str) -> None:
        self.socket = connection
        self._channel = channel

    async def frame(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.socket.receive_str(timeout=PATIENCE_S))
        check_frame(found, self._channel)
        return found

    async def events(self) -> list[int]:
        """Numbers of the events in the next frame that has some."""
        while True:
            found = [event["seq"] for event in (await self.frame()).get("events", [])]
            if found:
                return found


@asynccontextmanager
async def open_socket(
    web: WebProcess, path: str, cookie: str, *, origin: str | None = None
) -> AsyncIterator[WebSocket]:
    headers = {"Cookie": cookie, "Origin": origin or web.url}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(web.url + path, headers=headers) as socket,
    ):
        yield WebSocket(socket, "executions" if path.startswith("/ws/executions/") else "execution")
