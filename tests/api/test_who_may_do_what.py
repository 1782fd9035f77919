"""Every route, for every kind of person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import Group
from rest_framework.test import APIClient

from executions.api.urls import ORIGINAL, OWN
from executions.models import Execution
from executions.services.start import start_execution
from tests.api.people import Person, client_of
from tests.plans import adder, plan

ROLES = ("anonymous", "outsider", "viewer", "operator", "author", "owner", "staff")
SEES = ("viewer", "operator", "author", "owner", "staff")
OPERATES = ("operator", "author", "owner", "staff")
AUTHORS = ("author", "owner", "outsider", "staff")


@dataclass(frozen=True)
class Door:
    """A request, the status of a person who may make it, who may, and what the others are told."""

    name: str
    method: str
    good: int
    allowed: tuple[str, ...]
    unseen: int = 404
    """What somebody is told who does not see the execution."""


READ, WRITE = SEES, OPERATES
DOORS = (
    Door("original-start", "POST", 202, WRITE),
    Door("original-health", "GET", 200, (*READ, "outsider")),
    Door("original-status", "GET", 200, READ),
    Door("original-progress", "GET", 200, READ),
    Door("original-metrics", "GET", 200, READ),
    Door("original-wave", "GET", 200, READ),
    Door("original-atom", "GET", 200, READ),
    Door("original-pause", "POST", 200, WRITE),
    Door("original-resume", "POST", 200, WRITE),
    Door("masterplans", "GET", 200, (*READ, "outsider")),
    Door("masterplans", "POST", 201, AUTHORS),
    Door("masterplan", "GET", 200, READ),
    Door("masterplan-atoms", "GET", 200, READ),
    Door("executions", "GET", 200, (*READ, "outsider")),
    Door("execution", "GET", 200, READ),
    Door("execution-waves", "GET", 200, READ),
    Door("execution-gates", "GET", 200, READ),
    Door("execution-atoms", "GET", 200, READ),
    Door("execution-atom", "GET", 200, READ),
    Door("execution-events", "GET", 200, READ),
    Door("execution-export", "GET", 200, READ),
    Door("execution-pause", "POST", 200, WRITE),
    Door("execution-resume", "POST", 200, WRITE),
    Door("execution-cancel", "POST", 200, WRITE),
    Door("execution-retry", "POST", 200, WRITE),
    Door("execution-retry-preview", "POST", 200, WRITE),
    Door("execution-fork", "POST", 201, WRITE),
    # Of an execution that has just been stored and asks nobody: let in, and told that it does not fit.
    Door("execution-rollback", "POST", 409, WRITE),
    Door("execution-code", "POST", 409, WRITE),
    Door("execution-approve", "POST", 400, WRITE),
    Door("execution-judge", "POST", 409, WRITE),
    Door("nodes", "GET", 200, ("staff",), unseen=403),
)
BODIES: dict[str, dict[str, Any]] = {
    "masterplans": plan(adder("x"), name="a new plan"),
    "execution-retry": {"failed": True},
    "execution-retry-preview": {"failed": True},
    "execution-fork": {"wave": 0},
    "execution-rollback": {"wave": 0},
    "execution-code": {"code": "x = 1"},
    "execution-approve": {"wave": 1},
}


@pytest.fixture
def team(db: None) -> Group:
    return Group.objects.create(name="engine room")


@pytest.fixture
def execution(ada: Person, team: Group, store: Callable[..., Any]) -> Execution:
    return start_execution(masterplan=store(ada, 1, 1, team=team), actor=ada.user)


@pytest.fixture
def clients(ada: Person, make_person: Callable[..., Person], team: Group) -> dict[str, APIClient]:
    """A client for each role. Viewer, operator and author are members of the owner's team."""
    made = {role: make_person(role, role, team.name).client for role in ("viewer", "operator", "author")}
    made["anonymous"] = APIClient()
    made["outsider"] = make_person("outsider").client
    made["staff"] = make_person("staff", staff=True).client
    made["owner"] = ada.client
    return made


