"""Code that a person supplies for an atom: judged by a runner like a model's answer, without any call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from executions.engine.reconciler import take_back
from executions.models import AtomRun, Attempt, CachedAnswer, Event, Execution
from executions.services.control import pause_execution, resume_execution
from executions.services.review import supply_code
from tests.engine.by_hand import (
    assert_all_ended,
    assert_counters_equal_rows,
    claiming,
    expire_leases,
    statuses,
    write,
)
from tests.plans import adder, plan

pytestmark = [pytest.mark.needs_sandbox]

Begin = Callable[..., Execution]
Finish = Callable[[Execution], Execution]
GOOD = "def add_a(x: int) -> int:\n    return 1 + x  # by hand\n"
BAD = "def add_a(x: int) -> int:\n    return 41\n"


def _chain(*, solvable: bool) -> dict[str, Any]:
    """`b` builds on `a`, which the model cannot write unless it is `solvable`."""
    first = adder("a")
    if not solvable:
        first["reference_solution"] = "def add_a(x: int) -> int:\n    return 0\n"
    return plan(first, adder("b", depends_on=["a"]))


@pytest.fixture
def ran(scripted: Callable[..., Any], begin: Begin, finish: Finish) -> Callable[..., tuple[Execution, Any]]:
    """An ended execution of the chain, and the model that it asked."""

    def run(*, solvable: bool, **settings: Any) -> tuple[Execution, Any]:
        value = _chain(solvable=solvable)
        server = scripted(value)
        return finish(begin(value, max_attempts=2, **settings)), server

    return run


def _supply(execution: Execution, code: str) -> Attempt:
    return Attempt.objects.get(
        pk=supply_code(execution_id=execution.id, actor=None, atom="a", code=code, why="mended")
    )


def test_accepted_code_ends_a_failed_atom_and_frees_what_it_blocked(
    ran: Callable[..., tuple[Execution, Any]], finish: Finish
) -> None:
    execution, server = ran(solvable=False)
    assert statuses(execution) == {"a": "failed", "b": "blocked"}
    before = server.stats()["calls"]

    attempt = _supply(execution, GOOD)
    finish(execution)

    attempt.refresh_from_db()
    assert (attempt.kind, attempt.status, attempt.code, attempt.author) == (
        "person",
        "passed",
        GOOD,
        "command",
    )
    assert attempt.tests_passed == ["test_add_a"]
    run = AtomRun.objects.get(execution=execution, key="a")
    assert (run.status, run.accepted_id, run.assurance, run.attempts) == (
        "succeeded",
        attempt.id,
        "tested",
        2,
    )
    assert statuses(execution)["b"] == "succeeded"
    assert server.stats()["calls"] == before + 1, "the model is asked for b only"
    assert (execution.status, execution.run_number) == ("completed", 2)
    assert_counters_equal_rows(execution)
    assert_all_ended(execution)


def test_the_facts_of_it_name_the_kind_and_it_is_not_kept_in_the_cache(
    ran: Callable[..., tuple[Execution, Any]], finish: Finish
) -> None:
    execution, _ = ran(solvable=False)
    attempt = _supply(execution, GOOD)
    finish(execution)

    told = Event.objects.filter(execution=execution, type__startswith="attempt.", data__kind="person")
    assert [(event.type, event.attempt) for event in told.order_by("seq")] == [
        ("attempt.started", attempt.number),
        ("attempt.ended", attempt.number),
    ]
    assert Event.objects.get(execution=execution, type="control.review").attempt == attempt.number
    assert not CachedAnswer.objects.filter(origin=attempt.id).exists()


def test_rejected_code_leaves_a_failed_atom_failed_and_says_why(
    ran: Callable[..., tuple[Execution, Any]], finish: Finish
) -> None:
    execution, server = ran(solvable=False)
    before = server.stats()["calls"]

    attempt = _supply(execution, BAD)
    finish(execution)

    attempt.refresh_from_db()
    assert (attempt.status, attempt.isolation != "") == ("rejected", True)
    assert attempt.issues.exists()
    run = AtomRun.objects.get(execution=execution, key="a")
    assert (run.status, run.reason, run.attempts) == ("failed", "review", 2)
    assert "test_add_a" in run.error
    assert statuses(execution)["b"] == "blocked"
    assert server.stats()["calls"] == before
    assert_counters_equal_rows(execution)
    assert_all_ended(execution)


def test_accepted_code_takes_the_place_of_what_was_accepted_before(
    ran: Callable[..., tuple[Execution, Any]], finish: Finish
) -> None:
    execution, server = ran(solvable=True)
    earlier = AtomRun.objects.get(execution=execution, key="a").accepted
    assert earlier is not None

    attempt = _supply(execution, GOOD)
    finish(execution)

    earlier.refresh_from_db()
    assert (earlier.status, earlier.superseded) == ("passed", True)
    assert AtomRun.objects.get(execution=execution, key="a").accepted_id == attempt.id
    assert statuses(execution) == {"a": "succeeded", "b": "succeeded"}
    assert server.stats()["calls"] == 2
    assert_counters_equal_rows(execution)
    assert_all_ended(execution)


@pytest.mark.parametrize("validators", ["full", "syntax"])
def test_rejected_code_leaves_an_accepted_answer_in_its_place(
    ran: Callable[..., tuple[Execution, Any]], finish: Finish, validators: str
) -> None:
    execution, _ = ran(solvable=True, validators=validators)
    before = AtomRun.objects.get(execution=execution, key="a")

    _supply(execution, "def add_a(x: int) -> int\n    return x + 1\n")
    finish(execution)

    run = AtomRun.objects.get(execution=execution, key="a")
    assert (run.status, run.accepted_id) == ("succeeded", before.accepted_id)
    assert run.assurance == before.assurance == ("tested" if validators == "full" else "static")
    assert_counters_equal_rows(execution)
    assert_all_ended(execution)


def test_it_is_judged_as_it_is_not_taken_out_of_a_fence(
    ran: Callable[..., tuple[Execution, Any]], finish: Finish
) -> None:
    execution, _ = ran(solvable=False)

    attempt = _supply(execution, f"```python\n{GOOD}```\n")
    finish(execution)

    attempt.refresh_from_db()
    assert (attempt.status, attempt.code) == ("rejected", f"```python\n{GOOD}```\n")


def test_the_next_owner_judges_it_when_the_first_one_died(
    ran: Callable[..., tuple[Execution, Any]], finish: Finish
) -> None:
    execution, _ = ran(solvable=False)
    attempt = _supply(execution, GOOD)
    (claim,) = write(claiming(1, owner="dies"))
    assert claim.key == "a"
    expire_leases(execution)
    take_back(execution.id)

    finish(execution)

    assert Attempt.objects.filter(execution=execution, kind="person").count() == 1
    attempt.refresh_from_db()
    assert attempt.status == "passed"
    assert_all_ended(execution)


def test_pausing_does_not_lose_it(ran: Callable[..., tuple[Execution, Any]], finish: Finish) -> None:
    execution, _ = ran(solvable=True)
    attempt = _supply(execution, GOOD)
    pause_execution(execution_id=execution.id, actor=None)
    assert finish(execution).status == "paused"

    resume_execution(execution_id=execution.id, actor=None)
    finish(execution)

    attempt.refresh_from_db()
    assert attempt.status == "passed"
    assert_all_ended(execution)
