"""Redis as the queue: it forgets what it hands out, and all of it at a flush; nothing of the work is lost by that."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plans import layers, plan, write_plan
from tests.product import Product, endpoint, wait_for
from tests.redis_server import RedisServer
from tests.scripted import ScriptedServer

pytestmark = [pytest.mark.needs_redis, pytest.mark.needs_sandbox, pytest.mark.slow(on="postgres")]

START = """
from executions.models import Masterplan
from executions.services.start import start_execution
start_execution(masterplan=Masterplan.objects.get(), actor=None, settings={"cache": "off"})
"""
UNDONE = """
from django.db import transaction
from executions.models import Masterplan
from executions.services.start import start_execution
try:
    with transaction.atomic():
        start_execution(masterplan=Masterplan.objects.get(), actor=None)
        raise LookupError
except LookupError:
    pass
"""
QUEUE = "django_q:mge:q"
DONE = "SELECT COUNT(*) FROM executions_execution WHERE status = 'completed'"


@pytest.fixture
def server(scratch: Path) -> Iterator[RedisServer]:
    with RedisServer(scratch / "redis") as found:
        yield found


@pytest.fixture
def on_redis(product: Product, server: RedisServer) -> Product:
    product.environment.update(REDIS_URL=server.url, MGE_RECONCILE_SECONDS="0.5", MGE_CANARY_SECONDS="2")
    return product


def test_a_flush_in_mid_run_loses_nothing(on_redis: Product, server: RedisServer, scratch: Path) -> None:
    file = write_plan(scratch, plan(*layers(4, 4, 4)))
    with ScriptedServer("--answers", file, "--latency", "0.5") as model:
        on_redis.environment.update(endpoint(model.url))
        assert on_redis.manage("import_masterplan", file).returncode == 0
        # While nobody listens: the doorbells are in Redis alone, and are lost with it.
        for _ in range(3):
            assert on_redis.manage("shell", "-c", START).returncode == 0
        assert server.client.llen(QUEUE) == 3
        assert on_redis.query("SELECT COUNT(*) FROM django_q_ormq") == [(0,)]
        server.client.flushall()

        node = on_redis.start("qcluster")
        wait_for(lambda: model.stats()["complete_answers"] >= 2, "it is rung for again")
        server.client.flushall()
        owner = wait_for(
            lambda: on_redis.query("SELECT lease_owner FROM executions_atomrun WHERE lease_owner <> ''"),
            "an owner",
        )[0][0]
        os.kill(int(owner.split(":")[2]), signal.SIGKILL)
        server.client.flushall()

        wait_for(lambda: on_redis.query(DONE) == [(3,)], "all executions end", seconds=120)
        assert on_redis.query("SELECT COUNT(*) FROM executions_atomrun WHERE status <> 'succeeded'") == [(0,)]
        assert node.poll() is None


def test_a_doorbell_of_a_transaction_that_is_undone_is_never_sent(
    on_redis: Product, server: RedisServer, scratch: Path
) -> None:
    file = write_plan(scratch, plan(*layers(1)))
    assert on_redis.manage("import_masterplan", file).returncode == 0

    assert on_redis.manage("shell", "-c", UNDONE).returncode == 0

    assert server.client.llen(QUEUE) == 0


def test_an_idle_node_waits_longer_than_the_clients_patience_and_outlives_a_restart_of_redis(
    on_redis: Product, server: RedisServer, scratch: Path
) -> None:
    file = write_plan(scratch, plan(*layers(2)))
    output = on_redis.folder / "node.txt"
    with ScriptedServer("--answers", file) as model:
        on_redis.environment.update(endpoint(model.url))
        assert on_redis.manage("import_masterplan", file).returncode == 0
        node = on_redis.start("qcluster", output=output)
        # redis-py gives up a silent socket after five seconds: four canaries take longer than that.
        seen: set[str] = set()
        wait_for(lambda: len(_canaries(on_redis, seen)) >= 4, "four canaries", seconds=60)
        assert "Timeout" not in output.read_text(encoding="utf-8")

        server.stop()
        started = on_redis.manage("shell", "-c", START)
        assert started.returncode == 0, started.stderr
        server.start()

        wait_for(lambda: on_redis.query(DONE) == [(1,)], "it is rung for again", seconds=90)
        assert node.poll() is None


def _canaries(product: Product, seen: set[str]) -> set[str]:
    seen |= {str(row[0]) for row in product.query("SELECT id FROM executions_canary")}
    return seen
