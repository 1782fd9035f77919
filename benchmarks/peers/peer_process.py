"""A peer's process as seen from outside: started, told to go, looked at, ended. Its database is its own."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.ground import ROOT, SERVER_URL

START_S = 120.0
LONGEST_S = 1_800.0
STOP_S = 60.0
_OTHERS = ("ANTHROPIC_", "MGE_", "DJANGO_", "DBOS_", "LANGSMITH_", "LANGCHAIN_", "PYTHON", "PEERS_")

_ERROR = re.compile(r"[\w.]+(Error|Exception|Fault): ")
"""Tracebacks may go on after the line that says what it was."""


class PeerFailed(Exception):
    """The message says why, in the words of the peer's process where it had any."""


class PeerProcess:
    """`with PeerProcess(python, name, …) as peer:`; ready when entered; killed with the block, with all it started."""

    def __init__(
        self, python: Path, name: str, folder: Path, *, plan: Path, warm_up: Path, url: str, database: str
    ) -> None:
        folder.mkdir(parents=True)
        self._said = folder / "said.txt"
        command = [str(python), "-m", "benchmarks.peers.process", name]
        command += ["--plan", str(plan), "--warm-up", str(warm_up), "--url", url, "--database", database]
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_OTHERS)}
        with self._said.open("wb") as sink:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={**kept, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
                start_new_session=True,
                text=True,
            )
        self.pid = self._process.pid
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> PeerProcess:
        try:
            self._answer(START_S)
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()

    def run(self) -> dict[str, Any]:
        """succeeded, calls, wall_s. Raises PeerFailed."""
        self._tell()
        return self._answer(LONGEST_S)

    def end(self) -> None:
        """Let it end its processes, so that their CPU is known. Raises PeerFailed."""
        self._tell()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            raise PeerFailed(f"did not end within {STOP_S:g} s") from None

    def _tell(self) -> None:
        if self._process.stdin is None:
            raise RuntimeError("no pipe")
        with contextlib.suppress(BrokenPipeError):  # it has ended: there will be no answer
            self._process.stdin.write("\n")
            self._process.stdin.flush()

    def _answer(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise PeerFailed(f"no answer within {seconds:g} s; {self._last_words()}") from None
        if not line:
            raise PeerFailed(self._last_words())
        found: dict[str, Any] = json.loads(line)
        return found

    def _listen(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                self._answers.put(line)
        self._answers.put("")

    def _last_words(self) -> str:
        lines = [
            line.strip() for line in self._said.read_text(encoding="utf-8", errors="replace").splitlines()
        ]
        spoken = [line for line in lines if line]
        errors = [line for line in spoken if _ERROR.match(line)]
        return next(reversed(errors or spoken), "it ended and said nothing")

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def own_database() -> Iterator[str]:
    """The URL of an empty database on the server; dropped with the block."""
    name = f"mge_peer_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(SERVER_URL, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield f"{SERVER_URL.rpartition('/')[0]}/{name}"
    finally:
        with psycopg.connect(SERVER_URL, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def committed(database: str) -> int:
    """Transactions that the database has seen, as far as its server has counted them."""
    with psycopg.connect(SERVER_URL) as connection:
        found = connection.execute(
            "SELECT xact_commit FROM pg_stat_database WHERE datname = %s", [database.rpartition("/")[2]]
        ).fetchone()
    return int(found[0]) if found else 0
