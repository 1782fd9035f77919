"""Pause, resume and cancel on our own routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from executions.models import Event, Execution
from executions.services.control import cancel_execution
from tests.api.people import Person


def steer(person: Person, execution: Execution, action: str, body: Any = None) -> Any:
    path = f"/api/v2/executions/{execution.id}/{action}/"
    return person.client.post(path, {} if body is None else body, format="json")


def test_it_answers_with_the_execution_and_keeps_who_and_why(
    ada: Person, begin: Callable[..., Execution]
) -> None:
    execution = begin(ada)

    answer = steer(ada, execution, "pause", {"why": "lunch"})

    assert (answer.status_code, answer.json()["status"], answer.json()["status_reason"]) == (
        200,
        "paused",
        "lunch",
    )
    assert Event.objects.get(execution=execution, type="control.pause").data["why"] == "lunch"
    assert steer(ada, execution, "resume").json()["status"] == "pending"
    assert steer(ada, execution, "cancel").json()["status"] == "cancelled"


def test_it_needs_no_body(ada: Person, begin: Callable[..., Execution]) -> None:
    execution = begin(ada)

    assert ada.client.post(f"/api/v2/executions/{execution.id}/pause/").status_code == 200


def test_doing_it_again_changes_nothing(ada: Person, begin: Callable[..., Execution]) -> None:
    execution = begin(ada)
    first = steer(ada, execution, "cancel").json()

    assert steer(ada, execution, "cancel").json() == first


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_a_wrong_state_is_409_with_the_state(
    action: str, ada: Person, begin: Callable[..., Execution]
) -> None:
    execution = begin(ada)
    cancel_execution(execution_id=execution.id, actor=ada.user)

    answer = steer(ada, execution, action)

    assert answer.status_code == 409
    assert (answer.json()["code"], answer.json()["state"]) == ("wrong_state", "cancelled")


@pytest.mark.parametrize("body", [{"why": 7}, {"because": "lunch"}, [], {"why": "x" * 1001}, {"why": "a\0b"}])
def test_a_body_of_another_shape_is_refused(body: Any, ada: Person, begin: Callable[..., Execution]) -> None:
    execution = begin(ada)

    answer = steer(ada, execution, "pause", body)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    execution.refresh_from_db()
    assert execution.status == "pending"
