"""Approvals: waves and atoms that wait for a person, without a slot."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from executions.models import AtomRun, Execution, Wave
from executions.services.approvals import approve
from executions.services.control import cancel_execution, pause_execution, resume_execution
from executions.services.errors import InvalidRequest, NotFound
from executions.services.repair import roll_back
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

GATED = plan(*layers(2, 2, 1), approvals=[2])
ONE_ATOM = plan(adder("a"), adder("b", approval=True), adder("c", depends_on=["b"]))


def _asked(execution: Execution) -> list[tuple[int | None, str]]:
    return [(one.wave, one.atom) for one in events(execution, "approval.requested")]


def test_a_wave_waits_for_its_approval_and_opens_with_it() -> None:
    execution = start(GATED)
    succeed_all(execution)

    assert (execution.status, execution.current_wave, execution.atoms_succeeded) == ("running", 1, 2)
    assert _asked(execution) == [(2, "")]
    assert Wave.objects.get(number=2).approval == "asked"

    assert approve(execution_id=execution.id, actor=None, wave=2, why="looks good")

    assert set(statuses(execution).values()) == {"succeeded", "ready", "pending"}
    succeed_all(execution)
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)
    (told,) = events(execution, "control.approve")
    assert (told.wave, told.data["why"], told.data["who"]) == (2, "looks good", "command")


def test_in_flow_atoms_of_the_wave_wait_and_the_others_do_not() -> None:
    execution = start(
        plan(adder("a"), adder("b", depends_on=["a"]), adder("c"), approvals=[2]), schedule="flow"
    )

    assert write(claiming(0)) == []
    succeed_all(execution)

    assert statuses(execution) == {"a": "succeeded", "b": "pending", "c": "succeeded"}
    assert _asked(execution) == [(2, "")]
    approve(execution_id=execution.id, actor=None, wave=2)
    succeed_all(execution)
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_a_wave_may_be_approved_ahead_of_time_and_nobody_is_asked() -> None:
    execution = start(GATED)

    approve(execution_id=execution.id, actor=None, wave=2)

    succeed_all(execution)
    assert _asked(execution) == []
    assert_all_ended(execution)


@pytest.mark.parametrize("schedule", ["waves", "flow"])
def test_an_atom_waits_for_its_approval_without_a_slot(schedule: str) -> None:
    execution = start(ONE_ATOM, schedule=schedule)
    succeed_all(execution)

    assert statuses(execution) == {"a": "succeeded", "b": "pending", "c": "pending"}
    assert AtomRun.objects.get(key="b").approval == "asked"
    assert _asked(execution) == [(1, "b")]
    assert approve(execution_id=execution.id, actor=None, atom="b")
    assert statuses(execution)["b"] == "ready"
    succeed_all(execution)
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_approving_twice_changes_nothing() -> None:
    execution = start(GATED)
    approve(execution_id=execution.id, actor=None, wave=2)
    seq = events(execution)[-1].seq

    assert not approve(execution_id=execution.id, actor=None, wave=2)

    assert events(execution)[-1].seq == seq


def test_an_approval_given_while_it_is_paused_holds_after_the_resume() -> None:
    execution = start(GATED)
    succeed_all(execution)
    pause_execution(execution_id=execution.id, actor=None)

    approve(execution_id=execution.id, actor=None, wave=2)

    assert write(claiming()) == []
    resume_execution(execution_id=execution.id, actor=None)
    succeed_all(execution)
    assert_all_ended(execution)


@pytest.mark.parametrize("schedule", ["waves", "flow"])
def test_after_a_rollback_it_is_asked_for_again(schedule: str) -> None:
    execution = start(plan(*layers(1, 1, 1), approvals=[2]), schedule=schedule)
    approve(execution_id=execution.id, actor=None, wave=2)
    succeed_all(execution)

    roll_back(execution_id=execution.id, actor=None, wave=1)

    assert write(claiming()) == []
    assert _asked(execution) == [(2, "")]
    approve(execution_id=execution.id, actor=None, wave=2)
    succeed_all(execution)
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_an_execution_that_waits_for_a_person_can_be_cancelled() -> None:
    execution = start(GATED)
    succeed_all(execution)

    cancel_execution(execution_id=execution.id, actor=None)

    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_a_blocked_atom_is_never_asked_for() -> None:
    execution = start(plan(adder("a"), adder("b", depends_on=["a"], approval=True)), max_attempts=1)
    (claim,) = write(claiming())
    Hand(claim, 1).attempt(passed=False)

    assert statuses(execution) == {"a": "failed", "b": "blocked"}
    assert _asked(execution) == []


@pytest.mark.parametrize(
    ("what", "error", "said"),
    [
        ({}, InvalidRequest, "either a wave or an atom"),
        ({"wave": 1, "atom": "a1.0"}, InvalidRequest, "either a wave or an atom"),
        ({"wave": 1}, InvalidRequest, "wave 1 needs no approval"),
        ({"wave": 9}, NotFound, "no wave 9"),
        ({"atom": "a1.0"}, InvalidRequest, "a1.0 needs no approval"),
        ({"atom": "zz"}, NotFound, "no atom 'zz'"),
    ],
)
def test_what_needs_no_approval_or_is_not_there_is_refused(
    what: dict[str, Any], error: type[Exception], said: str
) -> None:
    execution = start(GATED)

    with pytest.raises(error, match=said):
        approve(execution_id=execution.id, actor=None, **what)


def test_an_ended_execution_takes_no_approval() -> None:
    execution = start(GATED)
    cancel_execution(execution_id=execution.id, actor=None)

    with pytest.raises(WrongState, match="cannot approve: the execution is cancelled"):
        approve(execution_id=execution.id, actor=None, wave=2)
    with pytest.raises(NotFound):
        approve(execution_id=uuid.uuid4(), actor=None, wave=2)


def test_one_who_looks_before_anything_ran_finds_nothing_asked() -> None:
    execution = start(ONE_ATOM)

    assert _asked(execution) == []
    claim_one(execution, "a")
    assert _asked(execution) == [(1, "b")]
