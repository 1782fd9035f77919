"""The web server (daphne) as a child process, on a socket that stays open while the server is started again."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Sequence

from executions.supervisor.child import Child
from executions.supervisor.log_file import LogFile

ANSWER_S = 30.0
AGAIN_S = 0.2
BACKLOG = 1024


class AddressTaken(Exception):
    """Nobody can listen there; the message says where and why."""


class Address:
    """A listening socket. Callers wait in its queue while no server is there to accept them."""

    def __init__(self, host: str, port: int) -> None:
        """Raises AddressTaken. Port 0 takes a free one."""
        self.asked = host
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind((host, port))
            self.socket.listen(BACKLOG)
        except OSError as error:
            self.socket.close()
            raise AddressTaken(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
        self.host, self.port = self.socket.getsockname()[:2]

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        return f"http://{self._reachable()}:{self.port}/"

    def answers(self) -> bool:
        """Whether a server answers there; waits until one does, or for half a minute."""
        caller = http.client.HTTPConnection(self._reachable(), self.port, timeout=ANSWER_S)
        try:
            caller.request("GET", "/healthz", headers={"Host": "localhost"})
            caller.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            caller.close()
        return True

    @property
    def open_to_all(self) -> bool:
        return bool(self.host == "0.0.0.0")  # noqa: S104  compared, not bound

    def _reachable(self) -> str:
        return "127.0.0.1" if self.open_to_all else str(self.host)

    def close(self) -> None:
        self.socket.close()


class Web:
    """One life of the server at an address."""

    name = "web"

    def __init__(self, address: Address, *, log_file: LogFile, lend: Sequence[int] = ()) -> None:
        listening = address.socket.fileno()
        with log_file.open() as sink:
            # -v 0: no line per request; addresses of sockets may carry a ticket.
            self._child = Child(
                ["daphne", "-v", "0", "--fd", str(listening), "mge_site.asgi:application"],
                log=sink,
                environment={"MGE_HOST": address.asked},
                lend=(listening, *lend),
            )
        self._answers, self._over = threading.Event(), threading.Event()
        threading.Thread(target=self._ask, args=(address,), name="web-ready", daemon=True).start()

    def _ask(self, address: Address) -> None:
        while not address.answers():
            if self._over.wait(AGAIN_S):
                return
        self._answers.set()

    @property
    def pid(self) -> int:
        return self._child.pid

    def ended(self) -> bool:
        if self._child.ended() is None:
            return False
        self._over.set()
        return True

    def how_it_ended(self) -> str:
        return self._child.how_it_ended()

    def ready(self) -> str:
        """A word once it has answered a request, else empty."""
        return "answers" if self._answers.is_set() else ""

    def ask_to_end(self) -> None:
        self._child.ask_to_end()

    def wait(self, longest_s: float) -> bool:
        return self._child.wait(longest_s)

    def end(self) -> None:
        """Kill what is left of it."""
        self._over.set()
        self._child.kill()
