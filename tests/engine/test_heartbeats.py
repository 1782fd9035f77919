"""What keeps a runner's hold on its atoms: the heartbeat, and connections that heal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from django.db import connection

from executions.engine.claims import renew_leases
from executions.engine.heartbeat import Heartbeat
from executions.engine.ledger import Reader
from executions.models import AtomRun
from tests.engine.by_hand import claim_one, claiming, start, write
from tests.engine.committed import transactional_db  # noqa: F401  a fixture
from tests.ground import ON_POSTGRES
from tests.plans import layers, plan
from tests.product import wait_for

pytestmark = pytest.mark.usefixtures("transactional_db")
T = TypeVar("T")


def _leases() -> dict[str, Any]:
    return dict(AtomRun.objects.exclude(lease_owner="").values_list("key", "lease_until"))


def test_a_beat_prolongs_the_leases_of_its_owner_and_no_others() -> None:
    start(plan(*layers(3)))
    write(claiming(2, owner="me", lease_s=5))
    write(claiming(1, owner="other", lease_s=5))
    before = _leases()

    assert renew_leases("me", timedelta(seconds=60)) == 2

    after = _leases()
    assert [after[key] > before[key] for key in ("a1.0", "a1.1", "a1.2")] == [True, True, False]


def test_a_beat_takes_nothing_back_that_was_lost() -> None:
    execution = start(plan(*layers(1)))
    claim_one(execution, owner="me").give_back()

    assert renew_leases("me", timedelta(seconds=60)) == 0

    assert AtomRun.objects.get().lease_until is None


def test_while_the_heartbeat_lasts_a_lease_does_not_end() -> None:
    start(plan(*layers(1)))
    write(claiming(1, owner="me", lease_s=0.3))
    first = _leases()["a1.0"]

    with Heartbeat("me", timedelta(seconds=0.3)):
        wait_for(lambda: _leases()["a1.0"] > first + timedelta(seconds=0.3), "several beats")
    last = _leases()["a1.0"]

    assert renew_leases("nobody", timedelta(seconds=60)) == 0
    assert _leases()["a1.0"] == last


@pytest.mark.skipif(not ON_POSTGRES, reason="server processes are PostgreSQL's")
def test_the_heartbeat_goes_on_after_its_connection_was_ended() -> None:
    start(plan(*layers(1)))
    write(claiming(1, owner="me", lease_s=0.3))

    with Heartbeat("me", timedelta(seconds=0.3)):
        first = _leases()["a1.0"]
        wait_for(lambda: _leases()["a1.0"] > first, "a first beat")
        _end_other_connections()
        second = _leases()["a1.0"]
        wait_for(lambda: _leases()["a1.0"] > second + timedelta(seconds=0.2), "beats after the break")


@pytest.mark.skipif(not ON_POSTGRES, reason="server processes are PostgreSQL's")
def test_reads_of_a_runner_are_repeated_over_a_new_connection() -> None:
    start(plan(*layers(2)))

    async def work() -> tuple[int, int]:
        reader = Reader()
        first = await reader.run(AtomRun.objects.count)
        await asyncio.to_thread(_in_own_thread, _end_other_connections)
        second = await reader.run(AtomRun.objects.count)
        await reader.close()
        return first, second

    assert asyncio.run(work()) == (2, 2)
    connection.close()  # this thread's own was ended with the others


def _in_own_thread(work: Callable[[], T]) -> T:
    try:
        return work()
    finally:
        connection.close()


def _end_other_connections() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.mark.skipif(not ON_POSTGRES, reason="SQLite has one writer")
def test_a_beat_waits_for_no_row_that_is_being_written() -> None:
    start(plan(*layers(2)))
    write(claiming(2, owner="me", lease_s=5))
    before = _leases()

    other = connection.copy("other")
    with closing(other), other.cursor() as cursor:
        other.set_autocommit(False)
        cursor.execute("SELECT 1 FROM executions_atomrun WHERE key = 'a1.0' FOR UPDATE")
        assert renew_leases("me", timedelta(seconds=60)) == 1

    after = _leases()
    assert [after[key] > before[key] for key in ("a1.0", "a1.1")] == [False, True]
    assert renew_leases("me", timedelta(seconds=60)) == 2
