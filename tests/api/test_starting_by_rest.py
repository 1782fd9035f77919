"""POST start: accepted at once, with everything that is asked for either used or refused."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from executions.models import Event, Execution, Masterplan, Node
from tests.api.people import Person

START = "/api/v2/execution/start"


def test_it_is_accepted_with_an_id_and_a_place(ada: Person, store: Callable[..., Masterplan]) -> None:
    masterplan = store(ada, 2, 1)

    answer = ada.client.post(START, {"masterplan_id": str(masterplan.id)}, format="json")

    assert answer.status_code == 202
    execution = Execution.objects.get(pk=answer.json()["execution_id"])
    assert answer.json() == {
        "execution_id": str(execution.id),
        "masterplan_id": str(masterplan.id),
        "status": "pending",
        "state": "pending",
        "total_waves": 2,
        "atoms_total": 3,
        "message": "execution of 3 atoms in 2 waves accepted",
    }
    assert answer["Location"] == f"/api/v2/execution/{execution.id}"
    assert ada.client.get(answer["Location"]).status_code == 200
    assert (execution.owner, execution.masterplan) == (ada.user, masterplan)
    assert Event.objects.get(execution=execution, seq=1).data["who"] == "ada"


def test_settings_are_those_of_the_command_line(ada: Person, store: Callable[..., Masterplan]) -> None:
    body = {
        "masterplan_id": str(store(ada).id),
        "settings": {"max_concurrency": 7, "schedule": "flow", "model": "scripted-x"},
    }

    answer = ada.client.post(START, body, format="json")

    execution = Execution.objects.get(pk=answer.json()["execution_id"])
    assert (execution.max_concurrency, execution.schedule, execution.model) == (7, "flow", "scripted-x")


def test_every_bad_setting_is_named_and_nothing_starts(ada: Person, store: Callable[..., Masterplan]) -> None:
    body = {"masterplan_id": str(store(ada).id), "settings": {"max_concurrency": 0, "colour": "red"}}

    answer = ada.client.post(START, body, format="json")

    assert answer.status_code == 400
    assert "max_concurrency" in answer.json()["detail"]
    assert "colour" in answer.json()["detail"]
    assert not Execution.objects.exists()


class TestAModelWithAPrice:
    @pytest.fixture(autouse=True)
    def _endpoint(self, settings: Any) -> None:
        settings.ANTHROPIC_BASE_URL = "http://127.0.0.1:9"
        settings.MGE_MODEL = "claude-sonnet-5-5"

    def test_is_not_used_unless_its_cost_is_confirmed(
        self, ada: Person, store: Callable[..., Masterplan]
    ) -> None:
        answer = ada.client.post(START, {"masterplan_id": str(store(ada).id)}, format="json")

        assert answer.status_code == 400
        assert answer.json()["detail"].startswith("cost_not_confirmed: claude-sonnet-5-5 costs money")
        assert not Execution.objects.exists()

    def test_is_used_when_it_is(self, ada: Person, store: Callable[..., Masterplan]) -> None:
        body = {"masterplan_id": str(store(ada).id), "confirm_cost": True}

        assert ada.client.post(START, body, format="json").status_code == 202
        assert Execution.objects.get().model == "claude-sonnet-5-5"

    @pytest.mark.parametrize("word", ["yes", 1, "true", None])
    def test_only_true_confirms(self, word: object, ada: Person, store: Callable[..., Masterplan]) -> None:
        body = {"masterplan_id": str(store(ada).id), "confirm_cost": word}

        assert ada.client.post(START, body, format="json").status_code == 422
        assert not Execution.objects.exists()

    def test_a_scripted_one_needs_no_confirmation(
        self, ada: Person, store: Callable[..., Masterplan]
    ) -> None:
        body = {"masterplan_id": str(store(ada).id), "settings": {"model": "scripted-x"}}

        assert ada.client.post(START, body, format="json").status_code == 202


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"masterplan_id": "nonsense"}, 400, "UUID"),
        ({"masterplan_id": str(uuid.uuid4())}, 404, "no masterplan"),
        ({}, 422, "masterplan_id"),
        ({"masterplan_id": 7}, 422, "masterplan_id"),
        ([], 422, "object"),
        ({"masterplan_id": str(uuid.uuid4()), "speed": "high"}, 422, "speed"),
        ({"masterplan_id": str(uuid.uuid4()), "settings": []}, 422, "settings"),
        (
            {"masterplan_id": str(uuid.uuid4()), "execution_plan": [], "atoms": {}},
            400,
            "/api/v2/masterplans/",
        ),
        ({"atoms": {}}, 400, "/api/v2/masterplans/"),
    ],
)
def test_what_cannot_be_used_is_refused(body: Any, status: int, word: str, ada: Person) -> None:
    answer = ada.client.post(START, body, format="json")

    assert answer.status_code == status
    assert word in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"masterplan_id": NaN}', "application/json", 400),
        (b'{"\\ud800": 1}', "application/json", 400),
        (b"masterplan_id=1", "application/x-www-form-urlencoded", 415),
        (b'"' + b"x" * 1_000_001 + b'"', "application/json", 413),
    ],
)
def test_a_body_that_is_no_usable_json_is_refused(body: bytes, kind: str, status: int, ada: Person) -> None:
    answer = ada.client.generic("POST", START, body, content_type=kind)

    assert answer.status_code == status
    assert set(answer.json()) == {"detail"}


def test_no_worker_that_could_run_the_tests_is_told_before_anything_is_stored(
    ada: Person, store: Callable[..., Masterplan]
) -> None:
    now = datetime.now(UTC)
    Node.objects.create(
        id=uuid.uuid4(), host="here", pid=1, version="0", isolation="none", started_at=now, heartbeat_at=now
    )

    answer = ada.client.post(START, {"masterplan_id": str(store(ada).id)}, format="json")

    assert answer.status_code == 409
    assert "isolate" in answer.json()["detail"]
    assert not Execution.objects.exists()
