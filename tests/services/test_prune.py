"""prune: old executions go whole, nothing else goes with them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import models
from django.db.models import F
from django_q.models import Task

from executions.management.command import Refused
from executions.management.commands.prune import duration
from executions.models import (
    AtomRun,
    CachedAnswer,
    Execution,
    IdempotentRequest,
    Masterplan,
    Node,
    Tally,
)
from executions.models.metrics import ALL
from executions.services import prune
from executions.services.consistency import check_all
from executions.services.control import cancel_execution, pause_execution
from executions.services.fork import fork_execution
from executions.services.prune import plan_prune, prune_execution
from executions.services.repair import retry_atoms
from tests.engine.by_hand import Hand, claim_one, claiming, start, succeed_all, write
from tests.plans import adder, layers, plan

pytestmark = pytest.mark.django_db

AGE = timedelta(days=90)
BEFORE = datetime.now(UTC) - AGE


def _ended(days_ago: float = 100) -> Execution:
    """An execution with a retry, findings and calls, that ended then."""
    execution = start(plan(*layers(2, 1)), max_attempts=2)
    claim_one(execution, "a1.0").attempt(passed=False)
    hand = Hand(next(c for c in write(claiming()) if c.key == "a1.1"), 2)
    hand.attempt(passed=True)
    AtomRun.objects.filter(execution=execution, status="generating").update(
        status="ready", lease_owner="", lease_until=None
    )
    succeed_all(execution)
    assert execution.status == "completed"
    return _aged(execution, days_ago)


def _aged(execution: Execution, days_ago: float) -> Execution:
    Execution.objects.filter(pk=execution.pk).update(ended_at=datetime.now(UTC) - timedelta(days=days_ago))
    return execution


def _fork(execution: Execution, days_ago: float | None = None) -> Execution:
    fork = fork_execution(execution_id=execution.id, actor=None, wave=1)
    if days_ago is None:
        return fork
    succeed_all(fork)
    return _aged(fork, days_ago)


def _prune(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = 0
    try:
        call_command("prune", *arguments)
    except SystemExit as left:
        code = int(left.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


def _ids() -> set[uuid.UUID]:
    return set(Execution.objects.values_list("id", flat=True))


def _rows() -> dict[str, int]:
    return {
        model.__name__: model._default_manager.count()
        for model in apps.get_app_config("executions").get_models()
    }


def test_an_old_execution_goes_whole_and_its_masterplan_stays(capsys: pytest.CaptureFixture[str]) -> None:
    before = _rows()
    execution = _ended()
    assert all(
        _rows()[name] > before[name] for name in ("Issue", "Call", "Attempt", "AtomRun", "Wave", "Event")
    )

    code, out, _ = _prune(capsys, "--older-than", "90d")

    assert code == 0
    assert f"gone  {execution.id}  small plan  completed" in out
    assert "removed 1 executions (3 atoms," in out
    left = {name: count for name, count in _rows().items() if count != before[name]}
    assert set(left) == {"Masterplan", "Atom", "Tally"}
    assert check_all() == []


def test_every_table_that_knows_of_an_execution_is_emptied_of_it() -> None:
    """A model that refers to an execution, directly or not, must be named among the statements."""
    found: set[type[models.Model]] = {Execution}
    while True:
        more = {
            model
            for model in apps.get_models(include_auto_created=True)
            for field in model._meta.local_concrete_fields
            if field.many_to_one and field.related_model in found
        }
        if more <= found:
            break
        found |= more

    assert {model._meta.db_table for model in found} == {
        statement.split()[0] for statement in prune._ROWS_OF_EXECUTION
    }


@pytest.mark.parametrize("days", [89, 1, 0])
def test_what_ended_lately_stays(days: float) -> None:
    execution = _ended(days)

    assert plan_prune(AGE).executions == ()
    assert not prune_execution(execution.id, ended_before=BEFORE)
    assert _ids() == {execution.id}


def test_what_has_not_ended_is_never_touched_however_old() -> None:
    pending, paused, running = (start(plan(adder("a"))) for _ in range(3))
    pause_execution(execution_id=paused.id, actor=None)
    Execution.objects.exclude(pk=running.pk).filter(status="pending").update(
        created_at=datetime(2020, 1, 1, tzinfo=UTC)
    )
    write(claiming())
    Execution.objects.update(
        created_at=datetime(2020, 1, 1, tzinfo=UTC), started_at=datetime(2020, 1, 1, tzinfo=UTC)
    )

    assert plan_prune(timedelta()).executions == ()
    for one in (pending, paused, running):
        assert not prune_execution(one.id, ended_before=datetime.now(UTC))
    assert len(_ids()) == 3


def test_a_cancelled_one_goes_as_well() -> None:
    execution = start(plan(adder("a")))
    cancel_execution(execution_id=execution.id, actor=None)
    _aged(execution, 100)

    assert prune_execution(execution.id, ended_before=BEFORE)
    assert _ids() == set()


def test_the_oldest_goes_first() -> None:
    newer, older = _ended(100), _ended(200)

    assert [one.id for one in plan_prune(AGE).executions] == [older.id, newer.id]


def test_one_that_a_living_execution_was_forked_from_is_kept_and_said_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    origin = _ended()
    fork = _fork(origin)

    code, out, _ = _prune(capsys, "--older-than", "90d")

    assert code == 0
    assert f"kept  {origin.id}  small plan" in out
    assert f": forked as {fork.id}" in out
    assert "removed 0 executions" in out
    assert "kept 1 for their forks" in out
    assert _ids() == {origin.id, fork.id}
    assert check_all() == []


def test_a_fork_of_a_fork_keeps_both_of_those_before_it() -> None:
    origin = _ended(300)
    middle = _fork(origin, 200)
    newest = _fork(middle)

    kept = plan_prune(AGE).kept

    assert {one.id: forks for one, forks in kept} == {origin.id: (middle.id,), middle.id: (newest.id,)}


def test_an_origin_goes_after_its_forks_when_all_are_old(capsys: pytest.CaptureFixture[str]) -> None:
    origin = _ended(300)
    forks = {_fork(origin, 200).id, _fork(origin, 100).id}

    going = [one.id for one in plan_prune(AGE).executions]
    assert (set(going[:2]), going[2]) == (forks, origin.id)
    _prune(capsys, "--older-than", "90d")

    assert _ids() == set()
    assert check_all() == []


def test_one_that_was_reopened_or_forked_since_the_plan_was_made_stays() -> None:
    reopened, forked = _ended(), _ended()
    plan_before = plan_prune(AGE)
    assert len(plan_before.executions) == 2
    retry_atoms(execution_id=reopened.id, actor=None, atoms=["a1.0"])
    _fork(forked)

    assert [
        prune_execution(one.id, ended_before=plan_before.ended_before) for one in plan_before.executions
    ] == [False, False]


def test_a_dry_run_says_what_would_go_and_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    execution, kept = _ended(), _ended()
    _fork(kept)
    _old_leftovers()
    before = _rows(), Task.objects.count()

    code, out, _ = _prune(capsys, "--older-than", "90d", "--dry-run", "--cache")

    assert code == 0
    assert f"would go  {execution.id}" in out
    assert f"kept  {kept.id}" in out
    assert "would remove 1 executions" in out
    assert (
        "kept requests: 1, canaries and nodes that ended: 1, results of the queue: 1, cached answers: 1"
        in out
    )
    assert (_rows(), Task.objects.count()) == before


def _old_leftovers() -> None:
    old = datetime.now(UTC) - timedelta(days=100)
    IdempotentRequest.objects.create(
        user=User.objects.create_user("ada"), key="k", request_digest="d", created_at=old
    )
    Node.objects.create(id=uuid.UUID(int=1), host="h", pid=1, version="0", started_at=old, heartbeat_at=old)
    _task("old", old)
    _answer("old", old)


def _task(name: str, at: datetime) -> None:
    Task.objects.create(id=name, name=name, func="f", started=at, stopped=at, success=name == "old")


def _answer(key: str, at: datetime) -> None:
    CachedAnswer.objects.create(scope="command", key=key, answer="x", origin=ALL, created_at=at, used_at=at)


def test_what_else_is_kept_for_a_while_only_goes_too(capsys: pytest.CaptureFixture[str]) -> None:
    _old_leftovers()
    now = datetime.now(UTC)
    IdempotentRequest.objects.create(user=User.objects.get(), key="new", request_digest="d", created_at=now)
    Node.objects.create(id=uuid.UUID(int=2), host="h", pid=2, version="0", started_at=now, heartbeat_at=now)
    _task("new", now)
    _answer("new", now)

    _prune(capsys, "--older-than", "90d")

    assert list(IdempotentRequest.objects.values_list("key", flat=True)) == ["new"]
    assert [node.pid for node in Node.objects.all()] == [2]
    assert list(Task.objects.values_list("id", flat=True)) == ["new"]
    assert CachedAnswer.objects.count() == 2

    _prune(capsys, "--older-than", "90d", "--cache")

    assert list(CachedAnswer.objects.values_list("key", flat=True)) == ["new"]


def test_what_was_counted_of_it_and_not_moved_yet_is_moved() -> None:
    execution = _ended()
    plan_id = execution.masterplan_id
    Tally.objects.create(masterplan_id=plan_id, execution_id=execution.id, name="late_writes", amount=3)

    assert prune_execution(execution.id, ended_before=BEFORE)

    assert not Tally.objects.filter(execution_id=execution.id).exists()
    assert Tally.objects.get(masterplan_id=ALL, execution_id=ALL, name="late_writes").amount == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90d", timedelta(days=90)),
        ("0s", timedelta()),
        ("15m", timedelta(minutes=15)),
        ("36h", timedelta(hours=36)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_ages_have_a_number_and_a_unit(text: str, expected: timedelta) -> None:
    assert duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "90", "d", "-1d", "1.5d", "90 d", "90D", "1y", "٣d", "99999999w", "9" * 30 + "s"]
)
def test_other_ages_are_refused(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with pytest.raises(Refused, match="--older-than"):
        duration(text)

    code, out, err = _prune(capsys, f"--older-than={text}")
    assert (code, out) == (2, "")
    assert repr(text) in err


def test_masterplans_are_never_removed() -> None:
    execution = _ended()
    Masterplan.objects.update(created_at=F("created_at") - timedelta(days=1000))

    prune_execution(execution.id, ended_before=BEFORE)

    assert Masterplan.objects.filter(pk=execution.masterplan_id).exists()


def test_the_masterplan_of_an_execution_cannot_be_deleted() -> None:
    execution = _ended()
    masterplan: Any = execution.masterplan

    with pytest.raises(models.ProtectedError):
        masterplan.delete()
