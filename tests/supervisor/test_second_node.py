"""SQLite has one node. A second one is refused with the reason, and nothing that has ended keeps the place taken."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.ground import ON_POSTGRES
from tests.plans import layers, plan, write_plan
from tests.product import Product, endpoint, wait_for
from tests.scripted import ScriptedServer
from tests.supervisor.nodes import guard_of, workers
from tests.supervisor.processes import of_data_dir

pytestmark = pytest.mark.usefixtures("schema")
sqlite = pytest.mark.skipif(ON_POSTGRES, reason="any number of nodes share PostgreSQL")
LIVE = "SELECT COUNT(*) FROM executions_node WHERE stopped_at IS NULL"


@sqlite
@pytest.mark.parametrize("command", ["qcluster", "worker"])
def test_a_second_node_is_refused_and_told_of_the_first(product: Product, command: str) -> None:
    first = product.start("qcluster")
    wait_for(lambda: workers(product), "the first node works")

    second = product.manage(command)

    assert second.returncode == 2
    assert f"process {first.pid} and its workers use {product.data_dir}/mge.sqlite3 already" in second.stderr
    assert "DATABASE_URL" in second.stderr
    assert first.poll() is None


@sqlite
def test_a_node_of_another_host_is_seen_by_its_heartbeat(product: Product) -> None:
    now = datetime.now(UTC).replace(tzinfo=None).isoformat(" ")
    sql = (
        "INSERT INTO executions_node (id, host, pid, version, isolation, schema, problem, draining, started_at, heartbeat_at)"  # noqa: S608
        f" VALUES ('{'a' * 32}', 'far-away', 7, '1', 'isolated', '', '', 0, '{now}', '{now}')"
    )
    code = f"from django.db import connection; connection.cursor().execute({sql!r})"
    assert product.manage("shell", "--no-imports", "-c", code).returncode == 0

    refused = product.manage("qcluster")

    assert refused.returncode == 2
    assert "workers on far-away use" in refused.stderr


@pytest.mark.parametrize("victim", ["outermost process", "guard"])
def test_a_kill_at_the_top_leaves_no_orphan_and_the_place_free(product: Product, victim: str) -> None:
    cluster = product.start("qcluster", MGE_WORKERS="2")
    wait_for(lambda: len(workers(product)) == 2, "the node works")
    guard = guard_of(cluster.pid, product)

    os.kill(cluster.pid if victim == "outermost process" else guard, signal.SIGKILL)

    status = cluster.wait(timeout=20)
    assert status == (-signal.SIGKILL if victim == "outermost process" else 5)
    wait_for(lambda: not of_data_dir(product.data_dir), "all of it has ended", seconds=10)
    again = product.start("qcluster", MGE_WORKERS="2")
    wait_for(lambda: len(workers(product)) == 2, "the next node works")
    again.terminate()
    assert again.wait(timeout=30) == 0


@pytest.mark.needs_sandbox
def test_run_masterplan_uses_the_workers_that_are_there(product: Product, scratch: Path) -> None:
    file = write_plan(scratch, plan(*layers(2, 1)))
    with ScriptedServer("--answers", file) as server:
        product.environment.update(endpoint(server.url))
        assert product.manage("import_masterplan", file).returncode == 0
        product.start("qcluster")
        # Not waited for: it is refused while the others are only starting, and then uses them.
        status, reports = product.run_plan(file)

    assert (status, reports[0]["status"]) == (0, "completed")
    assert product.query(LIVE) == [(1,)] or ON_POSTGRES
