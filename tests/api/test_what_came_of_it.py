"""An execution that really ran: attempts, code, issues and calls by REST, and the project as an archive."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from executions.engine.reconciler import reconcile
from executions.engine.wave_executor import run_slice
from executions.models import Execution
from executions.states import EXECUTION_ENDED
from tests.api.people import Person, client_of
from tests.plans import adder, plan, write_plan, wrong
from tests.scripted import ScriptedServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs_sandbox]

FIRST, SECOND = adder("first"), adder("second", depends_on=["first"])


@pytest.fixture
def answering(scratch: Path, settings: Any) -> Iterator[ScriptedServer]:
    """A scripted model that gets `second` wrong once, and never knows `third`."""
    file = write_plan(scratch, plan(FIRST, SECOND), [wrong(SECOND)])
    arguments = (
        "--answers",
        file,
        "--near-misses",
        scratch / "plan-near-miss.json",
        "--near-miss-share",
        "1",
    )
    with ScriptedServer(*arguments) as server:
        settings.ANTHROPIC_BASE_URL = server.url
        settings.MGE_MODEL = "scripted-test"
        yield server


@pytest.fixture
def ended(
    transactional_db: None, answering: ScriptedServer, make_person: Callable[..., Person]
) -> tuple[Person, Execution]:
    ada = make_person("ada")
    document = plan(FIRST, SECOND, adder("third", depends_on=["first"]), name="Odd name; <b>")
    stored = ada.client.post("/api/v2/masterplans/", document, format="json").json()
    started = ada.client.post(
        "/api/v2/execution/start", {"masterplan_id": stored["id"]}, format="json"
    ).json()
    execution = Execution.objects.get(pk=started["execution_id"])
    for _ in range(200):
        run_slice()
        execution.refresh_from_db()
        if execution.status in EXECUTION_ENDED:
            return Person(ada.user, client_of(ada.user)), execution
        reconcile()
    raise AssertionError(f"still {execution.status} after 200 slices")


def test_everything_is_told_as_it_was(ended: tuple[Person, Execution]) -> None:
    ada, execution = ended
    path = f"/api/v2/executions/{execution.id}"
    original = f"/api/v2/execution/{execution.id}"

    metrics = ada.client.get(f"{original}/metrics").json()
    assert (metrics["status"], metrics["atoms_succeeded"], metrics["atoms_failed"]) == ("completed", 2, 1)
    assert metrics["atoms_completed"] == metrics["atoms_total"] == 3
    assert round(metrics["precision_percent"], 2) == 66.67
    assert metrics["total_time_seconds"] > 0
    assert metrics["completed_at"] > metrics["started_at"]
    assert [ada.client.get(f"{original}/waves/{n}").json()["status"] for n in (1, 2)] == ["completed"] * 2

    good = ada.client.get(f"{original}/atoms/second").json()
    assert (good["success"], good["attempts"], good["error"]) == (True, 2, None)
    assert "return x + 1" in good["code"]
    bad = ada.client.get(f"{original}/atoms/third").json()
    assert (bad["success"], bad["attempts"], bad["code"], bad["state"]) == (False, 4, None, "failed")
    assert bad["error"].startswith("Failed after 4 attempts")

    atom = ada.client.get(f"{path}/atoms/second/").json()
    rejected, passed = atom["all_attempts"]
    assert (rejected["status"], passed["status"], atom["assurance"]) == ("rejected", "passed", "tested")
    assert SECOND["tests"].strip() in rejected["prompt_user"]
    assert [issue["severity"] for issue in rejected["issues"]] == ["ERROR"]
    assert rejected["issues"][0]["message"] in passed["prompt_user"]
    (call,) = passed["calls"]
    assert (call["outcome"], call["model"]) == ("answered", "scripted-test")
    assert call["output_tokens"] > 0
    assert passed["code"].strip() in call["answer"]
    assert atom["code"] == passed["code"]

    archive = ada.client.get(f"{path}/export/")
    assert archive["Content-Type"] == "application/zip"
    assert archive["Content-Disposition"] == f'attachment; filename="{execution.masterplan.slug}.zip"'
    with zipfile.ZipFile(io.BytesIO(archive.content)) as project:
        names = set(project.namelist())
    assert {"pkg/add_first.py", "pkg/add_second.py", "manifest.json", "pytest.ini"} <= names
    assert "pkg/add_third.py" not in names
    assert ada.client.get(f"{path}/export/").content == archive.content
