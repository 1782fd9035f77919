"""Retry and rollback: what begins anew, what is kept, and what stays readable."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django_q.models import OrmQ

from executions.models import AtomRun, Attempt, Execution, Wave
from executions.services.control import cancel_execution, pause_execution, resume_execution
from executions.services.errors import InvalidRequest, NotFound
from executions.services.repair import preview_retry, retry_atoms, roll_back
from executions.states import WrongState
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

CHAIN = plan(adder("a"), adder("b", depends_on=["a"]), adder("c", depends_on=["b"]), adder("d"))


def _fail(execution: Execution, key: str) -> None:
    """Let one atom use up its attempts; the others of its wave pass."""
    for claim in write(claiming()):
        hand = Hand(claim, execution.config["max_attempts"])
        while hand.attempt(passed=claim.key != key) is not None:
            pass


def _failed_chain(**settings: Any) -> Execution:
    """`a` failed, `b` and `c` are blocked behind it, `d` succeeded."""
    execution = start(CHAIN, max_attempts=2, **settings)
    _fail(execution, "a")
    execution.refresh_from_db()
    assert execution.status == "completed"
    assert statuses(execution) == {"a": "failed", "b": "blocked", "c": "blocked", "d": "succeeded"}
    return execution


def _done(value: dict[str, Any] | None = None, **settings: Any) -> Execution:
    execution = start(value or plan(*layers(2, 2, 1)), **settings)
    succeed_all(execution)
    assert execution.status == "completed"
    return execution


@pytest.mark.parametrize("schedule", ["waves", "flow"])
def test_a_failed_atom_is_tried_again_with_its_whole_ladder_and_frees_what_it_blocked(schedule: str) -> None:
    execution = _failed_chain(schedule=schedule)

    told = retry_atoms(execution_id=execution.id, actor=None, atoms=["a"], why="the tests were wrong")

    execution.refresh_from_db()
    assert (told.generated, told.revived, told.kept) == (("a",), ("b", "c"), ())
    assert (execution.status, execution.run_number, execution.ended_at) == ("running", 2, None)
    assert statuses(execution) == {"a": "ready", "b": "pending", "c": "pending", "d": "succeeded"}
    assert_counters_equal_rows(execution)
    hand = claim_one(execution, "a")
    assert (hand.claim.generation, hand.claim.attempts) == (2, 0)
    hand.attempt(passed=True)
    succeed_all(execution)
    assert set(statuses(execution).values()) == {"succeeded"}
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_what_was_there_before_stays_readable_as_superseded_history() -> None:
    execution = _failed_chain()

    retry_atoms(execution_id=execution.id, actor=None, failed=True)

    before = Attempt.objects.filter(atom_run__key="a").order_by("number")
    assert list(before.values_list("generation", "number", "status", "superseded")) == [
        (1, 1, "rejected", True),
        (1, 2, "rejected", True),
    ]
    assert all(one.issues.count() == 1 for one in before)
    assert not Attempt.objects.get(atom_run__key="d").superseded


def test_the_events_say_who_why_and_what() -> None:
    execution = _failed_chain()
    seq = events(execution)[-1].seq

    retry_atoms(execution_id=execution.id, actor=None, atoms=["a"], why="again")

    told = [(one.type, one.atom) for one in events(execution) if one.seq > seq]
    assert told[:2] == [("execution.reopened", ""), ("control.retry", "")]
    assert {one for one in told if one[0] == "atom.reopened"} == {
        ("atom.reopened", key) for key in ("a", "b", "c")
    }
    (control,) = events(execution, "control.retry")
    assert control.data == {
        "who": "command",
        "what": "retry",
        "why": "again",
        "atoms": ["a"],
        "generated": 1,
        "revived": 2,
        "with_dependents": False,
    }


def test_a_succeeded_atom_is_generated_anew_and_its_dependents_keep_their_code() -> None:
    execution = _done(CHAIN)

    told = retry_atoms(execution_id=execution.id, actor=None, atoms=["a"])

    assert (told.generated, told.kept) == (("a",), ("b", "c"))
    assert statuses(execution) == {"a": "ready", "b": "succeeded", "c": "succeeded", "d": "succeeded"}
    succeed_all(execution)
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)
    assert Attempt.objects.filter(atom_run__key="b").count() == 1


@pytest.mark.parametrize("schedule", ["waves", "flow"])
def test_with_its_dependents_everything_that_builds_on_it_is_generated_anew_in_order(schedule: str) -> None:
    execution = _done(CHAIN, schedule=schedule)

    told = retry_atoms(execution_id=execution.id, actor=None, atoms=["a"], with_dependents=True)

    assert told.generated == ("a", "b", "c")
    assert statuses(execution) == {"a": "ready", "b": "pending", "c": "pending", "d": "succeeded"}
    assert list(Wave.objects.filter(execution=execution).values_list("status", flat=True)) == (
        ["running", "pending", "pending"] if schedule == "waves" else ["pending", "pending", "pending"]
    )
    claim_one(execution, "a").attempt(passed=True)
    assert statuses(execution)["b"] == "ready"
    succeed_all(execution)
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_a_preview_says_the_same_and_changes_nothing() -> None:
    execution = _done(CHAIN)
    seq = events(execution)[-1].seq

    seen = preview_retry(execution_id=execution.id, atoms=["b"], with_dependents=True)

    execution.refresh_from_db()
    assert (execution.status, execution.seq) == ("completed", seq)
    assert seen == retry_atoms(execution_id=execution.id, actor=None, atoms=["b"], with_dependents=True)


def test_retrying_all_that_failed_when_nothing_did_changes_nothing() -> None:
    execution = _done(CHAIN)

    told = retry_atoms(execution_id=execution.id, actor=None, failed=True)

    execution.refresh_from_db()
    assert told.changes_nothing
    assert execution.status == "completed"


def test_a_retry_while_others_run_waits_for_nobody() -> None:
    execution = start(CHAIN, max_attempts=1, on_dependency_failure="block")
    a, d = (Hand(claim, 1) for claim in write(claiming()))
    a.attempt(passed=False)
    call = d.intend()

    retry_atoms(execution_id=execution.id, actor=None, atoms=["a"])

    execution.refresh_from_db()
    assert (execution.status, execution.run_number) == ("running", 1)
    claim_one(execution, "a").attempt(passed=True)
    d.answer(call)
    d.judge(passed=True)
    succeed_all(execution)
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_an_earlier_wave_opens_again_while_a_later_one_runs_and_none_behind_it_opens_too_soon() -> None:
    value = plan(*layers(1, 1, 2, 1))
    execution = start(value)
    claim_one(execution, "a1.0").attempt(passed=True)
    claim_one(execution, "a2.0").attempt(passed=True)
    busy = claim_one(execution, "a3.0")

    retry_atoms(execution_id=execution.id, actor=None, atoms=["a1.0"])

    again = claim_one(execution, "a1.0")
    execution.refresh_from_db()
    assert execution.current_wave == 1
    busy.attempt(passed=True)
    claim_one(execution, "a3.1").attempt(passed=True)
    assert write(claiming()) == []
    again.attempt(passed=True)
    claim_one(execution, "a4.0").attempt(passed=True)
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_a_retry_on_a_paused_execution_leaves_it_paused() -> None:
    execution = start(CHAIN, max_attempts=1)
    _fail(execution, "a")
    retry_atoms(execution_id=execution.id, actor=None, atoms=["a"])
    pause_execution(execution_id=execution.id, actor=None)

    retry_atoms(execution_id=execution.id, actor=None, atoms=["d"])

    execution.refresh_from_db()
    assert execution.status == "paused"
    assert write(claiming()) == []
    resume_execution(execution_id=execution.id, actor=None)
    succeed_all(execution)
    assert_all_ended(execution)


def test_it_rings_for_a_runner() -> None:
    execution = _failed_chain()
    OrmQ.objects.all().delete()

    retry_atoms(execution_id=execution.id, actor=None, failed=True)

    assert OrmQ.objects.count() == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"atoms": ["nope"]}, "there is no nope"),
        ({}, "choose some"),
        ({"atoms": ["b"]}, "b: it is blocked and was never tried"),
    ],
)
def test_a_retry_that_makes_no_sense_is_refused_and_changes_nothing(
    arguments: dict[str, Any], said: str
) -> None:
    execution = _failed_chain()
    seq = events(execution)[-1].seq

    with pytest.raises(InvalidRequest, match=said):
        retry_atoms(execution_id=execution.id, actor=None, **arguments)

    assert events(execution)[-1].seq == seq


def test_an_atom_that_is_worked_on_or_was_never_tried_cannot_be_retried() -> None:
    execution = start(CHAIN)
    claim_one(execution, "a")

    with pytest.raises(InvalidRequest, match="a: it is generating: pause the execution first"):
        retry_atoms(execution_id=execution.id, actor=None, atoms=["a"])
    with pytest.raises(InvalidRequest, match="c: it has not been tried yet"):
        retry_atoms(execution_id=execution.id, actor=None, atoms=["c"])


def test_what_would_be_blocked_again_at_once_names_what_to_mend() -> None:
    execution = start(CHAIN, max_attempts=1, on_dependency_failure="continue")
    _fail(execution, "a")
    succeed_all(execution)
    Execution.objects.filter(pk=execution.pk).update(on_dependency_failure="block")

    with pytest.raises(InvalidRequest, match="b: its dependency a is failed"):
        retry_atoms(execution_id=execution.id, actor=None, atoms=["b"])


def test_a_cancelled_execution_is_final() -> None:
    execution = start(CHAIN)
    cancel_execution(execution_id=execution.id, actor=None)

    with pytest.raises(WrongState, match="cannot retry: the execution is cancelled"):
        retry_atoms(execution_id=execution.id, actor=None, failed=True)
    with pytest.raises(WrongState, match="cannot roll back: the execution is cancelled"):
        roll_back(execution_id=execution.id, actor=None, wave=0)


def test_an_unknown_execution_is_not_found() -> None:
    with pytest.raises(NotFound):
        retry_atoms(execution_id=uuid.uuid4(), actor=None, failed=True)
    with pytest.raises(NotFound):
        roll_back(execution_id=uuid.uuid4(), actor=None, wave=0)


# --- rollback -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["waves", "flow"])
def test_a_rollback_generates_everything_behind_the_wave_anew(schedule: str) -> None:
    execution = _done(plan(*layers(2, 2, 2, 1, 1)), schedule=schedule)
    calls = execution.calls_total

    told = roll_back(execution_id=execution.id, actor=None, wave=2)

    execution.refresh_from_db()
    assert len(told.generated) == 4
    assert (execution.status, execution.run_number) == ("running", 2)
    assert (execution.atoms_succeeded, execution.atoms_ended) == (4, 4)
    assert_counters_equal_rows(execution)
    succeed_all(execution)
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)
    assert execution.calls_total == calls + 4
    assert Attempt.objects.filter(execution=execution, superseded=True).count() == 4


def test_a_rollback_of_a_paused_execution_stays_paused_and_goes_on_from_there() -> None:
    execution = start(plan(*layers(1, 1, 1)))
    claim_one(execution, "a1.0").attempt(passed=True)
    hand = claim_one(execution, "a2.0")
    hand.attempt(passed=False)
    hand.give_back()
    pause_execution(execution_id=execution.id, actor=None)

    roll_back(execution_id=execution.id, actor=None, wave=1, why="other way")

    execution.refresh_from_db()
    assert execution.status == "paused"
    assert AtomRun.objects.get(key="a2.0").generation == 2
    resume_execution(execution_id=execution.id, actor=None)
    again = claim_one(execution, "a2.0")
    assert again.used == 0
    again.attempt(passed=True)
    succeed_all(execution)
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_an_attempt_that_was_open_at_a_rollback_ends_without_a_verdict() -> None:
    execution = start(plan(*layers(1, 1)))
    claim_one(execution, "a1.0").attempt(passed=True)
    hand = claim_one(execution, "a2.0")
    hand.fault(hand.intend(), wait_s=0)
    pause_execution(execution_id=execution.id, actor=None)

    roll_back(execution_id=execution.id, actor=None, wave=1)

    attempt = Attempt.objects.get(atom_run__key="a2.0")
    assert (attempt.status, attempt.superseded) == ("cancelled", True)
    resume_execution(execution_id=execution.id, actor=None)
    succeed_all(execution)
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_a_rollback_to_the_start_begins_from_nothing() -> None:
    execution = _failed_chain()

    told = roll_back(execution_id=execution.id, actor=None, wave=0)

    assert set(told.generated) == {"a", "d"}
    assert set(told.revived) == {"b", "c"}
    succeed_all(execution)
    assert set(statuses(execution).values()) == {"succeeded"}
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_what_a_kept_wave_blocks_stays_blocked() -> None:
    execution = _failed_chain()

    told = roll_back(execution_id=execution.id, actor=None, wave=1)

    execution.refresh_from_db()
    assert told.changes_nothing or told.generated == ()
    assert statuses(execution) == {"a": "failed", "b": "blocked", "c": "blocked", "d": "succeeded"}
    assert execution.status == "completed"
    assert_counters_equal_rows(execution)
    assert_all_ended(execution)


@pytest.mark.parametrize("wave", [-1, 4])
def test_a_wave_that_is_not_there_is_refused(wave: int) -> None:
    execution = _failed_chain()

    with pytest.raises(InvalidRequest, match="must be from 0 to 3"):
        roll_back(execution_id=execution.id, actor=None, wave=wave)


def test_a_running_execution_must_be_paused_first_and_the_wave_must_have_ended() -> None:
    execution = start(plan(*layers(1, 1)))
    hand = claim_one(execution)

    with pytest.raises(WrongState, match="cannot roll back: the execution is running"):
        roll_back(execution_id=execution.id, actor=None, wave=0)
    hand.give_back()
    pause_execution(execution_id=execution.id, actor=None)
    with pytest.raises(InvalidRequest, match=r"1 has not ended, a1\.0 of wave 1 is ready"):
        roll_back(execution_id=execution.id, actor=None, wave=1)
