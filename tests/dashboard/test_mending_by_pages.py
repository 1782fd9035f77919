"""Retry, roll back, fork, approve and mend from the pages: with a plain client, and in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.async_api import expect

from executions.dashboard.steering import steering
from executions.models import AtomRun, Attempt, Event, Execution
from executions.services.control import cancel_execution, pause_execution
from executions.services.errors import InvalidRequest
from executions.services.fork import fork_execution
from executions.services.repair import retry_atoms, roll_back
from executions.services.review import supply_code
from executions.states import AttemptKind, ExecutionStatus, WrongState
from tests.dashboard.conftest import HOSTILE, Visitor
from tests.dashboard.pages import Page
from tests.dashboard.test_dashboard_in_a_browser import PATIENCE_MS, browser, web  # noqa: F401  fixtures
from tests.engine.by_hand import Hand, claim_one, claiming, start, statuses, succeed_all, write
from tests.live.socket_client import off_loop
from tests.live.web_process import WebProcess
from tests.plans import adder, layers, plan

CHAIN = plan(adder("a"), adder("b", depends_on=["a"]), adder("c", depends_on=["b"]), adder("d"))
CODE = "def add_a(x: int) -> int:\n    return x + 1\n"


def fail_a(owner: User) -> Execution:
    """`a` failed, `b` and `c` are blocked behind it, `d` succeeded."""
    execution = start(CHAIN, owner=owner, max_attempts=1)
    for claim in write(claiming()):
        Hand(claim, 1).attempt(passed=claim.key != "a")
    execution.refresh_from_db()
    return execution


def finish(owner: User, *sizes: int, **settings: Any) -> Execution:
    execution = start(plan(*layers(*sizes)), owner=owner, **settings)
    succeed_all(execution)
    return execution


def judge_code(execution: Execution, *, passed: bool) -> None:
    """A worker's verdict on the code that waits for it."""
    (claim,) = write(claiming(1))
    hand = Hand(claim)
    attempt = Attempt.objects.get(execution=execution, kind="person", status="running")
    hand.attempt_id = attempt.pk
    verdict = replace(
        hand.verdict(passed=passed, message="not that"),
        number=attempt.number,
        code=attempt.code,
        kind=AttemptKind.PERSON,
    )
    write(verdict)


@pytest.fixture
def failed(ada: Visitor) -> Execution:
    return fail_a(ada.user)


def address(execution: Execution, rest: str = "") -> str:
    return f"/executions/{execution.pk}/{rest}"


def last_seq(execution: Execution) -> int:
    execution.refresh_from_db()
    return execution.seq


