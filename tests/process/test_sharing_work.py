"""A full runner calls for others: one execution is worked on by as many workers as its limit needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.plans import layers, plan, write_plan
from tests.product import Product, endpoint, wait_for
from tests.scripted import ScriptedServer

START = """
from executions.models import Masterplan
from executions.services.start import start_execution
start_execution(masterplan=Masterplan.objects.get(), actor=None, settings={"validators": "syntax", "cache": "off"})
"""


def test_the_limit_is_reached_by_several_workers_when_one_cannot_hold_so_many(
    make_product: Callable[..., Product], scratch: Path
) -> None:
    product = make_product(MGE_RUNNER_CAPACITY="4", MGE_MAX_IN_FLIGHT="12", MGE_WORKERS="3")
    file = write_plan(scratch, plan(*layers(60)))
    assert product.manage("import_masterplan", file).returncode == 0
    with ScriptedServer("--answers", file, "--latency", "2") as server:
        product.environment.update(endpoint(server.url))
        product.start("qcluster")
        assert product.manage("shell", "-c", START).returncode == 0

        wait_for(lambda: server.stats()["in_flight"] == 12, "three runners of four atoms each")

        owners = product.query("SELECT DISTINCT lease_owner FROM executions_atomrun WHERE lease_owner <> ''")
        assert len(owners) == 3
        assert server.stats()["max_in_flight"] == 12