def knock(client: APIClient, door: Door, execution: Execution) -> Any:
    route = next(one for one in (*ORIGINAL, *OWN) if one.name == door.name)
    path = "/api/" + str(route.pattern)
    for name, value in {
        "<str:execution_id>": str(execution.id),
        "<str:masterplan_id>": str(execution.masterplan_id),
        "<str:wave_id>": "1",
        "<path:atom_id>": "a1.0",
        "<path:atom>": "a1.0",
    }.items():
        path = path.replace(name, value)
    body = BODIES.get(door.name, {})
    if door.name == "original-start":
        body = {"masterplan_id": str(execution.masterplan_id)}
    return client.get(path) if door.method == "GET" else client.post(path, body, format="json")


def expected(door: Door, role: str) -> int:
    if role == "anonymous":
        return 401
    if role in door.allowed:
        return door.good
    # He who sees nothing is told that there is nothing, also where his roles would let him act.
    return door.unseen if role == "outsider" else 403


@pytest.mark.parametrize("door", DOORS, ids=lambda door: f"{door.method} {door.name}")
@pytest.mark.parametrize("role", ROLES)
def test_the_route_answers_this_role_as_it_should(
    role: str, door: Door, execution: Execution, clients: dict[str, APIClient]
) -> None:
    answer = knock(clients[role], door, execution)

    assert answer.status_code == expected(door, role), answer.content
    if role == "anonymous":
        assert answer["WWW-Authenticate"].startswith("Bearer")
    if answer.status_code >= 400:
        original = door.name.startswith("original-")
        assert answer["Content-Type"] == ("application/json" if original else "application/problem+json")
        assert isinstance(answer.json()["detail"], str)


def test_no_route_was_forgotten_here() -> None:
    assert {door.name for door in DOORS} == {route.name for route in (*ORIGINAL, *OWN) if route.name}


def test_lists_hold_only_what_one_sees(
    execution: Execution, clients: dict[str, APIClient], begin: Callable[..., Execution]
) -> None:
    unowned = begin(None, name="of a command")

    def seen(role: str, of: str) -> set[str]:
        return {one["id"] for one in clients[role].get(f"/api/v2/{of}/").json()["results"]}

    assert seen("outsider", "executions") == seen("outsider", "masterplans") == set()
    assert seen("viewer", "executions") == seen("owner", "executions") == {str(execution.id)}
    assert seen("staff", "executions") == {str(execution.id), str(unowned.id)}
    assert clients["outsider"].get("/api/v2/execution/health").json()["active_executions"] == 0


def test_a_session_writes_only_with_its_csrf_token(ada: Person, execution: Execution) -> None:
    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(ada.user, backend="django.contrib.auth.backends.ModelBackend")
    path = f"/api/v2/executions/{execution.id}/pause/"

    assert browser.get(f"/api/v2/executions/{execution.id}/").status_code == 200
    assert browser.post(path, {}, format="json").status_code == 403

    browser.cookies["csrftoken"] = "a" * 32
    assert browser.post(path, {}, format="json", HTTP_X_CSRFTOKEN="a" * 32).status_code == 200


def test_a_token_decides_alone_whatever_cookies_come_with_it(
    ada: Person, grace: Person, execution: Execution
) -> None:
    browser = client_of(grace.user)
    browser.force_login(ada.user, backend="django.contrib.auth.backends.ModelBackend")

    assert browser.get(f"/api/v2/executions/{execution.id}/").status_code == 404
    browser.credentials(HTTP_AUTHORIZATION="Bearer mge_abcdefghijkl_" + "x" * 43)
    assert browser.get(f"/api/v2/executions/{execution.id}/").status_code == 401


def test_a_group_that_gives_a_role_cannot_be_a_team(make_person: Callable[..., Person]) -> None:
    author = make_person("anna", "author")

    answer = author.client.post("/api/v2/masterplans/?team=author", plan(adder("x")), format="json")

    assert answer.status_code == 404
    assert "team" in answer.json()["detail"]
