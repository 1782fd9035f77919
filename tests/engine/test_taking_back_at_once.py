"""An owner that died on this host is known by its process; one elsewhere by its lease. One process leads the rest."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django_q.models import OrmQ

from executions.engine import owners
from executions.engine.leadership import lead
from executions.engine.owners import owner_name, process_name
from executions.engine.reconciler import reconcile, take_back_from_the_dead
from executions.models import AtomRun, Call, Canary, Leadership, Node, NodeWorker
from executions.scripted_model.processes import WatchedProcess
from tests.engine.by_hand import (
    assert_counters_equal_rows,
    claim_one,
    claiming,
    events,
    expire_leases,
    start,
    statements_sent,
    statuses,
    write,
)
from tests.ground import ON_POSTGRES
from tests.plans import adder, layers, plan

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """Another process of this host, alive."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def _name_of(pid: int) -> str:
    """As that process would name a runner of its own."""
    return ":".join([owners.host(), owners.place(), str(pid), str(WatchedProcess.now(pid).started), "abc"])


def test_a_dead_process_loses_its_atoms_before_their_leases_end_and_somebody_is_rung_for(
    other: subprocess.Popen[bytes],
) -> None:
    execution = start(plan(adder("a")))
    claim_one(execution, owner=_name_of(other.pid)).intend()
    OrmQ.objects.all().delete()

    assert take_back_from_the_dead() == 0
    other.kill()
    other.wait()
    assert take_back_from_the_dead() == 1

    assert statuses(execution) == {"a": "ready"}
    assert AtomRun.objects.get().deaths == 1
    assert Call.objects.get().outcome == "lost"
    assert [event.data["fence"] for event in events(execution, "lease.lost")] == [1]
    assert OrmQ.objects.get().task["args"] == (str(execution.id),)
    assert_counters_equal_rows(execution)


def test_only_the_dead_ones_atoms_are_taken(other: subprocess.Popen[bytes]) -> None:
    execution = start(plan(*layers(3)))
    write(claiming(1, owner=owner_name()))
    write(claiming(1, owner=_name_of(other.pid)))
    other.kill()
    other.wait()

    assert reconcile() == 1

    assert sorted(statuses(execution).values()) == ["generating", "ready", "ready"]


def test_a_later_process_with_the_same_number_is_not_the_owner(other: subprocess.Popen[bytes]) -> None:
    execution = start(plan(adder("a")))
    earlier = _name_of(other.pid).split(":")
    earlier[3] = "1"
    claim_one(execution, owner=":".join(earlier))

    assert take_back_from_the_dead() == 1


@pytest.mark.parametrize("part", [0, 1], ids=["host", "boot or container"])
def test_an_owner_elsewhere_is_left_to_its_lease(other: subprocess.Popen[bytes], part: int) -> None:
    execution = start(plan(adder("a")))
    name = _name_of(other.pid).split(":")
    name[part] = "elsewhere"
    claim_one(execution, owner=":".join(name))
    other.kill()
    other.wait()

    assert take_back_from_the_dead() == 0
    AtomRun.objects.update(lease_until=datetime.now(UTC) - MINUTE)
    assert reconcile() == 1


def test_names_that_nobody_of_ours_has_are_left_alone() -> None:
    assert [owners.has_ended(name) for name in ("", "runner", "a:b:c:d", f"{process_name()}:1")] == [
        False
    ] * 4


# --- who leads ---------------------------------------------------------------------------------------------------------


def test_one_leads_until_its_lease_ends_and_then_another(other: subprocess.Popen[bytes]) -> None:
    leader = _name_of(other.pid)
    Leadership.objects.create(job="reconciler", owner=leader, until=datetime.now(UTC) + MINUTE)
    assert not lead("reconciler", MINUTE)

    Leadership.objects.update(until=datetime.now(UTC) - MINUTE)

    assert lead("reconciler", MINUTE)
    assert Leadership.objects.get().owner == process_name()
    assert lead("reconciler", MINUTE)


def test_a_leader_that_died_here_is_followed_at_once(other: subprocess.Popen[bytes]) -> None:
    Leadership.objects.create(job="reconciler", owner=_name_of(other.pid), until=datetime.now(UTC) + MINUTE)
    other.kill()
    other.wait()

    assert lead("reconciler", MINUTE)


def test_who_does_not_lead_takes_back_from_the_dead_of_its_host_only(other: subprocess.Popen[bytes]) -> None:
    Leadership.objects.create(job="reconciler", owner="elsewhere:1:1:1", until=datetime.now(UTC) + MINUTE)
    one, two = start(plan(adder("a"), name="one")), start(plan(adder("b"), name="two"))
    claim_one(one, owner=_name_of(other.pid))
    claim_one(two, owner="elsewhere:1:2:3:4")
    expire_leases(two)
    other.kill()
    other.wait()

    assert reconcile() == 1

    assert statuses(one) | statuses(two) == {"a": "ready", "b": "generating"}


def test_the_leader_prolongs_its_office_before_it_ends() -> None:
    assert lead("reconciler", MINUTE)
    nearly_over = datetime.now(UTC) + MINUTE / 3
    Leadership.objects.update(until=nearly_over)

    assert lead("reconciler", MINUTE)

    assert Leadership.objects.get().until > nearly_over + MINUTE / 3


# --- what is left lying ------------------------------------------------------------------------------------------------


def test_rows_of_workers_canaries_and_nodes_of_long_ago_are_deleted() -> None:
    now = datetime.now(UTC)
    kept, gone = (
        Node.objects.create(
            id=uuid.uuid4(),
            host=name,
            pid=1,
            version="1",
            isolation="isolated",
            started_at=at,
            heartbeat_at=at,
        )
        for name, at in (("kept", now), ("gone", now - timedelta(days=8)))
    )
    NodeWorker.objects.create(node=gone, pid=1, beat_at=now - timedelta(days=8))
    NodeWorker.objects.create(node=kept, pid=1, beat_at=now - 2 * MINUTE)
    NodeWorker.objects.create(node=kept, pid=2, beat_at=now)
    Canary.objects.create(id=kept.pk, node=kept, sent_at=now - timedelta(hours=2))

    reconcile()

    assert list(Node.objects.values_list("host", flat=True)) == ["kept"]
    assert list(NodeWorker.objects.values_list("pid", flat=True)) == [2]
    assert not Canary.objects.exists()


@pytest.mark.skipif(ON_POSTGRES, reason="PostgreSQL plans a small table otherwise")
def test_the_questions_that_are_asked_every_second_are_answered_by_the_small_indexes() -> None:
    start(plan(*layers(3)))

    with statements_sent() as asked:
        reconcile()

    used = {}
    with connection.cursor() as cursor:
        for sql in asked:
            if sql.startswith(("SELECT lease_owner", "SELECT execution_id FROM executions_atomrun")):
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
                used[sql] = " ".join(row[3] for row in cursor.fetchall())
    assert len(used) == 2
    for sql, how in used.items():
        indexes = ("by_owner",) * 2 if "lease_owner" in sql else ("leased",) * 2
        for table, index in zip(("atom_run", "gate"), indexes, strict=True):
            assert f"{table}_{index}" in how, (sql, how)
