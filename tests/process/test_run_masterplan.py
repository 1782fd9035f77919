"""`run_masterplan`: from file to tested project, and how it says what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plans import adder, layers, plan, write_plan, wrong
from tests.product import Product
from tests.scripted import ScriptedServer

pytestmark = [pytest.mark.needs_sandbox]


def _pytest(folder: Path) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(
        command, cwd="/", env=plain, capture_output=True, text=True, check=False, timeout=120
    )


def test_two_plans_run_at_once_and_their_exported_tests_pass(product: Product, scratch: Path) -> None:
    first, second = layers(3, 2), layers(2, 2, prefix="b")
    file = scratch / "two.json"
    both = {"masterplans": [plan(*first, name="First"), plan(*second, name="Second")]}
    file.write_text(json.dumps(both), encoding="utf-8")
    misses = {"near_misses": [wrong(first[0]), wrong(second[0])]}
    (scratch / "two-near-miss.json").write_text(json.dumps(misses), encoding="utf-8")

    code, runs = product.run_plan(file, "--export", scratch / "out", MGE_SCRIPTED_NEAR_MISS_SHARE="1")

    assert code == 0
    assert [(run["masterplan"], run["status"], run["precision_percent"]) for run in runs] == [
        ("First", "completed", 100),
        ("Second", "completed", 100),
    ]
    assert runs[0]["attempts"] == {"a1.0": 2, "a1.1": 1, "a1.2": 1, "a2.0": 1, "a2.1": 1}
    assert runs[0]["calls_total"] == runs[0]["attempts_total"] == 6
    tested = _pytest(scratch / "out")
    assert tested.returncode == 0, tested.stdout
    assert "9 passed" in tested.stdout
    log = [
        json.loads(line)
        for line in product.manage("events", runs[0]["execution_id"], "--json").stdout.splitlines()
    ]
    assert [event["seq"] for event in log] == list(range(1, len(log) + 1))


def test_it_exits_1_when_an_atom_fails_and_exports_what_succeeded(product: Product, scratch: Path) -> None:
    bad = adder("bad")
    bad["reference_solution"] = "def add_bad(x):\n    return None\n"
    file = write_plan(scratch, plan(bad, adder("good")))

    code, runs = product.run_plan(file, "--export", scratch / "out", "--set", "max_attempts=2")

    assert code == 1
    assert (runs[0]["atoms_succeeded"], runs[0]["atoms_failed"], runs[0]["precision_percent"]) == (1, 1, 50)
    assert runs[0]["attempts"] == {"bad": 2, "good": 1}
    assert (scratch / "out" / "pkg" / "add_good.py").exists()
    assert not (scratch / "out" / "pkg" / "add_bad.py").exists()


def test_it_pauses_at_the_budget_and_exits_3(product: Product, scratch: Path) -> None:
    file = write_plan(scratch, plan(*layers(2, 2, 2)))

    code, runs = product.run_plan(file, "--set", "budget_usd=0.023", "max_concurrency=1")

    assert code == 3
    assert runs[0]["status"] == "paused"
    assert 0 < runs[0]["atoms_succeeded"] < 6
    assert runs[0]["cost_usd"] <= 0.023


def test_a_priced_model_is_not_called_without_consent(product: Product, scratch: Path) -> None:
    file = write_plan(scratch, plan(adder("a")))
    with ScriptedServer("--answers", file) as server:
        done = product.manage(
            "run_masterplan", file, ANTHROPIC_BASE_URL=server.url, MGE_MODEL="claude-sonnet-5-5"
        )

        assert done.returncode == 2
        assert "--yes" in done.stderr
        assert server.stats()["calls"] == 0


def test_the_scripted_run_asks_nobody_else(product: Product, scratch: Path) -> None:
    file = write_plan(scratch, plan(adder("a")))
    with ScriptedServer("--answers", file) as other:
        code, runs = product.run_plan(file, "--scripted", ANTHROPIC_BASE_URL=other.url, ANTHROPIC_API_KEY="x")

        assert code == 0
        assert runs[0]["atoms_succeeded"] == 1
        assert other.stats()["calls"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "schedule=sideways"], "schedule"),
        (["--set", "max_concurrency=0"], "max_concurrency"),
        (["--set", "cache=perhaps"], "must be one of on, off"),
        (["--set", "nonsense=1"], "unknown setting"),
        (["--set", 'ladder=[{"temperature": 9}]'], "ladder[0].temperature"),
        (["--set", "novalue"], "KEY=VALUE"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_stored(
    product: Product, scratch: Path, arguments: list[str], said: str
) -> None:
    done = product.manage("run_masterplan", write_plan(scratch, plan(adder("a"))), *arguments)

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    if "DATABASE_URL" not in product.environment:
        assert not (product.data_dir / "mge.sqlite3").exists()


def test_an_export_folder_that_is_not_empty_is_refused_before_anything_is_stored(
    product: Product, scratch: Path
) -> None:
    (scratch / "full").mkdir()
    (scratch / "full" / "mine.txt").write_text("mine", encoding="utf-8")
    file = write_plan(scratch, plan(adder("a")))

    done = product.manage("run_masterplan", file, "--export", scratch / "full")

    assert done.returncode == 2
    assert "full" in done.stderr
    assert [path.name for path in (scratch / "full").iterdir()] == ["mine.txt"]


def test_an_unknown_plan_is_named(product: Product) -> None:
    unknown = product.manage("run_masterplan", "6f2b6d0e-0000-7000-8000-000000000000")
    neither = product.manage("run_masterplan", "no-such-file.json")

    assert (unknown.returncode, neither.returncode) == (2, 2)
    assert "6f2b6d0e" in unknown.stderr
    assert "no such file" in neither.stderr


def test_an_export_folder_below_a_file_is_refused(product: Product, scratch: Path) -> None:
    file = write_plan(scratch, plan(adder("a")))

    done = product.manage("run_masterplan", file, "--export", file / "below")

    assert done.returncode == 2
    assert "not a folder" in done.stderr