class TestRetry:
    def test_the_page_offers_it_and_says_exactly_what_will_run(self, ada: Visitor, failed: Execution) -> None:
        page = Page(ada.client.get(address(failed)))
        (link,) = page.addresses(address(failed, "retry/"))
        assert link == address(failed, "retry/?failed=on")
        before = last_seq(failed)

        question = Page(ada.client.get(link))

        assert "Retry all that failed?" in question.text
        assert "1 atom is generated again a" in question.text
        assert "2 blocked atoms wait for their turn b c" in question.text
        assert last_seq(failed) == before

    def test_it_does_that_and_keeps_the_reason(self, ada: Visitor, failed: Execution) -> None:
        form = {"failed": "on", "why": "the tests were wrong"}
        response = ada.client.post(address(failed, "retry/"), form, follow=True)

        assert "1 atom is generated again; 2 atoms are no longer blocked." in Page(response).text
        assert statuses(failed)["a"] == "ready"
        told = Event.objects.get(execution=failed, type="control.retry").data
        assert (told["who"], told["why"]) == ("ada", "the tests were wrong")

    def test_with_dependents_the_question_says_so_and_the_form_carries_it(self, ada: Visitor) -> None:
        execution = finish(ada.user, 1, 1, 1)

        alone = Page(ada.client.get(address(execution, "retry/?atom=a1.0")))
        both = Page(ada.client.get(address(execution, "retry/?atom=a1.0&dependents=on")))

        assert "1 atom is generated again a1.0 2 keep their code" in alone.text
        assert "3 atoms are generated again a1.0 a2.0 a3.0" in both.text
        assert {"type": "hidden", "name": "dependents", "value": "on"} in both.find(name="dependents")

    def test_the_dialog_gets_the_same_question_without_the_page(
        self, ada: Visitor, failed: Execution
    ) -> None:
        response = ada.client.get(
            address(failed, "retry/?failed=on"), headers={"HX-Request": "true", "HX-Target": "ask"}
        )

        assert "<html" not in response.content.decode()
        assert Page(response).find(id="ask-heading")
        assert Page(response).find(formmethod="dialog")

    def test_from_an_atoms_page_it_goes_back_there(self, ada: Visitor, failed: Execution) -> None:
        base = address(failed, "atoms/a/")
        (link,) = Page(ada.client.get(base)).addresses(address(failed, "retry/"))
        assert base in Page(ada.client.get(link)).addresses(base)

        response = ada.client.post(address(failed, "retry/"), {"atom": "a", "from_atom": "on"})

        assert response.headers["Location"] == base

    def test_what_makes_no_sense_is_said_and_changes_nothing(self, ada: Visitor, failed: Execution) -> None:
        before = last_seq(failed)
        for query, said in (
            ({"atom": "b"}, "it is blocked and was never tried"),
            ({"atom": HOSTILE}, f"there is no {HOSTILE}"),
            ({}, "choose some"),
        ):
            asked = ada.client.get(address(failed, "retry/"), query)
            sent = ada.client.post(address(failed, "retry/"), query)
            assert said in Page(asked).text
            assert (sent.status_code, said in Page(sent).text) == (422, True)
            assert HOSTILE not in asked.content.decode() + sent.content.decode()
        assert last_seq(failed) == before

    def test_where_nothing_failed_nothing_is_offered(self, ada: Visitor) -> None:
        execution = finish(ada.user, 1)

        (offer,) = Page(ada.client.get(address(execution))).find(data_steer="retry")

        assert "hidden" in offer
        assert "Nothing to do" in Page(ada.client.get(address(execution, "retry/?failed=on"))).text


class TestRollback:
    def test_the_places_say_how_much_begins_anew(self, ada: Visitor) -> None:
        execution = finish(ada.user, 2, 1, 1)

        question = Page(ada.client.get(address(execution, "rollback/")))

        assert [one["value"] for one in question.tags_of("option")] == ["2", "1", "0"]
        assert "the end of wave 2: 1 atom begins anew (1 succeeded)" in question.text
        assert "the start: 4 atoms begin anew (4 succeeded)" in question.text

    def test_it_rolls_back(self, ada: Visitor) -> None:
        execution = finish(ada.user, 2, 1, 1)

        response = ada.client.post(address(execution, "rollback/"), {"wave": "1", "why": "x"}, follow=True)

        assert "2 atoms are generated again." in Page(response).text
        assert statuses(execution)["a2.0"] == "ready"

    def test_only_waves_that_have_ended_are_offered_of_a_paused_execution(self, ada: Visitor) -> None:
        execution = start(plan(*layers(1, 1, 1)), owner=ada.user)
        claim_one(execution, "a1.0").attempt(passed=True)
        assert "pause it first" in Page(ada.client.get(address(execution, "rollback/"))).text
        pause_execution(execution_id=execution.pk, actor=None)

        question = Page(ada.client.get(address(execution, "rollback/")))

        assert [one["value"] for one in question.tags_of("option")] == ["1", "0"]

    @pytest.mark.parametrize("wave", ["", "9", "-1", "x"])
    def test_a_wave_that_is_none_is_refused(self, wave: str, ada: Visitor) -> None:
        execution = finish(ada.user, 1)

        response = ada.client.post(address(execution, "rollback/"), {"wave": wave})

        assert (response.status_code, "must be from 0 to 1" in Page(response).text) == (422, True)


