"""Gates in whole runs: what a failed one does to the exit status, and a worker that is killed while it judges."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.plans import layers, plan, write_plan
from tests.product import Product, wait_for

pytestmark = [pytest.mark.needs_sandbox]

WRONG = "def test_of_the_wave():\n    assert 1 == 2\n"
SLOW = "import time\n\n\ndef test_for_a_while():\n    time.sleep(2)\n"


def test_a_failed_gate_is_said_and_changes_no_exit_status_but_one_that_stops_exits_3(
    product: Product, scratch: Path
) -> None:
    file = write_plan(scratch, plan(*layers(1, 1), wave_tests=[{"wave": 1, "tests": WRONG}]))

    reported = product.manage("run_masterplan", file, "--export", scratch / "out")

    assert reported.returncode == 0, reported.stderr
    assert "gates      2 of 3 passed, 1 FAILED" in reported.stderr
    assert "gate of wave 1: test_small-plan_wave_1.py: test_of_the_wave" in reported.stderr
    assert (scratch / "out" / "test_small-plan_wave_1.py").exists()

    code, (run,) = product.run_plan(file, "--set", "gate_wave=stop", "cache=off")
    assert (code, run["status"], run["atoms_succeeded"]) == (3, "paused", 1)
    code, (run,) = product.run_plan(run["execution_id"])
    assert (code, run["status"], run["atoms_succeeded"]) == (0, "completed", 2)


@pytest.mark.slow
def test_a_worker_killed_while_it_judges_loses_the_gate_to_another(
    make_product: Callable[..., Product], scratch: Path
) -> None:
    product = make_product(MGE_LEASE_SECONDS="2", MGE_RECONCILE_SECONDS="0.5")
    file = write_plan(scratch, plan(*layers(1, 1), wave_tests=[{"wave": 1, "tests": SLOW}]))
    assert product.manage("import_masterplan", file).returncode == 0
    run = product.start("run_masterplan", file)

    def owner() -> str:
        rows = product.query("SELECT lease_owner FROM executions_gate WHERE status = 'running'")
        return str(rows[0][0]) if rows else ""

    wait_for(lambda: owner() != "", "the gate of wave 1 is run")
    os.kill(int(owner().split(":")[2]), signal.SIGKILL)

    assert run.wait(timeout=120) == 0
    gates = product.query("SELECT status, fence, deaths FROM executions_gate ORDER BY position")
    assert [gate[0] for gate in gates] == ["passed"] * 3
    assert gates[0][1:] == (2, 1)
    assert product.manage("fsck").returncode == 0
