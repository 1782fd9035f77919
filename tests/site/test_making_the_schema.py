"""Commands make the embedded database themselves, and leave every other one alone."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.ground import SERVER_URL
from tests.plans import adder, plan, write_plan
from tests.site.conftest import Manage


def _tables(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as database:
        return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_commands_that_start_at_once_on_a_new_folder_all_succeed(
    manage: Manage, data_dir: Path, scratch: Path
) -> None:
    files = [
        write_plan(scratch / str(number), plan(adder("a"), name=f"plan {number}")) for number in range(3)
    ]

    with ThreadPoolExecutor(len(files)) as pool:
        done = list(pool.map(lambda file: manage("import_masterplan", file), files))

    assert [one.returncode for one in done] == [0, 0, 0], [one.stderr for one in done]
    with closing(sqlite3.connect(data_dir / "mge.sqlite3")) as database:
        names = database.execute("SELECT name FROM executions_masterplan ORDER BY name").fetchall()
    assert names == [("plan 0",), ("plan 1",), ("plan 2",)]


@pytest.mark.parametrize("command", ["run_masterplan", "events"])
def test_an_unmigrated_database_of_ones_own_is_refused_and_left_alone(
    manage: Manage, scratch: Path, command: str
) -> None:
    file = scratch / "own.sqlite3"
    argument = "6f2b6d0e-0000-7000-8000-000000000000"
    if command != "events":
        argument = str(write_plan(scratch, plan(adder("a"))))

    done = manage(command, argument, DATABASE_URL=f"sqlite:///{file}")

    assert done.returncode == 2
    assert "manage.py migrate" in done.stderr
    assert "Traceback" not in done.stderr
    assert _tables(file) == set()


def test_a_migrated_one_is_used(manage: Manage, scratch: Path, data_dir: Path) -> None:
    file = scratch / "own.sqlite3"
    url = f"sqlite:///{file}"
    assert manage("migrate", "--verbosity", "0", DATABASE_URL=url).returncode == 0

    done = manage("import_masterplan", write_plan(scratch, plan(adder("a"))), DATABASE_URL=url)

    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 1
    assert not (data_dir / "mge.sqlite3").exists()


@pytest.mark.needs_postgres
def test_an_unmigrated_postgres_is_refused_and_left_alone(manage: Manage, scratch: Path) -> None:
    name = f"mge_unmigrated_{scratch.name.replace('-', '_')[:30]}".lower()
    url = SERVER_URL.rpartition("/")[0] + "/" + name
    with psycopg.connect(SERVER_URL, autocommit=True) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{name}"')
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            done = manage("import_masterplan", write_plan(scratch, plan(adder("a"))), DATABASE_URL=url)

            assert done.returncode == 2
            assert "manage.py migrate" in done.stderr
            with psycopg.connect(url) as database:
                tables = database.execute("SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'")
                assert tables.fetchone() == (0,)
        finally:
            server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def test_a_database_that_cannot_be_opened_is_refused_in_one_line(manage: Manage, scratch: Path) -> None:
    file = write_plan(scratch, plan(adder("a")))

    nobody = manage("import_masterplan", file, DATABASE_URL="postgres://hush:hush7@127.0.0.1:9/none")
    folder = manage("import_masterplan", file, DATABASE_URL=f"sqlite:///{scratch}")

    for done in (nobody, folder):
        assert done.returncode == 2
        assert done.stderr.startswith("cannot use the database")
        assert "Traceback" not in done.stderr
        assert "hush7" not in done.stderr
