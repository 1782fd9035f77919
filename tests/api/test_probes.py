"""/healthz and /readyz, as an orchestrator asks them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from executions.models import Node


@pytest.fixture
def node(db: None) -> Callable[..., Node]:
    def beat(ago: timedelta = timedelta(0)) -> Node:
        at = datetime.now(UTC) - ago
        return Node.objects.create(
            id=uuid.uuid4(),
            host="here",
            pid=1,
            version="0",
            isolation="isolated",
            started_at=at,
            heartbeat_at=at,
        )

    return beat


def test_a_process_is_healthy_without_a_database(client: Client) -> None:
    # No database fixture: a query would fail this test.
    assert client.get("/healthz").status_code == 200


def test_a_site_with_a_worker_is_ready(node: Callable[..., Node], client: Client) -> None:
    node()

    answer = client.get("/readyz")

    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    assert set(answer.json()["checks"]) == {"database", "migrations", "workers"}
    assert "no-store" in answer["Cache-Control"]


def test_a_worker_that_is_gone_is_no_worker(node: Callable[..., Node], client: Client) -> None:
    node(ago=timedelta(minutes=1))

    answer = client.get("/readyz")

    assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
    assert answer.json()["checks"]["workers"] == {
        "ready": False,
        "reason": "no worker is alive: start one with `manage.py qcluster`",
    }
    assert answer.json()["checks"]["database"]["ready"]


def test_a_schema_that_is_behind_is_not_ready(node: Callable[..., Node], client: Client) -> None:
    node()
    recorder = MigrationRecorder(connection)
    newest = max(name for app, name in recorder.applied_migrations() if app == "executions")
    recorder.record_unapplied("executions", newest)

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert "migrate" in answer.json()["checks"]["migrations"]["reason"]


def test_a_database_that_fails_is_told_without_its_words(db: None, client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE executions_node RENAME TO executions_hidden")

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["checks"]["workers"]["reason"] == "the database does not answer"
    assert "executions_node" not in answer.content.decode()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_nobody_needs_credentials_and_nobody_writes(path: str, db: None, client: Client) -> None:
    assert client.head(path).status_code in (200, 503)
    assert client.post(path).status_code == 405
