"""Pause, resume, cancel: what each does in each state, and what it leaves on record."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django_q.models import OrmQ

from executions.models import AtomRun, Attempt, Event, Execution, Wave
from executions.services.control import cancel_execution, pause_execution, resume_execution
from executions.services.errors import NotFound
from executions.states import CallOutcome, ExecutionStatus, WrongState
from tests.engine.by_hand import (
    Hand,
    assert_all_ended,
    assert_counters_equal_rows,
    claim_one,
    claiming,
    events,
    start,
    statuses,
    succeed_all,
    write,
)
from tests.plans import adder, layers, plan

pytestmark = pytest.mark.django_db

ACTIONS: dict[str, Callable[..., ExecutionStatus]] = {
    "pause": pause_execution,
    "resume": resume_execution,
    "cancel": cancel_execution,
}


def _types(execution: Execution, after: int = 0) -> list[str]:
    found = Event.objects.filter(execution=execution, seq__gt=after).order_by("seq")
    return list(found.values_list("type", flat=True))


def _put(execution: Execution, status: str) -> None:
    ended = {"completed", "failed", "cancelled"}
    Execution.objects.filter(pk=execution.pk).update(
        status=status, started_at=datetime.now(UTC), ended_at=datetime.now(UTC) if status in ended else None
    )


# --- pause ------------------------------------------------------------------------------------------------------------


def test_a_pause_waits_for_what_is_in_flight_and_says_so() -> None:
    execution = start(plan(*layers(3)))
    hands = [Hand(claim) for claim in write(claiming(2))]
    call = hands[0].intend()
    seq = Execution.objects.get().seq

    assert pause_execution(execution_id=execution.id, actor=None, why="lunch") == "pausing"

    hands[1].give_back()
    hands[0].answer(call)
    told = ["control.pause", "execution.pausing", "atom.released", "call.answered"]
    assert _types(execution, seq) == told
    hands[0].judge(passed=True)
    execution.refresh_from_db()
    assert (execution.status, execution.status_reason) == ("paused", "lunch")
    assert _types(execution, seq) == [*told, "attempt.ended", "atom.ended", "execution.paused"]
    assert sorted(statuses(execution).values()) == ["ready", "ready", "succeeded"]


def test_a_rejected_attempt_in_a_pause_keeps_its_number_and_goes_on_later() -> None:
    execution = start(plan(adder("a")))
    hand = claim_one(execution)
    call = hand.intend()
    pause_execution(execution_id=execution.id, actor=None)
    hand.answer(call)

    assert hand.judge(passed=False) is None

    execution.refresh_from_db()
    assert execution.status == "paused"
    run = AtomRun.objects.get()
    assert (run.status, run.attempts) == ("ready", 1)
    resume_execution(execution_id=execution.id, actor=None)
    again = claim_one(execution)
    assert again.claim.attempts == 1


def test_a_pause_with_nothing_in_flight_is_done_at_once() -> None:
    execution = start(plan(*layers(2)))
    claim_one(execution).give_back()

    assert pause_execution(execution_id=execution.id, actor=None) == "paused"


def test_a_pending_execution_pauses_at_once_and_resumes_to_pending() -> None:
    execution = start(plan(*layers(2)))

    assert pause_execution(execution_id=execution.id, actor=None) == "paused"
    assert write(claiming()) == []
    assert resume_execution(execution_id=execution.id, actor=None) == "pending"
    succeed_all(execution)

    assert execution.status == "completed"


def test_the_last_atom_that_ends_in_a_pause_completes_the_execution() -> None:
    execution = start(plan(adder("a")))
    hand = claim_one(execution)
    call = hand.intend()
    pause_execution(execution_id=execution.id, actor=None)
    hand.answer(call)
    hand.judge(passed=True)

    execution.refresh_from_db()
    assert execution.status == "completed"
    assert "execution.paused" not in _types(execution)
    assert_all_ended(execution)


def test_a_pause_survives_the_end_of_a_wave() -> None:
    execution = start(plan(*layers(1, 1)))
    hand = claim_one(execution)
    call = hand.intend()
    pause_execution(execution_id=execution.id, actor=None)
    hand.answer(call)
    hand.judge(passed=True)

    execution.refresh_from_db()
    assert execution.status == "paused"
    assert list(Wave.objects.order_by("number").values_list("status", flat=True)) == ["completed", "running"]
    assert write(claiming()) == []


# --- resume -----------------------------------------------------------------------------------------------------------


def test_resume_rings_and_runs_exactly_the_rest() -> None:
    execution = start(plan(*layers(3)))
    hand = claim_one(execution)
    hand.attempt(passed=True)
    pause_execution(execution_id=execution.id, actor=None)
    OrmQ.objects.all().delete()

    assert resume_execution(execution_id=execution.id, actor=None) == "running"

    assert OrmQ.objects.count() == 1
    execution.refresh_from_db()
    assert execution.status_reason == ""
    assert len(write(claiming())) == 2


def test_resume_while_calls_still_finish_takes_the_pause_back() -> None:
    execution = start(plan(*layers(2)))
    hand = claim_one(execution)
    call = hand.intend()
    pause_execution(execution_id=execution.id, actor=None)

    assert resume_execution(execution_id=execution.id, actor=None) == "running"

    hand.answer(call)
    hand.judge(passed=True)
    execution.refresh_from_db()
    assert execution.status == "running"
    assert "execution.paused" not in _types(execution)


# --- cancel -----------------------------------------------------------------------------------------------------------


def test_cancelling_what_nobody_works_on_ends_it_at_once() -> None:
    execution = start(plan(*layers(2, 2)))
    claim_one(execution).give_back()

    assert cancel_execution(execution_id=execution.id, actor=None, why="wrong plan") == "cancelled"

    assert set(statuses(execution).values()) == {"cancelled"}
    assert set(Wave.objects.values_list("status", flat=True)) == {"cancelled"}
    assert Execution.objects.get().status_reason == "wrong plan"
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_a_pending_execution_is_cancelled_at_once() -> None:
    execution = start(plan(*layers(2, 1)))

    assert cancel_execution(execution_id=execution.id, actor=None) == "cancelled"

    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_a_paused_execution_can_be_cancelled() -> None:
    execution = start(plan(*layers(2, 1)))
    claim_one(execution).attempt(passed=False)
    AtomRun.objects.exclude(lease_owner="").update(status="ready", lease_owner="", lease_until=None)
    pause_execution(execution_id=execution.id, actor=None)

    assert cancel_execution(execution_id=execution.id, actor=None) == "cancelled"

    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_the_end_of_a_cancelled_execution_is_the_last_thing_told() -> None:
    execution = start(plan(*layers(3, 2, 1)))
    claim_one(execution).attempt(passed=True)
    seq = Execution.objects.get().seq

    cancel_execution(execution_id=execution.id, actor=None)

    told = _types(execution, seq)
    assert told == ["control.cancel", *["atom.ended"] * 5, *["wave.ended"] * 3, "execution.ended"]
    (ended,) = events(execution, "execution.ended")
    assert ended.data["status"] == "cancelled"


@pytest.mark.parametrize("schedule", ["waves", "flow"])
def test_waves_that_had_not_ended_are_cancelled_and_the_others_stay_completed(schedule: str) -> None:
    execution = start(plan(*layers(1, 2, 1)), schedule=schedule)
    claim_one(execution).attempt(passed=True)
    claim_one(execution).attempt(passed=True)

    cancel_execution(execution_id=execution.id, actor=None)

    found = list(Wave.objects.order_by("number").values_list("status", flat=True))
    assert found == ["completed", "cancelled", "cancelled"]
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def _gives_back(hand: Hand) -> None:
    hand.give_back()


def _gives_back_with_an_answer(hand: Hand) -> None:
    hand.answer(hand.open_call)
    hand.give_back(wait_s=5)


def _is_rejected(hand: Hand) -> None:
    hand.answer(hand.open_call)
    hand.judge(passed=False)


def _fails_for_good(hand: Hand) -> None:
    hand.max_attempts = 1
    hand.answer(hand.open_call)
    hand.judge(passed=False)


def _succeeds(hand: Hand) -> None:
    hand.answer(hand.open_call)
    hand.judge(passed=True)


def _meets_a_fault(hand: Hand) -> None:
    hand.fault(hand.open_call, wait_s=10, status_code=529)


def _is_truncated(hand: Hand) -> None:
    hand.fault(hand.open_call, wait_s=None, outcome=CallOutcome.TRUNCATED, cost_nano_usd=3)


def _meets_its_last_fault(hand: Hand) -> None:
    hand.fault(hand.open_call, most=1, status_code=529)


def _aborts_its_call(hand: Hand) -> None:
    hand.abort()


def _aborts_its_validation(hand: Hand) -> None:
    hand.answer(hand.open_call)
    hand.abort()


LAST_WORDS = {
    _gives_back: "cancelled",
    _gives_back_with_an_answer: "cancelled",
    _is_rejected: "cancelled",
    _fails_for_good: "failed",
    _succeeds: "succeeded",
    _meets_a_fault: "cancelled",
    _is_truncated: "cancelled",
    _meets_its_last_fault: "failed",
    _aborts_its_call: "cancelled",
    _aborts_its_validation: "cancelled",
}
"""What a runner may still record of an atom after the cancel, and how the atom ends."""


@pytest.mark.parametrize("schedule", ["waves", "flow"])
@pytest.mark.parametrize("last_word", LAST_WORDS, ids=lambda one: one.__name__.strip("_"))
def test_whatever_a_runner_still_records_everything_ends(
    last_word: Callable[[Hand], None], schedule: str
) -> None:
    execution = start(plan(*layers(2, 1)), schedule=schedule)
    hands = [Hand(claim) for claim in write(claiming(2))]
    for hand in hands:
        if last_word is not _gives_back:
            hand.intend()
    cancel_execution(execution_id=execution.id, actor=None)

    for hand in hands:
        last_word(hand)

    first = AtomRun.objects.get(pk=hands[0].claim.run_id)
    assert first.status == LAST_WORDS[last_word]
    execution.refresh_from_db()
    assert execution.status == "cancelled"
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


# --- in every state -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ("pause", "completed"),
        ("pause", "failed"),
        ("pause", "cancelled"),
        ("pause", "cancelling"),
        ("resume", "completed"),
        ("resume", "failed"),
        ("resume", "cancelled"),
        ("resume", "cancelling"),
        ("cancel", "completed"),
        ("cancel", "failed"),
    ],
)
def test_an_action_that_does_not_fit_names_itself_and_the_state_and_changes_nothing(
    action: str, status: str
) -> None:
    execution = start(plan(*layers(2)))
    _put(execution, status)

    with pytest.raises(WrongState) as caught:
        ACTIONS[action](execution_id=execution.id, actor=None)

    assert str(caught.value) == f"cannot {action}: the execution is {status}"
    assert _types(execution) == ["execution.created"]
    assert Execution.objects.get().status == status


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ("pause", "pausing"),
        ("pause", "paused"),
        ("resume", "running"),
        ("resume", "pending"),
        ("cancel", "cancelling"),
        ("cancel", "cancelled"),
    ],
)
def test_an_action_that_was_done_already_changes_nothing(action: str, status: str) -> None:
    execution = start(plan(*layers(2)))
    _put(execution, status)

    assert ACTIONS[action](execution_id=execution.id, actor=None) == status

    assert _types(execution) == ["execution.created"]


@pytest.mark.parametrize("action", ACTIONS)
def test_an_unknown_execution_is_not_found(action: str) -> None:
    with pytest.raises(NotFound):
        ACTIONS[action](execution_id=uuid.uuid4(), actor=None)


@pytest.mark.parametrize(("action", "before"), [("pause", None), ("resume", "paused"), ("cancel", None)])
@pytest.mark.parametrize("by", ["ada", None])
def test_who_did_it_and_why_is_on_record(action: str, before: str | None, by: str | None) -> None:
    execution = start(plan(*layers(2)))
    if before:
        _put(execution, before)
    actor: Any = None if by is None else User.objects.create_user(by)

    ACTIONS[action](execution_id=execution.id, actor=actor, why="because <b>")

    (event,) = events(execution, f"control.{action}")
    assert event.data == {"who": by or "command", "what": action, "why": "because <b>"}


def test_counters_hold_through_pause_resume_and_cancel() -> None:
    execution = start(plan(*layers(4, 2)))
    hands = [Hand(claim) for claim in write(claiming(3))]
    hands[0].attempt(passed=True)
    calls = [hand.intend() for hand in hands[1:]]
    pause_execution(execution_id=execution.id, actor=None)
    hands[1].answer(calls[0])
    hands[1].judge(passed=False)
    hands[2].fault(calls[1], status_code=500, possibly_billed=True)
    assert_counters_equal_rows(execution)
    resume_execution(execution_id=execution.id, actor=None)
    claim_one(execution)
    assert_counters_equal_rows(execution)
    cancel_execution(execution_id=execution.id, actor=None)
    assert_counters_equal_rows(execution)
    assert Attempt.objects.filter(status="running").count() == 0
