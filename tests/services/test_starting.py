"""Starting an execution: stored whole, answered at once, refused where its tests could never run."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django_q.models import OrmQ

from executions.engine.stored_plan import plan_spec
from executions.models import AtomRun, Execution, Masterplan, Node, Wave
from executions.planning.format import load_document
from executions.services.errors import InvalidSettings, StartRefused
from executions.services.explain import why_waiting
from executions.services.masterplans import store_masterplans
from executions.services.reports import report
from executions.services.start import costs_money, start_execution
from tests.engine.by_hand import claim_one, claiming, events, start, succeed_all, write
from tests.plans import adder, layers, plan

pytestmark = pytest.mark.django_db


def _node(*, isolation: str = "isolated", beat_s: float = 0, **more: Any) -> Node:
    now = datetime.now(UTC)
    return Node.objects.create(
        id=uuid.uuid4(),
        host="host",
        pid=1,
        version="1",
        isolation=isolation,
        started_at=now,
        heartbeat_at=now - timedelta(seconds=beat_s),
        **more,
    )


def _masterplan(**more: Any) -> Masterplan:
    found: Masterplan = store_masterplans(
        load_document(plan(*layers(2, 1), **more), origin="test"), owner=None
    )[0]
    return found


def test_it_is_stored_whole_and_pending_with_one_ring() -> None:
    ada = User.objects.create_user("ada")

    execution = start_execution(masterplan=_masterplan(), actor=ada, settings={"max_concurrency": "7"})

    assert (execution.status, execution.started_at, execution.owner) == ("pending", None, ada)
    assert (execution.max_concurrency, execution.config["max_concurrency"]) == (7, 7)
    runs = AtomRun.objects.order_by("position").values_list("key", "status", "wave", "unmet")
    assert list(runs) == [("a1.0", "pending", 1, 0), ("a1.1", "pending", 1, 0), ("a2.0", "pending", 2, 2)]
    assert list(Wave.objects.values_list("number", "atoms_total", "status")) == [
        *((1, 2, "pending"), (2, 1, "pending"))
    ]
    (created,) = events(execution)
    assert (created.type, created.data["who"], created.data["atoms"]) == ("execution.created", "ada", 3)
    assert [one.task["args"] for one in OrmQ.objects.all()] == [(str(execution.id),)]


def test_a_start_that_is_undone_rings_nobody() -> None:
    masterplan = _masterplan()

    def start_and_fail() -> None:
        with transaction.atomic():
            start_execution(masterplan=masterplan, actor=None)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        start_and_fail()

    assert not OrmQ.objects.exists()
    assert not Execution.objects.exists()


def test_bad_settings_store_nothing() -> None:
    masterplan = _masterplan()

    with pytest.raises(InvalidSettings):
        start_execution(masterplan=masterplan, actor=None, settings={"schedule": "up"})

    assert not Execution.objects.exists()
    assert not OrmQ.objects.exists()


def test_the_defaults_of_the_plan_hold_unless_somebody_says_otherwise() -> None:
    masterplan = _masterplan(defaults={"schedule": "flow", "max_attempts": 2})

    as_planned = start_execution(masterplan=masterplan, actor=None)
    otherwise = start_execution(masterplan=masterplan, actor=None, settings={"schedule": "waves"})

    assert (as_planned.schedule, as_planned.config["max_attempts"]) == ("flow", 2)
    assert (otherwise.schedule, otherwise.config["max_attempts"]) == ("waves", 2)


def test_an_execution_without_atoms_completes_at_once_and_rings_nobody() -> None:
    execution = start(plan())

    assert execution.status == "completed"
    assert [event.type for event in events(execution)] == [
        *("execution.created", "execution.started", "execution.ended")
    ]
    assert not OrmQ.objects.exists()
    assert report(execution)["precision_percent"] == 100
    assert report(execution)["attempts"] == {}


def test_it_is_refused_where_live_nodes_exist_and_none_can_run_tests() -> None:
    _node(isolation="none")
    masterplan = _masterplan()

    with pytest.raises(StartRefused, match="no live node can isolate"):
        start_execution(masterplan=masterplan, actor=None)

    assert not Execution.objects.exists()
    assert start_execution(masterplan=masterplan, actor=None, settings={"validators": "syntax"})


@pytest.mark.parametrize(
    "dead",
    [{"beat_s": 60}, {"stopped_at": datetime(2026, 11, 24, tzinfo=UTC)}, {"draining": True}],
    ids=["silent", "stopped", "draining"],
)
def test_nodes_that_take_no_work_are_no_reason_to_refuse(dead: dict[str, Any]) -> None:
    _node(isolation="none", **dead)

    assert start(plan(adder("a"))).status == "pending"


def test_one_node_that_can_run_tests_is_enough() -> None:
    _node(isolation="none")
    _node(isolation="restricted")

    assert start(plan(adder("a"))).status == "pending"


def test_why_it_waits_is_said_in_words() -> None:
    execution = start(plan(adder("a")), validators="tests")
    assert why_waiting(execution).startswith("no worker: start one")

    lame = _node(isolation="none")
    assert why_waiting(execution).startswith("no worker that can isolate")

    lame.delete()
    _node()
    assert why_waiting(execution) == "waits for a free worker"

    hand = claim_one(execution)
    execution.refresh_from_db()
    assert why_waiting(execution) == ""

    hand.give_back(wait_s=3600)
    assert why_waiting(execution).startswith("waits for the provider until")

    AtomRun.objects.update(not_before=None)
    succeed_all(execution)
    assert why_waiting(execution) == "waits for a free worker"  # to judge the project
    write(replace(claiming(), gate_room=lambda: 1))
    assert why_waiting(execution) == ""


def test_it_waits_for_the_provider_only_when_every_atom_that_is_ready_does() -> None:
    _node()
    execution = start(plan(adder("a"), adder("b")))
    first, second = claim_one(execution), claim_one(execution)
    execution.refresh_from_db()

    first.give_back(wait_s=3600)
    second.give_back()
    assert why_waiting(execution) == "waits for a free worker"

    AtomRun.objects.filter(pk=second.claim.run_id).update(not_before=datetime.now(UTC) - timedelta(seconds=1))
    assert why_waiting(execution) == "waits for a free worker"

    AtomRun.objects.filter(pk=second.claim.run_id).update(not_before=datetime.now(UTC) + timedelta(hours=2))
    until = AtomRun.objects.get(pk=first.claim.run_id).not_before
    assert why_waiting(execution) == f"waits for the provider until {until:%H:%M:%S} UTC"


def test_only_models_with_a_real_price_cost_money(settings: Any) -> None:
    settings.ANTHROPIC_BASE_URL, settings.ANTHROPIC_API_KEY, settings.MGE_MODEL = (
        "http://127.0.0.1:1",
        "x",
        "",
    )
    masterplan = _masterplan()

    assert costs_money({}, masterplan) == "claude-sonnet-5-5"
    assert costs_money({}, masterplan, scripted=True) is None
    assert costs_money({"model": "scripted-x"}, masterplan) is None
    assert costs_money({"model": "a-local-model"}, masterplan) is None
    ladder = [{}, {"model": "claude-opus-4-1"}]
    assert costs_money({"model": "scripted-x", "ladder": ladder}, masterplan) == "claude-opus-4-1"


def test_a_stored_plan_reads_back_as_it_was() -> None:
    value = plan(
        *layers(2, 2),
        requires=["attrs"],
        instructions="Be terse.",
        acceptance_tests=["def test_all():\n    assert True\n"],
        wave_tests=[{"wave": 1, "tests": "def test_wave():\n    assert True\n"}],
        approvals=[2],
        defaults={"max_attempts": 2},
    )
    (read,) = load_document(value, origin="test")
    (stored,) = store_masterplans([read], owner=None)

    again = plan_spec(Masterplan.objects.get(pk=stored.pk))

    assert again.atoms == read.atoms
    assert (again.requires, again.instructions, again.approvals) == (read.requires, read.instructions, (2,))
    assert (again.wave_tests, again.acceptance_tests) == (read.wave_tests, read.acceptance_tests)
    assert (dict(again.defaults), again.digest) == (dict(read.defaults), read.digest)
