"""Time limits: of a call, of the work on an attempt, and of an execution."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from executions.engine.configuration import Configuration
from executions.engine.deadlines import pause_overdue
from executions.models import AtomRun, Attempt, Call, Execution
from executions.services.control import pause_execution, resume_execution
from tests.engine.by_hand import assert_counters_equal_rows, claim_one, events, start
from tests.engine.model_in_process import ModelInProcess, asked
from tests.engine.runner_thread import RunnerThread, run_to_rest
from tests.plans import adder, layers, plan
from tests.product import wait_for


def _overdue(execution: Execution) -> None:
    Execution.objects.filter(pk=execution.pk).update(deadline_at=datetime.now(UTC) - timedelta(seconds=1))


def test_settings_without_time_limits_load_as_they_did() -> None:
    before = Configuration.from_json(
        {
            "model": "scripted-x",
            "endpoint": "embedded",
            "schedule": "waves",
            "max_concurrency": 1,
            "max_attempts": 4,
            "ladder": None,
            "validators": "full",
            "on_dependency_failure": "block",
            "budget_usd": None,
            "seed": None,
        }
    )

    limits = (before.call_timeout_s, before.attempt_timeout_s, before.execution_timeout_s)
    assert limits == (None, None, None)


@pytest.mark.django_db
def test_an_execution_past_its_time_limit_is_paused_with_the_reason_and_can_be_resumed() -> None:
    execution = start(plan(*layers(2)), execution_timeout_s=60)
    hand = claim_one(execution)
    execution.refresh_from_db()
    assert execution.deadline_at is not None
    assert execution.started_at is not None
    assert execution.deadline_at - execution.started_at == timedelta(seconds=60)
    assert pause_overdue() == 0

    _overdue(execution)
    assert (pause_overdue(), pause_overdue()) == (1, 0)

    execution.refresh_from_db()
    assert (execution.status, execution.deadline_at) == ("pausing", None)
    assert execution.status_reason == "time limit: it has run for 60 s"
    hand.give_back()
    execution.refresh_from_db()
    assert execution.status == "paused"
    resume_execution(execution_id=execution.id, actor=None)
    execution.refresh_from_db()
    assert execution.status == "running"
    assert execution.deadline_at is not None
    assert execution.deadline_at > datetime.now(UTC)
    assert_counters_equal_rows(execution)


@pytest.mark.django_db
def test_what_has_not_begun_has_no_deadline_and_what_has_no_limit_gets_none() -> None:
    pending = start(plan(adder("a"), name="pending"), execution_timeout_s=1)
    begun = start(plan(adder("b"), name="begun"))
    pause_execution(execution_id=pending.id, actor=None)
    claim_one(begun)

    for one in (pending, begun):
        one.refresh_from_db()
        assert one.deadline_at is None
    assert pause_overdue() == 0


@pytest.mark.usefixtures("fast_provider")
def test_a_call_that_takes_longer_than_the_execution_allows_is_a_fault_and_no_attempt(
    scratch: Path, settings: Any, begin: Callable[..., Execution]
) -> None:
    value = plan(adder("a"))
    with asked(settings, ModelInProcess(scratch, value, shut=True)) as model:
        execution = begin(value, validators="syntax", call_timeout_s=1)
        with RunnerThread(execution):
            model.until_waiting(1)
            wait_for(Call.objects.filter(outcome="transport_error").exists, "a call that took too long")
            model.let_through(None)

    (atom,) = AtomRun.objects.all()
    assert (atom.status, atom.attempts) == ("succeeded", 1)
    late, answered = Call.objects.order_by("ordinal")
    assert (late.outcome, late.error) == ("transport_error", "no answer within 1 s")
    assert answered.outcome == "answered"


@pytest.mark.usefixtures("fast_provider")
def test_a_call_takes_no_longer_than_the_time_for_the_attempt(
    scratch: Path, settings: Any, begin: Callable[..., Execution]
) -> None:
    value = plan(adder("a"))
    with asked(settings, ModelInProcess(scratch, value, shut=True)) as model:
        execution = begin(value, validators="syntax", attempt_timeout_s=1)
        with RunnerThread(execution):
            model.until_waiting(1)
            wait_for(Call.objects.filter(outcome="transport_error").exists, "a call that took too long")
            model.let_through(None)

    (atom,) = AtomRun.objects.all()
    assert (atom.status, atom.attempts, Attempt.objects.count()) == ("succeeded", 1, 1)


@pytest.mark.needs_sandbox
@pytest.mark.usefixtures("fast_provider")
def test_a_validation_that_takes_too_long_is_judged_again_without_a_new_call_until_it_is_given_up(
    scratch: Path, settings: Any, begin: Callable[..., Execution]
) -> None:
    settings.MGE_PROVIDER_MAX_FAULTS = 2
    slow = "import time\nfrom pkg.add_a import add_a\n\n\ndef test_a():\n    time.sleep(30)\n    assert add_a(1) == 2\n"
    value = plan(adder("a", tests=slow))
    with asked(settings, ModelInProcess(scratch, value)) as model:
        execution = run_to_rest(begin(value, attempt_timeout_s=2))
        calls = model.stats()["calls"]

    (atom,) = AtomRun.objects.all()
    assert (atom.status, atom.reason, atom.attempts) == ("failed", "provider", 0)
    assert atom.error == "The time limit of an attempt (2 s) was reached 2 times in a row"
    assert Attempt.objects.get().status == "provider"
    assert calls == 1
    assert [one.data["faults"] for one in events(execution, "attempt.overran")] == [1, 2]
    assert_counters_equal_rows(execution)
