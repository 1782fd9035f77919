"""Gauges of what waits, runs and is stuck."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import F

from executions.engine.reconciler import take_back
from executions.identity import new_id
from executions.models import Attempt, Execution, Node, Wave
from executions.services.control import pause_execution
from tests.engine.by_hand import claim_one, claiming, expire_leases, start, succeed_all, write
from tests.metrics.exposition import Scrape
from tests.plans import layers, plan

pytestmark = pytest.mark.django_db
Ask = Callable[..., Scrape]


def _long_ago(execution: Execution, seconds: float) -> None:
    """As if everything so far had happened earlier."""
    earlier = timedelta(seconds=seconds)
    Execution.objects.filter(pk=execution.pk).update(
        created_at=F("created_at") - earlier, started_at=F("started_at") - earlier
    )
    Wave.objects.filter(execution=execution).update(started_at=F("started_at") - earlier)
    Attempt.objects.filter(execution=execution).update(started_at=F("started_at") - earlier)
    execution.atom_runs.update(started_at=F("started_at") - earlier)


def test_nothing_waits_on_an_empty_site(scrape: Ask) -> None:
    found = scrape()
    for name in (
        "mge_oldest_waiting_atom_seconds",
        "mge_atoms_waiting",
        "mge_leases_live",
        "mge_dead_letters",
    ):
        assert found(name) == 0
    assert found("mge_collector_up") == 1


def test_an_execution_that_nobody_has_begun_waits_from_its_start(scrape: Ask) -> None:
    execution = start(plan(*layers(2)))
    _long_ago(execution, 500)

    assert 500 <= scrape()("mge_oldest_waiting_atom_seconds") < 560
    assert scrape()("mge_executions", status="pending") == 1


def test_an_atom_that_nobody_took_waits_from_the_start_of_its_wave(scrape: Ask) -> None:
    execution = start(plan(*layers(3, 1)))
    write(claiming(1))
    _long_ago(execution, 300)

    found = scrape()

    assert found("mge_atoms_waiting") == 2
    assert 300 <= found("mge_oldest_waiting_atom_seconds") < 360
    assert found("mge_leases_live") == 1


def test_an_atom_that_was_given_back_waits_from_its_last_attempt(scrape: Ask) -> None:
    execution = start(plan(*layers(1)))
    hand = claim_one(execution)
    _long_ago(execution, 900)
    hand.attempt(passed=False)
    hand.give_back()

    assert scrape()("mge_atoms_waiting") == 1
    assert scrape()("mge_oldest_waiting_atom_seconds") < 60


def test_an_atom_that_was_told_to_wait_does_not_count_before_its_time(scrape: Ask) -> None:
    execution = start(plan(*layers(1)))
    hand = claim_one(execution)
    _long_ago(execution, 900)
    hand.fault(hand.intend(), wait_s=600)
    assert scrape()("mge_atoms_waiting") == 0
    assert scrape()("mge_oldest_waiting_atom_seconds") == 0

    execution.atom_runs.update(not_before=datetime.now(UTC) - timedelta(seconds=50))

    assert scrape()("mge_atoms_waiting") == 1
    assert scrape()("mge_oldest_waiting_atom_seconds") < 110


def test_a_paused_execution_does_not_wait_for_workers(scrape: Ask) -> None:
    execution = start(plan(*layers(2)))
    claim_one(execution).attempt(passed=True)
    _long_ago(execution, 900)
    pause_execution(execution_id=execution.id, actor=None)

    assert scrape()("mge_atoms_waiting") == 0
    assert scrape()("mge_oldest_waiting_atom_seconds") == 0
    assert scrape()("mge_executions", status="paused") == 1


def test_calls_leases_and_executions_are_seen_while_they_last(scrape: Ask) -> None:
    execution = start(plan(*layers(2)))
    hand = claim_one(execution)
    call = hand.intend()
    assert scrape()("mge_calls_in_flight") == 1
    assert scrape()("mge_leases_live") == 1
    assert scrape()("mge_executions", status="running") == 1

    expire_leases(execution)
    assert scrape()("mge_leases_live") == 0
    assert scrape()("mge_calls_in_flight") == 1, "it has no outcome yet"

    take_back(execution.id)
    assert scrape()("mge_calls_in_flight") == 0
    hand.answer(call)
    heir = claim_one(execution)
    heir.attempt_id, heir.calls = hand.attempt_id, hand.calls
    heir.answer(heir.intend())
    heir.judge(passed=True)
    succeed_all(execution)
    assert scrape()("mge_leases_live") == 0
    assert scrape()("mge_executions", status="completed") == 1


def test_an_atom_whose_owners_died_too_often_is_a_dead_letter(scrape: Ask) -> None:
    execution = start(plan(*layers(1)))
    claim_one(execution)
    execution.atom_runs.update(deaths=4)
    expire_leases(execution)
    take_back(execution.id)

    assert scrape()("mge_dead_letters") == 1
    assert scrape()("mge_atoms_ended_total", status="dead_lettered") == 1
    assert scrape()("v2_atoms_failed_total", masterplan_id=execution.masterplan_id, wave_id=1) == 1


def test_nodes_are_alive_while_they_beat(scrape: Ask) -> None:
    now = datetime.now(UTC)
    for age_s, more in ((0, {}), (60, {}), (0, {"stopped_at": now}), (0, {"draining": True})):
        Node.objects.create(
            id=new_id(),
            host="here",
            pid=1,
            version="1",
            isolation="isolated",
            started_at=now,
            heartbeat_at=now - timedelta(seconds=age_s),
            **more,
        )

    assert scrape()("mge_nodes_alive") == 1


def test_doorbells_wait_in_the_queue_until_a_worker_takes_them(scrape: Ask) -> None:
    before = scrape()("mge_messages_queued")
    start(plan(*layers(1)))

    assert scrape()("mge_messages_queued") == before + 1
