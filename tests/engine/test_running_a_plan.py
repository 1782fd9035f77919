"""A plan goes in, every atom ends, and the record says how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from executions.models import AtomRun, Attempt, Call, Event, Execution, Wave
from tests.plans import adder, layers, plan, wrong

pytestmark = [pytest.mark.needs_sandbox]


def test_every_atom_succeeds_and_attempts_equal_the_script(
    scripted: Callable[..., Any], begin: Callable[..., Execution], finish: Callable[[Execution], Execution]
) -> None:
    atoms = layers(3, 2, 1)
    value = plan(*atoms)
    misses = [
        wrong(atoms[0], 1),
        wrong(atoms[3], 1),
        wrong(atoms[3], 2),
        wrong(atoms[5], 1),
        wrong(atoms[5], 2),
        wrong(atoms[5], 3),
    ]
    server = scripted(value, misses)

    execution = finish(begin(value))

    assert execution.status == "completed"
    assert execution.atoms_succeeded == 6
    assert execution.precision_percent == 100
    attempts = dict(AtomRun.objects.filter(execution=execution).values_list("key", "attempts"))
    assert attempts == server.script()["attempts"]
    assert sorted(attempts.values()) == [1, 1, 1, 2, 3, 4]
    assert server.stats()["calls"] == sum(attempts.values()) == execution.calls_total
    assert not AtomRun.objects.filter(execution=execution).exclude(assurance="tested").exists()


def test_no_wave_starts_before_the_one_ahead_has_ended(
    scripted: Callable[..., Any], begin: Callable[..., Execution], finish: Callable[[Execution], Execution]
) -> None:
    value = plan(*layers(4, 3, 2))
    scripted(value)

    execution = finish(begin(value))

    order = list(
        Event.objects.filter(execution=execution, type__startswith="wave.")
        .order_by("seq")
        .values_list("type", "wave")
    )
    assert order == [(f"wave.{what}", number) for number in (1, 2, 3) for what in ("started", "ended")]
    assert [wave.status for wave in Wave.objects.filter(execution=execution)] == ["completed"] * 3
    seqs = list(Event.objects.filter(execution=execution).order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(1, len(seqs) + 1))
    assert seqs[-1] == execution.seq


def test_an_atom_that_never_passes_fails_after_four_attempts_and_blocks_what_builds_on_it(
    scripted: Callable[..., Any], begin: Callable[..., Execution], finish: Callable[[Execution], Execution]
) -> None:
    hopeless = adder("hopeless")
    hopeless["reference_solution"] = "def add_hopeless(x: int) -> int:\n    return 0\n"
    others = [adder(f"fine{number}") for number in range(8)]
    value = plan(hopeless, *others, adder("child", depends_on=["hopeless"]))
    scripted(value, [wrong(hopeless, 1), wrong(hopeless, 2), wrong(hopeless, 3)])

    execution = finish(begin(value))

    assert execution.status == "completed"
    assert execution.precision_percent == 80
    failed = AtomRun.objects.get(execution=execution, key="hopeless")
    assert failed.status == "failed"
    assert failed.attempts == 4
    assert failed.error.startswith("Failed after 4 attempts")
    assert "add_hopeless" in failed.error
    blocked = AtomRun.objects.get(execution=execution, key="child")
    assert blocked.status == "blocked"
    assert "hopeless" in blocked.error
    assert AtomRun.objects.filter(execution=execution, status="succeeded").count() == 8
    assert Attempt.objects.filter(atom_run=failed, status="rejected").count() == 4


def test_an_empty_plan_completes_at_once(begin: Callable[..., Execution]) -> None:
    execution = begin(plan())

    assert execution.status == "completed"
    assert execution.precision_percent == 100


def test_counters_equal_the_rows_they_count(
    scripted: Callable[..., Any], begin: Callable[..., Execution], finish: Callable[[Execution], Execution]
) -> None:
    atoms = layers(3, 2)
    value = plan(*atoms)
    scripted(value, [wrong(atoms[0], 1), wrong(atoms[1], 1)])

    execution = finish(begin(value))

    calls = Call.objects.filter(execution=execution)
    assert execution.calls_total == calls.count()
    assert execution.cost_nano_usd == sum(call.cost_nano_usd or 0 for call in calls) > 0
    assert execution.reserved_nano_usd == 0
    assert execution.input_tokens == sum(call.input_tokens for call in calls)
    assert execution.attempts_total == Attempt.objects.filter(execution=execution).count() == 7
    assert execution.retries_total == execution.retries_passed == 2
