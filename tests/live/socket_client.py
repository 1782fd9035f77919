"""A client of the feed for tests: every frame that it gets is held against the published document."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from channels.testing import WebsocketCommunicator
from django.conf import settings as site
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client

from executions.engine.transaction import open_transaction

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "asyncapi.yaml"
PATIENCE_S = 20


def published() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    return found


def check_frame(frame: dict[str, Any], channel: str) -> None:
    """The frame is one that the published document has for this channel."""
    document = published()
    message = document["channels"][channel]["messages"].get(frame.get("type"))
    assert message is not None, f"{frame.get('type')!r} is not published for {channel}"
    name = message["$ref"].rpartition("/")[2]
    schema = document["components"]["messages"][name]["payload"]
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(frame)


async def off_loop(work: Callable[[], Any]) -> Any:
    """Database work of a test, in a thread that leaves no connection behind."""

    def run() -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    return await asyncio.to_thread(run)


def append(execution_id: uuid.UUID, count: int = 1, **more: Any) -> int:
    """Append events in one transaction of the real writer; returns the number of the last one."""
    with open_transaction(execution_id) as unit:
        execution = unit.executions[execution_id]
        for _ in range(count):
            unit.event(execution, "test.noted", **more)
        return execution.seq


class Socket:
    """A client of one socket; every frame it gets is held against the published document."""

    def __init__(self, communicator: WebsocketCommunicator, channel: str) -> None:
        self.communicator = communicator
        self._channel = channel

    async def frame(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.communicator.receive_json_from(timeout=PATIENCE_S)
        check_frame(found, self._channel)
        return found

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next frame that is wanted; the others are passed over."""
        while True:
            found = await self.frame()
            if wanted(found):
                return found

    async def numbers_until(self, seq: int) -> list[int]:
        """Numbers of all events up to this one."""
        seen: list[int] = []
        while not seen or seen[-1] < seq:
            seen += [event["seq"] for event in (await self.frame()).get("events", [])]
        return seen

    async def close_code(self) -> int:
        while True:
            output = await self.communicator.receive_output(timeout=PATIENCE_S)
            if output["type"] == "websocket.close":
                code: int = output["code"]
                return code
            check_frame(json.loads(output["text"]), self._channel)

    async def say(self, frame: Any) -> None:
        await self.communicator.send_to(text_data=frame if isinstance(frame, str) else json.dumps(frame))


def cookie_of(user: User) -> str:
    """The session cookie of a browser in which this user has signed in."""
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return f"{site.SESSION_COOKIE_NAME}={client.cookies[site.SESSION_COOKIE_NAME].value}"
