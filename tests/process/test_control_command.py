"""`control` and `executions`: steering from the terminal, with an exit status that scripts can go by."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.plans import adder, layers, plan, write_plan
from tests.product import Product

pytestmark = [pytest.mark.needs_sandbox]


def run(product: Product, folder: Path, value: dict[str, Any], *settings: str) -> str:
    """Run a plan to its end; the execution's id."""
    file = write_plan(folder, value)
    arguments = ("--set", *settings) if settings else ()
    found: str = product.run_plan(file, *arguments)[1][0]["execution_id"]
    return found


def started(product: Product, folder: Path, value: dict[str, Any]) -> str:
    """An execution that nobody works on: neither node nor site is there."""
    stored = product.manage("import_masterplan", write_plan(folder, value))
    assert stored.returncode == 0, stored.stderr
    make = (
        "from executions.models import Masterplan; from executions.services.start import start_execution;"
        f"print(start_execution(masterplan=Masterplan.objects.get(pk='{stored.stdout.strip()}'), actor=None).id)"
    )
    return product.manage("shell", "-c", make).stdout.strip().splitlines()[-1]


def control(product: Product, execution: str, *arguments: object) -> tuple[int, dict[str, Any]]:
    """`control … --json`: exit status and what it says was done."""
    done = product.manage("control", execution, *arguments, "--json")
    assert done.stdout.startswith("{"), done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.slow(on="postgres")
def test_executions_are_found_by_the_list_and_steered_by_their_ids(product: Product, scratch: Path) -> None:
    execution = started(product, scratch / "one", plan(*layers(2, 1), name="waiting plan"))

    listed = product.manage("executions")
    (told,) = [json.loads(line) for line in product.manage("executions", "--json").stdout.splitlines()]

    assert listed.returncode == 0
    assert listed.stdout.startswith(execution)
    assert "pending" in listed.stdout
    assert "0/3" in listed.stdout
    assert "waiting plan v1" in listed.stdout
    assert (told["id"], told["status"], told["atoms_total"]) == (execution, "pending", 3)
    paused = product.manage("control", execution, "pause", "--why", "lunch")
    assert (paused.returncode, paused.stdout.strip()) == (0, "paused")
    assert control(product, execution, "resume")[1]["status"] == "pending"
    assert control(product, execution, "cancel")[1]["status"] == "cancelled"
    log = product.manage("events", execution, "--json").stdout
    (event,) = [one for one in map(json.loads, log.splitlines()) if one["type"] == "control.pause"]
    assert (event["data"]["who"], event["data"]["why"]) == ("command", "lunch")


def test_a_wrong_state_exits_3_and_names_it(product: Product, scratch: Path) -> None:
    execution = started(product, scratch / "one", plan(*layers(1)))
    assert product.manage("control", execution, "cancel").returncode == 0

    for arguments in (("resume",), ("retry", "--failed")):
        done = product.manage("control", execution, *arguments)
        assert (done.returncode, done.stdout) == (3, "")
        assert "the execution is cancelled" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.slow(on="postgres")
