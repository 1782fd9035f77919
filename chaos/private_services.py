"""A PostgreSQL and a Redis of our own: private folders, free ports, never one that already runs."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from chaos.waiting import free_port, listens, wait_for

START_S = 60.0
STOP_S = 60.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class Missing(Exception):
    """A program that is needed is not installed; the message names it and what to do."""


def ends_with_us(number: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    """For `preexec_fn`: the child gets this signal when the thread that started it ends, however it ends."""

    def ask() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, number)

    return ask


def postgres_binaries() -> Path:
    """The folder of the newest PostgreSQL installed. Raises Missing."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    on_path = shutil.which("initdb")
    if on_path:
        found.append(Path(on_path).resolve().parent)
    if not found:
        raise Missing("PostgreSQL's initdb and postgres (Debian: postgresql); or run with --engines sqlite")
    return max(found, key=lambda path: [int(part) for part in path.parent.name.split(".") if part.isdigit()])


def redis_binary() -> Path:
    """Raises Missing."""
    found = shutil.which("redis-server")
    if found is None:
        raise Missing("redis-server (Debian: redis-server); or choose --engines without +redis")
    return Path(found)


@dataclass(frozen=True, slots=True)
class _Account:
    """The user that a server runs as; None: as we do."""

    name: str | None
    group: int | None


def _account() -> _Account:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return _Account(None, None)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return _Account(name, pwd.getpwnam(name).pw_gid)
    raise Missing("a user other than root to run PostgreSQL as (postgres or nobody)")


class PrivatePostgres:
    """A cluster in a folder of ours. `start` and `stop` may be called again and again."""

    def __init__(self, folder: Path) -> None:
        """Makes the cluster. Raises Missing."""
        binaries = postgres_binaries()
        self._server = binaries / "postgres"
        self._account = _account()
        self._home = folder / "postgres"
        self._data = self._home / "data"
        self._home.mkdir(parents=True)
        if self._account.name is not None:
            shutil.chown(self._home, self._account.name, self._account.group)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        made = subprocess.run(
            [
                *(str(binaries / "initdb"), "-D", str(self._data), "-U", "postgres"),
                *("-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=self._home,
            user=self._account.name,
            group=self._account.group,
            extra_groups=None if self._account.name is None else [],
        )
        if made.returncode != 0:
            raise RuntimeError(f"initdb: {made.stderr.strip() or made.stdout.strip()}")

    def url(self, database: str = "postgres", *, port: int | None = None) -> str:
        """For clients; `port` is that of a proxy in front of it."""
        return f"postgres://postgres@127.0.0.1:{port or self.port}/{database}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "300",
            "fsync": "off",  # we kill the server, never the machine
        }
        with (self._home / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._server), "-D", str(self._data)]
                + [part for name, value in settings.items() for part in ("-c", f"{name}={value}")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._home,
                start_new_session=True,
                preexec_fn=ends_with_us(signal.SIGQUIT),
                user=self._account.name,
                group=self._account.group,
                extra_groups=None if self._account.name is None else [],
            )
        wait_for(self.answers, "the private PostgreSQL answers", seconds=START_S)

    def answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"PostgreSQL has ended; {self._home / 'log.txt'} says why")
        try:
            with psycopg.connect(self.url(), connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def stop(self, *, immediate: bool = False) -> None:
        """Stop it: connections are cut at once (`immediate`: also without a checkpoint, as in a crash)."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
        self._process.wait(timeout=STOP_S)
        self._process = None

    def make_database(self, name: str) -> str:
        """Its URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def cut_connections(self, database: str, *, share: Callable[[], bool] = lambda: True) -> int:
        """Terminate the server's side of connections to a database; `share` is asked for each. Returns how many."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid() ORDER BY pid",
                [database],
            ).fetchall()
            chosen = [pid for (pid,) in rows if share()]
            for pid in chosen:
                connection.execute("SELECT pg_terminate_backend(%s)", [pid])
        return len(chosen)


class PrivateRedis:
    """A Redis without persistence, spoken to in its own protocol's plain form."""

    def __init__(self, folder: Path) -> None:
        """Raises Missing."""
        self._server = redis_binary()
        self._home = folder / "redis"
        self._home.mkdir(parents=True)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        with (self._home / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(str(self._server), "--port", str(self.port), "--bind", "127.0.0.1"),
                    *("--save", "", "--appendonly", "no", "--daemonize", "no"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._home,
                start_new_session=True,
                preexec_fn=ends_with_us(),
            )
        wait_for(lambda: listens(self.port), "the private Redis answers", seconds=START_S)

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait(timeout=STOP_S)
        self._process = None

    def forget_all(self) -> None:
        """FLUSHALL."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as one:
            one.sendall(b"FLUSHALL\r\n")
            said = one.recv(100)
        if not said.startswith(b"+OK"):
            raise RuntimeError(f"FLUSHALL: {said!r}")
