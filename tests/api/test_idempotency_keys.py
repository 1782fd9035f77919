"""`Idempotency-Key`: what is sent twice acts once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from rest_framework.test import APIClient

from executions.models import Event, Execution, IdempotentRequest, Masterplan
from executions.planning.format import load_document
from executions.services.idempotency import KEPT_FOR, forget_requests
from executions.services.masterplans import store_masterplans
from tests.api.people import Person, client_of
from tests.engine.committed import transactional_db  # noqa: F401  a fixture
from tests.plans import layers, plan

START = "/api/v2/execution/start"


def start(person: Person, masterplan: Masterplan, key: str | None, **more: Any) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return person.client.post(
        START, {"masterplan_id": str(masterplan.id), **more}, format="json", headers=headers
    )


def steer(person: Person, execution: Execution, action: str, key: str, body: Any = None) -> Any:
    path = f"/api/v2/executions/{execution.id}/{action}/"
    return person.client.post(path, body or {}, format="json", headers={"Idempotency-Key": key})


def age(by: timedelta) -> None:
    for one in IdempotentRequest.objects.all():
        IdempotentRequest.objects.filter(pk=one.pk).update(created_at=one.created_at - by)


def test_the_same_start_sent_again_starts_nothing_and_gets_the_first_answer(
    ada: Person, store: Callable[..., Masterplan]
) -> None:
    masterplan = store(ada)

    first, again = (start(ada, masterplan, "a key of mine") for _ in range(2))

    assert Execution.objects.count() == 1
    assert (first.status_code, again.status_code) == (202, 202)
    assert (again.content, again["Location"]) == (first.content, first["Location"])
    assert ("Idempotent-Replayed" in first, again["Idempotent-Replayed"]) == (False, "true")


def test_without_a_key_each_start_is_one_of_its_own(ada: Person, store: Callable[..., Masterplan]) -> None:
    masterplan = store(ada)

    for _ in range(2):
        assert start(ada, masterplan, None).status_code == 202

    assert Execution.objects.count() == 2
    assert not IdempotentRequest.objects.exists()


def test_a_replay_tells_what_was_answered_not_how_it_is_now(
    ada: Person, begin: Callable[..., Execution]
) -> None:
    execution = begin(ada)
    first = steer(ada, execution, "pause", "k1", {"why": "lunch"})
    steer(ada, execution, "resume", "k2")

    again = steer(ada, execution, "pause", "k1", {"why": "lunch"})

    execution.refresh_from_db()
    assert (again.content, again["Content-Type"]) == (first.content, first["Content-Type"])
    assert again.json()["status"] == "paused"
    assert execution.status == "pending"
    assert Event.objects.filter(execution=execution, type="control.pause").count() == 1


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_the_originals_routes_heed_it_too(action: str, ada: Person, begin: Callable[..., Execution]) -> None:
    execution = begin(ada)
    steer(ada, execution, "pause", "before")
    path = f"/api/v2/execution/{execution.id}/{action}"

    answers = [ada.client.post(path, headers={"Idempotency-Key": "k"}) for _ in range(2)]

    assert [one.status_code for one in answers] == [200, 200]
    assert [one.get("Idempotent-Replayed") for one in answers] == [None, "true"]


def test_the_same_key_with_another_request_is_refused(
    ada: Person, store: Callable[..., Masterplan], begin: Callable[..., Execution]
) -> None:
    masterplan, execution = store(ada, name="one"), begin(ada, name="two")
    start(ada, masterplan, "k")

    other_body = start(ada, masterplan, "k", settings={"max_concurrency": 3})
    other_path = steer(ada, execution, "cancel", "k")

    assert other_body.status_code == 422
    assert "this key was used for another request" in other_body.json()["detail"]
    assert (other_path.status_code, other_path.json()["code"]) == (422, "idempotency_key_reused")
    execution.refresh_from_db()
    assert execution.status == "pending"
    assert Execution.objects.count() == 2


def test_how_the_body_is_written_does_not_matter(ada: Person, store: Callable[..., Masterplan]) -> None:
    masterplan = store(ada)
    bodies = (
        f'{{"masterplan_id":"{masterplan.id}","confirm_cost":true}}',
        f'{{ "confirm_cost": true,\n "masterplan_id": "{masterplan.id}" }}',
    )

    answers = [
        ada.client.post(
            START + slash, body, content_type="application/json", headers={"Idempotency-Key": "k"}
        )
        for body, slash in zip(bodies, ("", "/"), strict=True)
    ]

    assert [one.status_code for one in answers] == [202, 202]
    assert Execution.objects.count() == 1


def test_an_error_is_not_kept_so_that_it_may_be_tried_again(
    ada: Person, begin: Callable[..., Execution]
) -> None:
    execution = begin(ada)
    Execution.objects.filter(pk=execution.pk).update(status="cancelling")
    refused = steer(ada, execution, "pause", "k")
    Execution.objects.filter(pk=execution.pk).update(status="pending")

    again = steer(ada, execution, "pause", "k")

    assert (refused.status_code, again.status_code, again.json()["status"]) == (409, 200, "paused")
    assert "Idempotent-Replayed" not in again


def test_the_key_of_another_person_is_another_key(
    ada: Person, grace: Person, store: Callable[..., Masterplan]
) -> None:
    plans = store(ada), store(grace)

    answers = [start(person, one, "k") for person, one in zip((ada, grace), plans, strict=True)]

    assert [one.status_code for one in answers] == [202, 202]
    assert Execution.objects.count() == 2


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "must not be empty"),
        ("   ", "must not be empty"),
        ("k" * 256, "must have at most 255 characters, not 256"),
        ("a\tb", "must be printable ASCII"),
        ("schlüssel", "must be printable ASCII"),
    ],
)
def test_what_cannot_be_a_key_is_refused(
    key: str, said: str, ada: Person, begin: Callable[..., Execution]
) -> None:
    execution = begin(ada)

    answer = steer(ada, execution, "cancel", key)

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_idempotency_key")
    assert said in answer.json()["detail"]
    execution.refresh_from_db()
    assert execution.status == "pending"


def test_the_longest_key_is_taken(ada: Person, begin: Callable[..., Execution]) -> None:
    assert steer(ada, begin(ada), "pause", "k" * 255).status_code == 200


def test_after_a_day_the_key_is_free_again(ada: Person, store: Callable[..., Masterplan]) -> None:
    masterplan = store(ada)
    start(ada, masterplan, "k")
    age(KEPT_FOR + timedelta(seconds=1))

    again = start(ada, masterplan, "k", settings={"max_concurrency": 3})

    assert (again.status_code, "Idempotent-Replayed" in again) == (202, False)
    assert Execution.objects.count() == 2


def test_only_what_is_old_is_forgotten(ada: Person, store: Callable[..., Masterplan]) -> None:
    masterplan = store(ada)
    start(ada, masterplan, "old")
    age(KEPT_FOR + timedelta(seconds=1))
    start(ada, masterplan, "new")

    assert forget_requests() == 1
    assert [one.key for one in IdempotentRequest.objects.all()] == ["new"]


def test_equal_requests_at_the_same_time_wait_for_the_first_and_get_its_answer(
    transactional_db: None,  # noqa: F811  the fixture that commits
) -> None:
    user = User.objects.create_user("ada")
    masterplan = store_masterplans(load_document(plan(*layers(2, 1)), origin="test"), owner=user)[0]
    clients: list[APIClient] = [client_of(user) for _ in range(6)]
    together = threading.Barrier(len(clients))

    def send(client: APIClient) -> Any:
        try:
            together.wait(timeout=30)
            return start(Person(user, client), masterplan, "k")
        finally:
            connection.close()

    with ThreadPoolExecutor(len(clients)) as pool:
        answers = list(pool.map(send, clients))

    assert {one.status_code for one in answers} == {202}
    assert len({one.content for one in answers}) == 1
    assert sum("Idempotent-Replayed" in one for one in answers) == len(clients) - 1
    assert Execution.objects.count() == 1
