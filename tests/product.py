"""The product as its users have it: commands in processes of their own, on a database and data folder of their own."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from tests.ground import ON_POSTGRES, ROOT, SERVER_URL

_migrated: list[str] = []
"""The database of this process that others are copied from, once there is one."""


class Product:
    """One installation. `close` kills what is left of its processes and drops its database."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.data_dir.mkdir(parents=True)
        self.environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("MGE_", "ANTHROPIC_"))
            },
            "MGE_DATA_DIR": str(self.data_dir),
            "MGE_SCRIPTED_LATENCY": "0",
            **environment,
        }
        self.environment.pop("DATABASE_URL", None)
        self._database = ""
        self._processes: list[subprocess.Popen[bytes]] = []
        if ON_POSTGRES:
            self._make_database()

    def _make_database(self) -> None:
        """A copy of one that was migrated once: migrating takes longer than most tests."""
        self._database = f"mge_test_{uuid.uuid4().hex[:12]}"
        if not _migrated:
            template = f"mge_test_{uuid.uuid4().hex[:12]}"
            with psycopg.connect(SERVER_URL, autocommit=True) as connection:
                connection.execute(f'CREATE DATABASE "{template}"')
            _migrated.append(template)
            atexit.register(_drop, template)
            self.environment["DATABASE_URL"] = _url(template)
            assert self.manage("migrate", "--verbosity", "0").returncode == 0
        with psycopg.connect(SERVER_URL, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{self._database}" TEMPLATE "{_migrated[0]}"')
        self.environment["DATABASE_URL"] = _url(self._database)

    def manage(
        self, *arguments: object, timeout: float = 240, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; its output is text."""
        return subprocess.run(
            self._command(arguments),
            cwd=ROOT,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(
        self, *arguments: object, output: Path | None = None, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start a command in a process group of its own."""
        with (output or self.folder / f"output-{len(self._processes)}.txt").open("wb") as sink:
            process = subprocess.Popen(
                self._command(arguments),
                cwd=ROOT,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    @staticmethod
    def _command(arguments: Sequence[object]) -> list[str]:
        return [sys.executable, str(ROOT / "manage.py"), *(str(one) for one in arguments)]

    def run_plan(
        self, *arguments: object, timeout: float = 240, **environment: str
    ) -> tuple[int, list[dict[str, Any]]]:
        """`run_masterplan … --json`: exit status and the executions it reports."""
        done = self.manage("run_masterplan", *arguments, "--json", timeout=timeout, **environment)
        assert done.stdout.startswith("{"), done.stderr
        return done.returncode, json.loads(done.stdout)["executions"]

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Look into the database; `?` marks parameters."""
        if self._database:
            with psycopg.connect(self.environment["DATABASE_URL"]) as connection:
                return connection.execute(sql.replace("?", "%s"), parameters).fetchall()
        with contextlib.closing(sqlite3.connect(self.data_dir / "mge.sqlite3", timeout=20)) as lite:
            return lite.execute(sql, parameters).fetchall()

    def close(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self._database:
            _drop(self._database)


def _url(database: str) -> str:
    return SERVER_URL.rpartition("/")[0] + "/" + database


def _drop(database: str) -> None:
    with psycopg.connect(SERVER_URL, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')


def wait_for(condition: Callable[[], Any], what: str, *, seconds: float = 60) -> Any:
    """The first true value of `condition`; fails with `what` when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"in vain for {seconds:g} s: {what}")
        time.sleep(0.05)


def endpoint(url: str) -> Mapping[str, str]:
    """Environment that points the product at a scripted model of the test's own."""
    return {"ANTHROPIC_BASE_URL": url, "MGE_MODEL": "scripted-test"}
