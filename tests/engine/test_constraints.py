"""The invariants as the database knows them: a row that breaks one is refused, whoever writes it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, models, transaction

from executions.models import Atom, AtomRun, Attempt, Call, Event, Execution, Gate, Issue, Masterplan, Wave
from tests.engine.by_hand import claim_one, start
from tests.plans import adder, layers, plan

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def _again(row: models.Model, **changes: Any) -> None:
    """Store a copy of a row with some fields changed."""
    row.pk = None
    if isinstance(row, Execution | AtomRun | Attempt | Call | Gate | Masterplan):
        row.pk = type(row)._meta.pk.get_default()
    row._state.adding = True
    for name, value in changes.items():
        setattr(row, name, value)
    row.save()


def _set(model: type[models.Model], **changes: Any) -> Callable[[], None]:
    def change() -> None:
        model._default_manager.filter(pk=model._default_manager.order_by("pk").first().pk).update(**changes)

    return change


def _copy(model: type[models.Model], **changes: Any) -> Callable[[], None]:
    def change() -> None:
        _again(model._default_manager.order_by("pk").first(), **changes)

    return change


def _second_version_of_an_owned_plan() -> None:
    Masterplan.objects.update(owner=User.objects.create_user("ada"))
    _again(Masterplan.objects.get())


def _second_passed_attempt() -> None:
    Attempt.objects.update(status="passed", ended_at=NOW)
    _again(Attempt.objects.get(), number=2)


ENDED = {"ended_at": NOW}
FREE = {"lease_owner": "", "lease_until": None}

REFUSED: dict[str, list[Callable[[], None]]] = {
    "masterplan_version_once": [_second_version_of_an_owned_plan],
    "masterplan_version_once_unowned": [_copy(Masterplan)],
    "atom_key_once": [_copy(Atom)],
    "atom_wave_from_1": [_set(Atom, wave=0)],
    "atom_chain_from_1": [_set(Atom, chain=0)],
    "execution_status_known": [_set(Execution, status="asleep"), _set(Execution, status="RUNNING")],
    "execution_schedule_known": [_set(Execution, schedule="sideways")],
    "execution_policy_known": [_set(Execution, on_dependency_failure="shrug")],
    "execution_concurrency_from_1": [_set(Execution, max_concurrency=0)],
    "execution_ended_within_total": [
        _set(Execution, atoms_succeeded=3),
        _set(Execution, atoms_failed=1, atoms_blocked=1, atoms_cancelled=1),
        _set(Execution, atoms_succeeded=1, atoms_dead_lettered=2),
    ],
    "execution_stored_within_total": [_set(Execution, atoms_stored=5)],
    "execution_passed_within_total": [_set(Execution, attempts_passed=1)],
    "execution_gates_within_total": [
        _set(Execution, gates_passed=3),
        _set(Execution, gates_due=1, gates_failed=2),
    ],
    "execution_wave_within_total": [_set(Execution, current_wave=2)],
    "wave_number_once": [_copy(Wave)],
    "wave_number_from_1": [_set(Wave, number=0)],
    "wave_status_known": [_set(Wave, status="paused")],
    "wave_ended_within_total": [_set(Wave, atoms_succeeded=2, atoms_unsuccessful=1)],
    "atom_run_once": [_copy(AtomRun)],
    "atom_run_status_known": [_set(AtomRun, status="waiting", **FREE)],
    "atom_run_leased_when_working": [
        _set(AtomRun, **FREE),
        _set(AtomRun, lease_owner=""),
        _set(AtomRun, lease_until=None),
        _set(AtomRun, status="ready"),
        _set(AtomRun, status="ready", lease_owner=""),
        _set(AtomRun, status="failed", lease_until=None),
    ],
    "atom_run_accepted_when_succeeded": [
        _set(AtomRun, status="succeeded", assurance="tested", **FREE),
        _set(AtomRun, status="failed", assurance="tested", **FREE),
        lambda: AtomRun.objects.filter(key="a1.0").update(
            status="succeeded", accepted=Attempt.objects.get(), **FREE
        ),
        lambda: AtomRun.objects.filter(key="a1.0").update(accepted=Attempt.objects.get()),
    ],
    "attempt_number_once": [_copy(Attempt, status="rejected", **ENDED)],
    "attempt_accepted_once": [_second_passed_attempt],
    "attempt_running_once": [_copy(Attempt, number=2)],
    "attempt_status_known": [_set(Attempt, status="won", **ENDED)],
    "attempt_number_from_1": [_set(Attempt, number=0)],
    "attempt_ended_at_set": [_set(Attempt, status="rejected"), _set(Attempt, **ENDED)],
    "call_ordinal_once": [_copy(Call, outcome="lost", **ENDED)],
    "call_open_once": [_copy(Call, ordinal=2)],
    "call_ended_at_set": [_set(Call, outcome="lost"), _set(Call, **ENDED)],
    "issue_ordinal_once": [_copy(Issue)],
    "event_seq_once": [_copy(Event)],
    "event_seq_from_1": [_set(Event, seq=0)],
    "gate_position_once": [_copy(Gate)],
    "gate_status_known": [_set(Gate, status="open")],
    "gate_of_a_wave_or_the_plan": [
        _set(Gate, level="file"),
        _set(Gate, level="masterplan", wave=1),
        _set(Gate, level="wave", wave=None),
        _set(Gate, level="wave", wave=2, position=1),
    ],
    "gate_leased_when_running": [
        _set(Gate, status="running"),
        _set(Gate, status="running", lease_owner="me"),
        _set(Gate, status="ready", lease_owner="me", lease_until=NOW),
    ],
    "gate_ended_at_set": [_set(Gate, status="passed"), _set(Gate, **ENDED)],
}
"""For each constraint of ours, changes that it must refuse."""

OURS: tuple[type[models.Model], ...] = (
    Masterplan,
    Atom,
    Execution,
    Wave,
    AtomRun,
    Attempt,
    Call,
    Issue,
    Event,
    Gate,
)


@pytest.fixture
def _rows() -> None:
    """An execution with two atoms, one of them leased, with an open attempt that has an open call and an issue; two gates."""
    execution = start(plan(*layers(2)), validators="full")
    hand = claim_one(execution, "a1.0")
    hand.intend()
    AtomRun.objects.exclude(key="a1.0").delete()
    Issue.objects.create(attempt=Attempt.objects.get(), ordinal=1, severity="ERROR", rule="x", message="m")


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name, found in REFUSED.items() for number in range(len(found))]
)
def test_a_row_that_breaks_an_invariant_is_refused(name: str, number: int) -> None:
    constraint = next(one for model in OURS for one in model._meta.constraints if one.name == name)

    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        REFUSED[name][number]()

    said = str(caught.value)
    columns = [f"{field}" for field in getattr(constraint, "fields", ())]
    assert name in said or (all(column in said for column in columns) and columns), said


def test_every_constraint_is_tried_here() -> None:
    assert {one.name for model in OURS for one in model._meta.constraints} == set(REFUSED)


@pytest.mark.usefixtures("_rows")
def test_counters_are_never_negative() -> None:
    for field in Execution._meta.get_fields():
        if isinstance(field, models.PositiveIntegerField | models.PositiveBigIntegerField):
            with pytest.raises(IntegrityError), transaction.atomic():
                Execution.objects.update(**{field.name: -1})


def test_a_new_version_of_a_plan_is_no_second_one() -> None:
    start(plan(adder("a")))
    start(plan(adder("b")))

    assert list(Masterplan.objects.order_by("version").values_list("version", flat=True)) == [1, 2]


@pytest.mark.usefixtures("_rows")
def test_a_superseded_attempt_makes_room_for_another_accepted_one() -> None:
    Attempt.objects.update(status="passed", ended_at=NOW, superseded=True)

    _again(Attempt.objects.get(), number=1, generation=2, superseded=False)

    assert Attempt.objects.count() == 2
