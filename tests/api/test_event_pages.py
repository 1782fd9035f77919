"""The history by cursor, and the request that waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from executions.engine.transaction import open_transaction
from executions.models import Execution
from executions.services.control import cancel_execution, pause_execution, resume_execution
from tests.api.people import Person


def events(person: Person, execution: Execution, query: str = "") -> Any:
    answer = person.client.get(f"/api/v2/executions/{execution.id}/events/{query}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_it_tells_what_comes_after_a_number(ada: Person, begin: Callable[..., Execution]) -> None:
    execution = begin(ada)
    pause_execution(execution_id=execution.id, actor=ada.user, why="lunch")

    whole, rest = events(ada, execution), events(ada, execution, "?after=1")

    assert [(one["seq"], one["type"]) for one in whole["events"]] == [
        (1, "execution.created"),
        (2, "control.pause"),
        (3, "execution.paused"),
    ]
    assert rest["events"] == whole["events"][1:]
    assert whole["events"][1]["data"] == {"who": "ada", "what": "pause", "why": "lunch"}
    assert (whole["after"], whole["last_seq"], whole["status"]) == (3, 3, "paused")
    assert events(ada, execution, "?after=3")["after"] == 3


def test_pages_by_after_hold_everything_once(ada: Person, begin: Callable[..., Execution]) -> None:
    execution = begin(ada)
    with open_transaction(execution.id) as unit:
        for _ in range(24):
            unit.event(unit.executions[execution.id], "test.noted")
    seen: list[int] = []
    page = events(ada, execution, "?limit=10")
    while page["events"]:
        seen += [one["seq"] for one in page["events"]]
        page = events(ada, execution, f"?limit=10&after={page['after']}")

    assert seen == list(range(1, 26))


def test_it_does_not_wait_for_an_execution_that_has_ended(
    ada: Person, begin: Callable[..., Execution]
) -> None:
    execution = begin(ada)
    cancel_execution(execution_id=execution.id, actor=ada.user)
    execution.refresh_from_db()

    page = events(ada, execution, f"?after={execution.seq}&wait=25")

    assert (page["events"], page["status"]) == ([], "cancelled")


@pytest.mark.django_db(transaction=True)
def test_a_waiting_request_holds_nothing_and_answers_when_something_happens(
    transactional_db: None, ada: Person, begin: Callable[..., Execution]
) -> None:
    execution = begin(ada)
    answers: list[Any] = []

    def wait() -> None:
        answers.append(events(ada, execution, "?after=1&wait=25"))
        connection.close()

    waiting = threading.Thread(target=wait)
    waiting.start()
    # Commands go through while it waits: it holds no transaction. What it answers with is a whole one.
    pause_execution(execution_id=execution.id, actor=ada.user)
    waiting.join(timeout=20)

    assert not waiting.is_alive()
    assert [one["type"] for one in answers[0]["events"]] == ["control.pause", "execution.paused"]
    resume_execution(execution_id=execution.id, actor=ada.user)


@pytest.mark.django_db(transaction=True)
def test_an_empty_wait_ends_in_time(
    transactional_db: None, ada: Person, begin: Callable[..., Execution]
) -> None:
    page = events(ada, begin(ada), "?after=1&wait=0.3")

    assert (page["events"], page["after"], page["status"]) == ([], 1, "pending")


@pytest.mark.parametrize(
    "query",
    ["after=-1", "after=x", "after=1.5", "limit=0", "limit=1001", "wait=26", "wait=nan", "wait=-1", "from=3"],
)
def test_what_is_not_understood_is_refused(query: str, ada: Person, begin: Callable[..., Execution]) -> None:
    answer = ada.client.get(f"/api/v2/executions/{begin(ada).id}/events/?{query}")

    assert answer.status_code == 400
    assert answer.json()["problems"][0]["place"] == query.partition("=")[0]
