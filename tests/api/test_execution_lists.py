"""Lists of executions, waves and atoms: filters, pages, and the refusal of what nobody understands."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from executions.models import AtomRun, Execution
from executions.services.control import cancel_execution, pause_execution
from tests.api.people import Person

LIST = "/api/v2/executions/"


def ids(person: Person, query: str = "") -> list[str]:
    answer = person.client.get(LIST + query)
    assert answer.status_code == 200, answer.content
    return [one["id"] for one in answer.json()["results"]]


@pytest.fixture
def three(ada: Person, begin: Callable[..., Execution]) -> list[Execution]:
    """A pending one, a paused one and a cancelled one, oldest first."""
    executions = [begin(ada, name=name) for name in ("Ledger", "Compiler", "Parser")]
    pause_execution(execution_id=executions[1].id, actor=ada.user)
    cancel_execution(execution_id=executions[2].id, actor=ada.user)
    for execution in executions:
        execution.refresh_from_db()
    return executions


def test_the_newest_come_first_unless_asked_otherwise(ada: Person, three: list[Execution]) -> None:
    oldest_first = [str(one.id) for one in three]

    assert ids(ada) == oldest_first[::-1]
    assert ids(ada, "?ordering=-created_at") == oldest_first[::-1]
    assert ids(ada, "?ordering=created_at") == oldest_first


def test_status_may_be_repeated(ada: Person, three: list[Execution]) -> None:
    pending, paused, _ = (str(one.id) for one in three)

    assert ids(ada, "?status=paused") == [paused]
    assert ids(ada, "?status=paused&status=pending") == [paused, pending]


def test_it_is_filtered_by_plan_time_and_text(ada: Person, three: list[Execution]) -> None:
    first, second, third = three
    middle = second.created_at
    as_asked = (middle + timedelta(0)).isoformat().replace("+00:00", "Z")

    assert ids(ada, f"?masterplan={first.masterplan_id}") == [str(first.id)]
    assert ids(ada, f"?created_after={as_asked}") == [str(third.id)]
    assert ids(ada, f"?created_before={as_asked}") == [str(first.id)]
    assert ids(ada, "?search=compil") == [str(second.id)]
    assert ids(ada, f"?search={third.id}") == [str(third.id)]
    assert str(third.id) in ids(ada, f"?search={str(third.id)[:8]}")
    assert ids(ada, "?search=zzz") == []
    assert len(ids(ada, "?search=")) == 3


def test_pages_hold_everything_once_whatever_comes_meanwhile(
    ada: Person, three: list[Execution], begin: Callable[..., Execution]
) -> None:
    seen: list[str] = []
    path = LIST + "?limit=1"
    while path:
        page = ada.client.get(path).json()
        seen += [one["id"] for one in page["results"]]
        path = page["next"]
        begin(ada, name=f"came meanwhile {len(seen)}")

    assert seen == [str(one.id) for one in reversed(three)]


def test_head_asks_as_get_does(ada: Person, three: list[Execution]) -> None:
    answer = ada.client.head(LIST + "?status=paused&limit=1")

    assert (answer.status_code, answer.content) == (200, b"")


def test_one_can_go_back_a_page(ada: Person, three: list[Execution]) -> None:
    first = ada.client.get(LIST + "?limit=2").json()
    second = ada.client.get(first["next"]).json()

    assert ada.client.get(second["previous"]).json()["results"] == first["results"]
    assert first["previous"] is None
    assert second["next"] is None


@pytest.mark.parametrize(
    "query",
    [
        "status=finished",
        "status=",
        "masterplan=nonsense",
        "masterplan=",
        "created_after=yesterday",
        "created_before=0001-01-01T00:00:00%2B23:59",
        "ordering=cost",
        "limit=0",
        "limit=501",
        "limit=ten",
        "search=%00",
        "statuss=paused",
    ],
)
def test_what_is_not_understood_is_refused(query: str, ada: Person, three: list[Execution]) -> None:
    answer = ada.client.get(f"{LIST}?{query}")

    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_request"
    assert answer.json()["problems"][0]["place"] == query.partition("=")[0]


@pytest.mark.parametrize("position", ["p=nonsense", "p=9999-99-99", "o=x", "\xff", "p=2026-01-01 00:00:00\0"])
def test_a_cursor_that_was_not_given_out_is_no_page(
    position: str, ada: Person, three: list[Execution]
) -> None:
    cursor = base64.b64encode(position.encode("latin-1")).decode()

    assert ada.client.get(LIST, {"cursor": cursor}).status_code == 404


def test_one_execution_tells_why_it_waits(ada: Person, three: list[Execution]) -> None:
    detail = ada.client.get(f"{LIST}{three[0].id}/").json()

    assert detail["waits_for"].startswith("no worker")
    assert detail["masterplan"]["name"] == "Ledger"
    assert detail["config"]["model"] == "scripted-sonnet"
    assert detail["seq"] == 1


def test_waves_and_atoms_are_listed_in_order(ada: Person, begin: Callable[..., Execution]) -> None:
    execution = begin(ada, 2, 1)

    waves = ada.client.get(f"{LIST}{execution.id}/waves/").json()["results"]
    atoms = ada.client.get(f"{LIST}{execution.id}/atoms/").json()["results"]

    assert [(one["number"], one["status"], one["atoms_total"]) for one in waves] == [
        (1, "pending", 2),
        (2, "pending", 1),
    ]
    assert [(one["key"], one["wave"]) for one in atoms] == [("a1.0", 1), ("a1.1", 1), ("a2.0", 2)]


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("?wave=2", ["a2.0"]),
        ("?status=pending&status=ready", ["a1.0", "a1.1", "a2.0"]),
        ("?status=succeeded", []),
        ("?search=1.1", ["a1.1"]),
        ("?limit=1", ["a1.0"]),
    ],
)
def test_atoms_are_filtered(
    query: str, keys: list[str], ada: Person, begin: Callable[..., Execution]
) -> None:
    execution = begin(ada, 2, 1)

    answer: Any = ada.client.get(f"{LIST}{execution.id}/atoms/{query}")

    assert [one["key"] for one in answer.json()["results"]] == keys


@pytest.mark.parametrize("query", ["wave=0", "wave=1.5", "wave=x", "status=done", "key=a1.0"])
def test_atoms_are_not_filtered_by_nonsense(query: str, ada: Person, begin: Callable[..., Execution]) -> None:
    assert ada.client.get(f"{LIST}{begin(ada).id}/atoms/?{query}").status_code == 400


def test_every_kind_of_list_costs_a_fixed_number_of_queries(
    ada: Person, begin: Callable[..., Execution], django_assert_max_num_queries: Any
) -> None:
    executions = [begin(ada, 5, name=f"plan {number}") for number in range(5)]
    assert AtomRun.objects.filter(execution=executions[0]).count() == 5
    for path in (LIST, f"{LIST}{executions[0].id}/atoms/", f"{LIST}{executions[0].id}/waves/"):
        with django_assert_max_num_queries(5):
            ada.client.get(path)
