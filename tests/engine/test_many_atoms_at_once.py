"""What ends many atoms at once takes a few statements, and tells of each all the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from executions.models import AtomRun, Execution
from executions.services.control import cancel_execution
from tests.engine.by_hand import (
    assert_all_ended,
    assert_counters_equal_rows,
    claim_one,
    events,
    start,
    statuses,
)
from tests.plans import adder, plan

pytestmark = pytest.mark.django_db


def _fan(size: int) -> Execution:
    """One atom, and all others behind it."""
    atoms = (adder(f"leaf{number:03}", depends_on=["root"]) for number in range(size))
    return start(plan(adder("root"), *atoms), max_attempts=1)


def _chain(size: int) -> Execution:
    atoms = (
        adder(f"link{number:03}", depends_on=[f"link{number - 1:03}"] if number else [])
        for number in range(size)
    )
    return start(plan(*atoms), max_attempts=1)


def _statements(work: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as captured:
        work()
    return len(captured)


@pytest.mark.parametrize("shape", [_fan, _chain])
def test_a_cancel_takes_no_more_statements_for_many_atoms_than_for_few(
    shape: Callable[[int], Execution],
) -> None:
    needed = []
    for size in (5, 100):
        execution = shape(size)
        needed.append(_statements(partial(cancel_execution, execution_id=execution.id, actor=None)))
        assert_all_ended(execution)
        assert_counters_equal_rows(execution)
        assert len(events(execution, "atom.ended")) == execution.atoms_total

    assert needed[0] == needed[1]


@pytest.mark.parametrize("shape", [_fan, _chain])
def test_blocking_takes_no_more_statements_for_many_atoms_than_for_few(
    shape: Callable[[int], Execution],
) -> None:
    needed = []
    for size in (5, 100):
        execution = shape(size)
        hand = claim_one(execution)
        hand.answer(hand.intend())
        needed.append(_statements(partial(hand.judge, passed=False)))
        assert sorted(statuses(execution).values())[:-1] == ["blocked"] * (execution.atoms_total - 1)
        assert_all_ended(execution)
        assert_counters_equal_rows(execution)
        blocked = AtomRun.objects.filter(execution=execution, status="blocked")
        assert not blocked.filter(error="").exists()

    assert needed[0] == needed[1]


def test_a_cancel_tells_of_each_atom_in_the_order_of_the_plan_its_attempt_first() -> None:
    execution = start(plan(adder("z"), adder("m"), adder("a")))
    hand = claim_one(execution, "z")
    hand.fault(hand.intend(), wait_s=600, status_code=529)
    before = Execution.objects.get().seq

    cancel_execution(execution_id=execution.id, actor=None, why="enough")

    told = [
        (one.type, one.atom, one.attempt, one.data.get("status"))
        for one in events(execution)
        if one.seq > before
    ]
    assert told == [
        ("control.cancel", "", None, None),
        ("attempt.ended", "z", 1, "cancelled"),
        ("atom.ended", "z", None, "cancelled"),
        ("atom.ended", "m", None, "cancelled"),
        ("atom.ended", "a", None, "cancelled"),
        ("wave.ended", "", None, "cancelled"),
        ("execution.ended", "", None, "cancelled"),
    ]
    assert events(execution, "atom.ended")[0].data["seconds"] is not None
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_blocking_names_the_nearest_cause_and_tells_level_by_level() -> None:
    names = {"top": [], "b": ["top"], "a": ["top"], "d": ["b"], "c": ["a", "b"], "e": ["c", "d"]}
    execution = start(plan(*(adder(key, depends_on=found) for key, found in names.items())), max_attempts=1)
    claim_one(execution, "top").attempt(passed=False)

    ended = events(execution, "atom.ended")
    assert [one.atom for one in ended] == ["top", "a", "b", "c", "d", "e"]
    assert dict(AtomRun.objects.exclude(key="top").values_list("key", "error")) == {
        "a": "Blocked: its dependency top ended failed",
        "b": "Blocked: its dependency top ended failed",
        "c": "Blocked: its dependency a ended blocked",
        "d": "Blocked: its dependency b ended blocked",
        "e": "Blocked: its dependency c ended blocked",
    }
    assert_all_ended(execution)