def test_bad_input_exits_2_and_says_every_problem(product: Product, scratch: Path) -> None:
    execution = started(product, scratch / "one", plan(*layers(2, 1), approvals=[2]))
    blank = scratch / "blank.py"
    blank.write_text(" \n", encoding="utf-8")
    (scratch / "binary.py").write_bytes(b"\xff\xfe")

    for arguments, said in (
        ((str(uuid.uuid4()), "pause"), "there is no execution"),
        (("nonsense", "pause"), "there is no execution 'nonsense'"),
        ((execution, "dance"), "invalid choice"),
        ((execution, "retry"), "--atom"),
        ((execution, "retry", "--atom", "zz"), "there is no zz"),
        ((execution, "retry", "--atom", "a1.0", "--atom", "a2.0"), "a1.0: it has not been tried yet"),
        ((execution, "retry", "--atom", "a1.0", "--atom", "a2.0"), "a2.0: it has not been tried yet"),
        ((execution, "rollback"), "--wave"),
        ((execution, "fork", "--wave", "9"), "must be from 0 to 2"),
        ((execution, "fork", "--wave", "0", "--set", "schedule=zigzag", "max_concurrency=0"), "schedule"),
        (
            (execution, "fork", "--wave", "0", "--set", "schedule=zigzag", "max_concurrency=0"),
            "max_concurrency",
        ),
        ((execution, "fork", "--wave", "0", "--set", "novalue"), "KEY=VALUE"),
        ((execution, "approve", "--wave", "1"), "wave 1 needs no approval"),
        ((execution, "approve", "--atom", "zz"), "no atom 'zz'"),
        ((execution, "review", "--atom", "a1.0", "--code", scratch / "none.py"), "cannot read"),
        ((execution, "review", "--atom", "a1.0", "--code", scratch / "binary.py"), "not text in UTF-8"),
        ((execution, "review", "--atom", "a1.0", "--code", blank), "code: is empty"),
        ((execution, "pause", "--why", "x" * 1001), "--why"),
    ):
        done = product.manage("control", *arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert said in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.slow(on="postgres")
def test_a_failed_atom_is_mended_by_hand_what_it_blocked_goes_on_and_a_fork_takes_all_over(
    product: Product, scratch: Path
) -> None:
    bad = adder("bad")
    bad["reference_solution"] = "def add_bad(x):\n    return None\n"
    value = plan(bad, adder("behind", depends_on=["bad"]), adder("good"))
    execution = run(product, scratch / "plan", value, "max_attempts=1")

    code, told = control(product, execution, "retry", "--failed", "--preview")
    assert (code, told["generated"], told["revived"], told["status"]) == (0, ["bad"], ["behind"], "completed")

    mended = scratch / "mended.py"
    mended.write_text("def add_bad(x: int) -> int:\n    return x + 1\n", encoding="utf-8")
    code, told = control(product, execution, "review", "--atom", "bad", "--code", mended, "--why", "easy")
    assert (code, told["status"]) == (0, "running")
    code, (ended,) = product.run_plan(execution)
    assert (code, ended["atoms_succeeded"], ended["calls_total"]) == (0, 3, 3)

    code, told = control(product, execution, "fork", "--wave", "2", "--set", "max_concurrency=3")
    assert (code, told["execution"]) == (0, execution)
    code, (forked,) = product.run_plan(told["fork"])
    assert (code, forked["atoms_succeeded"], forked["calls_total"]) == (0, 3, 0)
    listed = {
        one["id"]: one for one in map(json.loads, product.manage("executions", "--json").stdout.splitlines())
    }
    assert listed[told["fork"]]["forked_from"] == execution
    assert listed[execution]["run_number"] == 2

    code, told = control(product, execution, "rollback", "--wave", "1")
    assert (code, told["generated"], told["status"]) == (0, ["behind"], "running")
    code, (again,) = product.run_plan(execution)
    assert (code, again["atoms_succeeded"], again["calls_total"]) == (0, 3, 4)


def test_a_fork_with_a_priced_model_needs_a_word(product: Product, scratch: Path) -> None:
    execution = started(product, scratch / "one", plan(*layers(1)))
    arguments = ("fork", "--wave", "0", "--set", "model=claude-sonnet-5-5")

    done = product.manage("control", execution, *arguments, ANTHROPIC_BASE_URL="http://127.0.0.1:9")

    assert (done.returncode, done.stdout) == (2, "")
    assert "--yes" in done.stderr
    agreed = product.manage(
        "control", execution, *arguments, "--yes", ANTHROPIC_BASE_URL="http://127.0.0.1:9"
    )
    assert (agreed.returncode, bool(uuid.UUID(agreed.stdout.strip()))) == (0, True)
