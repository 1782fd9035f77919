"""A commit that went through, but whose acknowledgement was lost with the connection: the ledger writes the batch again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, transaction

from executions.engine.answer_cache import KnownAnswer
from executions.engine.cached_rows import AcceptedAnswer, CachePlace
from executions.engine.calls import (
    AttemptIntent,
    CallResult,
    FaultPolicy,
    RecordAnswer,
    RecordFault,
    RecordIntent,
)
from executions.engine.claims import Claim, ClaimedAtom
from executions.engine.ledger import Change, Ledger, Stopped
from executions.engine.reconciler import take_back
from executions.engine.rows import Touched
from executions.engine.transaction import ExecutionTransaction
from executions.identity import new_id
from executions.models import AtomRun, Attempt, Call, Execution
from executions.services.control import pause_execution
from executions.states import AttemptKind, CallOutcome
from tests.engine.by_hand import (
    COST,
    RESERVED,
    Hand,
    assert_counters_equal_rows,
    claim_one,
    claiming,
    events,
    expire_leases,
    start,
    write,
)
from tests.engine.committed import transactional_db  # noqa: F401  a fixture
from tests.plans import layers, plan

pytestmark = pytest.mark.usefixtures("transactional_db")


@dataclass(frozen=True, slots=True)
class Unheard(Change[Any]):
    """A change whose first commits are not acknowledged; `meanwhile` happens before it is written again."""

    change: Change[Any]
    times: int = 1
    meanwhile: Any = None
    written: list[int] = field(default_factory=list)

    def execution_ids(self, cursor: Any) -> Any:
        return self.change.execution_ids(cursor)

    def touches(self) -> Touched:
        return self.change.touches()

    def apply(self, unit: ExecutionTransaction) -> Any:
        self.written.append(1)
        if len(self.written) <= self.times:
            transaction.on_commit(self._break)
        return self.change.apply(unit)

    def _break(self) -> None:
        if self.meanwhile is not None:
            self.meanwhile()
        raise OperationalError("server closed the connection unexpectedly")


def record(*changes: Change[Any]) -> list[Any]:
    async def run() -> list[Any]:
        ledger = Ledger()
        ledger.start()
        try:
            return await asyncio.gather(*(ledger.record(change) for change in changes))
        finally:
            await ledger.close()

    return asyncio.run(run())


def _leased(owner: str) -> set[tuple[Any, int]]:
    return set(AtomRun.objects.filter(lease_owner=owner).values_list("id", "fence"))


def _of(claims: Sequence[ClaimedAtom]) -> set[tuple[Any, int]]:
    return {(claim.run_id, claim.fence) for claim in claims}


@pytest.mark.parametrize("times", [1, 2])
def test_a_claim_answers_with_all_that_its_owner_holds(times: int) -> None:
    execution = start(plan(*layers(6)))

    (claims,) = record(Unheard(claiming(4, owner="me"), times))

    assert len(claims) == 4
    assert _of(claims) == _leased("me")
    assert len(events(execution, "atom.started")) == 4
    assert_counters_equal_rows(execution)


def test_a_claim_written_again_takes_what_it_has_still_room_for() -> None:
    execution = start(plan(*layers(6)), max_concurrency=2)

    def more_room() -> None:
        Execution.objects.update(max_concurrency=10)

    (claims,) = record(Unheard(claiming(5, owner="me"), meanwhile=more_room))

    assert len(claims) == 5
    assert _of(claims) == _leased("me")
    assert len(events(execution, "atom.started")) == 5


def test_a_claim_does_not_answer_with_what_was_taken_over_meanwhile() -> None:
    execution = start(plan(*layers(2)))

    def lose() -> None:
        expire_leases(execution)
        take_back(execution.id)
        write(Claim("other", lambda: 1, timedelta(seconds=30), 400, True))

    (claims,) = record(Unheard(claiming(2, owner="me"), meanwhile=lose))

    assert len(claims) == 1
    assert _of(claims) == _leased("me")
    assert len(_leased("other")) == 1


def test_a_claim_answers_with_what_it_holds_of_an_execution_that_was_paused_meanwhile() -> None:
    execution = start(plan(*layers(3)))

    def pause() -> None:
        pause_execution(execution_id=execution.id, actor=None)

    (claims,) = record(Unheard(claiming(2, owner="me"), meanwhile=pause))

    assert _of(claims) == _leased("me")
    for claim in claims:
        Hand(claim).give_back()
    execution.refresh_from_db()
    assert execution.status == "paused"


def test_an_intent_is_written_once_and_its_owner_goes_on() -> None:
    execution = start(plan(*layers(2)), budget_usd="0.000001")
    (claim,) = write(claiming(1))
    attempt = new_id()
    intent = RecordIntent(
        claim=claim,
        attempt_id=attempt,
        attempt_number=1,
        call_id=new_id(),
        ordinal=1,
        endpoint="test",
        model="scripted-test",
        requested={},
        reserve_nano_usd=RESERVED,
        new_attempt=AttemptIntent(1, "generate", {"temperature": 0.7}, "system", "user"),
    )

    assert record(Unheard(intent)) == [None]

    assert Call.objects.get().outcome == ""
    assert Attempt.objects.get().id == attempt
    execution.refresh_from_db()
    assert (execution.status, execution.reserved_nano_usd) == ("running", RESERVED)
    assert len(events(execution, "attempt.started")) == 1
    assert_counters_equal_rows(execution)


def _answered(hand: Hand) -> RecordAnswer:
    result = CallResult(
        CallOutcome.ANSWERED, answer="x = 1\n", input_tokens=3, output_tokens=2, cost_nano_usd=COST
    )
    return RecordAnswer(hand.claim, 1, hand.intend(), result)


def test_an_answer_is_told_once() -> None:
    execution = start(plan(*layers(1)))
    hand = claim_one(execution)

    assert record(Unheard(_answered(hand))) == [True]

    assert len(events(execution, "call.answered")) == 1
    assert_counters_equal_rows(execution)


def test_a_truncated_answer_is_one_fault_and_its_owner_goes_on() -> None:
    execution = start(plan(*layers(1)))
    hand = claim_one(execution)

    assert record(Unheard(_truncated(hand))) == [True]

    assert AtomRun.objects.get().faults == 1
    assert len(events(execution, "call.failed")) == 1
    assert_counters_equal_rows(execution)


def _truncated(hand: Hand) -> RecordFault:
    return RecordFault(
        claim=hand.claim,
        attempt_number=1,
        call_id=hand.intend(),
        result=CallResult(CallOutcome.TRUNCATED, cost_nano_usd=COST),
        policy=FaultPolicy(8, timedelta(minutes=10)),
        wait=None,
    )


def test_a_fault_that_released_its_atom_is_no_late_write() -> None:
    execution = start(plan(*layers(1)))
    hand = claim_one(execution)
    fault = replace(_truncated(hand), wait=timedelta(seconds=9))

    assert record(Unheard(fault)) == [False]

    assert (AtomRun.objects.get().status, AtomRun.objects.get().faults) == ("ready", 1)
    assert not events(execution, "lease.late_write")
    assert_counters_equal_rows(execution)


@pytest.mark.parametrize("passed", [True, False])
def test_a_verdict_that_ended_its_atom_is_no_late_write(passed: bool) -> None:
    execution = start(plan(*layers(1)), max_attempts=1)
    hand = claim_one(execution)
    hand.answer(hand.intend())

    assert record(Unheard(hand.verdict(passed=passed))) == [None]

    assert not events(execution, "lease.late_write")
    assert len(events(execution, "attempt.ended")) == 1
    assert AtomRun.objects.get().status == ("succeeded" if passed else "failed")
    assert_counters_equal_rows(execution)


def test_after_a_rejection_that_is_written_again_the_owner_goes_on() -> None:
    execution = start(plan(*layers(1)))
    hand = claim_one(execution)
    hand.answer(hand.intend())

    assert record(Unheard(hand.verdict(passed=False))) == [1]

    assert AtomRun.objects.get().attempts == 1
    assert_counters_equal_rows(execution)


def test_an_owner_that_is_stopped_by_a_pause_meanwhile_gives_its_atom_back_after_a_fault() -> None:
    execution = start(plan(*layers(1)))
    hand = claim_one(execution)

    def pause() -> None:
        pause_execution(execution_id=execution.id, actor=None)

    (answer,) = record(Unheard(_truncated(hand), meanwhile=pause))

    assert not answer
    assert AtomRun.objects.get().status == "ready"
    execution.refresh_from_db()
    assert execution.status == "paused"


def test_an_owner_that_is_stopped_by_a_pause_meanwhile_hears_of_it_when_he_asks_for_the_next_call() -> None:
    execution = start(plan(*layers(1)))
    hand = claim_one(execution)
    hand.answer(hand.intend())

    def pause() -> None:
        pause_execution(execution_id=execution.id, actor=None)

    # Not given back for him: his next call may have been committed with the verdict.
    assert record(Unheard(hand.verdict(passed=False), meanwhile=pause)) == [1]

    hand.used, hand.attempt_id, hand.calls = 1, new_id(), 0
    with pytest.raises(Stopped):
        hand.intend()
    hand.give_back()
    assert AtomRun.objects.get().status == "ready"
    assert Call.objects.count() == 1
    execution.refresh_from_db()
    assert execution.status == "paused"


@pytest.mark.parametrize("passed", [True, False])
def test_an_answer_of_the_cache_is_taken_or_rejected_once(passed: bool) -> None:
    execution = start(plan(*layers(1)))
    hand = claim_one(execution)
    place = CachePlace(("command",), "k" * 64, "v" * 64)
    accepted = AcceptedAnswer("x = 1\n", "tested", "isolated", ("test_one",), 1, new_id())
    known = KnownAnswer("command", place, accepted, trusted=passed)
    verdict = replace(hand.verdict(passed=passed), kind=AttemptKind.CACHE, known=known)

    assert record(Unheard(verdict)) == [None if passed else 0]

    attempt = Attempt.objects.get()
    assert (attempt.kind, attempt.origin) == ("cache", accepted.origin)
    assert len(events(execution, "attempt.started", "attempt.ended")) == 2
    assert not events(execution, "lease.late_write")
    assert AtomRun.objects.get().status == ("succeeded" if passed else "generating")
    assert_counters_equal_rows(execution)
