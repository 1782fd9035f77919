"""When the site cannot start: exit 2, one clear sentence, nothing begun."""

from __future__ import annotations

import fcntl
import os
import socket
import uuid

import psycopg
import pytest

from tests.ground import SERVER_URL
from tests.product import Product


def test_a_taken_port_is_refused_before_anything_is_made(product: Product) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        refused = product.manage("serve", "--port", port)

    assert refused.returncode == 2
    assert refused.stderr.strip() == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another with --port or MGE_PORT"
    )
    assert refused.stdout == ""
    assert not (product.data_dir / "mge.sqlite3").exists()


def test_a_second_supervisor_of_a_data_folder_is_refused_and_told_of_the_first(product: Product) -> None:
    with (product.data_dir / "supervisor.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(str(os.getpid()))
        lock.flush()

        refused = product.manage("serve", "--port", "0")

    assert refused.returncode == 2
    assert f"in use already, by process {os.getpid()}" in refused.stderr


@pytest.mark.needs_postgres
def test_a_schema_that_is_behind_is_refused_with_the_command_that_mends_it(product: Product) -> None:
    name = f"mge_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(SERVER_URL, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            url = SERVER_URL.rpartition("/")[0] + "/" + name
            refused = product.manage("serve", "--port", "0", DATABASE_URL=url)
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    assert refused.returncode == 2
    assert "manage.py migrate" in refused.stderr
