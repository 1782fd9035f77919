"""Storing and starting a masterplan from a page: good input goes through, bad input comes back with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from executions.models import Execution, Masterplan
from tests.dashboard.conftest import Visitor
from tests.dashboard.pages import Page
from tests.engine.by_hand import start
from tests.plans import adder, plan

NEW = "/masterplans/new/"
SMALL = plan(adder("one"), adder("two", depends_on=["one"]))


@pytest.fixture
def stored(ada: Visitor) -> Masterplan:
    return start(SMALL, owner=ada.user).masterplan


def chosen(**changes: str) -> dict[str, str]:
    """What the start form sends, with these changes."""
    usual = {"model": "scripted-sonnet", "max_concurrency": "10", "max_attempts": "4", "budget_usd": ""}
    return {**usual, "schedule": "waves", "validators": "full", "on_dependency_failure": "block", **changes}


def test_a_file_is_stored(ada: Visitor) -> None:
    file = SimpleUploadedFile("plan.json", json.dumps(SMALL).encode())
    response = ada.client.post(NEW, {"file": file}, follow=True)
    (masterplan,) = Masterplan.objects.all()
    assert masterplan.owner == ada.user
    assert response.redirect_chain[-1][0] == f"/masterplans/{masterplan.pk}/"
    assert "is stored: 2 atoms in 2 waves" in Page(response).text


def test_pasted_yaml_is_stored(ada: Visitor) -> None:
    text = "name: pasted\natoms:\n- key: one\n  description: Do it.\n  target_path: one.py\n"
    page = Page(ada.client.post(NEW, {"text": text}, follow=True))
    assert Masterplan.objects.get().name == "pasted"
    assert "an atom without tests" in page.text


def test_several_plans_lead_to_the_list(ada: Visitor) -> None:
    several = {"masterplans": [{**SMALL, "name": "first plan"}, {**SMALL, "name": "second plan"}]}
    text = Page(ada.client.post(NEW, {"text": json.dumps(several)}, follow=True)).text
    assert "first plan v1 is stored" in text
    assert "second plan v1 is stored" in text


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({}, ["Choose a file, or paste a masterplan."]),
        ({"text": "  \n"}, ["Choose a file, or paste a masterplan."]),
        ({"text": '{"name": "x",\n "atoms": [}'}, ["1 problem", "2 the pasted text", "not well-formed JSON"]),
        (
            {"text": json.dumps(plan(adder("one", depends_on=["nowhere"]), adder("one")), indent=1)},
            ["problems", 'atoms[0] ("one").depends_on', "nowhere", 'atoms[1] ("one").key', "already the key"],
        ),
        ({"text": json.dumps(plan(adder("one", target_path="../x")))}, ["target_path", "1 problem"]),
        ({"file": SimpleUploadedFile("empty.json", b"")}, ["The submitted file is empty."]),
    ],
)
def test_bad_input_comes_back_with_places_and_lines(
    ada: Visitor, sent: dict[str, Any], said: list[str]
) -> None:
    response = ada.client.post(NEW, sent)
    assert response.status_code == 422
    text = Page(response).text
    for part in said:
        assert part in text
    assert not Masterplan.objects.exists()


def test_file_and_text_together_are_refused(ada: Visitor) -> None:
    file = SimpleUploadedFile("plan.json", json.dumps(SMALL).encode())
    assert "not both" in Page(ada.client.post(NEW, {"file": file, "text": "{}"})).text


def test_what_was_pasted_is_still_there_after_a_refusal(ada: Visitor) -> None:
    assert "name: [broken" in Page(ada.client.post(NEW, {"text": "name: [broken"})).text


def test_a_start_runs_the_plan_with_what_was_chosen(ada: Visitor, stored: Masterplan) -> None:
    sent = chosen(
        max_concurrency="7", max_attempts="2", schedule="flow", budget_usd="1.5", on_dependency_failure="stop"
    )
    response = ada.client.post(f"/masterplans/{stored.pk}/start/", sent)
    execution = Execution.objects.order_by("pk").last()
    assert execution is not None
    assert response.headers["Location"] == f"/executions/{execution.pk}/"
    assert (execution.owner, execution.model, execution.max_concurrency) == (ada.user, "scripted-sonnet", 7)
    assert (execution.schedule, execution.on_dependency_failure) == ("flow", "stop")
    assert execution.budget_nano_usd == 1_500_000_000
    assert len(execution.config["ladder"]) == 2


def test_the_form_begins_with_the_plans_own_defaults(ada: Visitor) -> None:
    masterplan = start(
        plan(adder("one"), defaults={"max_concurrency": 3, "validators": "syntax,contract"}), owner=ada.user
    ).masterplan
    page = Page(ada.client.get(f"/masterplans/{masterplan.pk}/start/"))
    assert page.find(name="max_concurrency")[0]["value"] == "3"
    assert "As the masterplan says: syntax,contract" in page.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"max_concurrency": "0"}, "Must be from 1 to 1000, not 0."),
        ({"max_concurrency": "many"}, "Must be a whole number from 1 to 1000"),
        ({"max_attempts": "21"}, "Must be from 1 to 20, not 21."),
        ({"budget_usd": "-1"}, "Must be above 0"),
        ({"budget_usd": "nan"}, "Must be above 0"),
        ({"model": ""}, "This field is required."),
        ({"schedule": "sideways"}, "Select a valid choice"),
        ({"validators": "prayer"}, "Select a valid choice"),
    ],
)
def test_bad_settings_come_back_beside_their_field(
    ada: Visitor, stored: Masterplan, change: dict[str, str], said: str
) -> None:
    response = ada.client.post(f"/masterplans/{stored.pk}/start/", chosen(**change))
    assert response.status_code == 422
    page = Page(response)
    assert said in page.text
    (name,) = change
    assert any(one.get("aria-invalid") == "true" for one in page.find(name=name))
    assert Execution.objects.count() == 1


def test_a_model_with_a_price_needs_a_yes_that_names_it(
    ada: Visitor, stored: Masterplan, settings: Any
) -> None:
    settings.ANTHROPIC_API_KEY = "x"
    address = f"/masterplans/{stored.pk}/start/"
    paid = chosen(model="claude-sonnet-4-5")
    refused = ada.client.post(address, paid)
    assert refused.status_code == 422
    page = Page(refused)
    assert "claude-sonnet-4-5 costs money" in page.text
    assert page.find(name="agree_to_pay")[0]["value"] == "claude-sonnet-4-5"
    assert ada.client.post(address, {**paid, "agree_to_pay": "claude-haiku-4-5"}).status_code == 422
    assert Execution.objects.count() == 1
    assert ada.client.post(address, {**paid, "agree_to_pay": "claude-sonnet-4-5"}).status_code == 302
    assert Execution.objects.count() == 2


def test_a_configured_model_with_a_price_asks_from_the_start(
    ada: Visitor, stored: Masterplan, settings: Any
) -> None:
    settings.ANTHROPIC_API_KEY, settings.MGE_MODEL = "x", "claude-sonnet-4-5"
    page = Page(ada.client.get(f"/masterplans/{stored.pk}/start/"))
    assert page.find(name="agree_to_pay")[0]["value"] == "claude-sonnet-4-5"


def test_without_an_endpoint_only_the_scripted_model_can_be_asked(ada: Visitor, stored: Masterplan) -> None:
    response = ada.client.post(f"/masterplans/{stored.pk}/start/", chosen(model="claude-sonnet-4-5"))
    assert "No endpoint is configured" in Page(response).text
    assert Execution.objects.count() == 1


def test_the_scripted_model_never_asks(ada: Visitor, stored: Masterplan) -> None:
    page = Page(ada.client.get(f"/masterplans/{stored.pk}/start/"))
    assert page.find(name="agree_to_pay") == []
    assert "nothing is paid" in page.text


def test_roles_decide_who_stores_and_who_starts(visitor: Callable[..., Visitor]) -> None:
    for role, may_store, may_start in (
        ("viewer", False, False),
        ("operator", False, True),
        ("author", True, True),
    ):
        one = visitor(role, role)
        masterplan = start(SMALL, owner=one.user).masterplan
        assert (one.client.get(NEW).status_code == 200) is may_store
        sent = one.client.post(NEW, {"text": json.dumps({**SMALL, "name": "new plan"})})
        assert sent.status_code == (302 if may_store else 403)
        started = one.client.post(f"/masterplans/{masterplan.pk}/start/", chosen())
        assert started.status_code == (302 if may_start else 403)
        links = Page(one.client.get("/masterplans/")).addresses(NEW)
        assert bool(links) is may_store


def test_what_is_not_tested_is_said_before_the_start(ada: Visitor) -> None:
    script = {"key": "web", "language": "js", "target_path": "web/a.js", "entry_point": "f"}
    masterplan = start(plan(adder("one"), script), owner=ada.user).masterplan
    page = Page(ada.client.get(f"/masterplans/{masterplan.pk}/start/"))
    assert "1 atom in JavaScript: only its syntax is checked, its tests are not run." in page.text
