"""Free ports of this machine, and waiting for conditions."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LOOK_S = 0.05


class InVain(Exception):
    """Something waited for did not come in time; the message says what."""


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens at now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether somebody accepts connections at a port of the loopback address."""
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: Callable[[], T], what: str, *, seconds: float, look_s: float = LOOK_S) -> T:
    """The first true value of `condition`; raises InVain with `what` when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise InVain(f"in vain for {seconds:g} s: {what}")
        time.sleep(look_s)
