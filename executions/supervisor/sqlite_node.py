"""SQLite has one node: its locks hold on one machine only, and its single writer is no faster with two.

Kept by a file lock beside the database, which every process of the node holds, and by the other hosts' heartbeats: a file
lock may mean nothing to a machine that mounts the folder.
"""

from __future__ import annotations

import socket
from pathlib import Path

from django.conf import settings
from django.db import connection

from executions.engine.node import present_nodes
from executions.supervisor.only_one import AlreadyRunning, OnlyOne

MORE = "SQLite has one node at a time; for more of them set DATABASE_URL to a PostgreSQL database"


def uses_sqlite() -> bool:
    return bool(connection.vendor == "sqlite")


def take_sqlite() -> OnlyOne:
    """Become the node of the SQLite database that the settings name. Raises AlreadyRunning where there is another."""
    database = Path(str(settings.DATABASES["default"]["NAME"]))
    lock = OnlyOne(
        database.with_name(f"{database.name}.node.lock"),
        lambda holder: f"process {holder} and its workers use {database} already. {MORE}",
    )
    elsewhere = [node for node in present_nodes() if node.host != socket.gethostname()]
    if elsewhere:
        lock.release()
        raise AlreadyRunning(f"workers on {elsewhere[0].host} use {database} already. {MORE}")
    return lock


def refuse_second() -> None:
    """Raises AlreadyRunning when the settings name an SQLite database that has a node."""
    if uses_sqlite():
        take_sqlite().release()
