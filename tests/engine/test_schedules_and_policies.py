"""Schedules, what a failed dependency does, how many attempts there are, and the budget."""

from __future__ import annotations

from typing import Any

import pytest

from executions.engine.ledger import Stopped
from executions.models import AtomRun, Execution, Wave
from executions.services.control import resume_execution
from tests.engine.by_hand import (
    RESERVED,
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


def _diamond() -> list[dict[str, Any]]:
    """a → b → d and c → d, with a chain x → y → z beside it."""
    return [
        adder("a"),
        adder("c"),
        adder("x"),
        adder("b", depends_on=["a"]),
        adder("y", depends_on=["x"]),
        adder("d", depends_on=["b", "c"]),
        adder("z", depends_on=["y"]),
    ]


def _hands(execution: Execution) -> dict[str, Hand]:
    attempts = execution.config["max_attempts"]
    return {claim.key: Hand(claim, attempts) for claim in write(claiming())}


def _fail(hand: Hand) -> None:
    hand.max_attempts = 1
    hand.attempt(passed=False)


# --- flow ---------------------------------------------------------------------------------------------------------------


def test_in_flow_an_atom_starts_when_its_own_dependencies_have_succeeded() -> None:
    execution = start(plan(*_diamond()), schedule="flow")
    first = _hands(execution)
    assert set(first) == {"a", "c", "x"}

    first["a"].attempt(passed=True)
    assert statuses(execution)["b"] == "ready"
    assert statuses(execution)["y"] == "pending"
    (b,) = _hands(execution).values()
    b.attempt(passed=True)
    assert statuses(execution)["d"] == "pending"
    first["c"].attempt(passed=True)
    assert statuses(execution)["d"] == "ready"
    first["x"].give_back()
    succeed_all(execution)

    assert execution.status == "completed"
    assert execution.precision_percent == 100
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_in_waves_the_same_plan_waits_for_the_whole_wave() -> None:
    execution = start(plan(*_diamond()))
    first = _hands(execution)

    first["a"].attempt(passed=True)
    first["c"].attempt(passed=True)
    assert write(claiming()) == []
    first["x"].attempt(passed=True)

    assert set(_hands(execution)) == {"b", "y"}


def test_in_flow_a_wave_is_a_view_that_ends_with_its_last_atom() -> None:
    execution = start(plan(*_diamond()), schedule="flow")
    first = _hands(execution)
    for key in ("a", "c"):
        first[key].attempt(passed=True)
    second = _hands(execution)
    second["b"].attempt(passed=True)
    third = _hands(execution)
    third["d"].attempt(passed=True)
    assert list(Wave.objects.order_by("number").values_list("status", flat=True)) == ["running"] * 3
    first["x"].attempt(passed=True)
    succeed_all(execution)

    told = [(event.type, event.wave) for event in events(execution, "wave.started", "wave.ended")]
    assert told == [(f"wave.{what}", number) for what in ("started", "ended") for number in (1, 2, 3)]
    assert execution.current_wave == 3
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_in_flow_a_wave_whose_atoms_are_all_blocked_starts_and_ends_too() -> None:
    execution = start(
        plan(adder("a"), adder("b", depends_on=["a"]), adder("c", depends_on=["b"])), schedule="flow"
    )

    _fail(claim_one(execution))

    assert statuses(execution) == {"a": "failed", "b": "blocked", "c": "blocked"}
    assert [wave.status for wave in Wave.objects.order_by("number")] == ["completed"] * 3
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


# --- failed dependencies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["waves", "flow"])
def test_block_ends_everything_behind_a_failed_atom_and_nothing_else(schedule: str) -> None:
    execution = start(plan(*_diamond()), schedule=schedule)
    hands = _hands(execution)
    _fail(hands["c"])
    hands["a"].attempt(passed=True)
    hands["x"].attempt(passed=True)
    succeed_all(execution)

    found = statuses(execution)
    assert found == {
        "a": "succeeded",
        "b": "succeeded",
        "c": "failed",
        "d": "blocked",
        **dict.fromkeys("xyz", "succeeded"),
    }
    run = AtomRun.objects.get(key="d")
    assert (run.reason, run.error) == ("dependency", "Blocked: its dependency c ended failed")
    assert execution.precision_percent == pytest.approx(100 * 5 / 7)
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_blocking_goes_all_the_way_and_each_names_its_own_dependency() -> None:
    execution = start(plan(adder("a"), adder("b", depends_on=["a"]), adder("c", depends_on=["b"])))

    _fail(claim_one(execution))

    errors = dict(AtomRun.objects.filter(status="blocked").values_list("key", "error"))
    assert errors == {
        "b": "Blocked: its dependency a ended failed",
        "c": "Blocked: its dependency b ended blocked",
    }


@pytest.mark.parametrize("schedule", ["waves", "flow"])
def test_continue_goes_on_without_the_failed_dependency(schedule: str) -> None:
    execution = start(plan(*_diamond()), schedule=schedule, on_dependency_failure="continue")
    hands = _hands(execution)
    _fail(hands["c"])
    hands["a"].attempt(passed=True)
    hands["x"].attempt(passed=True)
    succeed_all(execution)

    assert statuses(execution)["d"] == "succeeded"
    assert (execution.status, execution.atoms_succeeded, execution.atoms_failed) == ("completed", 6, 1)
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


@pytest.mark.parametrize("schedule", ["waves", "flow"])
def test_stop_pauses_the_execution_and_names_the_atom(schedule: str) -> None:
    execution = start(plan(*_diamond()), schedule=schedule, on_dependency_failure="stop")
    hands = _hands(execution)
    for key in ("a", "x"):
        hands[key].intend()

    _fail(hands["c"])

    execution.refresh_from_db()
    assert (execution.status, execution.status_reason) == ("pausing", "stopped: c failed")
    assert write(claiming()) == []
    for key in ("a", "x"):
        hands[key].answer(hands[key].open_call)
        hands[key].judge(passed=True)
    execution.refresh_from_db()
    assert (execution.status, execution.status_reason) == ("paused", "stopped: c failed")
    resume_execution(execution_id=execution.id, actor=None)
    succeed_all(execution)
    assert execution.status == "completed"
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_stop_at_the_last_atom_completes_instead_of_pausing_for_nothing() -> None:
    execution = start(plan(adder("a")), on_dependency_failure="stop")

    _fail(claim_one(execution))

    execution.refresh_from_db()
    assert execution.status == "completed"
    assert_all_ended(execution)


# --- attempts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 6])
def test_an_atom_has_as_many_attempts_as_the_settings_say(most: int) -> None:
    execution = start(plan(adder("a")), max_attempts=most)
    hand = claim_one(execution)
    assert hand.max_attempts == most

    used = [hand.attempt(passed=False) for _ in range(most)]

    assert used == [*range(1, most), None]
    run = AtomRun.objects.get()
    assert (run.status, run.reason, run.attempts) == ("failed", "attempts", most)
    assert run.error == f"Failed after {most} attempts:\n- it is wrong"
    (ended,) = events(execution, "atom.ended")
    assert ended.data["attempts"] == most
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_the_last_of_six_attempts_may_pass() -> None:
    execution = start(plan(adder("a")), max_attempts=6)
    hand = claim_one(execution)
    for _ in range(5):
        hand.attempt(passed=False)

    hand.attempt(passed=True)

    execution.refresh_from_db()
    assert (execution.atoms_succeeded, execution.attempts_total, execution.retries_passed) == (1, 6, 1)
    assert_counters_equal_rows(execution)


def test_faults_use_up_no_attempt_but_have_a_limit_of_their_own() -> None:
    execution = start(plan(adder("a"), adder("b", depends_on=["a"])))
    hand = claim_one(execution)
    call = hand.intend()
    for number in range(1, 3):
        assert hand.fault(call, wait_s=0, most=3, status_code=529, error_type="overloaded_error") is False
        run = AtomRun.objects.get(key="a")
        assert (run.status, run.faults, run.attempts) == ("ready", number, 0)
        again = claim_one(execution, "a")
        again.attempt_id, again.calls = hand.attempt_id, hand.calls
        hand, call = again, again.intend(new=False)

    hand.fault(call, wait_s=0, most=3, status_code=529, error_type="overloaded_error", error="try later")

    run = AtomRun.objects.get(key="a")
    assert (run.status, run.reason) == ("failed", "provider")
    assert run.error == (
        "The provider gave no usable answer (3 calls in a row). Last: overloaded_error: try later"
    )
    assert statuses(execution)["b"] == "blocked"
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_an_answer_forgives_the_faults_before_it() -> None:
    execution = start(plan(adder("a")))
    hand = claim_one(execution)
    assert hand.fault(hand.intend(), wait_s=None) is True
    assert AtomRun.objects.get().faults == 1

    hand.answer(hand.intend())

    run = AtomRun.objects.get()
    assert (run.faults, run.fault_since) == (0, None)


# --- budget -------------------------------------------------------------------------------------------------------------


def test_no_call_is_reserved_beyond_the_budget() -> None:
    execution = start(plan(*layers(3)), budget_usd="0.0000025")  # 2,500 nano USD: two reservations fit
    hands = list(_hands(execution).values())
    hands[0].intend()
    hands[1].intend()

    with pytest.raises(Stopped):
        hands[2].intend()

    execution.refresh_from_db()
    assert (execution.status, execution.calls_total, execution.reserved_nano_usd) == (
        "pausing",
        2,
        2 * RESERVED,
    )
    assert execution.status_reason.startswith("budget")
    assert_counters_equal_rows(execution)


def test_a_budget_pause_rests_when_the_calls_in_flight_are_done_and_can_be_taken_up_again() -> None:
    execution = start(plan(*layers(3)), budget_usd="0.0000025")
    hands = list(_hands(execution).values())
    calls = [hands[0].intend(), hands[1].intend()]
    with pytest.raises(Stopped):
        hands[2].intend()
    hands[2].give_back()
    for hand, call in zip(hands, calls, strict=False):
        hand.answer(call)
        hand.judge(passed=True)
    execution.refresh_from_db()
    assert execution.status == "paused"
    assert execution.cost_nano_usd == 1400

    # What was settled below its reservation leaves room for one call more.
    resume_execution(execution_id=execution.id, actor=None)
    succeed_all(execution)

    assert execution.status == "completed"
    assert execution.cost_nano_usd <= 2500


def test_what_lost_calls_may_have_cost_counts_against_the_budget() -> None:
    execution = start(plan(*layers(3)), budget_usd="0.0000025")
    hands = list(_hands(execution).values())
    hands[0].intend()
    hands[0].abort()
    hands[1].intend()

    with pytest.raises(Stopped):
        hands[2].intend()
