"""What is counted when an execution moves: in the same transaction, once, and for good."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from executions.engine.reconciler import take_back
from executions.engine.tallies import BOUNDS, Tallied, bucket, temperature_label, wave_label
from executions.engine.transaction import open_transaction
from executions.models import Execution, Tally
from executions.models.metrics import ALL
from executions.services.control import cancel_execution
from executions.services.start import start_execution
from executions.states import CallOutcome
from tests.engine.by_hand import Hand, claim_one, claiming, expire_leases, start, succeed_all, write
from tests.metrics.crowd import attempt_together
from tests.metrics.exposition import Scrape
from tests.metrics.rows import NANO, assert_counters_equal_rows
from tests.plans import adder, layers, plan

Ask = Callable[..., Scrape]


def query(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


@given(
    name=st.sampled_from(sorted(BOUNDS)), value=st.floats(min_value=0, allow_nan=False, allow_infinity=False)
)
def test_a_value_is_counted_under_the_lowest_bound_that_is_not_below_it(name: Tallied, value: float) -> None:
    chosen = float(bucket(name, value))

    assert value <= chosen
    assert all(value > bound for bound in BOUNDS[name] if bound < chosen)
    assert chosen in (*BOUNDS[name], math.inf)


def test_bounds_rise_and_reach_hours() -> None:
    for bounds in BOUNDS.values():
        assert list(bounds) == sorted(set(bounds))
    assert BOUNDS[Tallied.EXECUTION_SECONDS][-1] == 24 * 3600
    assert 3600 in BOUNDS[Tallied.WAVE_SECONDS]
    assert 3600 in BOUNDS[Tallied.ATOM_SECONDS]


def test_waves_behind_the_hundredth_share_a_label() -> None:
    assert [wave_label(number) for number in (1, 100, 101, 10_000)] == ["1", "100", "more", "more"]


def test_temperatures_are_written_as_people_write_them() -> None:
    assert [temperature_label(value) for value in (0.7, 0.30000000000000004, 0.0, 1.0, 2, None)] == [
        "0.7",
        "0.3",
        "0",
        "1",
        "2",
        "none",
    ]


@pytest.mark.django_db
def test_every_way_in_which_atoms_attempts_and_calls_end_is_counted_as_the_rows_say(scrape: Ask) -> None:
    atoms = [*layers(5, 1), adder("behind", depends_on=["a1.0"])]
    execution = start(plan(*atoms), max_attempts=2)
    hands = {claim.key: Hand(claim, 2) for claim in write(claiming())}
    assert sorted(hands) == ["a1.0", "a1.1", "a1.2", "a1.3", "a1.4"]
    hands["a1.0"].attempt(passed=False)
    hands["a1.0"].attempt(passed=False)  # failed; two behind it are blocked
    hands["a1.1"].attempt(passed=False)
    hands["a1.1"].attempt(passed=True)
    hands["a1.2"].fault(hands["a1.2"].intend(), outcome=CallOutcome.TRUNCATED, cost_nano_usd=300)
    hands["a1.3"].fault(hands["a1.3"].intend(), most=1, possibly_billed=True)  # the provider is given up
    open_call = hands["a1.4"].intend()
    assert_counters_equal_rows(scrape(), query)

    expire_leases(execution)
    take_back(execution.id)
    assert_counters_equal_rows(scrape(), query)
    assert scrape()("mge_calls_failed_total", outcome="lost") == 1
    assert scrape()("mge_possibly_spent_usd") == pytest.approx(2 * 1000 / NANO)

    hands["a1.4"].answer(open_call)  # too late, but it was paid for
    assert_counters_equal_rows(scrape(), query)
    assert scrape()("mge_late_writes_total") == 1

    cancel_execution(execution_id=execution.id, actor=None)
    found = scrape()
    assert_counters_equal_rows(found, query)
    assert found("mge_atoms_ended_total", status="blocked") == 2
    assert found("mge_atoms_ended_total", status="cancelled") == 2
    assert found("mge_executions_ended_total", status="cancelled") == 1
    assert found.sum("v2_execution_time_seconds_count") == 0, (
        "a cancelled one says nothing of how long they take"
    )


@pytest.mark.django_db
def test_rates_are_of_retries_and_of_all_verdicts(scrape: Ask) -> None:
    start(plan(*layers(3)), max_attempts=3)
    before = scrape()
    assert math.isnan(before("v2_retry_success_rate"))
    assert math.isnan(before("v2_atom_validation_pass_rate"))
    hands = [Hand(claim, 3) for claim in write(claiming())]
    hands[0].attempt(passed=True)
    for outcome in (False, False, True):
        hands[1].attempt(passed=outcome)
    for outcome in (False, True):
        hands[2].attempt(passed=outcome)

    found = scrape()

    assert found("v2_retry_success_rate") == pytest.approx(2 / 3)
    assert found("v2_atom_validation_pass_rate") == pytest.approx(3 / 6)
    assert [found("v2_retry_attempts_total", attempt_number=number) for number in (1, 2, 3, 4)] == [
        3,
        2,
        1,
        0,
    ]


@pytest.mark.django_db
def test_a_retry_at_another_temperature_than_before_is_a_change_and_one_at_the_same_is_none(
    scrape: Ask,
) -> None:
    ladder = [{"temperature": one} for one in (0.7, 0.5, 0.3, 0.3, None, 0.3)]
    start(plan(*layers(3)), max_attempts=6, ladder=ladder)
    claims = write(claiming())
    assert scrape().sum("v2_retry_temperature_changes_total") == 0
    for number, rung in enumerate(ladder, start=1):
        still_going = [claim for claim, rungs in zip(claims, (6, 4, 2), strict=True) if number <= rungs]
        attempt_together(still_going, number=number, passed=False, temperature=rung["temperature"])

    found = scrape()

    assert {
        (dict(labels)["from_temp"], dict(labels)["to_temp"]): value
        for (name, labels), value in found.samples.items()
        if name == "v2_retry_temperature_changes_total"
    } == {("0.7", "0.5"): 3, ("0.5", "0.3"): 2, ("0.3", "none"): 1, ("none", "0.3"): 1}
    assert_counters_equal_rows(found, query)


@pytest.mark.django_db
def test_histograms_hold_the_times_of_the_rows(scrape: Ask) -> None:
    execution = start(plan(*layers(3, 2)))
    succeed_all(execution)
    found = scrape()

    runs = [(run.ended_at - run.started_at).total_seconds() for run in execution.atom_runs.all()]
    assert found("v2_atom_execution_time_seconds_sum") == pytest.approx(sum(runs), abs=1e-9)
    assert found("v2_atom_execution_time_seconds_bucket", le="+Inf") == 5
    assert found("v2_atom_execution_time_seconds_bucket", le="1.0") == sum(1 for one in runs if one <= 1)
    for wave in execution.waves.all():
        seconds = (wave.ended_at - wave.started_at).total_seconds()
        labels = {"wave_id": wave.number}
        assert found("v2_wave_time_seconds_sum", **labels) == pytest.approx(seconds, abs=1e-9)
        assert found("v2_wave_atom_throughput_count", **labels) == 1
        assert found("v2_wave_atom_throughput_sum", **labels) == pytest.approx(
            wave.atoms_total / seconds, abs=1e-5
        )
    took = (execution.ended_at - execution.started_at).total_seconds()
    labels = {"masterplan_id": execution.masterplan_id}
    assert found("v2_execution_time_seconds_sum", **labels) == pytest.approx(
        execution.ran_ms / 1000, abs=1e-9
    )
    assert execution.ran_ms / 1000 == pytest.approx(took, abs=1e-3)
    assert found("v2_execution_time_seconds_bucket", **labels, le="+Inf") == 1


@pytest.mark.django_db
def test_counters_do_not_fall_when_executions_are_deleted(scrape: Ask) -> None:
    execution = start(plan(*layers(2, 1)))
    succeed_all(execution)
    before = scrape()
    again = start(plan(*layers(2, 1), name="another"))
    # A succeeded atom may not lose its attempt, not even on the way out.
    execution.atom_runs.update(status="failed", accepted=None, assurance="")
    execution.delete()

    after = scrape()

    assert before("mge_atoms_ended_total", status="succeeded") == 3
    for name, labels in before.samples:
        if name.startswith(("mge_", "v2_")) and name.endswith(("_total", "_bucket", "_count", "_sum")):
            kept = {value for key, value in labels if key == "masterplan_id"} <= {str(again.masterplan_id)}
            assert not kept or after.samples[name, labels] >= before.samples[name, labels], name


@pytest.mark.django_db
def test_at_its_end_an_execution_hands_its_tallies_over_to_masterplan_and_site(scrape: Ask) -> None:
    execution = start(plan(*layers(2)))
    hand = claim_one(execution)
    hand.attempt(passed=True)
    assert {row.execution_id for row in Tally.objects.all()} == {execution.id}

    claim_one(execution).attempt(passed=True)

    assert {row.execution_id for row in Tally.objects.all()} == {ALL}
    assert {row.masterplan_id for row in Tally.objects.all()} == {ALL, execution.masterplan_id}
    assert_counters_equal_rows(scrape(), query)


@pytest.mark.django_db
def test_what_comes_in_after_the_end_is_handed_over_as_well(scrape: Ask) -> None:
    execution = start(plan(*layers(1)))
    late = claim_one(execution)
    call = late.intend()
    expire_leases(execution)
    take_back(execution.id)
    heir = claim_one(execution)
    heir.attempt_id, heir.calls = late.attempt_id, late.calls
    heir.answer(heir.intend())
    heir.judge(passed=True)

    late.answer(call, cost=5_000)

    assert {row.execution_id for row in Tally.objects.all()} == {ALL}
    assert_counters_equal_rows(scrape(), query)
    assert scrape()("mge_possibly_spent_usd") == 0, "the bill came after all"


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_is_undone_has_counted_nothing() -> None:
    execution = start(plan(*layers(1)))
    before = list(Tally.objects.values_list("name", "label", "part", "amount"))

    def write_then_fail() -> None:
        with open_transaction(execution.id) as unit:
            locked = unit.executions[execution.id]
            unit.event(locked, "lease.lost", wave=1, atom="a1.0")
            unit.flush()
            assert Tally.objects.filter(name=Tallied.LOST_LEASES).exists()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_then_fail()

    assert list(Tally.objects.values_list("name", "label", "part", "amount")) == before


@pytest.mark.django_db
def test_an_execution_without_atoms_is_counted_too(scrape: Ask) -> None:
    execution = start(plan())
    execution.refresh_from_db()

    assert execution.status == "completed"
    assert scrape()("mge_executions_ended_total", status="completed") == 1
    assert scrape()("v2_execution_precision_percent", masterplan_id=execution.masterplan_id) == 100


@pytest.mark.django_db
def test_several_executions_of_a_masterplan_add_up(scrape: Ask) -> None:
    first = start(plan(*layers(2)))
    succeed_all(first)
    second: Execution = start_execution(masterplan=first.masterplan, actor=None)
    labels = {"masterplan_id": first.masterplan_id, "wave_id": 1}
    assert scrape()("v2_wave_completion_percent", **labels) == 0, "of the newest execution"
    assert scrape()("v2_atoms_succeeded_total", **labels) == 2, "of all executions"

    claim_one(second).attempt(passed=True)

    found = scrape()
    assert found("v2_wave_completion_percent", **labels) == 50
    assert found("v2_execution_precision_percent", masterplan_id=first.masterplan_id) == 50
    assert found("v2_atoms_succeeded_total", **labels) == 3
    assert found("mge_atoms_ended_total", status="succeeded") == 3
