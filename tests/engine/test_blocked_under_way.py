"""An atom that had been begun and is blocked after all: nothing of it stays open, and nothing that was accepted is lost."""

from __future__ import annotations

import pytest

from executions.models import AtomRun, Attempt, Execution
from executions.services.consistency import check_execution
from executions.services.repair import retry_atoms
from executions.services.review import supply_code
from tests.engine.by_hand import assert_all_ended, claim_one, start, statuses, succeed_all
from tests.plans import adder, plan

pytestmark = pytest.mark.django_db

CHAIN = plan(adder("a"), adder("b", depends_on=["a"]), adder("c", depends_on=["b"]))


def fail_again(execution: Execution) -> None:
    """`a` begins anew, and fails."""
    retry_atoms(execution_id=execution.id, actor=None, atoms=["a"])
    hand = claim_one(execution, "a")
    while hand.attempt(passed=False) is not None:
        pass


def test_an_attempt_between_two_calls_ends_when_its_atom_is_blocked() -> None:
    execution = start(CHAIN, schedule="flow", max_attempts=2)
    claim_one(execution, "a").attempt(passed=True)
    waiting = claim_one(execution, "b")
    waiting.fault(waiting.intend())

    fail_again(execution)

    assert statuses(execution) == {"a": "failed", "b": "blocked", "c": "blocked"}
    attempt = Attempt.objects.get(atom_run__key="b")
    assert (attempt.status, attempt.number) == ("cancelled", 1)
    assert_all_ended(execution)
    assert check_execution(execution.id) == []

    retry_atoms(execution_id=execution.id, actor=None, atoms=["a"])
    succeed_all(execution)

    assert set(statuses(execution).values()) == {"succeeded"}
    assert AtomRun.objects.get(execution=execution, key="b").generation == 2
    assert check_execution(execution.id) == []


def test_what_was_accepted_is_kept_when_a_persons_code_cannot_be_judged_any_more() -> None:
    execution = start(CHAIN, schedule="flow", max_attempts=2)
    succeed_all(execution)
    kept = AtomRun.objects.get(execution=execution, key="b").accepted_id
    attempt = supply_code(execution_id=execution.id, actor=None, atom="b", code="x = 2\n")

    fail_again(execution)

    assert statuses(execution) == {"a": "failed", "b": "succeeded", "c": "succeeded"}
    assert AtomRun.objects.get(execution=execution, key="b").accepted_id == kept
    assert Attempt.objects.get(pk=attempt).status == "cancelled"
    assert_all_ended(execution)
    assert check_execution(execution.id) == []
