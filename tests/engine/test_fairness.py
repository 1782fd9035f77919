"""Who gets the next free slot: the smallest share first, however large the others are and however many there are."""

from __future__ import annotations

import pytest

from executions.engine.building import LARGE_PLAN, build
from executions.engine.claims import MOST_EXECUTIONS
from executions.models import AtomRun, Execution
from tests.engine.by_hand import Hand, claiming, start, write
from tests.plans import adder, layers, plan

pytestmark = pytest.mark.django_db


def _in_flight(execution: Execution) -> int:
    return AtomRun.objects.filter(execution=execution).exclude(lease_owner="").count()


def test_a_small_execution_behind_a_large_one_gets_the_next_slot_that_is_free() -> None:
    large = start(plan(*layers(LARGE_PLAN + 1), name="large"), max_concurrency=1000)
    build(large.id)
    held = write(claiming(100, most=100))
    small = start(plan(*layers(3), name="small"))
    assert write(claiming(100, most=100)) == []

    Hand(held[0]).attempt(passed=True)
    (next_one,) = write(claiming(100, most=100))

    assert next_one.execution_id == small.id
    assert _in_flight(large) == 99


def test_while_both_have_work_the_slots_that_become_free_even_out() -> None:
    large = start(plan(*layers(60), name="large"))
    held = write(claiming(20, most=20))
    small = start(plan(*layers(60), name="small"))

    for claim in held[:12]:
        Hand(claim).attempt(passed=True)
        write(claiming(20, most=20))

    assert (_in_flight(large), _in_flight(small)) == (10, 10)


def test_the_newest_of_very_many_is_served_although_the_older_ones_have_work_left() -> None:
    older = [start(plan(*layers(3), name=f"older {n}")) for n in range(MOST_EXECUTIONS)]
    write(claiming(len(older), most=1000))
    newest = start(plan(adder("a"), name="newest"))

    (next_one,) = write(claiming(1, most=1000))

    assert next_one.execution_id == newest.id
    assert {_in_flight(one) for one in older} == {1}


def test_runners_together_reach_the_limit_of_an_execution_and_never_pass_it() -> None:
    execution = start(plan(*layers(30)), max_concurrency=10)

    taken = [len(write(claiming(4, owner=f"runner {n}"))) for n in range(4)]

    assert taken == [4, 4, 2, 0]
    assert _in_flight(execution) == 10


def test_the_longest_remaining_chain_goes_first_across_waves_of_a_flow() -> None:
    atoms = [
        adder("short"),
        adder("long1"),
        adder("long2", depends_on=["long1"]),
        adder("long3", depends_on=["long2"]),
        adder("middle1"),
        adder("middle2", depends_on=["middle1"]),
    ]
    start(plan(*atoms), schedule="flow")

    order = []
    for _ in atoms:
        (claim,) = write(claiming(1))
        order.append(claim.key)
        Hand(claim).attempt(passed=True)

    assert order == ["long1", "long2", "middle1", "short", "long3", "middle2"]
