"""The product as its users have it: commands and nodes in processes of their own, on one database."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from chaos.private_services import ends_with_us
from chaos.process_table import Process, Roles, roles_of, send, still_alive, tree_of, with_variable
from chaos.waiting import InVain

QUERY_PATIENCE_S = 60.0
Rows = list[tuple[Any, ...]]


class CommandFailed(Exception):
    """A command of the product ended badly; the message is what it said."""


@dataclass(slots=True)
class Place:
    """Where the product is run from, and how."""

    root: Path
    """The checkout."""
    python: Path
    folder: Path
    """For all that this installation writes."""
    environment: Mapping[str, str]
    """Variables of every process of it."""
    database_url: str = ""
    """Direct, for our own looks. Empty: SQLite in the first node's data folder."""

    def manage_command(self, arguments: Sequence[object]) -> list[str]:
        return [str(self.python), str(self.root / "manage.py"), *(str(one) for one in arguments)]


def plain_environment(more: Mapping[str, str]) -> dict[str, str]:
    """Ours without what would steer the product, and `more`."""
    dropped = ("MGE_", "ANTHROPIC_", "DJANGO_SETTINGS_MODULE", "DATABASE_URL", "REDIS_URL", "SECRET_KEY")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(dropped)}, **more}


class Node:
    """`serve` or `worker` with a data folder of its own; started again and again."""

    def __init__(self, place: Place, name: str, command: Sequence[object], **environment: str) -> None:
        self.place, self.name, self.command = place, name, command
        self.data_dir = place.folder / name
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.environment = {**place.environment, "MGE_DATA_DIR": str(self.data_dir), **environment}
        self.output = place.folder / f"{name}.txt"
        self.seen: dict[tuple[int, int], Process] = {}
        """Every process of it that was ever looked at; in the end none may live."""
        self._process: subprocess.Popen[bytes] | None = None
        self._life_begins_at = 0

    @property
    def supervisor(self) -> int:
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Start it; what it says is appended to its output."""
        self._life_begins_at = self.output.stat().st_size if self.output.exists() else 0
        with self.output.open("ab") as sink:
            self._process = subprocess.Popen(
                self.place.manage_command(self.command),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                cwd=self.place.root,
                env=self.environment,
                start_new_session=True,
                preexec_fn=ends_with_us(),
            )

    def said(self) -> str:
        """What it has said in its present life."""
        with self.output.open("rb") as text:
            text.seek(self._life_begins_at)
            return text.read().decode(errors="replace")

    def is_up(self) -> bool:
        """Whether its workers are ready. Raises CommandFailed when it has ended."""
        status = self.ended()
        if status is not None:
            raise CommandFailed(f"{self.name} ended ({status}): {self.said().strip()[-500:]}")
        return "workers ready" in self.said()

    def ended(self) -> int | None:
        """Exit status of the supervisor once it has ended."""
        return self._process.poll() if self._process is not None else None

    def processes(self) -> list[Process]:
        """The living processes of it: by the variable that they were started with, and by descent."""
        found = {one.pid: one for one in with_variable("MGE_DATA_DIR", str(self.data_dir))}
        if self._process is not None and self.ended() is None:
            found |= {one.pid: one for one in tree_of(self._process.pid)}
        self.seen |= {(one.pid, one.started): one for one in found.values()}
        return list(found.values())

    def roles(self, known_workers: frozenset[int]) -> Roles:
        return roles_of(self.supervisor, self.processes(), known_workers)

    def kill_supervisor(self) -> None:
        """kill -9, and wait until it is gone; what it started ends by itself or is a leftover."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()

    def stop(self, *, longest_s: float) -> int | None:
        """Ask it to end; its exit status, None when it had to be killed."""
        if self._process is None:
            return 0
        self.processes()
        send(self._process.pid, signal.SIGTERM)
        try:
            return self._process.wait(timeout=longest_s)
        except subprocess.TimeoutExpired:
            return None

    def leftovers(self) -> list[Process]:
        """Processes of it that live although its supervisor has ended."""
        by_variable = {
            (one.pid, one.started): one for one in with_variable("MGE_DATA_DIR", str(self.data_dir))
        }
        return list({**by_variable, **{(p.pid, p.started): p for p in still_alive(self.seen)}}.values())

    def kill_all(self) -> None:
        """At the end of a run that failed: nothing of ours stays."""
        for _ in range(20):
            left = [*self.leftovers(), *(self.processes() if self.ended() is None else [])]
            if not left:
                return
            for process in left:
                send(process.pid, signal.SIGCONT)
                send(process.pid, signal.SIGKILL)
            if self._process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(timeout=0.2)
            time.sleep(0.1)