class TestFork:
    def test_it_takes_over_and_both_pages_name_each_other(self, ada: Visitor) -> None:
        source = finish(ada.user, 2, 1, 1, max_concurrency=7, budget_usd="3")
        page = address(source, "fork/")
        assert page in Page(ada.client.get(address(source))).addresses(page)
        form = {"wave": "2", "model": "scripted-other", "max_concurrency": "7", "budget_usd": "3"}

        response = ada.client.post(page, {**form, "why": "cheaper"}, follow=True)

        fork = Execution.objects.get(forked_from=source)
        assert (fork.model, fork.max_concurrency, fork.atoms_succeeded) == ("scripted-other", 7, 3)
        assert "at wave 2" in Page(response).text
        assert Page(response).addresses(address(source)) == [address(source)]
        assert address(fork) in Page(ada.client.get(address(source))).addresses(address(fork))
        attempt = Page(ada.client.get(address(fork, "atoms/a1.0/")))
        assert "taken over by the fork" in attempt.text
        assert attempt.addresses(address(source, "atoms/a1.0/")) == [address(source, "atoms/a1.0/#attempt-1")]

    def test_another_persons_source_is_not_linked(
        self, ada: Visitor, visitor: Callable[..., Visitor]
    ) -> None:
        boss = visitor("boss", staff=True)
        source = finish(ada.user, 1, 1)
        fork = fork_execution(execution_id=source.pk, actor=boss.user, wave=1)
        Execution.objects.filter(pk=source.pk).update(owner=boss.user)
        Execution.objects.filter(pk=fork.pk).update(owner=ada.user)

        page = Page(ada.client.get(address(fork)))
        atom = Page(ada.client.get(address(fork, "atoms/a1.0/")))

        assert page.addresses(address(source)) == atom.addresses(address(source)) == []

    def test_a_model_with_a_price_asks_first(self, ada: Visitor, settings: Any) -> None:
        settings.ANTHROPIC_BASE_URL = "http://127.0.0.1:9"
        source = finish(ada.user, 1, 1, model="scripted-x")
        form = {"wave": "1", "model": "claude-sonnet-5-5", "max_concurrency": "100"}

        asked = ada.client.post(address(source, "fork/"), form)
        assert (asked.status_code, "costs money" in Page(asked).text) == (422, True)
        assert not Execution.objects.filter(forked_from=source).exists()

        ada.client.post(address(source, "fork/"), {**form, "agree_to_pay": "claude-sonnet-5-5"})
        assert Execution.objects.get(forked_from=source).model == "claude-sonnet-5-5"

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"wave": "5"}, "not one of the available choices"),
            ({"max_concurrency": "0"}, "Must be from 1"),
            ({"budget_usd": "-1"}, "Must be above 0"),
            ({"model": "claude-sonnet-5-5"}, "No endpoint is set"),
        ],
    )
    def test_what_does_not_fit_is_said_beside_its_field(
        self, change: dict[str, str], said: str, ada: Visitor
    ) -> None:
        source = finish(ada.user, 1, 1)
        form = {"wave": "1", "model": "scripted-sonnet", "max_concurrency": "100", **change}

        response = ada.client.post(address(source, "fork/"), form)

        assert (response.status_code, said in Page(response).text) == (422, True)
        assert Execution.objects.count() == 1


