"""People and their clients, and executions to ask about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as site
from django.contrib.auth.models import Group, User

from executions.api.throttles import forget_reads
from executions.engine.plan_graph import plan_graph
from executions.models import Execution, Masterplan
from executions.planning.format import load_document
from executions.services.masterplans import store_masterplans
from executions.services.start import start_execution
from tests.api.people import Person, client_of
from tests.plans import layers, plan


@pytest.fixture(autouse=True)
def _fresh_process() -> Iterator[None]:
    site.MGE_DATA_DIR.mkdir(parents=True, exist_ok=True)
    forget_reads()
    plan_graph.cache_clear()
    yield
    forget_reads()


@pytest.fixture
def make_person(db: None) -> Callable[..., Person]:
    def make(name: str, *groups: str, staff: bool = False) -> Person:
        user = User.objects.create_user(name, is_staff=staff)  # no password: hashing one takes a second
        user.groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])
        return Person(user, client_of(user))

    return make


@pytest.fixture
def ada(make_person: Callable[..., Person]) -> Person:
    return make_person("ada")


@pytest.fixture
def grace(make_person: Callable[..., Person]) -> Person:
    """Somebody else."""
    return make_person("grace")


@pytest.fixture
def store() -> Callable[..., Masterplan]:
    """Store a plan with waves of these sizes."""

    def stored(
        owner: Person | None, *sizes: int, name: str = "small plan", team: Group | None = None, **more: Any
    ) -> Masterplan:
        document = plan(*layers(*(sizes or (2, 1))), name=name, **more)
        user = None if owner is None else owner.user
        return store_masterplans(load_document(document, origin="test"), owner=user, team=team)[0]

    return stored


@pytest.fixture
def begin(store: Callable[..., Masterplan]) -> Callable[..., Execution]:
    """Start an execution of such a plan; nothing works on it."""

    def started(owner: Person | None, *sizes: int, **more: Any) -> Execution:
        user = None if owner is None else owner.user
        return start_execution(masterplan=store(owner, *sizes, **more), actor=user)

    return started
