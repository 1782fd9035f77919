"""SIGTERM: nothing new is begun, what is in flight ends or is given back in time, and the node ends well."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.plans import layers, plan, write_plan
from tests.product import Product, endpoint, wait_for
from tests.scripted import ScriptedServer
from tests.supervisor.nodes import workers
from tests.supervisor.processes import alive, of_data_dir, parent_of

pytestmark = [pytest.mark.needs_sandbox]

START = """
from executions.models import Masterplan
from executions.services.start import start_execution
start_execution(masterplan=Masterplan.objects.get(), actor=None, settings={"max_concurrency": 2})
"""
Q2_ALONE = "from django_q.cluster import Cluster; Cluster().start()"
ATOMS = "SELECT status, COUNT(*) FROM executions_atomrun GROUP BY status ORDER BY status"
EVENTS = "SELECT COUNT(*) FROM executions_event WHERE type = ?"


def _begin(product: Product, scratch: Path, server: ScriptedServer) -> None:
    product.environment.update(endpoint(server.url))
    assert product.manage("import_masterplan", scratch / "plan.json").returncode == 0
    assert product.manage("shell", "-c", START).returncode == 0


@pytest.mark.parametrize("command", ["qcluster", "worker"])
def test_calls_in_flight_end_and_nothing_new_is_begun(product: Product, scratch: Path, command: str) -> None:
    file = write_plan(scratch, plan(*layers(6)))
    with ScriptedServer("--answers", file, "--latency", "2") as server:
        _begin(product, scratch, server)
        node = product.start(command)
        wait_for(lambda: server.stats()["in_flight"] == 2, "two calls in flight")

        node.terminate()

        assert node.wait(timeout=30) == 0
        assert product.query(ATOMS) == [("ready", 4), ("succeeded", 2)]
        assert server.stats()["calls"] == 2
    assert product.query("SELECT COUNT(*) FROM executions_call WHERE outcome = 'lost'") == [(0,)]
    assert product.query("SELECT draining, stopped_at IS NULL FROM executions_node") in (
        [(1, 0)],
        [(True, False)],
    )
    assert not of_data_dir(product.data_dir)


@pytest.mark.slow
def test_what_takes_longer_than_the_grace_time_is_given_back(product: Product, scratch: Path) -> None:
    product.environment.update(MGE_DRAIN_SECONDS="1")
    file = write_plan(scratch, plan(*layers(6)))
    with ScriptedServer("--answers", file, "--latency", "600") as server:
        _begin(product, scratch, server)
        node = product.start("qcluster")
        wait_for(lambda: server.stats()["in_flight"] == 2, "two calls in flight")

        asked = time.monotonic()
        node.terminate()

        assert node.wait(timeout=30) == 0
        assert time.monotonic() - asked < 7
    assert product.query(ATOMS) == [("ready", 6)]
    assert product.query(EVENTS, "atom.released") == [(2,)]
    assert product.query("SELECT MAX(deaths) FROM executions_atomrun") == [(0,)]


@pytest.mark.slow
def test_workers_without_a_guard_give_back_what_they_have_and_end(product: Product, scratch: Path) -> None:
    product.environment.update(MGE_DRAIN_SECONDS="1", MGE_WORKERS="2")
    file = write_plan(scratch, plan(*layers(4)))
    with ScriptedServer("--answers", file, "--latency", "600") as server:
        _begin(product, scratch, server)
        # django-q2 as anyone may start it: its processes go on when the one above them is killed.
        product.start("shell", "--no-imports", "-c", Q2_ALONE)
        wait_for(
            lambda: server.stats()["in_flight"] == 2 and len(workers(product)) == 2, "two calls in flight"
        )
        mine = workers(product)
        guard = parent_of(min(mine))

        os.kill(guard, signal.SIGKILL)

        wait_for(lambda: not any(map(alive, mine)), "the workers have ended", seconds=20)
    assert product.query(ATOMS) == [("ready", 4)]
    assert product.query(EVENTS, "atom.released") == [(2,)]
