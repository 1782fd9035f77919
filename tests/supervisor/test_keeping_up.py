"""What dies is started again, once, and loses nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.plans import layers, plan, write_plan
from tests.product import Product, wait_for
from tests.supervisor.processes import alive
from tests.supervisor.site import Site

pytestmark = [pytest.mark.needs_sandbox]

CANCEL_SAMPLE = """
from executions.models import Execution
from executions.services.control import cancel_execution
cancel_execution(execution_id=Execution.objects.get().id, actor=None)
"""
START = """
from executions.models import Masterplan
from executions.services.start import start_execution
small = Masterplan.objects.get(name="small plan")
start_execution(masterplan=small, actor=None, scripted=True, settings={"cache": "off"})
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("kept")
    file = write_plan(folder, plan(*layers(3, 1)))
    product = Product(
        folder / "product",
        MGE_LEASE_SECONDS="3",
        MGE_RECONCILE_SECONDS="0.5",
        MGE_SCRIPTED_LATENCY="1",
        MGE_SCRIPTED_ANSWERS=str(file),
    )
    site = Site(product)
    yield site
    if site.process.poll() is None:
        site.stop()
    product.close()


@pytest.fixture(scope="module")
def small_plan(site: Site) -> None:
    """Instead of the sample, which would keep the machine busy for a while."""
    site.url()
    site.product.manage("shell", "-c", CANCEL_SAMPLE)
    file = site.product.environment["MGE_SCRIPTED_ANSWERS"]
    assert site.product.manage("import_masterplan", file).returncode == 0


def _ready(site: Site) -> None:
    wait_for(lambda: site.child("web") and site.get("/healthz") == 200, "the site answers")
    wait_for(lambda: site.get("/readyz") == 200, "workers are there")


def test_one_command_brings_pages_and_workers_and_the_sample_moves(site: Site) -> None:
    assert site.get("/accounts/login/") == 200
    wait_for(lambda: site.get("/readyz") == 200, "workers are there")
    wait_for(
        lambda: site.product.query("SELECT atoms_succeeded FROM executions_execution") > [(0,)],
        "an atom of the sample succeeds",
    )


def test_a_killed_web_server_serves_again_and_the_workers_do_not_notice(site: Site) -> None:
    _ready(site)
    web, workers = site.child("web"), site.child("workers")

    os.kill(web, signal.SIGKILL)

    # No wait and no second try: whoever comes meanwhile stands in the queue of the open socket.
    assert site.get("/healthz") == 200
    assert site.child("web") not in (0, web)
    assert site.child("workers") == workers
    site.said_in_time("web ended \\(killed by SIGKILL\\); starting again in")
    site.said_in_time("web answers again")


@pytest.mark.usefixtures("small_plan")
@pytest.mark.parametrize(
    ("victim", "reason"),
    [("outermost process", "killed by SIGKILL"), ("guard", "its guard died")],
)
def test_a_killed_cluster_is_swept_and_exactly_one_comes_back_which_finishes_the_work(
    site: Site, victim: str, reason: str
) -> None:
    _ready(site)
    before = site.child("workers")
    group = [pid for pid in site.processes() if os.getpgid(pid) == before]
    assert len(group) >= 6
    leased = "SELECT COUNT(*) FROM executions_atomrun WHERE lease_owner <> ''"
    last = "SELECT status, atoms_total - atoms_succeeded FROM executions_execution ORDER BY created_at DESC LIMIT 1"
    assert site.product.manage("shell", "-c", START).returncode == 0
    wait_for(lambda: site.product.query(leased) > [(0,)], "atoms are worked on", seconds=30)

    os.kill(before if victim == "outermost process" else site.guard(), signal.SIGKILL)

    after = wait_for(
        lambda: site.child("workers") not in (0, before) and site.child("workers"), "a new cluster"
    )
    assert not [pid for pid in group if alive(pid)]
    assert site.clusters() == {after}
    assert f"workers ended ({reason})" in site.said()
    wait_for(lambda: site.product.query(last) == [("completed", 0)], "the execution completes")
    assert site.clusters() == {after}
    assert site.live_nodes() == 1


@pytest.mark.usefixtures("small_plan")
def test_ctrl_c_ends_an_idle_site_in_order_and_no_process_is_left(site: Site) -> None:
    _ready(site)

    assert site.stop(signal.SIGINT) == 0

    assert site.processes() == {}
    assert "by force" not in site.said()
    assert site.said().rstrip().endswith("stopped")
    assert site.live_nodes() == 0
