"""A plan run again from the terminal: nothing is asked that was asked before, and the project is the same byte for byte."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.ground import SHARED_DATA
from tests.plans import layers, plan, write_plan, wrong
from tests.product import Product, endpoint
from tests.scripted import ScriptedServer

pytestmark = [pytest.mark.needs_sandbox]


def _files(folder: Path) -> Mapping[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_second_run_makes_no_call_and_exports_the_same_project(product: Product, scratch: Path) -> None:
    atoms = layers(3, 3, 1)
    misses = [wrong(atoms[0]), wrong(atoms[2]), wrong(atoms[4], 1), wrong(atoms[4], 2)]
    file = write_plan(scratch, plan(*atoms), misses)
    near = scratch / "plan-near-miss.json"
    with ScriptedServer("--answers", file, "--near-misses", near, "--near-miss-share", "1") as server:
        first, told = product.run_plan(file, "--export", scratch / "A", **endpoint(server.url))
        assert (first, told[0]["attempts_total"], server.stats()["calls"]) == (0, 11, 11)

        again = product.manage(
            "run_masterplan", file, "--export", scratch / "B", "--json", **endpoint(server.url)
        )

        assert again.returncode == 0
        assert server.stats()["calls"] == 11
    (report,) = json.loads(again.stdout)["executions"]
    assert (report["atoms_succeeded"], report["attempts_total"], report["calls_total"]) == (7, 0, 0)
    assert set(report["attempts"].values()) == {0}
    assert report["cost_usd"] == 0
    assert "7 of 7 succeeded, precision 100.0 %, 7 from cache" in again.stderr
    assert _files(scratch / "A") == _files(scratch / "B")


def _described_anew(value: dict[str, Any], key: str) -> dict[str, Any]:
    atoms = [
        {**atom, "description": atom["description"] + " Keep it short."} if atom["key"] == key else atom
        for atom in value["atoms"]
    ]
    return {**value, "atoms": atoms}


@pytest.mark.slow(on="postgres")
@pytest.mark.needs_data
def test_164_atoms_of_which_4_in_10_needed_a_retry_are_all_known_the_second_time(
    product: Product, scratch: Path
) -> None:
    file = SHARED_DATA / "humaneval.json"
    near = SHARED_DATA / "humaneval-near-miss.json"
    with ScriptedServer("--answers", file, "--near-misses", near, "--near-miss-share", "0.45") as server:
        _, (first,) = product.run_plan(file, "--export", scratch / "A", **endpoint(server.url))
        asked = server.stats()["calls"]
        retried = sum(1 for number in first["attempts"].values() if number > 1)
        assert retried >= 0.4 * first["atoms_total"]

        _, (second,) = product.run_plan(file, "--export", scratch / "B", **endpoint(server.url))

        assert server.stats()["calls"] == asked
        assert (second["calls_total"], second["atoms_succeeded"]) == (0, 164)
        assert _files(scratch / "A") == _files(scratch / "B")

        edited = scratch / "edited.json"
        edited.write_text(
            json.dumps(_described_anew(json.loads(file.read_text("utf-8")), "he-007")), encoding="utf-8"
        )
        _, (third,) = product.run_plan(edited, **endpoint(server.url))
        assert [key for key, number in third["attempts"].items() if number] == ["he-007"]
        assert server.stats()["calls"] == asked + third["calls_total"]
