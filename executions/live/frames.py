"""Frames of the sockets, as `docs/asyncapi.yaml` publishes them, and the codes that a socket is closed with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from executions.live.feed import Page, Snapshot

PROTOCOL = 1
MOST_BYTES = 4096
"""Size limit of a client's frame."""


class CloseCode(IntEnum):
    """Why the server closed a socket."""

    BROKEN = 1011
    """A failure inside; connect again, with `after`."""
    BAD_REQUEST = 4400
    """The address or a frame cannot be understood; connecting again will not help."""
    SIGNED_OUT = 4401
    """Nobody is signed in, or not any more."""
    NOT_FOUND = 4404
    """No such feed, or not one that this user may see."""
    TOO_SLOW = 4408
    """A client that acknowledges has not done so for too long; connect again, with `after`."""
    TOO_BIG = 4413
    """A client's frame was larger than allowed."""
    TOO_MANY = 4429
    """Too many frames from the client, or too many sockets; wait before connecting again."""


class Farewell(Exception):
    """The server ends this socket, with a code and a reason that the client is told."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def encode(frame: Mapping[str, Any]) -> str:
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))


def hello(snapshot: Snapshot, after: int) -> dict[str, Any]:
    """The first frame: where the execution stands, and the number after which events follow."""
    return {
        "type": "hello",
        "protocol": PROTOCOL,
        "seq": snapshot.seq,
        "after": after,
        "snapshot": snapshot.state.as_json(),
    }


def hello_list(executions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The first frame of the list feed."""
    return {"type": "hello", "protocol": PROTOCOL, "snapshot": {"executions": list(executions)}}


def events(page: Page) -> dict[str, Any]:
    """Events in order and the state of what they touch; without events when only totals have changed."""
    return {"type": "events", **page.as_json()}


def executions(changed: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Totals of executions that changed."""
    return {"type": "executions", "executions": list(changed)}


def resync(snapshot: Snapshot) -> dict[str, Any]:
    """Instead of a replay: the state as it is; go on from its seq."""
    return {"type": "resync", "seq": snapshot.seq, "snapshot": snapshot.state.as_json()}


def final(seq: int, status: str) -> dict[str, Any]:
    """The execution has ended and this was its last event. The socket stays open: it may be reopened."""
    return {"type": "final", "seq": seq, "status": status}


def heartbeat(seq: int | None) -> dict[str, Any]:
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"type": "heartbeat", "at": at} if seq is None else {"type": "heartbeat", "seq": seq, "at": at}


def error(code: str, detail: str) -> dict[str, Any]:
    """A client's frame was not understood; the socket stays open."""
    return {"type": "error", "code": code, "detail": detail}


def denied(farewell: Farewell) -> dict[str, Any]:
    """Instead of `hello`; the socket is closed with the same code."""
    return {"type": "denied", "code": int(farewell.code), "reason": farewell.reason}


def bye(farewell: Farewell) -> dict[str, Any]:
    """The last frame of a socket that the server closes."""
    return {"type": "bye", "code": int(farewell.code), "reason": farewell.reason}