class TestApprovals:
    @pytest.fixture
    def asking(self, ada: Visitor) -> Execution:
        """Waits for the approval of wave 2, behind which the atom a3.0 waits for its own."""
        execution = start(plan(*layers(1, 1), adder("x", approval=True), approvals=[2]), owner=ada.user)
        succeed_all(execution)
        return execution

    def test_a_banner_says_what_waits_and_its_button_lets_it_begin(
        self, ada: Visitor, asking: Execution
    ) -> None:
        page = Page(ada.client.get(address(asking)))
        assert "Waits for approval: atom x." in page.text
        assert page.find(name="atom", value="x")

        ada.client.post(address(asking, "approve/"), {"atom": "x", "why": "fine"})
        succeed_all(asking)

        page = Page(ada.client.get(address(asking)))
        assert "Waits for approval: wave 2." in page.text
        assert "wave 2 waits for approval" in page.text
        response = ada.client.post(address(asking, "approve/"), {"wave": "2"}, follow=True)
        assert "Wave 2 is approved." in Page(response).text
        assert "Waits for approval:" not in Page(response).text

    def test_the_piece_that_the_page_fetches_says_the_same(self, ada: Visitor, asking: Execution) -> None:
        response = ada.client.get(address(asking, "approvals/"), headers={"HX-Request": "true"})

        assert "Waits for approval: atom x." in Page(response).text
        assert "<html" not in response.content.decode()

    def test_on_the_atoms_page_it_can_be_approved_as_well(self, ada: Visitor, asking: Execution) -> None:
        base = address(asking, "atoms/x/")
        assert "It waits for a person's approval." in Page(ada.client.get(base)).text

        response = ada.client.post(address(asking, "approve/"), {"atom": "x", "from_atom": "on"})

        assert response.headers["Location"] == base
        assert statuses(asking)["x"] == "ready"

    def test_what_needs_none_is_said(self, ada: Visitor, asking: Execution) -> None:
        response = ada.client.post(address(asking, "approve/"), {"wave": "1"}, follow=True)

        assert "wave 1 needs no approval" in Page(response).text


class TestByHand:
    def test_the_newest_code_is_there_to_be_mended(self, ada: Visitor, failed: Execution) -> None:
        page = Page(ada.client.get(address(failed, "atoms/a/")))

        assert page.find(id="mend-code")
        assert "Code of a x = 1" in page.text

    def test_it_becomes_an_attempt_of_its_author_and_the_verdict_is_shown(
        self, ada: Visitor, failed: Execution
    ) -> None:
        where = address(failed, "atoms/a/code/")
        response = ada.client.post(where, {"code": CODE.replace("\n", "\r\n"), "why": "easy"}, follow=True)
        assert "Your code waits for its verdict as attempt 2." in Page(response).text
        assert "an attempt waits for its verdict" in Page(response).text
        assert Attempt.objects.get(execution=failed, kind="person").code == CODE

        judge_code(failed, passed=False)
        page = Page(ada.client.get(address(failed, "atoms/a/")))
        assert "Attempt 2 code supplied by ada rejected by hand" in page.text
        assert "not that" in page.text

        ada.client.post(where, {"code": CODE})
        judge_code(failed, passed=True)
        assert (
            "Attempt 3 code supplied by ada passed by hand"
            in Page(ada.client.get(address(failed, "atoms/a/"))).text
        )
        assert statuses(failed)["b"] == "ready"

    def test_what_is_refused_stays_in_the_form(self, ada: Visitor, failed: Execution) -> None:
        too_long = "# " + "x" * 70_000
        for code, said in (("", "is empty"), (too_long, "at most 64 kB"), ("a\0b", "without NUL")):
            response = ada.client.post(address(failed, "atoms/a/code/"), {"code": code})
            assert (response.status_code, said in Page(response).text) == (422, True)
        assert not Attempt.objects.filter(kind="person").exists()

    def test_an_atom_that_waits_for_others_says_why_not(self, ada: Visitor, failed: Execution) -> None:
        page = Page(ada.client.get(address(failed, "atoms/b/")))

        assert "Not now: the atom is blocked" in page.text
        assert not page.find(id="mend-code")

    def test_hostile_code_is_text_in_the_form(self, ada: Visitor, tried: Execution) -> None:
        response = ada.client.get(address(tried, "atoms/first/code/"))

        assert HOSTILE not in response.content.decode()
        assert HOSTILE in Page(response).text
        assert Page(response).dangers == []


