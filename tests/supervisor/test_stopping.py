"""The end of a run that is not orderly, and what the next run finds."""

from __future__ import annotations

import re
import signal

import pytest

from tests.product import Product, wait_for
from tests.supervisor.processes import of_data_dir
from tests.supervisor.site import Site


@pytest.mark.slow
@pytest.mark.needs_sandbox
def test_a_second_ctrl_c_ends_at_once_the_next_run_repeats_nothing_and_a_killed_supervisor_leaves_no_child(
    product: Product,
) -> None:
    product.environment.update(MGE_SCRIPTED_LATENCY="600", MGE_STOP_GRACE_SECONDS="600")
    first = Site(product)
    in_flight = "SELECT COUNT(*) FROM executions_call WHERE outcome = ''"
    first.said_in_time("workers ready")
    wait_for(lambda: product.query(in_flight) > [(0,)], "calls are in flight")
    assert first.get("/healthz") == 200
    assert len(re.findall(r"login +admin, password [a-z2-9]{4}(-[a-z2-9]{4}){3} ", first.said())) == 1

    first.process.send_signal(signal.SIGINT)
    first.said_in_time("stopping")
    assert first.stop(signal.SIGINT) == 0

    assert re.search("ended by force: .*workers", first.said())
    wait_for(lambda: not of_data_dir(product.data_dir), "every process has ended", seconds=10)

    second = Site(product, 2)
    second.said_in_time("workers ready")
    assert second.get("/healthz") == 200
    assert "password" not in second.said()
    assert product.query("SELECT COUNT(*) FROM auth_user") == [(1,)]
    assert product.query("SELECT COUNT(*) FROM executions_execution") == [(1,)]

    second.process.kill()
    second.process.wait()

    wait_for(lambda: not of_data_dir(product.data_dir), "every process has ended", seconds=15)
