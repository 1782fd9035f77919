"""GET /api/v2/nodes/: who works, on how much, and why some claim nothing; for staff."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from executions.engine import owners
from executions.models import AtomRun, Execution, Node, NodeWorker
from tests.api.people import Person

pytestmark = pytest.mark.django_db


def _node(host: str, *, ago: float = 0, **more: Any) -> Node:
    at = datetime.now(UTC) - timedelta(seconds=ago)
    return Node.objects.create(
        id=uuid.uuid4(),
        host=host,
        pid=7,
        version="1.2.3",
        isolation="isolated",
        schema="0006_durable_engine",
        started_at=at,
        heartbeat_at=at,
        **more,
    )


def test_staff_see_each_node_with_its_workers_and_claims(
    make_person: Callable[..., Person], begin: Callable[..., Execution]
) -> None:
    ada = make_person("ada", staff=True)
    execution = begin(ada, 3)
    node = _node("one")
    for pid in (11, 12):
        NodeWorker.objects.create(node=node, pid=pid, beat_at=datetime.now(UTC))
    _node("two", problem="the schema is another one")
    _node("three", draining=True)
    _node("four", ago=60)
    _node("five", ago=60, stopped_at=datetime.now(UTC))
    _node("long ago", ago=7200)
    run_ids = list(AtomRun.objects.filter(execution=execution).values_list("pk", flat=True))
    for run_id, pid in zip(run_ids, (11, 11, 99), strict=True):
        AtomRun.objects.filter(pk=run_id).update(
            status="generating",
            lease_owner=f"one:{owners.place()}:{pid}:1:abc",
            lease_until=datetime.now(UTC) + timedelta(minutes=1),
        )

    answer = ada.client.get("/api/v2/nodes/")

    assert answer.status_code == 200
    found = {one["host"]: one for one in answer.json()["results"]}
    assert {host: one["state"] for host, one in found.items()} == {
        "one": "working",
        "two": "refusing",
        "three": "draining",
        "four": "silent",
        "five": "stopped",
    }
    assert (found["one"]["claims"], found["two"]["claims"]) == (2, 0)
    assert [worker["pid"] for worker in found["one"]["workers"]] == [11, 12]
    assert (found["one"]["version"], found["one"]["schema"]) == ("1.2.3", "0006_durable_engine")
    assert found["two"]["problem"] == "the schema is another one"
    assert found["four"]["heartbeat_age_s"] > 59


def test_others_are_refused(ada: Person) -> None:
    assert ada.client.get("/api/v2/nodes/").status_code == 403
    assert APIClient().get("/api/v2/nodes/").status_code == 401


def test_the_admin_shows_them(make_person: Callable[..., Person], client: Any) -> None:
    boss = make_person("boss", staff=True).user
    boss.is_superuser = True
    boss.save()
    node = _node("one", problem="another schema")
    NodeWorker.objects.create(node=node, pid=4711, beat_at=datetime.now(UTC))
    client.force_login(boss)

    assert b"refusing" in client.get("/admin/executions/node/").content
    assert b"4711" in client.get(f"/admin/executions/node/{node.pk}/change/").content