class TestHistory:
    def test_what_was_replaced_is_folded_by_generation(self, ada: Visitor, failed: Execution) -> None:
        retry_atoms(execution_id=failed.pk, actor=None, failed=True)
        claim_one(failed, "a").attempt(passed=True)

        page = Page(ada.client.get(address(failed, "atoms/a/")))

        (group,) = page.find(id="generation-1")
        assert "open" not in group
        assert "Replaced: 1 attempt of generation 1" in page.text
        assert page.text.index("Attempt 1 generate passed") < page.text.index("Attempt 1 generate rejected")
        assert [one["id"] for one in page.find(**{"class": "card attempt"})] == ["attempt-2.1"]

    def test_a_run_that_went_badly_is_not_shown_as_a_good_one(self, ada: Visitor, failed: Execution) -> None:
        (state,) = Page(ada.client.get(address(failed))).find(data_live="status")
        assert (state["data-status"], state["data-outcome"]) == ("completed", "some")
        (state,) = Page(ada.client.get("/")).find(data_live="status")
        assert state["data-outcome"] == "some"
        Execution.objects.filter(pk=failed.pk).update(atoms_succeeded=0, atoms_failed=2)
        (state,) = Page(ada.client.get(address(failed))).find(data_live="status")
        assert state["data-outcome"] == "none"

    def test_run_cache_and_time_at_work_are_told(self, ada: Visitor, failed: Execution) -> None:
        retry_atoms(execution_id=failed.pk, actor=None, failed=True)
        Execution.objects.filter(pk=failed.pk).update(cache_hits=3, ran_ms=65_000, running_since=None)

        page = Page(ada.client.get(address(failed)))

        assert "run 2" in page.text
        assert "3 answers from the cache" in page.text
        assert "Elapsed 1 min 05 s" in page.text


EVERY_DOOR = [
    ("retry/", {"atom": "a"}),
    ("rollback/", {"wave": "0"}),
    ("fork/", {"wave": "1", "model": "scripted-sonnet", "max_concurrency": "100"}),
    ("approve/", {"wave": "1"}),
    ("atoms/a/code/", {"code": CODE}),
]


@pytest.mark.parametrize(("door", "form"), EVERY_DOOR, ids=[door for door, _ in EVERY_DOOR])
def test_the_invisible_is_404_and_the_forbidden_403(
    door: str, form: dict[str, str], failed: Execution, grace: Visitor, visitor: Callable[..., Visitor]
) -> None:
    viewer = visitor("vera", "viewer", staff=True)
    before = last_seq(failed)

    assert grace.client.post(address(failed, door), form).status_code == 404
    assert viewer.client.post(address(failed, door), form).status_code == 403
    assert (last_seq(failed), Execution.objects.count()) == (before, 1)
    page = Page(viewer.client.get(address(failed)))
    assert not re.search(r"Retry failed|Roll back|Fork", page.text)
    atom = Page(viewer.client.get(address(failed, "atoms/a/")))
    assert not re.search(r"Retry this atom|Mend by hand", atom.text)


@pytest.mark.parametrize("status", list(ExecutionStatus))
def test_what_is_offered_is_what_the_services_accept(
    ada: Visitor, failed: Execution, status: ExecutionStatus
) -> None:
    ended = status in ("completed", "failed", "cancelled")
    Execution.objects.filter(pk=failed.pk).update(
        status=status, ended_at=failed.created_at if ended else None
    )

    def accepted(action: Callable[[], object]) -> bool:
        try:
            action()
        except WrongState:
            return False
        except InvalidRequest:
            return True
        finally:
            # What one has changed must not decide about the next.
            Execution.objects.filter(pk=failed.pk).update(status=status)
        return True

    offered = steering(status)
    assert offered.rollback is accepted(
        lambda: roll_back(execution_id=failed.pk, actor=ada.user, wave=failed.waves_total + 1)
    )
    assert offered.review is accepted(
        lambda: supply_code(execution_id=failed.pk, actor=ada.user, atom="b", code=CODE)
    )
    assert offered.retry is accepted(lambda: retry_atoms(execution_id=failed.pk, actor=ada.user, atoms=["b"]))


