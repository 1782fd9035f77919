"""The buttons do what they say, only where it fits, and only for who may."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from executions.dashboard.steering import steering
from executions.models import AtomRun, Event, Execution
from executions.services.control import cancel_execution, pause_execution, resume_execution
from executions.states import ExecutionStatus, WrongState
from tests.dashboard.conftest import Visitor
from tests.dashboard.pages import Page
from tests.engine.by_hand import claim_one, start, succeed_all
from tests.plans import adder, plan

VERBS = {"pause": pause_execution, "resume": resume_execution, "cancel": cancel_execution}


def status_of(execution: Execution) -> str:
    execution.refresh_from_db()
    return execution.status


def shown_buttons(page: Page) -> set[str]:
    return {one["data-steer"] for _, one in page.tags if "data-steer" in one and "hidden" not in one}


@pytest.fixture
def waiting(ada: Visitor) -> Execution:
    """Nothing works on it yet."""
    return start(plan(adder("one"), adder("two")), owner=ada.user)


def test_pause_and_resume(ada: Visitor, waiting: Execution) -> None:
    base = f"/executions/{waiting.pk}/"
    response = ada.client.post(f"{base}pause/", {"why": "lunch"})
    assert response.headers["Location"] == base
    assert status_of(waiting) == "paused"
    page = Page(ada.client.get(base))
    assert "Waiting: lunch" in page.text
    assert shown_buttons(page) == {"resume", "cancel", "rollback"}

    ada.client.post(f"{base}resume/")
    assert status_of(waiting) == "pending"
    assert shown_buttons(Page(ada.client.get(base))) == {"pause", "cancel"}


def test_pausing_waits_for_what_is_in_flight_and_says_so(ada: Visitor, waiting: Execution) -> None:
    hand = claim_one(waiting)
    call = hand.intend()
    ada.client.post(f"/executions/{waiting.pk}/pause/")
    assert status_of(waiting) == "pausing"
    page = Page(ada.client.get(f"/executions/{waiting.pk}/"))
    assert "No new call starts; calls in flight finish first." in page.text
    hand.answer(call)
    hand.judge(passed=True)
    assert status_of(waiting) == "paused"


def test_cancel_asks_first_and_keeps_the_reason(ada: Visitor, waiting: Execution) -> None:
    base = f"/executions/{waiting.pk}/"
    question = Page(ada.client.get(f"{base}confirm-cancel/"))
    assert "Cancel this execution?" in question.text
    assert status_of(waiting) == "pending"
    ada.client.post(f"{base}cancel/", {"why": "wrong model"})
    assert status_of(waiting) == "cancelled"
    assert set(AtomRun.objects.filter(execution=waiting).values_list("status", flat=True)) == {"cancelled"}
    said = Event.objects.get(execution=waiting, type="control.cancel").data
    assert (said["who"], said["why"]) == ("ada", "wrong model")
    page = Page(ada.client.get(base))
    assert shown_buttons(page) == set()
    assert "cancel by ada: wrong model" in page.text
    assert "It cannot be cancelled" in Page(ada.client.get(f"{base}confirm-cancel/")).text


def test_what_does_not_fit_the_state_changes_nothing_and_says_why(ada: Visitor, waiting: Execution) -> None:
    succeed_all(waiting)
    before = Event.objects.filter(execution=waiting).count()
    for verb in VERBS:
        response = ada.client.post(f"/executions/{waiting.pk}/{verb}/", follow=True)
        assert f"cannot {verb}: the execution is completed" in Page(response).text
    assert Event.objects.filter(execution=waiting).count() == before
    assert "Ended: nothing to pause or cancel." in Page(ada.client.get(f"/executions/{waiting.pk}/")).text


def test_the_pages_script_gets_nothing_back_when_it_worked(ada: Visitor, waiting: Execution) -> None:
    response = ada.client.post(f"/executions/{waiting.pk}/pause/", headers={"HX-Request": "true"})
    assert (response.status_code, response.content) == (204, b"")
    succeed_all(Execution.objects.get(pk=waiting.pk))
    ada.client.post(f"/executions/{waiting.pk}/cancel/")
    response = ada.client.post(f"/executions/{waiting.pk}/pause/", headers={"HX-Request": "true"})
    assert response.headers["HX-Refresh"] == "true"


def test_nothing_is_steered_by_following_a_link(ada: Visitor, waiting: Execution) -> None:
    for verb in VERBS:
        assert ada.client.get(f"/executions/{waiting.pk}/{verb}/").status_code == 405
    assert status_of(waiting) == "pending"


def test_a_viewer_sees_no_buttons_and_may_not(visitor: Callable[..., Visitor]) -> None:
    viewer = visitor("vera", "viewer")
    execution = start(plan(adder("one")), owner=viewer.user)
    page = Page(viewer.client.get(f"/executions/{execution.pk}/"))
    assert shown_buttons(page) == set()
    for verb in VERBS:
        response = viewer.client.post(f"/executions/{execution.pk}/{verb}/")
        assert response.status_code == 403
        assert "the right to operate is missing" in Page(response).text
    assert viewer.client.get(f"/executions/{execution.pk}/confirm-cancel/").status_code == 403
    assert status_of(execution) == "pending"


def test_a_form_without_its_token_is_refused(ada: Visitor, waiting: Execution) -> None:
    ada.client.handler.enforce_csrf_checks = True
    response = ada.client.post(f"/executions/{waiting.pk}/pause/")
    assert response.status_code == 403
    assert "The form is out of date" in Page(response).text
    assert status_of(waiting) == "pending"


@pytest.mark.parametrize("status", list(ExecutionStatus))
@pytest.mark.parametrize("verb", list(VERBS))
def test_a_button_is_shown_exactly_where_the_service_accepts_it(
    ada: Visitor, waiting: Execution, status: ExecutionStatus, verb: str
) -> None:
    ended = status in ("completed", "failed", "cancelled")
    Execution.objects.filter(pk=waiting.pk).update(
        status=status, started_at=waiting.created_at, ended_at=waiting.created_at if ended else None
    )
    already = {
        "pause": ("pausing", "paused"),
        "resume": ("pending", "running"),
        "cancel": ("cancelling", "cancelled"),
    }
    try:
        VERBS[verb](execution_id=waiting.pk, actor=ada.user)
        accepted = status not in already[verb]
    except WrongState:
        accepted = False
    assert getattr(steering(status), verb) is accepted
