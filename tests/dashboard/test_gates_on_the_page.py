"""How the project was judged is on the execution's page, and who may have it judged again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from executions.engine.gate_changes import RecordGate
from executions.findings import Finding, Severity
from executions.models import Execution, Gate
from executions.validation.levels.verdict import GateVerdict
from tests.dashboard.conftest import Visitor
from tests.dashboard.pages import Page
from tests.engine import by_hand
from tests.plans import adder, plan

HOSTILE = "import pkg.add_x: <script>alert(1)</script>"


@pytest.fixture
def judged(ada: Visitor) -> Execution:
    """An atom has succeeded, its wave's gate has failed, the masterplan's has passed."""
    execution = by_hand.start(
        plan(adder("x"), acceptance_tests="def test_all(): pass"), owner=ada.user, validators="full"
    )
    by_hand.succeed_all(execution)
    findings = [Finding(Severity.ERROR, "test-failed", HOSTILE)], []
    for found in findings:
        claim = replace(by_hand.claiming(0), gate_room=lambda: 1)
        by_hand.write(claim)
        verdict = GateVerdict(tuple(found), 1, 2, "isolated", 12.0, 3.0)
        by_hand.write(RecordGate(claim.gates[0], verdict, "", stops=False))
    execution.refresh_from_db()
    assert execution.status == "completed"
    return execution


def test_gates_are_shown_with_their_findings(ada: Visitor, judged: Execution) -> None:
    response = ada.client.get(f"/executions/{judged.pk}/")

    text = Page(response).text
    assert "1 of 2 passed, 1 failed" in text
    assert "1 of 2" in text
    assert HOSTILE in text
    assert "<script>alert(1)" not in response.content.decode()
    assert "gate failed: 1 of 2 tests, 1 finding" in text
    piece = ada.client.get(f"/executions/{judged.pk}/gates/", headers={"HX-Request": "true"})
    assert piece.status_code == 200
    assert HOSTILE in Page(piece).text


def test_a_failed_gate_is_judged_again_on_demand(ada: Visitor, judged: Execution) -> None:
    page = Page(ada.client.post(f"/executions/{judged.pk}/judge/", follow=True))

    assert "2 gates are run again" in page.text
    judged.refresh_from_db()
    assert judged.status == "running"
    assert [gate.status for gate in Gate.objects.filter(execution=judged)] == ["ready", "pending"]


def test_a_plan_shows_its_own_tests(ada: Visitor, judged: Execution) -> None:
    text = Page(ada.client.get(f"/masterplans/{judged.masterplan_id}/")).text

    assert "Tests of the plan" in text
    assert "At the end, against the whole project" in text
    assert "test_all" in text


def test_gates_stop_where_the_start_form_says_so(ada: Visitor, judged: Execution) -> None:
    form: dict[str, Any] = {
        "model": "scripted-sonnet",
        "max_concurrency": "10",
        "max_attempts": "4",
        "schedule": "waves",
        "validators": "full",
        "on_dependency_failure": "block",
        "gate_wave": "stop",
    }

    ada.client.post(f"/masterplans/{judged.masterplan_id}/start/", form)

    started = Execution.objects.exclude(pk=judged.pk).get()
    assert (started.config["gate_wave"], started.config["gate_masterplan"]) == ("stop", "report")
