"""The page of an atom tells everything about every attempt."""

from __future__ import annotations

from executions.findings import Finding, Severity
from executions.models import Execution
from tests.dashboard.conftest import Visitor, reject
from tests.dashboard.pages import Page
from tests.engine.by_hand import claim_one, start
from tests.plans import adder, plan


def test_attempts_come_oldest_first_with_prompt_parameters_cost_and_calls(
    ada: Visitor, tried: Execution
) -> None:
    response = ada.client.get(f"/executions/{tried.pk}/atoms/first/")
    text = Page(response).text
    assert text.index("Attempt 1 ") < text.index("Attempt 2 ")
    for said in (
        "rejected",
        "passed",
        "temperature 0.7",
        "isolation isolated",
        "tests 0 of 1",
        "tests 1 of 1",
        "$0.00",
    ):
        assert said in text
    assert "1 call to the model" in text
    assert "scripted-test" in text
    assert ">system</pre>" in response.content.decode()


def test_issues_are_listed_and_marked_on_their_lines(ada: Visitor, tried: Execution) -> None:
    page = Page(ada.client.get(f"/executions/{tried.pk}/atoms/first/"))
    (line,) = page.find(id="attempt-1-L2")
    assert line["data-severity"] == "ERROR"
    (line,) = page.find(id="attempt-1-L1")
    assert line["data-severity"] == "WARNING"
    assert page.addresses("#attempt-1-L2")
    assert "data-severity" not in page.find(id="attempt-2-L1")[0]


def test_an_attempt_is_compared_with_the_one_before(ada: Visitor, tried: Execution) -> None:
    page = Page(ada.client.get(f"/executions/{tried.pk}/atoms/first/"))
    assert "Changes against attempt 1 (+1 −1)" in page.text  # noqa: RUF001  as the page writes it
    assert "Changes against attempt 2" not in page.text


def test_what_was_asked_and_not_sent_is_said_with_the_reason(ada: Visitor, tried: Execution) -> None:
    call = tried.calls.order_by("started_at").first()
    call.applied, call.dropped = {"temperature": None}, {"temperature": "the model accepts none"}
    call.save()
    text = Page(ada.client.get(f"/executions/{tried.pk}/atoms/first/")).text
    assert "0.7 asked, none sent" in text
    assert "0.7 → not sent (the model accepts none)" in text


def test_dependencies_and_dependents_are_links(ada: Visitor) -> None:
    execution = start(plan(adder("low"), adder("high", depends_on=["low"])), owner=ada.user)
    base = f"/executions/{execution.pk}/atoms/"
    assert Page(ada.client.get(f"{base}low/")).addresses(base) == [f"{base}high/"]
    assert Page(ada.client.get(f"{base}high/")).addresses(base) == [f"{base}low/"]


def test_an_atom_that_never_passed_says_why(ada: Visitor) -> None:
    execution = start(plan(adder("one"), adder("two", depends_on=["one"])), owner=ada.user, max_attempts=1)
    reject(
        claim_one(execution), "def add_one(x): ...\n", Finding(Severity.ERROR, "test-failed", "it is wrong")
    )
    base = f"/executions/{execution.pk}/atoms/"
    assert "Failed after 1 attempt" in Page(ada.client.get(f"{base}one/")).text
    blocked = Page(ada.client.get(f"{base}two/")).text
    assert "Blocked: its dependency one ended failed" in blocked
    assert "It was never asked for" in blocked


def test_a_call_that_failed_shows_its_error(ada: Visitor) -> None:
    execution = start(plan(adder("one")), owner=ada.user)
    hand = claim_one(execution)
    hand.fault(
        hand.intend(), error="the server is overloaded", error_type="overloaded_error", status_code=529
    )
    text = Page(ada.client.get(f"/executions/{execution.pk}/atoms/one/")).text
    assert "transport error 529" in text
    assert "overloaded_error: the server is overloaded" in text


def test_the_piece_that_the_page_fetches_holds_the_attempts_only(ada: Visitor, tried: Execution) -> None:
    response = ada.client.get(f"/executions/{tried.pk}/atoms/first/", headers={"HX-Request": "true"})
    page = Page(response)
    assert [one["id"] for one in page.find(**{"class": "card attempt"})] == ["attempt-1", "attempt-2"]
    assert "<html" not in response.content.decode()
