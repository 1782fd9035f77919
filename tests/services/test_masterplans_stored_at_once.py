"""Masterplans that several people or commands store in the same moment."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from executions.models import Atom, Masterplan
from executions.planning.format import load_document
from executions.services.masterplans import store_masterplans
from tests.engine.committed import transactional_db  # noqa: F401  a fixture
from tests.plans import adder, layers, plan

pytestmark = pytest.mark.usefixtures("transactional_db")


def _at_once(works: Sequence[Callable[[], list[uuid.UUID]]]) -> list[list[uuid.UUID]]:
    together = threading.Barrier(len(works))

    def run(work: Callable[[], list[uuid.UUID]]) -> list[uuid.UUID]:
        try:
            together.wait(timeout=30)
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def _storing(value: dict[str, Any], owner: User | None = None) -> Callable[[], list[uuid.UUID]]:
    plans = load_document(value, origin="test")
    return lambda: [one.id for one in store_masterplans(plans, owner=owner)]


@pytest.mark.parametrize("owned", [False, True])
def test_the_same_plan_stored_at_once_is_one_plan(owned: bool) -> None:
    owner = User.objects.create_user("ada") if owned else None
    value = plan(*layers(20))

    stored = _at_once([_storing(value, owner) for _ in range(4)])

    assert len({one for (one,) in stored}) == 1
    assert Masterplan.objects.count() == 1
    assert Atom.objects.count() == 20


def test_other_plans_of_the_same_name_stored_at_once_are_versions_of_it() -> None:
    values = [plan(adder("a", amount=amount), *layers(20)) for amount in range(4)]

    stored = _at_once([_storing(value) for value in values])

    assert len({one for (one,) in stored}) == 4
    assert sorted(Masterplan.objects.values_list("version", flat=True)) == [1, 2, 3, 4]


def test_all_plans_of_a_file_are_stored_or_none() -> None:
    both = {"masterplans": [plan(adder("a"), name="one"), plan(adder("b"), name="two")]}
    plans = load_document(both, origin="test")

    stored = store_masterplans(plans, owner=None)

    assert [one.name for one in stored] == ["one", "two"]
    assert Masterplan.objects.count() == 2
    assert [one.id for one in store_masterplans(plans, owner=None)] == [one.id for one in stored]
