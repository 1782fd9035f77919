"""The product under measurement: a database, one worker process that has worked before, a stored plan.

CPU is that of all processes under `manage.py worker` and, on PostgreSQL, of the whole server (the postmaster and all that it
started), less what the same processes use in the same time when nothing runs; so it is what the run costs a site that is up
anyway. The command that starts the execution and waits for it is told apart. Transactions are those of the database,
likewise less those of an idle site; those of the waiting command, which looks four times a second, are among them.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.process_trees import Moment, command_of, forget_peaks, look, parent_of, peak_mb
from tests.ground import ON_POSTGRES, SERVER_URL
from tests.plans import adder, plan, write_plan
from tests.product import Product, endpoint, wait_for

SETTLED_S = 4.0
"""After the warm-up its runner has ended and its task is acknowledged."""
IDLE_S = 10.0
STATISTICS_S = 1.2
"""PostgreSQL's processes report what they did once a second."""
LONGEST_S = 3_600.0
WARM_UP_KEY = "warm-up"


def warm_up_plan(folder: Path) -> Path:
    """A file of one atom; the scripted model must know it, too."""
    return write_plan(folder, plan(adder(WARM_UP_KEY), name="warm-up"), stem="warm-up")


@dataclass(frozen=True, slots=True)
class Reading:
    """What was used until a moment."""

    at: float
    workers: Moment
    database: Moment | None
    transactions: int | None
    others_transactions: int

    def since(self, earlier: Reading) -> Used:
        return Used(
            seconds=self.at - earlier.at,
            workers_s=self.workers.total_s - earlier.workers.total_s,
            database_s=0.0
            if self.database is None or earlier.database is None
            else self.database.total_s - earlier.database.total_s,
            transactions=None
            if self.transactions is None or earlier.transactions is None
            else self.transactions - earlier.transactions,
            others_transactions=self.others_transactions - earlier.others_transactions,
        )


@dataclass(frozen=True, slots=True)
class Used:
    """Between two readings."""

    seconds: float
    workers_s: float
    """CPU seconds."""
    database_s: float
    """CPU seconds."""
    transactions: float | None
    others_transactions: int
    """Committed in other databases of the server: a few by us, more when others use it, whose CPU is then in ours."""

    def without(self, idle: Used) -> Used:
        """Less what an idle site uses in the same time."""
        share = self.seconds / idle.seconds
        return Used(
            seconds=self.seconds,
            workers_s=self.workers_s - share * idle.workers_s,
            database_s=self.database_s - share * idle.database_s,
            transactions=None
            if self.transactions is None or idle.transactions is None
            else self.transactions - share * idle.transactions,
            others_transactions=self.others_transactions,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one execution."""

    report: dict[str, Any]
    """As `run_masterplan --json` prints it."""
    all_used: Used
    used: Used
    """Without the idle share."""
    peak_mb: float
    """Of the busiest worker process, during the run."""


class Installation:
    """`with Installation(folder, url, warm_up) as site:`; ends with the block."""

    def __init__(self, folder: Path, url: str, warm_up: Path) -> None:
        """`url`: of a scripted model that knows `warm_up`, see `warm_up_plan`."""
        self.product = Product(folder, MGE_WORKERS="1", **endpoint(url))
        self._warm_up = warm_up

    def __enter__(self) -> Installation:
        try:
            self._worker = self.product.start("worker").pid
            wait_for(self._is_live, "a live node")
            self._postmaster = self._find_postmaster()
            self.product.run_plan(self._warm_up, "--set", "validators=syntax", "cache=off")
            self.idle = self._measure_idle()
        except BaseException:
            self.product.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.product.close()

    def store(self, plan_file: Path) -> str:
        """The id under which the plan is stored."""
        done = self.product.manage("import_masterplan", plan_file, timeout=600)
        if done.returncode:
            raise SystemExit(done.stderr)
        return done.stdout.split()[-1]

    def run(self, plan_id: str, *settings: str) -> Outcome:
        """Execute a stored plan with these `--set` values."""
        before = self.read()
        forget_peaks(before.workers)
        _, (report,) = self.product.run_plan(plan_id, "--set", *settings, timeout=LONGEST_S)
        after = self.read()
        used = after.since(before)
        return Outcome(
            report, used, used.without(self.idle), peak_mb(after.workers.busiest_since(before.workers))
        )

    def read(self) -> Reading:
        transactions, others = self._transactions()
        return Reading(
            time.monotonic(),
            look(self._worker),
            look(self._postmaster) if self._postmaster else None,
            transactions,
            others,
        )

    def _measure_idle(self) -> Used:
        time.sleep(SETTLED_S)
        before = self.read()
        time.sleep(IDLE_S)
        return self.read().since(before)

    def _is_live(self) -> bool:
        with contextlib.suppress(Exception):
            return bool(self.product.query("SELECT COUNT(*) FROM executions_node")[0][0])
        return False

    @staticmethod
    def _find_postmaster() -> int:
        """Its process where the server runs on this machine; 0 elsewhere and without one."""
        if not ON_POSTGRES:
            return 0
        with psycopg.connect(SERVER_URL) as connection:
            found = connection.execute("SELECT pg_backend_pid()").fetchone()
            parent = parent_of(found[0]) if found else 0
            return parent if command_of(parent) == "postgres" else 0

    def _transactions(self) -> tuple[int | None, int]:
        """Committed in our database, None where it does not count them, and in all others of its server."""
        if not ON_POSTGRES:
            return None, 0
        time.sleep(STATISTICS_S)
        database = self.product.environment["DATABASE_URL"].rpartition("/")[2]
        with psycopg.connect(SERVER_URL) as connection:
            rows = connection.execute(
                "SELECT datname = %s, sum(xact_commit)::bigint FROM pg_stat_database"
                " WHERE datname IS NOT NULL GROUP BY 1",
                [database],
            ).fetchall()
        counts = {bool(ours): int(count) for ours, count in rows}
        return counts.get(True, 0), counts.get(False, 0)


def database_version() -> str:
    """Name and version of what the installations of this process stand on."""
    if ON_POSTGRES:
        with psycopg.connect(SERVER_URL) as connection:
            return f"PostgreSQL {connection.info.parameter_status('server_version')}"
    return f"SQLite {sqlite3.sqlite_version}"
