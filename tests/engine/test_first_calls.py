"""What goes together in one transaction: a claim with the first calls of its atoms, an answer with its verdict, a verdict with
the next call.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from executions.engine import first_calls, wave_executor
from executions.engine.calls import AttemptIntent, CallResult, RecordAnswer, RecordIntent, RecordUnsent
from executions.engine.claims import Claim
from executions.engine.context import AtomContext, ExecutionContext, load_execution
from executions.engine.first_calls import FirstCalls
from executions.engine.intended_calls import IntendedCall, intended_call
from executions.engine.ledger import Change, LeaseLost, write_changes
from executions.engine.reconciler import take_back
from executions.engine.wave_executor import WaveExecutor
from executions.identity import new_id
from executions.models import AtomRun, Attempt, Call, Execution
from executions.services.control import cancel_execution, pause_execution
from executions.states import CallOutcome
from tests.engine.by_hand import (
    RESERVED,
    Hand,
    assert_counters_equal_rows,
    claim_one,
    claiming,
    events,
    expire_leases,
    start,
    statuses,
    write,
)
from tests.engine.committed import transactional_db  # noqa: F401  a fixture
from tests.engine.model_in_process import ModelInProcess, asked
from tests.engine.runner_thread import RunnerThread, run_to_rest
from tests.engine.test_lost_acknowledgements import Unheard, record
from tests.ground import ON_POSTGRES
from tests.plans import adder, layers, plan, wrong

pytestmark = pytest.mark.usefixtures("transactional_db")
ANSWERED = CallResult(
    CallOutcome.ANSWERED, answer="x = 1\n", input_tokens=30, output_tokens=12, cost_nano_usd=700
)


def _first_call(context: AtomContext) -> IntendedCall:
    rung = context.execution.configuration.ladder[context.claim.attempts]
    return intended_call(context, rung, None, endpoint="test", dependency_bodies=3)


def _firsts(execution: Execution, first_call: Any = _first_call) -> FirstCalls:
    shared: ExecutionContext = load_execution(execution.id)
    return FirstCalls(lambda execution_id: shared if execution_id == execution.id else None, first_call)


def _claiming(first: FirstCalls, limit: int = 100, owner: str = "runner") -> Claim:
    return replace(claiming(limit, owner=owner), begin=first.begin)


def _together(*changes: Change[Any]) -> list[Any]:
    """In one transaction; what each answers."""
    with transaction.atomic(), connection.cursor() as cursor:
        written = write_changes(cursor, sorted(changes, key=lambda change: change.last))
    assert [refused for _, refused in written if refused is not None] == []
    return [answer for answer, _ in written]


def _next_intent(hand: Hand) -> RecordIntent:
    """Of the attempt after the one that the hand has open."""
    return RecordIntent(
        claim=hand.claim,
        attempt_id=new_id(),
        attempt_number=2,
        call_id=new_id(),
        ordinal=1,
        endpoint="test",
        model="scripted-test",
        requested={},
        reserve_nano_usd=RESERVED,
        new_attempt=AttemptIntent(2, "repair", {"temperature": 0.5}, "system", "user"),
    )


# --- a claim and its first calls ------------------------------------------------------------------------------------------


def test_a_claim_leaves_an_open_call_for_each_atom_it_takes() -> None:
    execution = start(plan(*layers(3)))
    first = _firsts(execution)

    claims = write(_claiming(first))

    assert set(first.calls) == set(first.contexts) == set(claims)
    assert {call.id for call in Call.objects.filter(outcome="")} == {
        call.intent.call_id for call in first.calls.values()
    }
    assert Attempt.objects.filter(status="running", number=1).count() == 3
    assert_counters_equal_rows(execution)


def test_a_first_call_shows_the_code_that_was_accepted_in_the_same_transaction() -> None:
    execution = start(plan(adder("a"), adder("b", depends_on=["a"])), schedule="flow")
    hand = claim_one(execution, "a")
    hand.answer(hand.intend())
    first = _firsts(execution)
    verdict = replace(hand.verdict(passed=True), code="def add_a(x):\n    return x + 1  # just accepted\n")

    _, (claim,) = _together(verdict, _claiming(first))

    assert claim.key == "b"
    assert "# just accepted" in Attempt.objects.get(atom_run__key="b").prompt_user
    assert "# just accepted" in first.calls[claim].request(9.0).user


def test_an_execution_that_the_runner_does_not_know_is_only_claimed() -> None:
    execution = start(plan(*layers(2)))
    first = FirstCalls(lambda execution_id: None, _first_call)

    assert len(write(_claiming(first))) == 2

    assert (first.contexts, first.calls) == ({}, {})
    assert not Call.objects.exists()
    assert set(statuses(execution).values()) == {"generating"}


def test_where_much_is_to_be_read_it_is_not_read_under_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    execution = start(plan(*layers(2, 2)), schedule="flow")
    for claim in write(claiming()):
        Hand(claim).attempt(passed=True)
    monkeypatch.setattr(first_calls, "MOST_TEXTS", 3)
    first = _firsts(execution)

    claims = write(_claiming(first))

    assert (len(claims), first.contexts) == (2, {})
    monkeypatch.setattr(first_calls, "MOST_TEXTS", 4)
    for claim in claims:
        Hand(claim).give_back()
    assert len(write(_claiming(first))) == len(first.calls) == 2


def test_calls_that_the_budget_refuses_are_not_made_and_their_atoms_stay_claimed() -> None:
    execution = start(plan(*layers(3)), budget_usd="0.000001")

    def reserving(context: AtomContext) -> IntendedCall:
        call = _first_call(context)
        return replace(call, intent=replace(call.intent, reserve_nano_usd=RESERVED))

    first = _firsts(execution, reserving)

    claims = write(_claiming(first))

    assert (len(claims), len(first.contexts), len(first.calls)) == (3, 3, 1)
    assert [call.id for call in Call.objects.all()] == [call.intent.call_id for call in first.calls.values()]
    execution.refresh_from_db()
    assert execution.status == "pausing"
    for claim in claims:
        if claim in first.calls:
            write(RecordUnsent(claim, first.calls[claim].intent.call_id))
        else:
            Hand(claim).give_back()
    execution.refresh_from_db()
    assert execution.status == "paused"
    assert_counters_equal_rows(execution)


def test_what_cannot_be_read_is_left_to_whoever_works_on_it(caplog: pytest.LogCaptureFixture) -> None:
    execution = start(plan(*layers(2)))

    def fails(context: AtomContext) -> IntendedCall:
        raise ValueError("no such rung")

    first = _firsts(execution, fails)

    assert len(write(_claiming(first))) == 2

    assert first.calls == {}
    assert f"execution={execution.id} cannot be read with its claim" in caplog.text
    assert not Call.objects.exists()


def test_a_call_that_the_database_refuses_keeps_nobody_from_claiming(
    caplog: pytest.LogCaptureFixture,
) -> None:
    execution = start(plan(*layers(2)))
    twice = new_id()

    def same_call(context: AtomContext) -> IntendedCall:
        call = _first_call(context)
        return replace(call, intent=replace(call.intent, call_id=twice))

    first = _firsts(execution, same_call)

    (claims,) = record(_claiming(first))

    assert len(claims) == 2
    assert (first.contexts, first.calls) == ({}, {})
    assert not Call.objects.exists()
    assert set(statuses(execution).values()) == {"generating"}
    assert "IntegrityError" in caplog.text
    assert_counters_equal_rows(execution)


@pytest.mark.parametrize("times", [1, 2])
def test_a_claim_written_again_keeps_the_calls_that_it_had_begun(times: int) -> None:
    execution = start(plan(*layers(3)))
    first = _firsts(execution)

    (claims,) = record(Unheard(_claiming(first), times))

    assert {call.intent.call_id for call in first.calls.values()} == {call.id for call in Call.objects.all()}
    assert set(first.calls) == set(claims)
    assert len(events(execution, "attempt.started")) == 3
    assert_counters_equal_rows(execution)


# --- a call that is not made after all -----------------------------------------------------------------------------------


def test_a_call_that_is_not_sent_costs_nothing_and_the_next_owner_goes_on_with_its_prompt(
    scratch: Path, settings: Any
) -> None:
    value = plan(adder("a"))
    with asked(settings, ModelInProcess(scratch, value)) as model:
        execution = start(value)
        first = _firsts(execution)
        (claim,) = write(_claiming(first))

        write(RecordUnsent(claim, first.calls[claim].intent.call_id))

        call = Call.objects.get()
        assert (call.outcome, call.cost_nano_usd, call.answer) == ("cancelled", 0, "")
        execution.refresh_from_db()
        assert (execution.reserved_nano_usd, execution.lost_nano_usd) == (0, 0)
        assert statuses(execution) == {"a": "ready"}
        assert_counters_equal_rows(execution)
        run_to_rest(execution)
        assert model.stats()["calls"] == 1
        assert list(Attempt.objects.values_list("number", "prompt_user")) == [
            (1, first.calls[claim].attempt.prompt_user)
        ]
        assert list(Call.objects.order_by("ordinal").values_list("ordinal", "outcome")) == [
            (1, "cancelled"),
            (2, "answered"),
        ]


def test_who_lost_the_lease_cannot_take_a_call_back() -> None:
    execution = start(plan(adder("a")))
    first = _firsts(execution)
    (claim,) = write(_claiming(first))
    expire_leases(execution)
    take_back(execution.id)

    with pytest.raises(LeaseLost):
        write(RecordUnsent(claim, first.calls[claim].intent.call_id))

    assert Call.objects.get().outcome == "lost"


def test_a_runner_that_is_told_to_stop_before_it_begins_sends_nothing(scratch: Path, settings: Any) -> None:
    value = plan(*layers(3))
    with asked(settings, ModelInProcess(scratch, value)) as model:
        execution = start(value)

        calls = asyncio.run(_claim_and_stop(execution))

        assert calls == 3
        assert model.stats()["calls"] == 0
    assert set(statuses(execution).values()) == {"ready"}
    assert set(Call.objects.values_list("outcome", "cost_nano_usd")) == {("cancelled", 0)}
    assert_counters_equal_rows(execution)


async def _claim_and_stop(execution: Execution) -> int:
    """How many calls were intended before the runner heard that it must stop."""
    async with _claimed(execution) as executor:
        (claiming,) = executor.asked
        executor.stopping = True
        await executor._take_up(claiming)
    return len(claiming.first.calls)


@asynccontextmanager
async def _claimed(execution: Execution) -> AsyncIterator[WaveExecutor]:
    """A runner that knows the execution and has claimed its atoms; their work has not begun."""
    executor = WaveExecutor("me", timedelta(seconds=30))
    executor.ledger.start()
    executor.executions[execution.id] = await executor.reader.run(load_execution, execution.id)
    await asyncio.to_thread(executor.clients.prepare, "configured")
    executor.asking.add(execution.id)
    executor._ask()
    await asyncio.shield(executor.asked[0].answer)
    yield executor
    await executor.ledger.close()
    await executor.reader.close()
    await executor.clients.close()


def test_work_that_is_cancelled_before_its_first_step_leaves_no_open_call(
    scratch: Path, settings: Any
) -> None:
    value = plan(*layers(3))
    with asked(settings, ModelInProcess(scratch, value)) as model:
        execution = start(value)

        asyncio.run(_cancel_at_once(execution))

        assert model.stats()["calls"] == 0
    assert set(statuses(execution).values()) == {"cancelled"}
    assert set(Call.objects.values_list("outcome", flat=True)) == {"cancelled"}
    execution.refresh_from_db()
    assert (execution.status, execution.reserved_nano_usd) == ("cancelled", 0)
    assert_counters_equal_rows(execution)


async def _cancel_at_once(execution: Execution) -> None:
    async with _claimed(execution) as executor:
        await asyncio.to_thread(_cancel, execution.id)
        await executor._take_up(executor.asked[0])
        assert len(executor.tasks) == 3
        for task in executor.tasks:
            task.cancel()
        while executor.tasks:
            await executor._wait_for_one(1.0)


def _cancel(execution_id: uuid.UUID) -> None:
    try:
        cancel_execution(execution_id=execution_id, actor=None)
    finally:
        connection.close()


# --- an answer and its verdict, a verdict and the next call -----------------------------------------------------------------


def test_an_answer_and_its_verdict_are_written_together() -> None:
    execution = start(plan(adder("a")))
    hand = claim_one(execution)
    answer = RecordAnswer(hand.claim, 1, hand.intend(), ANSWERED)

    kept, used = _together(answer, replace(hand.verdict(passed=True), call_id=answer.call_id))

    assert (kept, used) == (True, None)
    assert statuses(execution) == {"a": "succeeded"}
    assert Call.objects.get().outcome == "answered"
    assert_counters_equal_rows(execution)


def test_the_verdict_on_an_answer_that_came_too_late_is_dropped_without_a_word_of_its_own() -> None:
    execution = start(plan(adder("a")))
    hand = claim_one(execution)
    answer = RecordAnswer(hand.claim, 1, hand.intend(), ANSWERED)
    expire_leases(execution)
    take_back(execution.id)

    kept, used = _together(answer, replace(hand.verdict(passed=True), call_id=answer.call_id))

    assert (kept, used) == (False, None)
    assert statuses(execution) == {"a": "ready"}
    assert [event.data["what"] for event in events(execution, "lease.late_write")] == ["answer"]
    assert_counters_equal_rows(execution)


def test_a_verdict_is_not_written_where_its_answer_was_not_kept() -> None:
    execution = start(plan(adder("a")))
    hand = claim_one(execution)
    call_id = hand.intend()

    assert write(replace(hand.verdict(passed=True), call_id=call_id)) is None

    assert Attempt.objects.get().status == "running"
    assert events(execution, "attempt.ended", "lease.late_write") == []
    assert_counters_equal_rows(execution)


def test_a_rejection_and_the_next_call_are_written_together() -> None:
    execution = start(plan(adder("a")))
    hand = claim_one(execution)
    answer = RecordAnswer(hand.claim, 1, hand.intend(), ANSWERED)
    rejected = replace(hand.verdict(passed=False), call_id=answer.call_id)
    intent = _next_intent(hand)

    assert _together(answer, rejected, intent) == [True, 1, None]

    assert list(Attempt.objects.order_by("number").values_list("number", "status")) == [
        (1, "rejected"),
        (2, "running"),
    ]
    assert list(Call.objects.filter(outcome="").values_list("id", flat=True)) == [intent.call_id]
    assert AtomRun.objects.get().status == "generating"
    assert_counters_equal_rows(execution)


@pytest.mark.parametrize("stop", [pause_execution, cancel_execution])
def test_a_rejection_written_again_after_a_stop_keeps_the_call_that_was_committed_with_it(stop: Any) -> None:
    execution = start(plan(adder("a")))
    hand = claim_one(execution)
    hand.answer(hand.intend())
    rejected, intent = hand.verdict(passed=False), _next_intent(hand)
    _together(rejected, intent)
    stop(execution_id=execution.id, actor=None)

    with transaction.atomic(), connection.cursor() as cursor:
        assert write_changes(cursor, [rejected, intent], again=True) == [(1, None), (None, None)]

    assert list(Call.objects.filter(outcome="").values_list("id", flat=True)) == [intent.call_id]
    assert statuses(execution) == {"a": "generating"}
    write(RecordUnsent(hand.claim, intent.call_id))
    execution.refresh_from_db()
    assert execution.status in ("paused", "cancelled")
    assert execution.reserved_nano_usd == 0
    assert_counters_equal_rows(execution)


def test_a_runner_writes_no_batch_twice(
    scratch: Path, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    atoms = layers(12, 12)
    misses = [wrong(atom, number) for atom in atoms for number in (1, 2)]
    value = plan(*atoms)
    with asked(settings, ModelInProcess(scratch, value, misses)) as model:
        execution = run_to_rest(start(value, validators="tests"))
        needed = model.attempts()

    assert (execution.status, execution.atoms_succeeded) == ("completed", 24)
    assert execution.attempts_total == sum(needed.values()) > 24
    assert "one by one" not in caplog.text
    assert "cannot be read with its claim" not in caplog.text
    assert_counters_equal_rows(execution)


def test_the_atoms_after_the_first_are_claimed_and_begun_at_one_time(scratch: Path, settings: Any) -> None:
    value = plan(*layers(1, 1, 1))
    with asked(settings, ModelInProcess(scratch, value)):
        execution = run_to_rest(start(value))

    claimed = {event.atom: event.at for event in events(execution, "atom.started")}
    begun = {event.atom: event.at for event in events(execution, "attempt.started")}
    ended = {event.atom: event.at for event in events(execution, "atom.ended")}
    for before, after in (("a1.0", "a2.0"), ("a2.0", "a3.0")):
        assert claimed[after] == begun[after] == ended[before]


def test_a_claim_takes_no_more_than_a_share_and_the_rest_follows(
    scratch: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wave_executor, "CLAIMED_AT_ONCE", 3)
    value = plan(*layers(10))
    with asked(settings, ModelInProcess(scratch, value, shut=True)) as model:
        execution = start(value)

        with RunnerThread(execution):
            model.until_waiting(10)
            model.let_through(None)

    sizes = _sizes(event.at for event in events(execution, "atom.started"))
    assert sizes == ([10] if ON_POSTGRES else [3, 3, 3, 1])
    assert_counters_equal_rows(execution)


def _sizes(times: Any) -> list[int]:
    found: dict[Any, int] = {}
    for one in times:
        found[one] = found.get(one, 0) + 1
    return list(found.values())
