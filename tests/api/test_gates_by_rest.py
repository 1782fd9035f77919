"""Gates on our own routes: what was found, and having it judged again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from executions.engine.gate_changes import RecordGate
from executions.findings import Finding, Severity
from executions.models import Event, Execution
from executions.validation.levels.verdict import GateVerdict
from tests.api.people import Person
from tests.engine import by_hand
from tests.plans import adder, plan


@pytest.fixture
def judged(ada: Person) -> Execution:
    """The wave's gate has failed and stopped the execution."""
    execution = by_hand.start(plan(adder("x")), owner=ada.user, validators="full", gate_wave="stop")
    by_hand.succeed_all(execution)
    claim = replace(by_hand.claiming(0), gate_room=lambda: 1)
    by_hand.write(claim)
    found = Finding(Severity.ERROR, "import-failed", "import pkg.add_x: it is broken")
    by_hand.write(
        RecordGate(claim.gates[0], GateVerdict((found,), 0, 1, "isolated", 5.0, 2.0), "d", stops=True)
    )
    return execution


def test_gates_are_listed_in_order_with_their_findings(ada: Person, judged: Execution) -> None:
    answer = ada.client.get(f"/api/v2/executions/{judged.id}/gates/").json()

    first, last = answer["results"]
    assert (first["level"], first["wave"], first["status"]) == ("wave", 1, "failed")
    assert first["findings"] == [
        {"severity": "ERROR", "rule": "import-failed", "message": "import pkg.add_x: it is broken"}
    ]
    assert (first["tests_passed"], first["tests_total"], first["isolation"]) == (0, 1, "isolated")
    assert (last["level"], last["wave"], last["status"]) == ("masterplan", None, "ready")
    shown = ada.client.get(f"/api/v2/executions/{judged.id}/").json()
    assert (shown["gates_total"], shown["gates_failed"], shown["gates_passed"]) == (2, 1, 0)
    assert shown["status"] == "paused"
    assert "gate of wave 1 failed: import pkg.add_x" in shown["status_reason"]


def test_it_is_judged_again_from_the_first_that_failed(ada: Person, judged: Execution) -> None:
    path = f"/api/v2/executions/{judged.id}/judge/"

    answer = ada.client.post(path, {"why": "flaky"}, format="json")

    assert answer.status_code == 200
    assert (answer.json()["gates_failed"], answer.json()["status"]) == (0, "paused")
    event = Event.objects.get(execution=judged, type="control.judge")
    assert (event.data["who"], event.data["why"], event.data["gates"]) == (ada.user.username, "flaky", 2)
    assert ada.client.post(path, {"wave": 2}, format="json").status_code == 400
