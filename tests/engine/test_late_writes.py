"""What a former owner brings back: its cost counts, its verdict does not, and both are on record."""

from __future__ import annotations

import pytest

from executions.engine.ledger import LeaseLost
from executions.engine.reconciler import take_back
from executions.models import AtomRun, Attempt, Call, Execution
from executions.services.control import cancel_execution
from executions.states import CallOutcome
from tests.engine.by_hand import (
    COST,
    RESERVED,
    assert_counters_equal_rows,
    claim_one,
    events,
    expire_leases,
    start,
    write,
)
from tests.plans import adder, plan

pytestmark = pytest.mark.django_db


def _taken_over(execution: Execution) -> None:
    expire_leases(execution)
    assert take_back(execution.id) == 1


def _possibly_spent(execution: Execution) -> tuple[int, int, int]:
    execution.refresh_from_db()
    return execution.reserved_nano_usd, execution.lost_nano_usd, execution.cost_nano_usd


def test_a_lost_call_is_possibly_spent_until_its_late_answer_tells_the_cost() -> None:
    execution = start(plan(adder("a")))
    late = claim_one(execution, owner="late")
    call = late.intend()
    assert _possibly_spent(execution) == (RESERVED, 0, 0)

    _taken_over(execution)
    assert _possibly_spent(execution) == (0, RESERVED, 0)

    assert late.answer(call) is False
    assert _possibly_spent(execution) == (0, 0, COST)
    row = Call.objects.get()
    assert (row.outcome, row.cost_nano_usd, row.input_tokens) == ("lost", COST, 30)
    assert_counters_equal_rows(execution)


def test_a_late_answer_is_on_record_with_its_owner_and_fence() -> None:
    execution = start(plan(adder("a")))
    late = claim_one(execution, owner="late")
    call = late.intend()
    _taken_over(execution)

    late.answer(call)

    (event,) = events(execution, "lease.late_write")
    assert (event.atom, event.wave) == ("a", 1)
    assert event.data == {"what": "answer", "owner": "late", "fence": 1}


def test_a_late_verdict_is_refused_and_changes_no_row() -> None:
    execution = start(plan(adder("a")))
    late = claim_one(execution, owner="late")
    late.answer(late.intend())
    _taken_over(execution)

    assert late.judge(passed=True) is None

    (event,) = events(execution, "lease.late_write")
    assert event.data["what"] == "verdict"
    assert Attempt.objects.get().status == "running"
    run = AtomRun.objects.get()
    assert (run.status, run.attempts, run.accepted_id) == ("ready", 0, None)
    assert_counters_equal_rows(execution)


def test_a_late_write_does_not_disturb_the_new_owner() -> None:
    execution = start(plan(adder("a")))
    late = claim_one(execution, owner="late")
    old_call = late.intend()
    _taken_over(execution)
    owner = claim_one(execution, owner="new")
    owner.attempt_id, owner.calls = late.attempt_id, late.calls
    new_call = owner.intend(new=False)

    late.answer(old_call)
    with pytest.raises(LeaseLost):
        late.intend()
    assert late.judge(passed=False) is None
    with pytest.raises(LeaseLost):
        late.abort()

    assert _possibly_spent(execution) == (RESERVED, 0, COST)
    assert owner.answer(new_call) is True
    assert owner.judge(passed=True) is None
    execution.refresh_from_db()
    assert execution.status == "completed"
    assert execution.cost_nano_usd == 2 * COST
    assert (execution.calls_total, execution.attempts_total) == (2, 1)
    assert_counters_equal_rows(execution)


def test_a_late_fault_that_cost_nothing_takes_the_possible_cost_away() -> None:
    execution = start(plan(adder("a")))
    late = claim_one(execution, owner="late")
    call = late.intend()
    _taken_over(execution)

    assert late.fault(call, status_code=429, error_type="rate_limit_error") is False

    assert _possibly_spent(execution) == (0, 0, 0)
    assert AtomRun.objects.get().faults == 0
    assert [event.data["what"] for event in events(execution, "lease.late_write")] == ["fault"]


def test_a_late_fault_that_may_be_billed_stays_possibly_spent() -> None:
    execution = start(plan(adder("a")))
    late = claim_one(execution, owner="late")
    call = late.intend()
    _taken_over(execution)

    late.fault(call, possibly_billed=True, error_type="timeout")

    assert _possibly_spent(execution) == (0, RESERVED, 0)


def test_an_answer_that_comes_after_the_atom_was_accepted_still_costs() -> None:
    execution = start(plan(adder("a"), adder("b", depends_on=["a"])))
    late = claim_one(execution, "a", owner="late")
    call = late.intend()
    _taken_over(execution)
    owner = claim_one(execution, "a", owner="new")
    owner.attempt_id, owner.calls = late.attempt_id, late.calls
    owner.answer(owner.intend(new=False))
    owner.judge(passed=True)

    assert late.answer(call, cost=5 * COST) is False

    execution.refresh_from_db()
    assert execution.cost_nano_usd == 6 * COST
    assert AtomRun.objects.get(key="a").status == "succeeded"
    assert_counters_equal_rows(execution)


def test_an_answer_that_comes_after_the_execution_was_cancelled_still_costs() -> None:
    execution = start(plan(adder("a")))
    late = claim_one(execution, owner="late")
    call = late.intend()
    cancel_execution(execution_id=execution.id, actor=None)
    _taken_over(execution)
    execution.refresh_from_db()
    assert execution.status == "cancelled"

    late.answer(call)

    assert _possibly_spent(execution) == (0, 0, COST)
    assert AtomRun.objects.get().status == "cancelled"
    assert_counters_equal_rows(execution)


def test_an_aborted_call_counts_as_possibly_spent() -> None:
    execution = start(plan(adder("a")))
    hand = claim_one(execution)
    hand.intend()

    hand.abort()

    assert _possibly_spent(execution) == (0, RESERVED, 0)
    assert Call.objects.get().outcome == CallOutcome.LOST
    assert AtomRun.objects.get().status == "ready"


def test_a_verdict_that_is_written_twice_counts_once() -> None:
    # After a commit whose acknowledgement was lost with the connection, the ledger writes the batch again.
    execution = start(plan(adder("a")))
    hand = claim_one(execution)
    hand.answer(hand.intend())
    first = hand.verdict(passed=False)

    assert write(first) == 1
    assert write(first) == 1

    execution.refresh_from_db()
    assert execution.attempts_total == 1
    assert_counters_equal_rows(execution)
