"""django-q2 does the work: without a cluster nothing moves, a killed worker loses nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ground import ON_POSTGRES
from tests.plans import layers, plan, write_plan, wrong
from tests.product import Product, endpoint, wait_for
from tests.scripted import ScriptedServer

pytestmark = [pytest.mark.needs_sandbox]

START = """
from executions.models import Masterplan
from executions.services.start import start_execution
from executions.services.explain import why_waiting
execution = start_execution(masterplan=Masterplan.objects.get(), actor=None)
print(execution.id, execution.status, why_waiting(execution))
"""


def _status(product: Product) -> str:
    return str(product.query("SELECT status FROM executions_execution")[0][0])


def _parent(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return int(stat.rpartition(")")[2].split()[1])


def _command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def test_without_a_cluster_it_stays_pending_and_runs_as_soon_as_one_is_started(
    product: Product, scratch: Path
) -> None:
    file = write_plan(scratch, plan(*layers(2, 1)))
    assert product.manage("import_masterplan", file).returncode == 0
    with ScriptedServer("--answers", file) as server:
        product.environment.update(endpoint(server.url))

        started = product.manage("shell", "-c", START)

        assert "pending no worker" in started.stdout, started.stderr
        assert product.query("SELECT COUNT(*) FROM executions_call") == [(0,)]
        product.start("qcluster")
        wait_for(lambda: _status(product) == "completed", "the cluster does the work")
        assert server.stats()["calls"] == 3


def test_the_process_that_calls_the_model_is_a_worker_of_the_cluster(product: Product, scratch: Path) -> None:
    file = write_plan(scratch, plan(*layers(3)))
    assert product.manage("import_masterplan", file).returncode == 0
    with ScriptedServer("--answers", file, "--latency", "3") as server:
        product.environment.update(endpoint(server.url))
        cluster = product.start("qcluster")
        product.manage("shell", "-c", START)
        wait_for(lambda: server.stats()["in_flight"] == 3, "three calls in flight")

        owner = product.query("SELECT lease_owner FROM executions_atomrun WHERE lease_owner <> ''")[0][0]
        worker = int(owner.split(":")[2])

        assert "qcluster" in _command_line(worker)
        assert _parent(_parent(worker)) == cluster.pid


@pytest.mark.slow
def test_a_killed_worker_loses_nothing_and_pays_only_for_what_was_in_flight(
    make_product: Callable[..., Product], scratch: Path
) -> None:
    product = make_product(MGE_LEASE_SECONDS="2", MGE_RECONCILE_SECONDS="0.5")
    atoms = layers(8, 6, 4)
    file = write_plan(scratch, plan(*atoms), [wrong(atom) for atom in atoms[::3]])
    arguments = (
        "--answers",
        file,
        "--near-misses",
        scratch / "plan-near-miss.json",
        "--near-miss-share",
        "1",
    )
    with ScriptedServer(*arguments, "--latency", "0.7") as server:
        product.environment.update(endpoint(server.url))
        run = product.start("run_masterplan", file)
        wait_for(lambda: server.stats()["complete_answers"] >= 8, "a first wave of answers")
        # All that there will be before one of them is answered: one that is on its way to the model would be lost as well.
        wait_for(lambda: server.stats()["in_flight"] == 3, "the retries of the first wave in flight")
        owner = product.query("SELECT lease_owner FROM executions_atomrun WHERE lease_owner <> ''")[0][0]
        accepted = set(
            product.query("SELECT id, accepted_id FROM executions_atomrun WHERE accepted_id IS NOT NULL")
        )
        in_flight = server.stats()["in_flight"]
        os.kill(int(owner.split(":")[2]), signal.SIGKILL)

        assert run.wait(timeout=120) == 0
        script = server.script()["attempts"]
        attempts = dict(product.query("SELECT key, attempts FROM executions_atomrun"))
        assert attempts == script
        assert server.stats()["calls"] - sum(script.values()) <= in_flight
        assert accepted <= set(product.query("SELECT id, accepted_id FROM executions_atomrun"))
        lost = product.query("SELECT COUNT(*) FROM executions_call WHERE outcome = 'lost'")[0][0]
        assert 1 <= lost <= in_flight
        assert product.query("SELECT reserved_nano_usd FROM executions_execution") == [(0,)]


@pytest.mark.skipif(not ON_POSTGRES, reason="the server counts its sessions")
def test_a_node_at_rest_keeps_its_connections(product: Product) -> None:
    def sessions() -> int:
        sql = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"
        return int(product.query(sql)[0][0])

    product.start("qcluster")
    wait_for(lambda: product.query("SELECT 1 FROM executions_nodeworker"), "a live node")
    # The last of its processes have connected, and what was counted so far has been reported.
    time.sleep(3)
    before = sessions()
    time.sleep(4)

    # Ours are among them; to look into the queue ten times a second takes no new ones.
    assert sessions() - before < 10


@pytest.mark.skipif(not ON_POSTGRES, reason="sessions are the server's")
def test_a_node_whose_connections_were_cut_at_rest_works_on(product: Product, scratch: Path) -> None:
    file = write_plan(scratch, plan(*layers(2)))
    assert product.manage("import_masterplan", file).returncode == 0
    with ScriptedServer("--answers", file) as server:
        product.environment.update(endpoint(server.url))
        product.start("qcluster")
        wait_for(lambda: product.query("SELECT 1 FROM executions_nodeworker"), "a live node")
        of_others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        wait_for(lambda: len(product.query(f"SELECT 1 {of_others}")) >= 3, "its processes have connected")

        cut = product.query(f"SELECT pg_terminate_backend(pid) {of_others}")
        assert len(cut) >= 3
        product.manage("shell", "-c", START)

        # django-q2 waits ten seconds when it has met a dead connection, and then its pusher ends.
        wait_for(lambda: server.stats()["calls"], "the node has begun to work", seconds=8)
        wait_for(lambda: _status(product) == "completed", "and ends it")
