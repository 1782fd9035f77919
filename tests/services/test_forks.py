"""Forks: accepted results are taken over, everything else is generated, with other settings."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User

from executions.models import AtomRun, Attempt, Execution
from executions.services.control import cancel_execution
from executions.services.errors import InvalidRequest, InvalidSettings, NotFound
from executions.services.export import export_of
from executions.services.fork import fork_costs_money, fork_execution
from executions.services.repair import retry_atoms
from tests.engine.by_hand import (
    Hand,
    assert_all_ended,
    assert_counters_equal_rows,
    claim_one,
    claiming,
    events,
    start,
    statuses,
    succeed_all,
    write,
)
from tests.plans import layers, plan

pytestmark = pytest.mark.django_db

FIVE = plan(*layers(2, 1, 2, 1, 1))


def _done(**settings: Any) -> Execution:
    execution = start(FIVE, **settings)
    succeed_all(execution)
    return execution


@pytest.mark.parametrize("schedule", ["waves", "flow"])
def test_results_up_to_the_wave_are_taken_over_and_the_rest_is_generated(schedule: str) -> None:
    source = _done(schedule=schedule)

    fork = fork_execution(execution_id=source.id, actor=None, wave=3, settings={"model": "scripted-other"})

    assert (fork.forked_from_id, fork.forked_at_wave, fork.status) == (source.id, 3, "pending")
    assert (fork.model, fork.config["model"]) == ("scripted-other", "scripted-other")
    assert (fork.atoms_succeeded, fork.atoms_total) == (5, 7)
    assert_counters_equal_rows(fork)
    hand = claim_one(fork)
    assert hand.claim.wave == 4
    hand.attempt(passed=True)
    succeed_all(fork)
    assert_all_ended(fork)
    assert_counters_equal_rows(fork)
    assert fork.calls_total == 2
    assert fork.attempts_total == 2
    assert export_of([fork.id]) == export_of([source.id])


def test_a_taken_over_result_says_where_it_comes_from() -> None:
    source = _done()

    fork = fork_execution(execution_id=source.id, actor=None, wave=1)

    run = AtomRun.objects.get(execution=fork, key="a1.0")
    original = Attempt.objects.get(execution=source, atom_run__key="a1.0")
    taken = Attempt.objects.get(atom_run=run)
    assert run.accepted_id == taken.id
    assert (taken.kind, taken.origin, taken.code) == ("fork", original.id, original.code)
    assert (run.assurance, run.attempts, run.reason) == ("tested", 0, "fork")


def test_the_source_stays_as_it_is_and_is_told() -> None:
    source = _done()
    before = statuses(source)

    fork = fork_execution(execution_id=source.id, actor=None, wave=2, why="another model")

    source.refresh_from_db()
    (told,) = events(source, "control.fork")
    assert (told.data["fork"], told.data["why"], told.wave) == (str(fork.id), "another model", 2)
    assert (source.status, statuses(source)) == ("completed", before)


def test_what_had_not_succeeded_is_generated_in_the_fork() -> None:
    source = start(FIVE, max_attempts=1)
    for claim in write(claiming()):
        Hand(claim, 1).attempt(passed=claim.key != "a1.0")

    fork = fork_execution(execution_id=source.id, actor=None, wave=5)

    assert statuses(fork)["a1.1"] == "succeeded"
    assert fork.atoms_succeeded == 1
    succeed_all(fork)
    assert set(statuses(fork).values()) == {"succeeded"}
    assert_all_ended(fork)
    assert_counters_equal_rows(fork)


def test_a_fork_of_everything_completes_without_a_call() -> None:
    source = _done()

    fork = fork_execution(execution_id=source.id, actor=None, wave=5)

    assert write(claiming()) == []
    fork.refresh_from_db()
    assert (fork.status, fork.calls_total) == ("completed", 0)
    assert_all_ended(fork)


def test_a_cancelled_execution_can_be_forked() -> None:
    source = start(FIVE)
    for claim in write(claiming()):
        Hand(claim).attempt(passed=True)
    cancel_execution(execution_id=source.id, actor=None)

    fork = fork_execution(execution_id=source.id, actor=None, wave=1)

    succeed_all(fork)
    assert_all_ended(fork)
    assert fork.calls_total == 5


def test_a_fork_of_a_fork_and_a_retry_in_a_fork() -> None:
    source = _done()
    fork = fork_execution(execution_id=source.id, actor=None, wave=5)
    write(claiming())
    second = fork_execution(execution_id=fork.id, actor=None, wave=4)

    succeed_all(second)
    retry_atoms(execution_id=fork.id, actor=None, atoms=["a1.0"])
    claim_one(fork, "a1.0").attempt(passed=True)

    assert (second.calls_total, second.status) == (1, "completed")
    for one in (fork, second):
        assert_all_ended(one)
        assert_counters_equal_rows(one)


def test_settings_of_the_source_are_kept_where_they_are_not_edited() -> None:
    ladder = [{"temperature": 0.9}, {"temperature": 0.1}]
    source = _done(max_concurrency=7, ladder=ladder, budget_usd="3", schedule="flow", seed=5)

    fork = fork_execution(execution_id=source.id, actor=None, wave=1, settings={"max_concurrency": 9})

    assert {**source.config, "max_concurrency": 9} == fork.config
    assert (fork.schedule, fork.budget_nano_usd) == ("flow", source.budget_nano_usd)


def test_a_person_owns_the_fork() -> None:
    ada = User.objects.create_user("ada")
    source = _done()

    fork = fork_execution(execution_id=source.id, actor=ada, wave=1)

    assert fork.owner == ada


def test_bad_requests_are_refused_and_store_nothing() -> None:
    source = start(FIVE)
    succeeded = claim_one(source)
    succeeded.attempt(passed=True)

    with pytest.raises(InvalidRequest, match="must be from 0 to 5"):
        fork_execution(execution_id=source.id, actor=None, wave=6)
    with pytest.raises(InvalidRequest, match="1 has not ended"):
        fork_execution(execution_id=source.id, actor=None, wave=1)
    with pytest.raises(InvalidSettings, match="schedule"):
        fork_execution(execution_id=source.id, actor=None, wave=0, settings={"schedule": "zigzag"})
    with pytest.raises(NotFound):
        fork_execution(execution_id=uuid.uuid4(), actor=None, wave=0)
    assert Execution.objects.count() == 1


def test_a_priced_model_is_named_before_anything_is_paid(settings: Any) -> None:
    settings.ANTHROPIC_API_KEY = "any"
    source = _done(model="scripted-x")

    assert fork_costs_money(source) is None
    assert fork_costs_money(source, {"model": "claude-sonnet-5-5"}) == "claude-sonnet-5-5"