@pytest.mark.needs_browser
@pytest.mark.django_db(transaction=True)
async def test_a_person_retries_approves_and_mends_in_a_browser(
    browser: Callable[..., Any],  # noqa: F811
    web: WebProcess,  # noqa: F811
) -> None:
    user, watched = await browser("ada")

    def prepare() -> Execution:
        execution = start(
            plan(adder("a"), adder("z", depends_on=["a"]), approvals=[2]), owner=user, max_attempts=1
        )
        claim_one(execution, "a").attempt(passed=False)
        execution.refresh_from_db()
        return execution

    execution: Execution = await off_loop(prepare)
    page = await watched.open(f"{web.url}/executions/{execution.pk}/")
    state = page.locator(".page-head [data-live=status]")
    await expect(state).to_have_attribute("data-outcome", "none")

    await page.get_by_role("link", name="Retry failed").click()
    dialog = page.get_by_role("dialog", name="Retry all that failed?")
    await expect(dialog).to_contain_text("1 blocked atom waits for its turn")
    await dialog.get_by_label("Also everything that builds on them").check()
    await expect(dialog.locator("input[type=hidden][name=dependents]")).to_have_count(1)
    await dialog.get_by_role("button", name="Leave it").click()
    await expect(dialog).to_be_hidden()
    await page.get_by_role("link", name="Retry failed").click()
    await page.get_by_role("button", name="Retry", exact=True).click()
    await expect(state).to_have_text("running", timeout=PATIENCE_MS)
    await expect(page.locator("[data-run]")).to_have_text("run 2")
    await expect(page.locator("[data-live=badge]")).to_have_text("live", timeout=PATIENCE_MS)

    # What waits for a person shows by itself, and so does what is offered.
    await off_loop(lambda: claim_one(execution, "a").attempt(passed=True))
    banner = page.locator("#approvals")
    await expect(banner).to_contain_text("Waits for approval: wave 2.", timeout=PATIENCE_MS)
    await expect(page.locator("[data-live=log]")).to_contain_text("waits for approval")
    await expect(page.locator("[data-steer=retry]")).to_be_hidden()
    await banner.get_by_role("button", name="Approve wave 2").click()
    await expect(banner).not_to_contain_text("Waits for approval", timeout=PATIENCE_MS)

    await off_loop(lambda: claim_one(execution, "z").attempt(passed=False))
    atom = await watched.open(f"{web.url}/executions/{execution.pk}/atoms/z/")
    await atom.get_by_text("Mend by hand").click()
    await atom.get_by_label("Code of z").fill("def add_z(x: int) -> int:\n    return x + 1\n")
    await atom.get_by_role("button", name="Have it judged").click()
    await expect(atom.locator("#attempt-2-person")).to_contain_text(
        "code supplied by ada", timeout=PATIENCE_MS
    )
    await expect(atom.locator("[data-live=badge]")).to_have_text("live", timeout=PATIENCE_MS)
    await off_loop(lambda: judge_code(execution, passed=True))
    await expect(atom.locator("#attempt-2-person")).to_contain_text("passed", timeout=PATIENCE_MS)
    await expect(state).to_have_text("completed", timeout=PATIENCE_MS)
    await expect(state).to_have_attribute("data-outcome", "all")
    await page.get_by_text("More").click()
    await page.get_by_role("link", name="Roll back to a wave…").click()
    await expect(page.get_by_role("dialog", name="Roll back")).to_contain_text(
        "the start: 2 atoms begin anew"
    )
    assert watched.complaints == []
    assert await off_loop(lambda: AtomRun.objects.get(execution=execution, key="z").status) == "succeeded"


def test_a_cancelled_execution_offers_a_fork_and_nothing_else(ada: Visitor) -> None:
    execution = start(plan(*layers(1, 1)), owner=ada.user)
    cancel_execution(execution_id=execution.pk, actor=ada.user)

    page = Page(ada.client.get(address(execution)))

    assert {one["data-steer"] for _, one in page.tags if "data-steer" in one and "hidden" not in one} == set()
    assert page.addresses(address(execution, "fork/"))
    assert "Cancelled: that is final; a fork may go on from here." in page.text