@dataclass(slots=True)
class Installation:
    """The nodes of one product on one database, and our own eyes on that database."""

    place: Place
    nodes: list[Node] = field(default_factory=list)

    @property
    def on_postgres(self) -> bool:
        return bool(self.place.database_url)

    def manage(self, *arguments: object, timeout_s: float = 120) -> str:
        """Run a command to its end; what it printed. Raises CommandFailed."""
        try:
            done = subprocess.run(
                self.place.manage_command(arguments),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout_s,
                cwd=self.place.root,
                env=self.nodes[0].environment,
            )
        except subprocess.TimeoutExpired as error:
            raise CommandFailed(f"manage.py {arguments[0]}: no end within {timeout_s:g} s") from error
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip())[-2_000:]
            raise CommandFailed(f"manage.py {arguments[0]}: exit {done.returncode}: {said}")
        return done.stdout

    def query(self, statement: str, *parameters: object) -> Rows:
        """Look into the database; `?` marks parameters. Waits while the database is away; raises InVain after a minute."""
        return self._patiently(lambda: self.query_once(statement, *parameters))

    def query_once(self, statement: str, *parameters: object) -> Rows:
        """The same without patience: raises psycopg.OperationalError or sqlite3.OperationalError."""
        if self.on_postgres:
            with psycopg.connect(self.place.database_url, autocommit=True, connect_timeout=3) as connection:
                return connection.execute(statement.replace("?", "%s").encode(), parameters).fetchall()
        path = self.nodes[0].data_dir / "mge.sqlite3"
        with contextlib.closing(sqlite3.connect(path, timeout=20)) as lite:
            return lite.execute(statement, parameters).fetchall()

    @staticmethod
    def _patiently(ask: Callable[[], Rows]) -> Rows:
        deadline = time.monotonic() + QUERY_PATIENCE_S
        while True:
            try:
                return ask()
            except (psycopg.OperationalError, sqlite3.OperationalError) as error:
                if time.monotonic() > deadline:
                    raise InVain(f"the database does not answer: {error}") from error
                time.sleep(0.1)

    def write_lock_is_free(self) -> bool:
        """Whether SQLite can be written now: a stopped process may hold its only lock. True on PostgreSQL."""
        if self.on_postgres:
            return True
        path = self.nodes[0].data_dir / "mge.sqlite3"
        with contextlib.closing(sqlite3.connect(path, timeout=0.3, isolation_level=None)) as lite:
            try:
                lite.execute("BEGIN IMMEDIATE")
                lite.execute("ROLLBACK")
            except sqlite3.OperationalError:
                return False
        return True

    def known_workers(self) -> frozenset[int]:
        """Process ids of workers by their own report; empty where the product keeps none."""
        return frozenset(pid for (pid,) in self.query("SELECT pid FROM executions_nodeworker"))

    def roles(self, node: Node) -> Roles:
        return node.roles(self.known_workers())

    def lease_owners(self) -> dict[int, int]:
        """Process ids of the runners that hold atoms now, and how many each holds."""
        rows = self.query(
            "SELECT lease_owner, COUNT(*) FROM executions_atomrun"
            " WHERE status IN ('generating', 'validating') AND lease_owner <> '' GROUP BY lease_owner"
        )
        held: dict[int, int] = {}
        for owner, count in rows:
            held[process_of(owner)] = held.get(process_of(owner), 0) + count
        return held

    def kill_all(self) -> None:
        for node in self.nodes:
            node.kill_all()


def process_of(owner: str) -> int:
    """The process id in the name of a runner: `host:place:pid:…`."""
    return int(owner.split(":")[2])
