"""`run_masterplan` is stopped: by Ctrl-C, by SIGTERM, for good; and what the next run finds of it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.plans import adder, layers, plan, write_plan
from tests.product import Product, wait_for

SLOW_ANSWERS = {"MGE_SCRIPTED_LATENCY": "1.5"}
STATIC = ("--set", "validators=syntax", "max_concurrency=2")


def _started(product: Product, file: Path, name: str) -> tuple[subprocess.Popen[bytes], Path]:
    """A run with calls in flight, and what it says."""
    output = product.folder / f"{name}.txt"
    process = product.start("run_masterplan", file, *STATIC, output=output, **SLOW_ANSWERS)
    if product.environment.get("DATABASE_URL") is None:
        wait_for(lambda: (product.data_dir / "mge.sqlite3").exists(), "a database")
        wait_for(lambda: "execution" in output.read_text(encoding="utf-8"), "it says what it runs")
    open_calls = "SELECT COUNT(*) FROM executions_call WHERE outcome = ''"
    wait_for(lambda: product.query(open_calls)[0][0], "a call in flight")
    return process, output


def _statuses(product: Product) -> list[str]:
    return [row[0] for row in product.query("SELECT status FROM executions_execution ORDER BY created_at")]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_stopped_run_pauses_with_nothing_in_flight_and_says_how_to_go_on(
    product: Product, scratch: Path, number: signal.Signals
) -> None:
    file = write_plan(scratch, plan(*layers(6)))
    process, output = _started(product, file, "first")

    process.send_signal(number)

    assert process.wait(timeout=60) == 3
    said = output.read_text(encoding="utf-8")
    assert _statuses(product) == ["paused"]
    assert product.query("SELECT COUNT(*) FROM executions_call WHERE outcome = ''")[0][0] == 0
    (execution_id,) = (row[0] for row in product.query("SELECT id FROM executions_execution"))
    assert "go on with: manage.py run_masterplan" in said
    assert "Traceback" not in said
    done = product.manage("run_masterplan", execution_id, "--json")
    assert done.returncode == 0, done.stderr
    assert _statuses(product) == ["completed"]
    calls = product.query("SELECT COUNT(*) FROM executions_call")[0][0]
    assert calls == 6


@pytest.mark.slow
def test_a_second_ctrl_c_leaves_at_once(product: Product, scratch: Path) -> None:
    file = write_plan(scratch, plan(*layers(6)))
    process, output = _started(product, file, "first")

    process.send_signal(signal.SIGINT)
    wait_for(lambda: "pausing" in output.read_text(encoding="utf-8"), "it pauses")
    process.send_signal(signal.SIGINT)

    assert process.wait(timeout=60) == 3
    assert "Traceback" not in output.read_text(encoding="utf-8")


@pytest.mark.slow(on="postgres")
def test_the_next_run_says_that_what_a_killed_one_left_goes_on_besides(
    product: Product, scratch: Path
) -> None:
    file = write_plan(scratch / "one", plan(*layers(6), name="left behind"))
    other = write_plan(scratch / "two", plan(adder("z"), name="another"))
    process, _ = _started(product, file, "first")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    live = "SELECT COUNT(*) FROM executions_execution WHERE status = 'running'"
    assert product.query(live)[0][0] == 1
    wait_for(lambda: product.manage("run_masterplan", other, *STATIC).returncode == 0, "the next run works")

    done = product.manage("run_masterplan", other, *STATIC)

    assert done.returncode == 0, done.stderr
    left = product.query("SELECT status FROM executions_execution ORDER BY created_at")[0][0]
    assert left == "completed" or "goes on besides, left unfinished by an earlier run" in done.stderr
