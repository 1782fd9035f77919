"""Pause, resume and cancel while a real runner works and the model has calls in flight."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from executions.models import AtomRun, Attempt, Call, Execution
from executions.services.control import cancel_execution, pause_execution, resume_execution
from tests.engine.by_hand import assert_all_ended, assert_counters_equal_rows, events, start, statuses
from tests.engine.committed import transactional_db  # noqa: F401  a fixture
from tests.engine.model_in_process import ModelInProcess, asked
from tests.engine.runner_thread import RunnerThread, run_to_rest
from tests.plans import adder, layers, plan, wrong
from tests.product import wait_for

pytestmark = pytest.mark.usefixtures("transactional_db")
STATIC = {"validators": "syntax"}


def _open_calls(execution: Execution) -> int:
    return Call.objects.filter(execution=execution, outcome="").count()


def _status(execution: Execution) -> str:
    execution.refresh_from_db()
    return str(execution.status)


def test_a_pause_lets_calls_in_flight_finish_and_starts_no_new_one(scratch: Path, settings: Any) -> None:
    value = plan(*layers(6, 2))
    with asked(settings, ModelInProcess(scratch, value, shut=True)) as model:
        execution = start(value, max_concurrency=3, **STATIC)
        with RunnerThread(execution):
            model.until_waiting(3)
            assert pause_execution(execution_id=execution.id, actor=None, why="a look") == "pausing"
            assert model.waiting == 3
            model.let_through(None)

        assert _status(execution) == "paused"
        assert model.stats()["calls"] == 3
        assert Counter(statuses(execution).values()) == {"succeeded": 3, "ready": 3, "pending": 2}
        assert not Call.objects.filter(outcome="").exists()
        assert_counters_equal_rows(execution)


def test_resume_finishes_exactly_the_rest(scratch: Path, settings: Any) -> None:
    value = plan(*layers(6, 2))
    with asked(settings, ModelInProcess(scratch, value, shut=True)) as model:
        execution = start(value, max_concurrency=3, **STATIC)
        with RunnerThread(execution):
            model.until_waiting(3)
            pause_execution(execution_id=execution.id, actor=None)
            model.let_through(None)
        done = set(AtomRun.objects.filter(status="succeeded").values_list("id", "accepted_id"))

        resume_execution(execution_id=execution.id, actor=None)
        run_to_rest(execution)

        assert execution.status == "completed"
        assert execution.atoms_succeeded == 8
        assert model.stats()["calls_per_atom"] == dict.fromkeys(model.attempts(), 1)
        assert done <= set(AtomRun.objects.values_list("id", "accepted_id"))
        assert_all_ended(execution)
        assert_counters_equal_rows(execution)


@pytest.mark.needs_sandbox
def test_an_atom_between_attempts_keeps_its_number_and_its_findings_over_a_pause(
    scratch: Path, settings: Any
) -> None:
    atom = adder("a")
    value = plan(atom)
    with asked(settings, ModelInProcess(scratch, value, [wrong(atom)], shut=True)) as model:
        execution = start(value, validators="full")
        with RunnerThread(execution):
            model.until_waiting(1)
            pause_execution(execution_id=execution.id, actor=None)
            model.let_through(None)
        assert _status(execution) == "paused"
        assert (AtomRun.objects.get().status, AtomRun.objects.get().attempts) == ("ready", 1)

        resume_execution(execution_id=execution.id, actor=None)
        run_to_rest(execution)

        assert execution.status == "completed"
        first, second = Attempt.objects.order_by("number")
        assert (first.status, second.status) == ("rejected", "passed")
        assert "attempt 2 of 4" in second.prompt_user.lower()
        message = first.issues.filter(severity="ERROR").first().message
        assert message.splitlines()[0] in second.prompt_user
        assert model.stats()["calls"] == 2


def test_a_pause_taken_back_in_time_loses_nothing(scratch: Path, settings: Any) -> None:
    value = plan(*layers(4, 1))
    with asked(settings, ModelInProcess(scratch, value, shut=True)) as model:
        execution = start(value, max_concurrency=2, **STATIC)
        with RunnerThread(execution):
            model.until_waiting(2)
            pause_execution(execution_id=execution.id, actor=None)
            resume_execution(execution_id=execution.id, actor=None)
            model.let_through(None)

        assert _status(execution) == "completed"
        assert model.stats()["calls"] == 5
        assert not events(execution, "execution.paused")


def test_a_cancel_aborts_calls_in_flight_and_everything_ends(scratch: Path, settings: Any) -> None:
    value = plan(*layers(5, 2))
    with asked(settings, ModelInProcess(scratch, value, shut=True)) as model:
        execution = start(value, max_concurrency=3, **STATIC)
        with RunnerThread(execution):
            model.until_waiting(3)
            assert cancel_execution(execution_id=execution.id, actor=None, why="enough") == "cancelling"
            model.until_waiting(0)

        assert _status(execution) == "cancelled"
        assert model.stats()["calls"] == 0
        assert set(statuses(execution).values()) == {"cancelled"}
        assert Counter(Call.objects.values_list("outcome", flat=True)) == {"cancelled": 3}
        assert Counter(Attempt.objects.values_list("status", flat=True)) == {"cancelled": 3}
        assert execution.lost_nano_usd == sum(Call.objects.values_list("reserved_nano_usd", flat=True)) > 0
        assert_all_ended(execution)
        assert_counters_equal_rows(execution)


def test_a_cancel_keeps_what_had_succeeded(scratch: Path, settings: Any) -> None:
    value = plan(*layers(4))
    with asked(settings, ModelInProcess(scratch, value, shut=True)) as model:
        execution = start(value, max_concurrency=2, **STATIC)
        with RunnerThread(execution):
            model.until_waiting(2)
            model.let_through(2)
            model.until_waiting(2)
            cancel_execution(execution_id=execution.id, actor=None)

        assert _status(execution) == "cancelled"
        assert Counter(statuses(execution).values()) == {"succeeded": 2, "cancelled": 2}
        assert execution.atoms_static == 2
        assert_all_ended(execution)
        assert_counters_equal_rows(execution)


def test_a_cancel_reaches_a_runner_that_waits_for_nothing_but_the_provider(
    scratch: Path, settings: Any
) -> None:
    settings.MGE_PROVIDER_BACKOFF_SECONDS = settings.MGE_PROVIDER_BACKOFF_MAX_SECONDS = 3000.0
    value = plan(*layers(2))
    from executions.scripted_model.faults import Fault

    failing = ModelInProcess(scratch, value, fault_share=1.0, faults=(Fault.OVERLOADED,))
    with asked(settings, failing):
        execution = start(value, **STATIC)
        with RunnerThread(execution):
            wait_for(lambda: AtomRun.objects.filter(not_before__isnull=False).count() == 2, "both wait")
            assert cancel_execution(execution_id=execution.id, actor=None) == "cancelled"

        assert_all_ended(execution)
        assert_counters_equal_rows(execution)
        assert set(Attempt.objects.values_list("status", flat=True)) == {"cancelled"}


def test_two_runners_share_an_execution_and_a_pause_stops_both(scratch: Path, settings: Any) -> None:
    settings.MGE_RUNNER_CAPACITY = 2
    value = plan(*layers(10))
    with asked(settings, ModelInProcess(scratch, value, shut=True)) as model:
        execution = start(value, **STATIC)
        with RunnerThread(execution), RunnerThread(execution):
            model.until_waiting(4)
            owners = set(AtomRun.objects.exclude(lease_owner="").values_list("lease_owner", flat=True))
            assert len(owners) == 2
            pause_execution(execution_id=execution.id, actor=None)
            model.let_through(None)

        assert _status(execution) == "paused"
        assert model.stats()["calls"] == 4
        resume_execution(execution_id=execution.id, actor=None)
        run_to_rest(execution)
        assert model.stats()["calls"] == 10
        assert_all_ended(execution)
        assert_counters_equal_rows(execution)


def test_pausing_and_resuming_again_and_again_loses_nothing_and_pays_for_nothing_twice(
    scratch: Path, settings: Any
) -> None:
    value = plan(*layers(4, 3, 2))
    with asked(settings, ModelInProcess(scratch, value, shut=True)) as model:
        execution = start(value, max_concurrency=2, **STATIC)
        while _status(execution) != "completed":
            with RunnerThread(execution):
                wait_for(lambda: model.waiting > 0, "a call in flight")
                pause_execution(execution_id=execution.id, actor=None)
                # One that was intended before the pause may still be on its way to the model.
                model.until_waiting(_open_calls(execution))
                model.let_through(model.waiting)
                wait_for(lambda: _status(execution) in ("paused", "completed"), "it rests")
            if execution.status == "paused":
                resume_execution(execution_id=execution.id, actor=None)

        assert model.stats()["calls_per_atom"] == dict.fromkeys(model.attempts(), 1)
        assert len(events(execution, "execution.paused")) == len(events(execution, "execution.resumed")) > 2
        assert_all_ended(execution)
        assert_counters_equal_rows(execution)
