"""Large plans: their atoms are stored in chunks, in the background, and nothing begins before all are there."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django_q.models import OrmQ

from executions import tasks
from executions.engine.building import CHUNK, LARGE_PLAN, MOST_TOLD, PlannedAtom, build, ring_unbuilt
from executions.models import Atom, AtomRun, Execution, Node
from executions.services.control import cancel_execution, pause_execution, resume_execution
from executions.services.explain import why_waiting
from tests.engine.by_hand import (
    assert_all_ended,
    assert_counters_equal_rows,
    claiming,
    events,
    start,
    write,
)
from tests.engine.committed import transactional_db  # noqa: F401  a fixture
from tests.plans import layers, plan

ATOMS = LARGE_PLAN + CHUNK // 2
pytestmark = pytest.mark.django_db


class _BuilderDied(Exception):
    pass


def _large(**settings: Any) -> Execution:
    return start(plan(*layers(ATOMS - 2, 2)), validators="syntax", **settings)


def _die_after(execution: Execution, chunks: int) -> None:
    """A builder that is gone in the middle of the chunk after so many."""
    seen: list[int] = []

    def die(_: Any, __: Any, atoms: Sequence[PlannedAtom]) -> None:
        seen.append(len(atoms))
        if len(seen) > chunks:
            raise _BuilderDied

    with pytest.raises(_BuilderDied):
        build(execution.id, overrides=die)
    execution.refresh_from_db()


def _rings() -> list[tuple[str, str]]:
    return [(one.task["func"], one.task["args"][0]) for one in OrmQ.objects.order_by("pk")]


def _assert_whole(execution: Execution) -> None:
    execution.refresh_from_db()
    assert (execution.atoms_stored, execution.is_built) == (ATOMS, True)
    planned = Atom.objects.filter(masterplan=execution.masterplan).order_by("position")
    stored = AtomRun.objects.filter(execution=execution).order_by("position")
    assert list(stored.values_list("position", "key", "wave", "chain", "atom_id")) == list(
        planned.values_list("position", "key", "wave", "chain", "pk")
    )
    assert dict(stored.order_by().values_list("key", "unmet"))["a2.0"] == 3


def _a_node() -> None:
    now = datetime.now(UTC)
    Node.objects.create(
        id=uuid.uuid4(), host="h", pid=1, version="1", isolation="isolated", started_at=now, heartbeat_at=now
    )


def test_a_plan_at_the_limit_is_stored_whole_and_rings_a_runner() -> None:
    execution = start(plan(*layers(LARGE_PLAN)))

    assert execution.is_built
    assert AtomRun.objects.count() == LARGE_PLAN
    assert _rings() == [("executions.tasks.run", str(execution.id))]
    assert not events(execution, "execution.building", "execution.built")


def test_a_larger_one_is_stored_without_its_atoms_and_rings_a_builder() -> None:
    execution = _large()

    assert (execution.status, execution.atoms_stored, execution.atoms_total) == ("pending", 0, ATOMS)
    assert not AtomRun.objects.exists()
    assert execution.waves.count() == 2
    assert _rings() == [("executions.tasks.build", str(execution.id))]


def test_the_builder_stores_every_atom_once_and_rings_a_runner() -> None:
    execution = _large()
    OrmQ.objects.all().delete()

    tasks.build(str(execution.id))

    _assert_whole(execution)
    assert execution.status == "pending"
    assert _rings() == [("executions.tasks.run", str(execution.id))]
    told = [(one.type, one.data) for one in events(execution, "execution.building", "execution.built")]
    assert told == [
        *(("execution.building", {"stored": n * CHUNK, "atoms": ATOMS}) for n in (1, 2)),
        ("execution.built", {"atoms": ATOMS}),
    ]
    assert len(told) <= MOST_TOLD + 1
    assert_counters_equal_rows(execution)


def test_a_second_builder_finds_nothing_to_do() -> None:
    execution = _large()

    assert (build(execution.id), build(execution.id)) == (ATOMS, 0)
    _assert_whole(execution)
    assert len(events(execution, "execution.built")) == 1


def test_a_builder_of_what_is_gone_does_nothing() -> None:
    assert build(uuid.uuid4()) == 0


def test_nothing_is_claimed_while_a_row_is_missing_and_it_says_so() -> None:
    _a_node()
    execution = _large()
    _die_after(execution, chunks=2)

    assert write(claiming(1)) == []
    execution.refresh_from_db()
    assert execution.status == "pending"
    assert why_waiting(execution) == "is being stored: 2,000 of 2,500 atoms"

    build(execution.id)
    assert len(write(claiming(1))) == 1


def test_a_builder_that_died_is_followed_by_another_that_goes_on_where_it_was() -> None:
    execution = _large()
    _die_after(execution, chunks=1)
    assert execution.atoms_stored == AtomRun.objects.count() == CHUNK

    assert build(execution.id) == ATOMS - CHUNK

    _assert_whole(execution)
    assert_counters_equal_rows(execution)


def test_paused_meanwhile_it_is_built_and_stays_paused() -> None:
    execution = _large()
    _die_after(execution, chunks=1)
    pause_execution(execution_id=execution.id, actor=None, why="lunch")
    OrmQ.objects.all().delete()

    build(execution.id)

    _assert_whole(execution)
    assert (execution.status, execution.status_reason) == ("paused", "lunch")
    assert _rings() == []
    assert write(claiming(1)) == []
    resume_execution(execution_id=execution.id, actor=None)
    assert len(write(claiming(1))) == 1


def test_resumed_before_it_is_built_it_is_begun_by_nobody_until_it_is() -> None:
    execution = _large()
    pause_execution(execution_id=execution.id, actor=None)
    resume_execution(execution_id=execution.id, actor=None)

    assert write(claiming(1)) == []
    build(execution.id)
    assert len(write(claiming(1))) == 1


def test_cancelled_meanwhile_the_rest_is_stored_as_cancelled() -> None:
    execution = _large()
    _die_after(execution, chunks=1)
    cancel_execution(execution_id=execution.id, actor=None)
    execution.refresh_from_db()
    assert (execution.status, execution.atoms_cancelled) == ("cancelling", CHUNK)

    build(execution.id)

    execution.refresh_from_db()
    assert (execution.status, execution.atoms_cancelled) == ("cancelled", ATOMS)
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_a_cancellation_ends_without_any_worker() -> None:
    execution = _large()
    cancel_execution(execution_id=execution.id, actor=None)

    ring_unbuilt()

    assert_all_ended(execution)
    assert_counters_equal_rows(execution)


def test_a_lost_ring_is_made_again_once_it_has_been_quiet() -> None:
    execution = _large()
    OrmQ.objects.all().delete()

    assert ring_unbuilt() == 0
    Execution.objects.update(rung_at=datetime.now(UTC) - timedelta(minutes=1))
    assert (ring_unbuilt(), ring_unbuilt()) == (1, 0)
    assert _rings() == [("executions.tasks.build", str(execution.id))]


def test_several_builders_at_once_store_every_atom_once(
    transactional_db: None,  # noqa: F811  the fixture that commits
) -> None:
    execution = _large()
    together = threading.Barrier(3)

    def work(_: int) -> int:
        try:
            together.wait(timeout=30)
            return build(execution.id)
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        stored = list(pool.map(work, range(3)))

    assert sum(stored) == ATOMS
    _assert_whole(execution)
    assert_counters_equal_rows(execution)
