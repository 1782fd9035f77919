"""Claims: one owner per atom, within every limit, in a fair share, longest chain first."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import TypeVar

import pytest
from django.db import connection

from executions.engine.claims import Claim, ClaimedAtom, Release
from executions.engine.ledger import LeaseLost, Ledger
from executions.engine.owners import owner_name
from executions.models import AtomRun, Execution
from executions.services.control import pause_execution
from tests.engine.by_hand import (
    Hand,
    claim_one,
    claiming,
    events,
    expire_leases,
    start,
    statements_sent,
    write,
)
from tests.engine.committed import transactional_db  # noqa: F401  a fixture
from tests.ground import ON_POSTGRES
from tests.plans import adder, layers, plan

THREADS = 4
T = TypeVar("T")
LEASE = timedelta(seconds=30)


def _in_threads(runners: Sequence[Callable[[Ledger], Awaitable[T]]]) -> list[T]:
    """Run them all at once, each in a thread with a loop and a ledger of its own."""
    together = threading.Barrier(len(runners))

    async def with_ledger(runner: Callable[[Ledger], Awaitable[T]]) -> T:
        ledger = Ledger()
        ledger.start()
        try:
            together.wait(timeout=30)
            return await runner(ledger)
        finally:
            await ledger.close()

    with ThreadPoolExecutor(len(runners)) as pool:
        return list(pool.map(lambda runner: asyncio.run(with_ledger(runner)), runners))


@pytest.mark.usefixtures("transactional_db")
def test_runners_that_claim_at_once_never_get_the_same_atom() -> None:
    start(plan(*layers(400)), max_concurrency=1000, validators="syntax")

    async def claim_all(name: str, ledger: Ledger) -> list[ClaimedAtom]:
        mine: list[ClaimedAtom] = []
        while got := await ledger.record(Claim(name, lambda: 17, LEASE, 10_000, True)):
            mine += got
        return mine

    found = _in_threads([partial(claim_all, f"runner-{number}") for number in range(THREADS)])

    claims = [claim for mine in found for claim in mine]
    assert len(claims) == 400
    assert len({claim.run_id for claim in claims}) == 400
    owners = Counter(AtomRun.objects.values_list("lease_owner", flat=True))
    assert owners == Counter(claim.owner for claim in claims)
    assert set(AtomRun.objects.values_list("fence", flat=True)) == {1}


@pytest.mark.usefixtures("transactional_db")
def test_no_limit_is_exceeded_while_runners_claim_and_give_back_at_once() -> None:
    limits = {
        start(plan(*layers(60), name=f"plan {most}"), max_concurrency=most).id: most for most in (7, 25)
    }
    most_in_all = 20
    seen: list[Counter[object]] = []

    async def churn(name: str, ledger: Ledger) -> None:
        for _ in range(8):
            mine = await ledger.record(Claim(name, lambda: 15, LEASE, most_in_all, True))
            seen.append(await asyncio.to_thread(_leased))
            for claim in mine:
                await ledger.record(Release(claim, timedelta()))

    _in_threads([partial(churn, f"runner-{number}") for number in range(THREADS)])

    assert max(sum(count.values()) for count in seen) == most_in_all
    assert all(sum(count.values()) <= most_in_all for count in seen)
    assert all(count[execution] <= most for count in seen for execution, most in limits.items())


def _leased() -> Counter[object]:
    try:
        rows = AtomRun.objects.filter(status__in=["generating", "validating"])
        return Counter(rows.order_by().values_list("execution_id", flat=True))
    finally:
        connection.close()


@pytest.mark.django_db
def test_the_limit_of_an_execution_is_reached_and_held_over_several_claims() -> None:
    start(plan(*layers(9)), max_concurrency=4)

    assert [len(write(claiming(3))) for _ in range(4)] == [3, 1, 0, 0]


@pytest.mark.django_db
def test_the_limit_over_all_executions_counts_other_owners_leases() -> None:
    for name in ("one", "two"):
        start(plan(*layers(10), name=name))

    assert len(write(claiming(8, owner="first", most=12))) == 8
    assert len(write(claiming(8, owner="second", most=12))) == 4
    assert write(claiming(8, owner="third", most=12)) == []


@pytest.mark.django_db
def test_a_big_execution_does_not_starve_a_small_one() -> None:
    big = start(plan(*layers(50), name="big"))
    small = start(plan(*layers(10), name="small"))

    shares = Counter(claim.execution_id for claim in write(claiming(12)))

    assert shares == {big.id: 6, small.id: 6}


@pytest.mark.django_db
def test_what_one_execution_cannot_use_goes_to_the_others() -> None:
    big = start(plan(*layers(50), name="big"))
    tiny = start(plan(*layers(2), name="tiny"))
    narrow = start(plan(*layers(50), name="narrow"), max_concurrency=3)

    shares = Counter(claim.execution_id for claim in write(claiming(30)))

    assert shares == {big.id: 25, tiny.id: 2, narrow.id: 3}


@pytest.mark.django_db
@pytest.mark.skipif(ON_POSTGRES, reason="what is planned there depends on the table's statistics")
def test_a_claim_never_reads_all_atoms() -> None:
    start(plan(*layers(20), name="big"))
    start(plan(*layers(20), name="other"))

    with statements_sent() as sent:
        claimed = write(claiming(10))

    assert len(claimed) == 10
    about_atoms = [sql for sql in sent if "executions_atomrun" in sql]
    assert len(about_atoms) >= 5
    with connection.cursor() as cursor:
        for sql in about_atoms:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            steps = [row[3] for row in cursor.fetchall()]
            # By its name, or by that of its alias.
            scanned = {step.split()[1] for step in steps if step.startswith("SCAN")}
            assert not scanned & {"r", "executions_atomrun"}, (sql, steps)


@pytest.mark.django_db
def test_an_execution_that_had_too_little_is_not_asked_again() -> None:
    start(plan(*layers(3), name="small"))

    with statements_sent() as sent:
        claimed = write(claiming(10))

    assert len(claimed) == 3
    assert len([sql for sql in sent if sql.startswith("SELECT id, key, wave, fence")]) == 1


@pytest.mark.django_db
def test_who_has_less_in_flight_already_gets_more() -> None:
    first = start(plan(*layers(50), name="first"))
    write(claiming(10))
    second = start(plan(*layers(50), name="second"))

    shares = Counter(claim.execution_id for claim in write(claiming(12)))

    assert shares == {first.id: 1, second.id: 11}


@pytest.mark.django_db
def test_the_longest_remaining_chain_is_claimed_first_then_the_plans_order() -> None:
    chain = [adder("c1"), adder("c2", depends_on=["c1"]), adder("c3", depends_on=["c2"])]
    start(plan(adder("lone1"), adder("pair"), adder("lone2"), *chain, adder("child", depends_on=["pair"])))

    assert [write(claiming(1))[0].key for _ in range(4)] == ["c1", "pair", "lone1", "lone2"]


@pytest.mark.django_db
def test_an_atom_that_waits_is_not_claimed_before_its_time() -> None:
    execution = start(plan(adder("a")))
    claim_one(execution).give_back(wait_s=3600)

    assert write(claiming()) == []

    AtomRun.objects.update(not_before=events(execution)[-1].at)
    (again,) = write(claiming())
    assert (again.key, again.fence) == ("a", 2)
    assert AtomRun.objects.get().not_before is None


@pytest.mark.django_db
def test_atoms_of_a_pausing_or_paused_execution_are_not_claimed() -> None:
    execution = start(plan(*layers(2)))
    hand = claim_one(execution)

    assert pause_execution(execution_id=execution.id, actor=None) == "pausing"
    assert write(claiming()) == []
    hand.give_back()
    execution.refresh_from_db()
    assert execution.status == "paused"
    assert write(claiming()) == []


@pytest.mark.django_db
def test_a_runner_that_cannot_execute_leaves_what_needs_a_sandbox_and_takes_the_rest() -> None:
    tested = start(plan(adder("a"), name="tested"), validators="full")
    static = start(plan(adder("b"), name="static"), validators="syntax")

    claims = write(claiming(can_execute=False))

    assert [claim.execution_id for claim in claims] == [static.id]
    tested.refresh_from_db()
    assert tested.status == "pending"
    assert [claim.execution_id for claim in write(claiming())] == [tested.id]


@pytest.mark.django_db
def test_the_fence_goes_up_with_each_claim_and_the_former_owner_is_refused() -> None:
    execution = start(plan(adder("a")))
    first = claim_one(execution, owner="first")
    expire_leases(execution)
    first.give_back()
    second = claim_one(execution, owner="second")

    assert (first.claim.fence, second.claim.fence) == (1, 2)
    with pytest.raises(LeaseLost):
        first.intend()
    with pytest.raises(LeaseLost):
        first.give_back()
    run = AtomRun.objects.get()
    assert (run.lease_owner, run.fence, run.status) == ("second", 2, "generating")


@pytest.mark.django_db
def test_the_same_owner_with_an_old_fence_is_refused_too() -> None:
    execution = start(plan(adder("a")))
    old = claim_one(execution)
    old.give_back()
    claim_one(execution)

    with pytest.raises(LeaseLost):
        old.intend()


@pytest.mark.django_db
def test_the_first_claim_starts_the_execution_and_is_told_once() -> None:
    execution = start(plan(adder("a")))
    assert execution.status == "pending"

    claim_one(execution).give_back()
    claim_one(execution).give_back()

    execution.refresh_from_db()
    assert execution.status == "running"
    assert [event.type for event in events(execution)] == [
        *("execution.created", "execution.started", "wave.started"),
        *("atom.started", "atom.released", "atom.resumed", "atom.released"),
    ]


@pytest.mark.django_db
def test_an_atom_of_a_later_wave_is_not_claimable_while_the_wave_ahead_runs() -> None:
    execution = start(plan(adder("a"), adder("b"), adder("c", depends_on=["a"])))
    claims = {claim.key: claim for claim in write(claiming())}
    assert set(claims) == {"a", "b"}

    Hand(claims["a"]).attempt(passed=True)
    assert write(claiming()) == []

    Hand(claims["b"]).attempt(passed=True)
    assert [claim.key for claim in write(claiming())] == ["c"]
    assert Execution.objects.get(pk=execution.pk).current_wave == 2


def test_no_two_runners_share_a_name() -> None:
    names = {owner_name() for _ in range(50)}

    assert len(names) == 50
    assert all(len(name) <= 120 for name in names)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("room", "limits", "taken", "short", "left_slots"),
    [
        (10, (10, 10), 6, "", True),
        # Who got as many as were his share does not know whether that was all.
        (5, (10, 10), 5, "01", False),
        (10, (10, 2), 5, "1", True),
        (0, (10, 10), 0, "01", False),
    ],
)
def test_a_claim_tells_whose_atoms_may_wait_for_a_slot(
    room: int, limits: tuple[int, int], taken: int, short: str, left_slots: bool
) -> None:
    executions = [
        start(plan(*layers(3), name=f"plan {number}"), max_concurrency=most)
        for number, most in enumerate(limits)
    ]
    claim = Claim("me", lambda: room, LEASE, 100, True)

    assert len(write(claim)) == taken
    assert claim.short_of_slots == {executions[int(one)].id for one in short}
    assert claim.left_slots is left_slots


@pytest.mark.django_db
def test_a_claim_that_takes_the_last_ready_atom_in_its_last_slot_does_not_know_that_it_was_the_last() -> None:
    execution = start(plan(*layers(3)))
    exact, after = Claim("me", lambda: 3, LEASE, 100, True), Claim("me", lambda: 1, LEASE, 100, True)

    write(exact)
    assert (exact.short_of_slots, exact.left_slots) == ({execution.id}, False)
    assert write(after) == []

    assert (after.short_of_slots, after.left_slots) == (frozenset(), True)


@pytest.mark.django_db
def test_a_claim_knows_of_each_atom_how_long_a_chain_hangs_on_it() -> None:
    start(plan(adder("a"), adder("b", depends_on=["a"]), adder("c", depends_on=["b"]), adder("d")))

    assert {claim.key: claim.chain for claim in write(claiming())} == {"a": 3, "d": 1}
