"""A person supplies the code of an atom: it is judged like an answer, and frees what was blocked."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from executions.models import AtomRun, Attempt, Execution
from executions.services.consistency import check_execution
from executions.services.control import cancel_execution, pause_execution, resume_execution
from executions.services.errors import InvalidRequest, NotFound
from executions.services.export import export_of
from executions.services.repair import retry_atoms
from executions.services.review import MOST_CODE, supply_code
from executions.states import WrongState
from tests.engine.by_hand import (
    assert_all_ended,
    assert_counters_equal_rows,
    claim_one,
    events,
    start,
    statuses,
)
from tests.engine.committed import transactional_db  # noqa: F401  a fixture
from tests.engine.model_in_process import ModelInProcess, asked
from tests.engine.runner_thread import run_to_rest
from tests.plans import adder, plan, wrong

pytestmark = pytest.mark.usefixtures("transactional_db")

A = adder("a")
CHAIN = plan(A, adder("b", depends_on=["a"]), adder("c", depends_on=["b"]))
RIGHT = "def add_a(x: int) -> int:\n    return 1 + x\n"
STATIC = {"validators": "syntax,contract"}


@pytest.fixture
def failed(scratch: Path, settings: Any) -> Any:
    """`a` has failed with its tests, `b` and `c` are blocked behind it; and the model, which goes on answering."""
    with asked(settings, ModelInProcess(scratch, CHAIN, [wrong(A, number) for number in (1, 2, 3)])) as model:
        execution = start(CHAIN, max_attempts=2, cache="off", validators="full")
        run_to_rest(execution)
        assert statuses(execution) == {"a": "failed", "b": "blocked", "c": "blocked"}
        yield execution, model


@pytest.mark.needs_sandbox
def test_code_that_passes_is_accepted_without_a_call_and_frees_what_was_blocked(failed: Any) -> None:
    execution, model = failed
    calls = model.stats()["calls_per_atom"]["a"]

    attempt_id = supply_code(
        execution_id=execution.id,
        actor=User.objects.create_user("ada"),
        atom="a",
        code=RIGHT,
        why="off by one",
    )
    run_to_rest(execution)

    assert set(statuses(execution).values()) == {"succeeded"}
    attempt = Attempt.objects.get(pk=attempt_id)
    assert (attempt.kind, attempt.status, attempt.author, attempt.code) == ("person", "passed", "ada", RIGHT)
    run = AtomRun.objects.get(execution=execution, key="a")
    assert (run.accepted_id, run.attempts, run.assurance, run.generation) == (attempt_id, 2, "tested", 1)
    assert model.stats()["calls_per_atom"]["a"] == calls
    assert export_of([execution.id])["pkg/add_a.py"] == RIGHT
    assert (execution.run_number, execution.current_wave) == (2, 3)
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)
    assert check_execution(execution.id) == []


@pytest.mark.needs_sandbox
def test_code_that_fails_leaves_the_atom_failed_with_the_findings_on_record(failed: Any) -> None:
    execution, _ = failed

    attempt_id = supply_code(execution_id=execution.id, actor=None, atom="a", code=RIGHT.replace("1", "2"))
    run_to_rest(execution)

    assert statuses(execution) == {"a": "failed", "b": "blocked", "c": "blocked"}
    attempt = Attempt.objects.get(pk=attempt_id)
    assert attempt.status == "rejected"
    assert attempt.issues.filter(severity="ERROR").exists()
    run = AtomRun.objects.get(execution=execution, key="a")
    assert (run.reason, run.attempts) == ("review", 2)
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)
    assert check_execution(execution.id) == []


@pytest.mark.needs_sandbox
def test_after_a_rejection_one_may_try_again_or_ask_the_model(failed: Any) -> None:
    execution, _ = failed
    supply_code(execution_id=execution.id, actor=None, atom="a", code="def add_a(x):\n    return None\n")
    run_to_rest(execution)

    supply_code(execution_id=execution.id, actor=None, atom="a", code=RIGHT)
    run_to_rest(execution)
    retry_atoms(execution_id=execution.id, actor=None, atoms=["a"])
    run_to_rest(execution)

    kinds = Attempt.objects.filter(execution=execution, atom_run__key="a").order_by("generation", "number")
    assert list(kinds.values_list("generation", "kind", "superseded")) == [
        (1, "model", True),
        (1, "model", True),
        (1, "person", True),
        (1, "person", True),
        (2, "model", False),
        (2, "model", False),
    ]
    assert check_execution(execution.id) == []


def _done(scratch: Path, settings: Any) -> Execution:
    with asked(settings, ModelInProcess(scratch, CHAIN)):
        execution = start(CHAIN, cache="off", **STATIC)
        run_to_rest(execution)
    assert execution.status == "completed"
    return execution


def test_accepted_code_can_be_replaced_and_what_builds_on_it_keeps_its_own(
    scratch: Path, settings: Any
) -> None:
    execution = _done(scratch, settings)
    before = AtomRun.objects.get(key="a").accepted_id

    attempt_id = supply_code(execution_id=execution.id, actor=None, atom="a", code=RIGHT)
    run_to_rest(execution)

    assert set(statuses(execution).values()) == {"succeeded"}
    assert AtomRun.objects.get(key="a").accepted_id == attempt_id
    execution.refresh_from_db()
    assert execution.current_wave == 3
    assert Attempt.objects.get(pk=before).superseded
    assert Attempt.objects.filter(atom_run__key="b").count() == 1
    assert_all_ended(execution)
    assert check_execution(execution.id) == []


def test_a_rejected_replacement_leaves_the_accepted_code_in_place(scratch: Path, settings: Any) -> None:
    execution = _done(scratch, settings)
    before = AtomRun.objects.get(key="a").accepted_id

    supply_code(execution_id=execution.id, actor=None, atom="a", code="def another(x):\n    return x\n")
    run_to_rest(execution)

    assert statuses(execution)["a"] == "succeeded"
    assert AtomRun.objects.get(key="a").accepted_id == before
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)
    assert check_execution(execution.id) == []


def test_a_cancel_before_the_verdict_keeps_what_was_accepted(scratch: Path, settings: Any) -> None:
    execution = _done(scratch, settings)
    before = AtomRun.objects.get(key="a").accepted_id
    supply_code(execution_id=execution.id, actor=None, atom="a", code=RIGHT)

    cancel_execution(execution_id=execution.id, actor=None)

    execution.refresh_from_db()
    assert execution.status == "cancelled"
    assert (statuses(execution)["a"], AtomRun.objects.get(key="a").accepted_id) == ("succeeded", before)
    assert_all_ended(execution)
    assert check_execution(execution.id) == []


def test_code_for_a_paused_execution_waits_for_the_resume(scratch: Path, settings: Any) -> None:
    with asked(settings, ModelInProcess(scratch, CHAIN)):
        execution = start(CHAIN, cache="off", **STATIC)
        hand = claim_one(execution, "a")
        hand.attempt(passed=True)
        pause_execution(execution_id=execution.id, actor=None)
        supply_code(execution_id=execution.id, actor=None, atom="a", code=RIGHT)

        assert statuses(execution) == {"a": "ready", "b": "pending", "c": "pending"}
        resume_execution(execution_id=execution.id, actor=None)
        run_to_rest(execution)

    assert set(statuses(execution).values()) == {"succeeded"}
    assert check_execution(execution.id) == []


def test_the_event_names_the_person_and_not_the_code(scratch: Path, settings: Any) -> None:
    execution = _done(scratch, settings)

    supply_code(
        execution_id=execution.id, actor=User.objects.create_user("ada"), atom="a", code=RIGHT, why="x"
    )

    (told,) = events(execution, "control.review")
    assert (told.atom, told.data["who"], told.data["why"]) == ("a", "ada", "x")
    assert "return" not in str([event.data for event in events(execution)])


@pytest.mark.parametrize(
    ("atom", "code", "error", "said"),
    [
        ("a", "   \n", InvalidRequest, "code: is empty"),
        ("a", "x" * (MOST_CODE + 1), InvalidRequest, "at most 64 kB"),
        ("a", "x = '\0'", InvalidRequest, "without NUL"),
        ("zz", RIGHT, NotFound, "no atom 'zz'"),
    ],
    ids=["empty", "too large", "NUL", "unknown"],
)
def test_unusable_code_and_unknown_atoms_are_refused_and_change_nothing(
    scratch: Path, settings: Any, atom: str, code: str, error: type[Exception], said: str
) -> None:
    execution = _done(scratch, settings)
    seq = events(execution)[-1].seq

    with pytest.raises(error, match=said):
        supply_code(execution_id=execution.id, actor=None, atom=atom, code=code)

    assert events(execution)[-1].seq == seq


def test_atoms_that_wait_or_are_worked_on_are_refused_with_their_state() -> None:
    execution = start(CHAIN)
    with pytest.raises(WrongState, match="cannot supply code: the execution is pending"):
        supply_code(execution_id=execution.id, actor=None, atom="a", code=RIGHT)
    hand = claim_one(execution, "a")

    with pytest.raises(InvalidRequest, match="a: it is generating; pause the execution first"):
        supply_code(execution_id=execution.id, actor=None, atom="a", code=RIGHT)
    with pytest.raises(InvalidRequest, match="b: it is pending, what it builds on is not there yet"):
        supply_code(execution_id=execution.id, actor=None, atom="b", code=RIGHT)
    hand.fault(hand.intend(), wait_s=0)
    with pytest.raises(InvalidRequest, match="a: an attempt of the model waits for its verdict"):
        supply_code(execution_id=execution.id, actor=None, atom="a", code=RIGHT)
    with pytest.raises(NotFound):
        supply_code(execution_id=uuid.uuid4(), actor=None, atom="a", code=RIGHT)
