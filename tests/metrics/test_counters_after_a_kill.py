"""kill -9 of the workers in mid-run: what a web process then says equals the database, now and at the end."""

from __future__ import annotations

import os
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.metrics.exposition import Scrape, read_scrape
from tests.metrics.rows import assert_counters_equal_rows
from tests.plans import layers, plan, write_plan, wrong
from tests.product import Product, endpoint, wait_for
from tests.scripted import ScriptedServer

START = """
from pathlib import Path
from django.core.management import call_command
from executions.planning.format import load_file
from executions.services.masterplans import store_masterplans
from executions.services.start import start_execution
call_command("migrate", verbosity=0)
masterplan = store_masterplans(load_file(Path({file!r})), owner=None)[0]
start_execution(masterplan=masterplan, actor=None, settings={{"validators": "syntax"}})
"""


@pytest.fixture
def product(scratch: Path) -> Iterator[Product]:
    found = Product(scratch / "product", MGE_WORKERS="2", MGE_LEASE_SECONDS="2", MGE_RECONCILE_SECONDS="0.5")
    yield found
    found.close()


class Web:
    """A web process of the product."""

    def __init__(self, product: Product) -> None:
        with socket.create_server(("127.0.0.1", 0)) as door:
            self._address = f"127.0.0.1:{door.getsockname()[1]}"
        product.start("runserver", self._address, "--noreload", "--skip-checks")

    def answers(self) -> bool:
        try:
            return urllib.request.urlopen(f"http://{self._address}/healthz", timeout=5).status == 200
        except (urllib.error.URLError, ConnectionError):
            return False

    def scrape(self) -> Scrape:
        with urllib.request.urlopen(f"http://{self._address}/metrics", timeout=30) as answer:
            return read_scrape(answer.read().decode())


@pytest.mark.slow(on="postgres")
def test_after_a_kill_of_the_workers_the_counters_equal_the_database(product: Product, scratch: Path) -> None:
    atoms = layers(6, 4)
    broken = [{**wrong(atom), "code": "def unfinished("} for atom in atoms[::2]]
    file = write_plan(scratch, plan(*atoms), broken)
    misses = ("--near-misses", scratch / "plan-near-miss.json", "--near-miss-share", "1")
    with ScriptedServer("--answers", file, *misses, "--latency", "0.4") as server:
        product.environment.update(endpoint(server.url))
        web = Web(product)
        started = product.manage("shell", "-c", START.format(file=str(file)))
        assert started.returncode == 0, started.stderr
        cluster = product.start("qcluster")
        wait_for(lambda: server.stats()["complete_answers"] >= 7, "retries under way")
        wait_for(lambda: server.stats()["in_flight"] >= 1, "calls in flight")
        os.killpg(cluster.pid, signal.SIGKILL)
        cluster.wait()
        wait_for(web.answers, "the web process")

        killed = web.scrape()

        assert killed("mge_executions", status="running") == 1
        assert killed("mge_calls_in_flight") >= 1
        assert_counters_equal_rows(killed, product.query)

        product.start("qcluster")
        ended = wait_for(lambda: _ended(web.scrape()), "another cluster ends it")

        assert ended("mge_atoms_ended_total", status="succeeded") == 10
        assert ended("mge_calls_failed_total", outcome="lost") == killed("mge_calls_in_flight")
        assert_counters_equal_rows(ended, product.query)
        for (name, labels), value in killed.samples.items():
            if name.startswith(("v2_", "mge_")) and name.endswith(("_total", "_bucket", "_count", "_sum")):
                assert ended.samples[name, labels] >= value, name


def _ended(scrape: Scrape) -> Scrape | None:
    return scrape if scrape("mge_executions_ended_total", status="completed") else None
