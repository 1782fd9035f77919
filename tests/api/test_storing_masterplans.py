"""Masterplans by REST: stored whole or not at all, with every problem said."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml
from django.contrib.auth.models import Group

from executions.api.parsing import JSONMasterplanParser
from executions.models import Masterplan
from tests.api.people import Person
from tests.plans import adder, layers, plan

PLANS = "/api/v2/masterplans/"


def send(person: Person, document: object, query: str = "") -> Any:
    return person.client.post(PLANS + query, document, format="json")


def test_it_is_stored_with_its_place(ada: Person) -> None:
    answer = send(ada, plan(*layers(2, 1), name="tiny"))

    assert answer.status_code == 201
    stored = Masterplan.objects.get()
    assert answer["Location"] == f"/api/v2/masterplans/{stored.id}/"
    assert (stored.owner, stored.name, stored.atoms_total, stored.waves_total) == (ada.user, "tiny", 3, 2)
    detail = ada.client.get(answer["Location"]).json()
    assert detail == answer.json()
    assert (detail["name"], detail["version"], detail["owner"]) == ("tiny", 1, "ada")


def test_yaml_is_read_too(ada: Person) -> None:
    body = yaml.safe_dump(plan(adder("x")))

    answer = ada.client.generic("POST", PLANS, body, content_type="application/yaml")

    assert answer.status_code == 201


def test_the_same_again_is_no_second_one_and_a_change_is_the_next_version(ada: Person) -> None:
    first = send(ada, plan(adder("x")))
    same = send(ada, plan(adder("x")))
    changed = send(ada, plan(adder("x"), adder("y")))

    assert (same.status_code, same.json()["id"]) == (200, first.json()["id"])
    assert (changed.status_code, changed.json()["version"]) == (201, 2)


def test_every_problem_is_listed_with_its_place_and_nothing_is_stored(ada: Person) -> None:
    document = plan(adder("x", depends_on=["nobody"]), adder("x"), {**adder("z"), "target_path": "../z.py"})

    answer = send(ada, document)

    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    problem = answer.json()
    assert problem["code"] == "invalid_masterplan"
    said = {one["place"]: one["message"] for one in problem["problems"]}
    assert len(said) >= 3
    assert any("nobody" in message for message in said.values())
    assert all(one["line"] for one in problem["problems"])
    assert not Masterplan.objects.exists()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b'{"name": 1, "name": 2}', b"[" * 10_000])
def test_what_is_no_masterplan_is_a_problem_too(body: bytes, ada: Person) -> None:
    answer = ada.client.generic("POST", PLANS, body, content_type="application/json")

    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_masterplan"
    assert answer.json()["problems"]


def test_a_document_with_several_plans_is_answered_with_all(ada: Person) -> None:
    document = {"masterplans": [plan(adder("x"), name="one"), plan(adder("y"), name="two")]}

    answer = send(ada, document)

    assert answer.status_code == 201
    assert [one["name"] for one in answer.json()["masterplans"]] == ["one", "two"]


class TestTooLarge:
    def test_a_body_that_says_so_is_not_read(self, ada: Person) -> None:
        stream = io.BytesIO(b"")

        answer = ada.client.generic(
            "POST", PLANS, stream.read(), content_type="application/json", CONTENT_LENGTH="50000001"
        )

        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")

    def test_a_body_that_turns_out_to_be_is_read_no_further(
        self, ada: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(JSONMasterplanParser, "most_bytes", 1000)
        body = json.dumps(plan(adder("x"))).encode() + b" " * 1000

        answer = ada.client.generic("POST", PLANS, body, content_type="application/json")

        assert answer.status_code == 413
        assert not Masterplan.objects.exists()


def test_it_can_be_given_to_a_team_of_ones_own(ada: Person, grace: Person) -> None:
    team = Group.objects.create(name="engine room")
    ada.user.groups.add(team)
    grace.user.groups.add(team)

    answer = send(ada, plan(adder("x")), "?team=engine+room")

    assert (answer.status_code, answer.json()["team"]) == (201, "engine room")
    assert grace.client.get(answer["Location"]).status_code == 200


def test_it_cannot_be_given_to_a_team_of_others(ada: Person) -> None:
    Group.objects.create(name="engine room")

    answer = send(ada, plan(adder("x")), "?team=engine+room")

    assert answer.status_code == 404
    assert not Masterplan.objects.exists()


def test_its_atoms_come_in_pages(ada: Person, store: Callable[..., Masterplan]) -> None:
    masterplan = store(ada, 3, 2)
    path = f"/api/v2/masterplans/{masterplan.id}/atoms/?limit=2"

    keys = []
    while path:
        page: Mapping[str, Any] = ada.client.get(path).json()
        keys += [atom["key"] for atom in page["results"]]
        path = page["next"]

    assert keys == ["a1.0", "a1.1", "a1.2", "a2.0", "a2.1"]


def test_the_list_is_searched_by_name(ada: Person, store: Callable[..., Masterplan]) -> None:
    store(ada, name="Ledger")
    store(ada, name="Compiler")

    found = ada.client.get(PLANS + "?search=ledg").json()["results"]

    assert [one["name"] for one in found] == ["Ledger"]
