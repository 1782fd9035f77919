"""A node whose network hangs within a transaction must not keep the locks of others' work for longer than a lease lasts."""

from __future__ import annotations

import pytest

from tests.ground import SERVER_URL
from tests.site.conftest import Manage

pytestmark = [pytest.mark.needs_postgres]

FALL_SILENT = """
import time
from django.db import DatabaseError, connection, transaction
with connection.cursor() as cursor:
    cursor.execute("SELECT 1")
try:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(4711)")
        time.sleep({silent_s})
        cursor.execute("SELECT 1")
        print("still there")
except DatabaseError as error:
    print("ended by the server:", type(error.__cause__).__name__)
"""


def test_postgres_ends_a_session_that_is_silent_within_a_transaction(manage: Manage) -> None:
    done = manage(
        "shell",
        "-v",
        "0",
        "-c",
        FALL_SILENT.format(silent_s=3.5),
        DATABASE_URL=SERVER_URL,
        MGE_LEASE_SECONDS="6",
    )

    assert "ended by the server: IdleInTransactionSessionTimeout" in done.stdout, done.stderr


def test_a_third_of_a_lease_may_pass(manage: Manage) -> None:
    done = manage(
        "shell",
        "-v",
        "0",
        "-c",
        FALL_SILENT.format(silent_s=2.5),
        DATABASE_URL=SERVER_URL,
        MGE_LEASE_SECONDS="30",
    )

    assert "still there" in done.stdout, done.stderr


def test_options_of_the_address_are_kept(manage: Manage) -> None:
    show = (
        "from django.db import connection\nwith connection.cursor() as cursor:\n"
        "    for name in ('statement_timeout', 'idle_in_transaction_session_timeout'):\n"
        "        cursor.execute(f'SHOW {name}')\n        print(name, cursor.fetchone()[0])\n"
    )
    url = f"{SERVER_URL}?options=-c%20statement_timeout%3D7000"

    done = manage("shell", "-v", "0", "-c", show, DATABASE_URL=url, MGE_LEASE_SECONDS="30")

    assert done.stdout.split() == [
        *("statement_timeout", "7s"),
        *("idle_in_transaction_session_timeout", "10s"),
    ], done.stderr
