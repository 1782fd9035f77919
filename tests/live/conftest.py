"""Sockets in this process over the real application, and executions to look at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User

from executions.models import Execution
from executions.planning.format import load_document
from executions.services.masterplans import store_masterplans
from executions.services.start import start_execution
from tests.live.socket_client import PATIENCE_S, Socket, cookie_of, off_loop
from tests.plans import layers, plan


@pytest.fixture
def application() -> Any:
    from mge_site.asgi import application

    return application


@pytest.fixture
def ada(transactional_db: None) -> User:
    return User.objects.create_user("ada")  # no password: hashing one takes a second


@pytest.fixture
def grace(transactional_db: None) -> User:
    return User.objects.create_user("grace")


@pytest.fixture
def begin(transactional_db: None) -> Callable[..., Execution]:
    """Store a plan and start an execution of it; nothing works on it."""

    def start(owner: User | None, *sizes: int, name: str = "live plan") -> Execution:
        masterplan = store_masterplans(
            load_document(plan(*layers(*(sizes or (2, 1))), name=name), origin="test"), owner=owner
        )[0]
        # Worked by hand, without a sandbox: there is nobody for the gates.
        return start_execution(masterplan=masterplan, actor=owner, settings={"validators": "syntax,contract"})

    return start


@pytest.fixture
async def connect(application: Any) -> AsyncIterator[Callable[..., Awaitable[Socket]]]:
    """Opens sockets as the browser of a user does; they are closed after the test."""
    opened: list[WebsocketCommunicator] = []

    async def open_socket(
        path: str, user: User | None = None, *, origin: str | None = "http://localhost:8000", app: Any = None
    ) -> Socket:
        headers = [] if origin is None else [(b"origin", origin.encode())]
        if user is not None:
            headers.append((b"cookie", (await off_loop(lambda: cookie_of(user))).encode()))
        communicator = WebsocketCommunicator(app or application, path, headers=headers)
        accepted, code = await communicator.connect(timeout=PATIENCE_S)
        if not accepted:
            raise ConnectionRefusedError(code)
        opened.append(communicator)
        return Socket(communicator, "executions" if path.startswith("/ws/executions/") else "execution")

    yield open_socket
    for communicator in opened:
        await communicator.disconnect(timeout=PATIENCE_S)
