"""What the model is asked: temperatures, dependencies, feedback; and what the record says of it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from executions.models import Attempt, Call, Execution, Issue
from tests.plans import adder, plan, wrong

pytestmark = [pytest.mark.needs_sandbox]


def _four(server: Callable[..., Any], *arguments: object) -> tuple[dict[str, Any], Any]:
    atom = adder("a")
    value = plan(atom)
    return value, server(value, [wrong(atom, 1), wrong(atom, 2), wrong(atom, 3)], *arguments)


def test_the_four_attempts_carry_the_ladders_temperatures(
    scripted: Callable[..., Any], begin: Callable[..., Execution], finish: Callable[[Execution], Execution]
) -> None:
    value, server = _four(scripted)

    execution = finish(begin(value))

    assert [entry["temperature"] for entry in server.log()] == [0.7, 0.5, 0.3, 0.3]
    calls = Call.objects.filter(execution=execution).order_by("started_at")
    assert [call.applied["temperature"] for call in calls] == [0.7, 0.5, 0.3, 0.3]


def test_after_the_first_refusal_no_temperature_is_sent_and_the_call_says_why(
    scripted: Callable[..., Any], begin: Callable[..., Execution], finish: Callable[[Execution], Execution]
) -> None:
    value, server = _four(scripted, "--refuse-temperature")

    execution = finish(begin(value))

    assert [entry["temperature"] for entry in server.log()] == [0.7, None, None, None, None]
    calls = list(Call.objects.filter(execution=execution).order_by("started_at"))
    assert [call.requested["temperature"] for call in calls] == [0.7, 0.5, 0.3, 0.3]
    assert [call.applied["temperature"] for call in calls] == [None] * 4
    assert all("temperature" in call.dropped["temperature"] for call in calls)


def test_five_dependencies_show_five_signatures_three_bodies_and_how_many_were_left_out(
    scripted: Callable[..., Any], begin: Callable[..., Execution], finish: Callable[[Execution], Execution]
) -> None:
    below = [adder(f"d{number}", amount=number + 10) for number in range(5)]
    value = plan(*below, adder("top", depends_on=[atom["key"] for atom in below]))
    scripted(value)

    execution = finish(begin(value))

    prompts = dict(Attempt.objects.filter(execution=execution).values_list("atom_run__key", "prompt_user"))
    top = prompts["top"]
    assert all(atom["signature"] in top for atom in below)
    assert sum(f"return x + {number + 10}" in top for number in range(5)) == 3
    assert "2 more left out" in top
    assert "no dependencies" in prompts["d0"].lower()


def test_a_retry_names_its_number_and_holds_every_blocking_message_and_no_other(
    scripted: Callable[..., Any], begin: Callable[..., Execution], finish: Callable[[Execution], Execution]
) -> None:
    value, _ = _four(scripted)

    execution = finish(begin(value))

    attempts = list(Attempt.objects.filter(execution=execution).order_by("number"))
    assert [attempt.number for attempt in attempts] == [1, 2, 3, 4]
    for earlier, attempt in pairwise(attempts):
        assert f"attempt {attempt.number} of 4" in attempt.prompt_user.lower()
        issues = Issue.objects.filter(attempt=earlier)
        blocking = [issue.message for issue in issues if issue.severity in ("CRITICAL", "ERROR")]
        assert blocking
        assert all(message.splitlines()[0] in attempt.prompt_user for message in blocking)
        quiet = [issue.message for issue in issues if issue.severity in ("WARNING", "INFO")]
        assert not any(message in attempt.prompt_user for message in quiet)


def test_the_atoms_own_tests_are_in_every_prompt_and_hidden_ones_in_none(
    scripted: Callable[..., Any], begin: Callable[..., Execution], finish: Callable[[Execution], Execution]
) -> None:
    hidden = "from pkg.add_a import add_a\n\n\ndef test_hidden_case():\n    assert add_a(41) == 42\n"
    atom = adder("a", hidden_tests=hidden)
    value = plan(atom)
    scripted(value, [wrong(atom, 1), wrong(atom, 2)])

    execution = finish(begin(value))

    assert execution.atoms_succeeded == 1
    for attempt in Attempt.objects.filter(execution=execution):
        assert atom["tests"].strip() in attempt.prompt_user
        assert "add_a(41)" not in attempt.prompt_user + attempt.prompt_system


def test_an_answer_with_warnings_only_passes_and_they_are_not_fed_back(
    scripted: Callable[..., Any],
    begin: Callable[..., Execution],
    finish: Callable[[Execution], Execution],
) -> None:
    warned = adder("warned")
    warned["reference_solution"] = "def add_warned(x: int) -> int:\n    return eval('x + 1')\n"
    retried = adder("retried")
    miss = wrong(retried)
    miss["code"] = "def add_retried(x: int) -> int:\n    return eval('x + 7')\n"
    scripted(plan(warned, retried), [miss])

    execution = finish(begin(plan(warned, retried)))

    assert execution.atoms_succeeded == 2
    only = Attempt.objects.get(atom_run__key="warned")
    assert [(issue.severity, issue.rule) for issue in only.issues.all()] == [("WARNING", "review-call")]
    again = Attempt.objects.get(atom_run__key="retried", number=2)
    assert "uses eval" in Issue.objects.get(attempt__atom_run__key="retried", severity="WARNING").message
    assert "uses eval" not in again.prompt_user
