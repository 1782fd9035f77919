"""The reconciler: work whose owner died is queued again, and somebody is rung for."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings as site
from django_q.models import OrmQ

from executions.engine.doorbell import RING_AGAIN
from executions.engine.reconciler import reconcile, take_back
from executions.models import AtomRun, Attempt, Call, Execution, Wave
from executions.services.control import cancel_execution, pause_execution
from tests.engine.by_hand import (
    RESERVED,
    assert_all_ended,
    assert_counters_equal_rows,
    claim_one,
    claiming,
    events,
    expire_leases,
    start,
    statuses,
    write,
)
from tests.plans import adder, layers, plan

pytestmark = pytest.mark.django_db


def _as_if_rung_long_ago() -> None:
    Execution.objects.update(rung_at=datetime.now(UTC) - 2 * RING_AGAIN)
    OrmQ.objects.all().delete()


def test_an_atom_whose_lease_ended_is_ready_again_and_its_call_is_lost() -> None:
    execution = start(plan(adder("a")))
    hand = claim_one(execution, owner="dead")
    hand.intend()
    expire_leases(execution)

    assert reconcile() == 1

    run = AtomRun.objects.get()
    assert (run.status, run.lease_owner, run.lease_until, run.deaths) == ("ready", "", None, 1)
    call = Call.objects.get()
    assert call.outcome == "lost"
    assert call.ended_at is not None
    execution.refresh_from_db()
    assert (execution.reserved_nano_usd, execution.lost_nano_usd) == (0, RESERVED)
    (lost,) = events(execution, "lease.lost")
    assert lost.data == {"owner": "dead", "fence": 1}
    assert Attempt.objects.get().status == "running"
    assert_counters_equal_rows(execution)


def test_a_lease_that_still_runs_is_left_alone() -> None:
    execution = start(plan(*layers(3)))
    claim_one(execution)

    assert reconcile() == 0

    assert sorted(statuses(execution).values()) == ["generating", "ready", "ready"]


def test_several_reconcilers_take_each_atom_back_once() -> None:
    execution = start(plan(*layers(3)))
    write(claiming())
    expire_leases(execution)

    assert [reconcile(), reconcile()] == [3, 0]

    assert set(AtomRun.objects.values_list("deaths", flat=True)) == {1}
    assert len(events(execution, "lease.lost")) == 3


def test_the_fifth_death_ends_the_atom_and_blocks_what_builds_on_it() -> None:
    execution = start(plan(adder("a"), adder("b", depends_on=["a"]), adder("c", depends_on=["b"])))

    for number in range(1, site.MGE_MAX_DEATHS + 1):
        hand = claim_one(execution, "a", owner=f"victim {number}")
        if number == 1:
            hand.intend()
        expire_leases(execution)
        reconcile()
        assert AtomRun.objects.get(key="a").deaths == number

    run = AtomRun.objects.get(key="a")
    assert (run.status, run.reason) == ("dead_lettered", "deaths")
    assert "5 times" in run.error
    assert Attempt.objects.get().status == "dead_lettered"
    assert statuses(execution) == {"a": "dead_lettered", "b": "blocked", "c": "blocked"}
    execution.refresh_from_db()
    assert (execution.atoms_dead_lettered, execution.atoms_blocked, execution.attempts_total) == (1, 2, 0)
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_atoms_of_dead_owners_end_cancelled_while_the_execution_is_being_cancelled() -> None:
    execution = start(plan(*layers(2, 1)))
    first = claim_one(execution)
    second = claim_one(execution)
    first.intend()
    second.answer(second.intend())
    assert cancel_execution(execution_id=execution.id, actor=None) == "cancelling"
    expire_leases(execution)

    reconcile()

    assert set(statuses(execution).values()) == {"cancelled"}
    assert set(Attempt.objects.values_list("status", flat=True)) == {"cancelled"}
    execution.refresh_from_db()
    assert execution.status == "cancelled"
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_a_pause_is_finished_when_the_last_owner_died() -> None:
    execution = start(plan(adder("a")))
    claim_one(execution).intend()
    assert pause_execution(execution_id=execution.id, actor=None) == "pausing"
    expire_leases(execution)

    reconcile()

    execution.refresh_from_db()
    assert execution.status == "paused"
    assert statuses(execution) == {"a": "ready"}


def test_it_rings_once_for_an_execution_that_nobody_works_on() -> None:
    execution = start(plan(*layers(3)))
    assert OrmQ.objects.count() == 1
    _as_if_rung_long_ago()

    reconcile()
    reconcile()

    (ring,) = OrmQ.objects.all()
    assert ring.task["args"] == (str(execution.id),)


def test_it_does_not_ring_where_somebody_works() -> None:
    start(plan(*layers(3)))
    write(claiming(1))
    _as_if_rung_long_ago()

    reconcile()

    assert not OrmQ.objects.exists()


def test_it_does_not_ring_for_an_atom_that_waits_for_its_time() -> None:
    execution = start(plan(adder("a")))
    claim_one(execution).give_back(wait_s=3600)
    _as_if_rung_long_ago()

    reconcile()
    assert not OrmQ.objects.exists()

    AtomRun.objects.update(not_before=datetime.now(UTC) - timedelta(seconds=1))
    reconcile()
    assert OrmQ.objects.count() == 1


def test_it_does_not_ring_for_what_is_paused_or_has_ended() -> None:
    paused = start(plan(*layers(2), name="paused"))
    ended = start(plan(*layers(2), name="ended"))
    pause_execution(execution_id=paused.id, actor=None)
    cancel_execution(execution_id=ended.id, actor=None)
    _as_if_rung_long_ago()

    reconcile()

    assert not OrmQ.objects.exists()


def test_one_executions_trouble_does_not_keep_the_others_from_being_looked_after() -> None:
    broken = start(plan(adder("a"), name="broken"))
    sound = start(plan(adder("b"), name="sound"))
    write(claiming())
    AtomRun.objects.filter(execution=broken).update(deaths=site.MGE_MAX_DEATHS)
    Wave.objects.filter(execution=broken).delete()
    expire_leases(broken)
    expire_leases(sound)

    reconcile()

    assert statuses(sound) == {"b": "ready"}
    assert statuses(broken) == {"a": "generating"}


def test_an_execution_that_is_gone_is_no_trouble() -> None:
    assert take_back(uuid.uuid4()) == 0
