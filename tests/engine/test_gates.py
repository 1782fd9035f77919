"""Gates: the project is judged after each wave and at the end, and what was found moves the execution on, or stops it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from executions.engine.claims import Claim
from executions.engine.gate_changes import RecordGate, RecordGateDeath
from executions.engine.gate_claims import ClaimedGate
from executions.engine.ledger import LeaseLost
from executions.engine.reconciler import reconcile
from executions.findings import Finding, Severity
from executions.models import Attempt, Event, Execution, Gate
from executions.planning.delivery import ExportRefused, digest_of
from executions.services.consistency import check_execution
from executions.services.control import cancel_execution, pause_execution, resume_execution
from executions.services.errors import InvalidRequest
from executions.services.export import export_of
from executions.services.fork import fork_execution
from executions.services.gates import judge_again
from executions.services.repair import retry_atoms, roll_back
from executions.services.review import supply_code
from executions.validation.levels.verdict import GateVerdict
from tests.engine import by_hand
from tests.engine.runner_thread import RunnerThread
from tests.plans import layers, plan
from tests.product import wait_for

pytestmark = [pytest.mark.needs_sandbox]

Begin = Callable[..., Execution]
Finish = Callable[[Execution], Execution]

PASSED = GateVerdict.of()
FAILED = GateVerdict.of(Finding(Severity.ERROR, "test-failed", "it is wrong"))
WRONG = "def test_of_the_wave():\n    assert 1 == 2\n"


def right(number: int) -> str:
    name = f"add_a{number}_0"
    return f"from pkg.{name} import {name}\n\n\ndef test_it():\n    assert {name}(1) == {1 + number}\n"


def gates(execution: Execution) -> dict[str, str]:
    return {
        str(gate.wave or "plan"): gate.status
        for gate in Gate.objects.filter(execution=execution).order_by("position")
    }


def told(execution: Execution, *families: str) -> list[str]:
    """Events of these families in order, e.g. `gate.ended 1`."""
    found = Event.objects.filter(execution=execution).order_by("seq")
    return [
        f"{event.type} {event.wave or event.data.get('level', '')}".strip()
        for event in found
        if event.type.partition(".")[0] in families
    ]


@pytest.mark.parametrize("schedule", ["waves", "flow"])
def test_every_wave_and_the_plan_are_judged_before_the_execution_completes(
    scripted: Callable[..., Any], begin: Begin, finish: Finish, schedule: str
) -> None:
    value = plan(
        *layers(2, 1, 1),
        wave_tests=[{"wave": 2, "tests": right(2)}],
        acceptance_tests=[right(1), right(3)],
    )
    scripted(value)

    execution = finish(begin(value, schedule=schedule))

    assert execution.status == "completed"
    assert gates(execution) == {"1": "passed", "2": "passed", "3": "passed", "plan": "passed"}
    found = Gate.objects.filter(execution=execution).order_by("position")
    # The modules of each wave, and the tests of the second; at the end every module, and two acceptance tests.
    assert [(gate.tests_passed, gate.tests_total) for gate in found] == [(2, 2), (2, 2), (1, 1), (6, 6)]
    assert all(gate.findings == [] and gate.isolation and gate.project_digest for gate in found)
    assert (execution.gates_total, execution.gates_passed, execution.gates_due) == (4, 4, 0)
    assert told(execution, "execution", "gate")[-2:] == ["gate.ended masterplan", "execution.ended"]
    if schedule == "waves":
        order = told(execution, "wave", "gate")
        for number in (1, 2):
            ended = order.index(f"gate.ended {number}")
            assert order.index(f"wave.ended {number}") < ended < order.index(f"wave.started {number + 1}")
    assert check_execution(execution.id) == []


def test_a_failed_gate_is_reported_and_the_execution_goes_on(
    scripted: Callable[..., Any], begin: Begin, finish: Finish
) -> None:
    value = plan(*layers(1, 1), wave_tests=[{"wave": 1, "tests": WRONG}], acceptance_tests=WRONG)
    scripted(value)

    execution = finish(begin(value))

    assert (execution.status, execution.atoms_succeeded) == ("completed", 2)
    assert gates(execution) == {"1": "failed", "2": "passed", "plan": "failed"}
    gate = Gate.objects.get(execution=execution, wave=1)
    (finding,) = gate.findings
    assert (finding["severity"], finding["rule"]) == ("ERROR", "test-failed")
    assert "test_small-plan_wave_1.py: test_of_the_wave" in finding["message"]
    (event,) = Event.objects.filter(execution=execution, type="gate.ended", wave=1)
    assert event.data["findings"] == [finding]
    assert check_execution(execution.id) == []


@pytest.mark.parametrize("schedule", ["waves", "flow"])
def test_a_gate_that_is_to_stop_pauses_and_is_passed_by_whoever_resumes(
    scripted: Callable[..., Any], begin: Begin, finish: Finish, schedule: str
) -> None:
    value = plan(*layers(1, 1), wave_tests=[{"wave": 1, "tests": WRONG}], acceptance_tests=WRONG)
    scripted(value)

    execution = finish(begin(value, schedule=schedule, gate_wave="stop", gate_masterplan="stop"))

    assert execution.status == "paused"
    assert "gate of wave 1 failed: test_small-plan_wave_1.py: test_of_the_wave" in execution.status_reason
    if schedule == "waves":
        assert "wave.started 2" not in told(execution, "wave")
    assert check_execution(execution.id) == []

    resume_execution(execution_id=execution.id, actor=None, why="seen")
    finish(execution)

    assert execution.status == "paused"
    assert "gate of masterplan failed" in execution.status_reason
    assert execution.atoms_succeeded == 2

    resume_execution(execution_id=execution.id, actor=None, why="seen as well")
    execution.refresh_from_db()

    assert execution.status == "completed"
    assert told(execution, "gate").count("gate.started 1") == 1
    assert told(execution, "gate").count("gate.started masterplan") == 1
    assert check_execution(execution.id) == []


def test_tests_of_a_wave_with_a_missing_atom_are_not_run_and_the_gate_says_what_is_missing(
    scripted: Callable[..., Any], begin: Begin, finish: Finish
) -> None:
    one, other = layers(2)
    other["reference_solution"] = "def something_else():\n    return 1\n"
    value = plan(one, other, wave_tests=[{"wave": 1, "tests": right(1)}])
    scripted(value)

    execution = finish(begin(value, max_attempts=1))

    gate = Gate.objects.get(execution=execution, wave=1)
    assert (gate.status, gate.tests_passed, gate.tests_total) == ("failed", 1, 1)
    assert [(found["rule"], found["message"]) for found in gate.findings] == [
        ("tests-not-run", "test_small-plan_wave_1.py was not run: nothing was accepted for a1.1")
    ]
    assert gates(execution)["plan"] == "passed"


def test_a_gate_finds_the_module_that_broke_when_a_person_changed_what_it_builds_on(
    scripted: Callable[..., Any], begin: Begin, finish: Finish
) -> None:
    base, other = layers(1, 1)
    base["reference_solution"] += "\n\nEXTRA = 2\n"
    other["reference_solution"] = (
        "from pkg.add_a1_0 import EXTRA\n\n\ndef add_a2_0(x: int) -> int:\n    return x + EXTRA\n"
    )
    value = plan(base, other)
    scripted(value)
    execution = finish(begin(value))
    assert set(gates(execution).values()) == {"passed"}

    supply_code(
        execution_id=execution.id,
        actor=None,
        atom="a1.0",
        code="def add_a1_0(x: int) -> int:\n    return 1 + x\n",
    )
    execution.refresh_from_db()
    assert execution.status == "running"
    assert set(gates(execution).values()) == {"pending"}
    finish(execution)

    assert gates(execution) == {"1": "passed", "2": "failed", "plan": "failed"}
    message = Gate.objects.get(execution=execution, wave=2).findings[0]["message"]
    assert message.startswith("import pkg.add_a2_0: ImportError: cannot import name 'EXTRA'")
    assert check_execution(execution.id) == []


def test_a_retry_after_a_failed_gate_runs_it_again_and_every_gate_behind_it(
    scripted: Callable[..., Any], begin: Begin, finish: Finish
) -> None:
    value = plan(*layers(1, 1, 1), wave_tests=[{"wave": 2, "tests": WRONG}])
    scripted(value)
    execution = finish(begin(value))
    assert gates(execution) == {"1": "passed", "2": "failed", "3": "passed", "plan": "passed"}

    retry_atoms(execution_id=execution.id, actor=None, atoms=["a2.0"])
    execution.refresh_from_db()

    assert (execution.status, execution.gates_passed, execution.gates_failed) == ("running", 1, 0)
    finish(execution)

    assert gates(execution) == {"1": "passed", "2": "failed", "3": "passed", "plan": "passed"}
    assert [gate.run_number for gate in Gate.objects.filter(execution=execution)] == [1, 2, 2, 2]
    begun = told(execution, "gate")
    assert [begun.count(f"gate.started {one}") for one in (1, 2, 3, "masterplan")] == [1, 2, 2, 2]
    assert check_execution(execution.id) == []


def test_a_rollback_takes_the_gates_behind_the_wave_back(
    scripted: Callable[..., Any], begin: Begin, finish: Finish
) -> None:
    value = plan(*layers(1, 1), wave_tests=[{"wave": 1, "tests": WRONG}])
    scripted(value)
    execution = finish(begin(value, gate_wave="stop"))
    resume_execution(execution_id=execution.id, actor=None)
    finish(execution)

    roll_back(execution_id=execution.id, actor=None, wave=1)

    assert gates(execution) == {"1": "failed", "2": "pending", "plan": "pending"}
    finish(execution)
    assert execution.status == "completed"
    assert gates(execution) == {"1": "failed", "2": "passed", "plan": "passed"}
    assert check_execution(execution.id) == []


def test_a_fork_judges_what_it_has_taken_over(
    scripted: Callable[..., Any], begin: Begin, finish: Finish
) -> None:
    value = plan(*layers(1, 1), wave_tests=[{"wave": 1, "tests": WRONG}])
    server = scripted(value)
    source = finish(begin(value, cache="off"))

    fork = fork_execution(execution_id=source.id, actor=None, wave=1, settings={"gate_wave": "stop"})
    finish(fork)

    assert (fork.status, gates(fork)) == ("paused", {"1": "failed", "2": "pending", "plan": "pending"})
    resume_execution(execution_id=fork.id, actor=None)
    finish(fork)
    assert (fork.status, gates(fork)) == ("completed", {"1": "failed", "2": "passed", "plan": "passed"})
    assert server.stats()["calls"] == 3
    assert check_execution(fork.id) == []


def test_a_gate_whose_runner_died_is_run_again_and_the_dead_one_is_refused(
    scripted: Callable[..., Any], begin: Begin, finish: Finish
) -> None:
    value = plan(*layers(1))
    scripted(value)
    execution = begin(value)
    by_hand.succeed_all(execution)
    gate, _ = _claimed_gate(execution)

    Gate.objects.filter(pk=gate.gate_id).update(lease_until=datetime.now(UTC) - timedelta(seconds=1))
    assert reconcile() == 1

    row = Gate.objects.get(pk=gate.gate_id)
    assert (row.status, row.deaths, row.lease_owner) == ("ready", 1, "")
    assert check_execution(execution.id) == []
    finish(execution)
    assert (execution.status, gates(execution)) == ("completed", {"1": "passed", "plan": "passed"})
    assert Gate.objects.get(pk=gate.gate_id).fence == 2
    with pytest.raises(LeaseLost):
        by_hand.write(RecordGate(gate, FAILED, "", stops=True))
    assert gates(execution)["1"] == "passed"


@pytest.mark.django_db
def test_a_gate_whose_owners_die_too_often_ends_as_not_judged(settings: Any, begin: Begin) -> None:
    settings.MGE_MAX_DEATHS = 2
    execution = begin(plan(*layers(1)))
    by_hand.succeed_all(execution)

    for _ in range(2):
        gate, _ = _claimed_gate(execution)
        by_hand.write(RecordGateDeath(gate))

    row = Gate.objects.get(pk=gate.gate_id)
    assert (row.status, row.findings[0]["rule"]) == ("failed", "not-judged")
    assert gates(execution) == {"1": "failed", "plan": "ready"}
    assert check_execution(execution.id) == []


@pytest.mark.django_db
def test_two_runners_never_hold_the_same_gate_and_a_claim_written_twice_holds_it_once(begin: Begin) -> None:
    execution = begin(plan(*layers(1)))
    by_hand.succeed_all(execution)
    gate, claim = _claimed_gate(execution)

    by_hand.write(claim)
    assert claim.gates == [gate]
    other = replace(claim, owner="other")
    by_hand.write(other)
    assert other.gates == []
    execution.refresh_from_db()
    assert execution.gates_due == 0


@pytest.mark.django_db
def test_a_pause_waits_for_the_gate_in_flight_and_a_reopened_atom_takes_it_back(begin: Begin) -> None:
    execution = begin(plan(*layers(1)))
    by_hand.succeed_all(execution)
    gate, _ = _claimed_gate(execution)

    assert pause_execution(execution_id=execution.id, actor=None) == "pausing"
    retry_atoms(execution_id=execution.id, actor=None, atoms=["a1.0"])
    assert gates(execution) == {"1": "pending", "plan": "pending"}
    with pytest.raises(LeaseLost):
        by_hand.write(RecordGate(gate, PASSED, "", stops=False))
    assert check_execution(execution.id) == []


def test_a_cancellation_ends_the_gate_that_runs_and_those_that_wait(
    scripted: Callable[..., Any], begin: Begin
) -> None:
    endless = "def test_without_end():\n    import time\n    time.sleep(600)\n"
    value = plan(*layers(1, 1), wave_tests=[{"wave": 1, "tests": endless}])
    scripted(value)
    execution = begin(value)

    with RunnerThread(execution):
        wait_for(lambda: gates(execution)["1"] == "running", "the gate of wave 1 runs")
        assert cancel_execution(execution_id=execution.id, actor=None) == "cancelling"

    execution.refresh_from_db()
    assert execution.status == "cancelled"
    assert set(gates(execution).values()) == {"cancelled"}
    by_hand.assert_all_ended(execution)
    assert check_execution(execution.id) == []


@pytest.mark.django_db
def test_where_nothing_is_executed_there_are_no_gates(begin: Begin) -> None:
    static = begin(plan(*layers(2), acceptance_tests=WRONG), validators="syntax")
    empty = begin(plan(acceptance_tests=WRONG, name="empty"))

    assert (static.gates_total, empty.gates_total) == (0, 0)
    assert empty.status == "completed"
    assert not Gate.objects.exists()
    by_hand.succeed_all(static)
    assert static.status == "completed"


def _claimed_gate(execution: Execution) -> tuple[ClaimedGate, Claim]:
    claim = replace(by_hand.claiming(0), gate_room=lambda: 1)
    by_hand.write(claim)
    (gate,) = claim.gates
    assert gate.execution_id == execution.id
    return gate, claim


def test_the_export_is_byte_for_byte_what_was_judged_and_refused_when_it_is_not(
    scripted: Callable[..., Any], begin: Begin, finish: Finish
) -> None:
    value = plan(*layers(1, 1), wave_tests=[{"wave": 1, "tests": right(1)}], acceptance_tests=[right(2)])
    scripted(value)
    execution = finish(begin(value))
    digest = Gate.objects.get(execution=execution, level="masterplan").project_digest

    files = export_of([execution.id])

    assert digest_of({path: text for path, text in files.items() if path != "pytest.ini"}) == digest
    assert {"test_small-plan_wave_1.py", "test_small-plan_acceptance_1.py"} <= files.keys()
    Attempt.objects.filter(execution=execution, atom_run__key="a1.0").update(
        code="def add_a1_0(x: int) -> int:\n    return 1 + x\n"
    )
    with pytest.raises(ExportRefused, match="not the one that its gate has judged"):
        export_of([execution.id])

    assert judge_again(execution_id=execution.id, actor=None, why="changed by hand") == 1
    finish(execution)

    assert execution.status == "completed"
    assert "return 1 + x" in export_of([execution.id])["pkg/add_a1_0.py"]
    assert check_execution(execution.id) == []


def test_a_failed_gate_is_judged_again_with_all_behind_it_and_no_call(
    scripted: Callable[..., Any], begin: Begin, finish: Finish
) -> None:
    value = plan(*layers(1, 1, 1), wave_tests=[{"wave": 2, "tests": WRONG}])
    server = scripted(value)
    execution = finish(begin(value))
    calls = server.stats()["calls"]

    assert judge_again(execution_id=execution.id, actor=None) == 3
    execution.refresh_from_db()
    assert gates(execution) == {"1": "passed", "2": "ready", "3": "ready", "plan": "pending"}
    finish(execution)

    assert gates(execution) == {"1": "passed", "2": "failed", "3": "passed", "plan": "passed"}
    assert server.stats()["calls"] == calls
    with pytest.raises(InvalidRequest, match="wave: must be from 1 to 3, not 4"):
        judge_again(execution_id=execution.id, actor=None, wave=4)
    assert check_execution(execution.id) == []
