"""A node that looks healthy and runs nothing any more is noticed by canaries, and replaced; work goes on."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.plans import layers, plan, write_plan
from tests.product import Product, endpoint, wait_for
from tests.scripted import ScriptedServer
from tests.supervisor.nodes import guard_of, monitor, next_worker, pusher, workers
from tests.supervisor.processes import alive, children_of

pytestmark = [pytest.mark.slow, pytest.mark.needs_sandbox, pytest.mark.usefixtures("schema")]

START = """
from executions.models import Masterplan
from executions.services.start import start_execution
start_execution(masterplan=Masterplan.objects.get(), actor=None, settings={"cache": "off"})
"""


class _Kept:
    """`manage.py worker`, and what it says."""

    def __init__(self, product: Product) -> None:
        self.product, self.output = product, product.folder / "worker.txt"
        self.process = product.start(
            "worker", output=self.output, MGE_WORKERS="3", MGE_CANARY_SECONDS="2", MGE_RECONCILE_SECONDS="1"
        )
        wait_for(lambda: len(workers(product)) == 3, "three workers beat")

    def said(self, pattern: str) -> bool:
        return re.search(pattern, self.output.read_text(encoding="utf-8")) is not None

    @property
    def outermost(self) -> int:
        return next(iter(children_of(self.process.pid)), 0)

    @property
    def guard(self) -> int:
        return guard_of(self.outermost, self.product)


def _do_some_work(product: Product, server: ScriptedServer, count: int) -> None:
    assert product.manage("shell", "-c", START).returncode == 0
    done = "SELECT COUNT(*) FROM executions_execution WHERE status = 'completed'"
    wait_for(lambda: product.query(done) == [(count,)], "the work is done", seconds=90)
    assert server.stats()["calls"] == 3 * count


@pytest.mark.parametrize(
    ("victim", "why"),
    [("next worker", "not taken by any idle worker"), ("monitor", "run but never acknowledged")],
)
def test_a_stuck_queue_is_noticed_and_the_workers_replaced(
    product: Product, scratch: Path, victim: str, why: str
) -> None:
    file = write_plan(scratch, plan(*layers(2, 1)))
    with ScriptedServer("--answers", file) as server:
        product.environment.update(endpoint(server.url))
        assert product.manage("import_masterplan", file).returncode == 0
        node = _Kept(product)
        first, guard = node.outermost, node.guard
        find: Callable[[], int] = (
            (lambda: next_worker(product)) if victim == "next worker" else (lambda: monitor(guard, product))
        )
        _do_some_work(product, server, 1)

        os.kill(wait_for(find, f"there is a {victim}"), signal.SIGKILL)

        wait_for(lambda: node.said(r"workers ended \(its queue was stuck\); starting again"), "it is noticed")
        wait_for(lambda: node.outermost not in (0, first), "another cluster is there")
        assert node.said(why)
        assert not alive(guard)
        _do_some_work(product, server, 2)


def test_a_killed_pusher_is_replaced_by_its_guard_and_nobody_else(product: Product, scratch: Path) -> None:
    file = write_plan(scratch, plan(*layers(2, 1)))
    with ScriptedServer("--answers", file) as server:
        product.environment.update(endpoint(server.url))
        assert product.manage("import_masterplan", file).returncode == 0
        node = _Kept(product)
        first, guard = node.outermost, node.guard
        victim = wait_for(lambda: pusher(guard, product), "there is a pusher")

        os.kill(victim, signal.SIGKILL)
        _do_some_work(product, server, 1)

        wait_for(lambda: pusher(guard, product) not in (0, victim), "there is another pusher")
        assert node.outermost == first


def test_busy_workers_are_not_taken_for_stuck_ones(product: Product, scratch: Path) -> None:
    file = write_plan(scratch, plan(*layers(3)))
    with ScriptedServer("--answers", file, "--latency", "12") as server:
        product.environment.update(endpoint(server.url), MGE_MAX_IN_FLIGHT="1")
        assert product.manage("import_masterplan", file).returncode == 0
        node = product.start("qcluster", MGE_WORKERS="1", MGE_CANARY_SECONDS="1")
        assert product.manage("shell", "-c", START).returncode == 0
        wait_for(lambda: server.stats()["complete_answers"] >= 1, "a long call has ended", seconds=90)
        assert node.poll() is None
    assert product.query("SELECT COUNT(*) FROM executions_call WHERE outcome = 'lost'") == [(0,)]
