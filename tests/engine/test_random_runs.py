"""Small plans at random, with wrong answers, faults of the provider and interruptions: every record stays true."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from executions.engine.reconciler import reconcile
from executions.models import AtomRun, Attempt, Event, Execution, Wave
from executions.scripted_model.faults import Fault
from executions.services.consistency import check_execution
from executions.services.control import cancel_execution, pause_execution, resume_execution
from executions.states import (
    ATOM_TRANSITIONS,
    EXECUTION_ENDED,
    EXECUTION_TRANSITIONS,
    AtomStatus,
    ExecutionStatus,
    WrongState,
)
from tests.engine.by_hand import assert_all_ended, assert_counters_equal_rows, expire_leases, start
from tests.engine.committed import transactional_db  # noqa: F401  a fixture
from tests.engine.model_in_process import ModelInProcess, asked
from tests.engine.runner_thread import RESTING, RunnerThread, run_to_rest
from tests.plans import adder, plan
from tests.product import wait_for

pytestmark = pytest.mark.usefixtures("transactional_db")

FAULTS = (
    *(Fault.RATE_LIMIT_AFTER, Fault.RATE_LIMIT, Fault.OVERLOADED, Fault.SERVER_ERROR),
    *(Fault.DISCONNECT, Fault.TRUNCATE, Fault.REFUSAL, Fault.PROSE),
)
NOT_RUN = "syntax,contract"
"""The checks without tests: wrong answers lack the entry point."""


@dataclass(frozen=True)
class Script:
    """How many wrong answers an atom gives before the right one; `hopeless`: there is no right one."""

    depends_on: tuple[int, ...]
    wrong: int
    hopeless: bool


@dataclass(frozen=True)
class Scenario:
    atoms: tuple[Script, ...]
    schedule: str
    policy: str
    max_attempts: int
    max_concurrency: int
    fault_share: float
    interruption: str
    answers_before: int
    seed: int


@st.composite
def _scripts(draw: st.DrawFn) -> tuple[Script, ...]:
    count = draw(st.integers(1, 7))
    found = []
    for number in range(count):
        earlier = st.sets(st.integers(0, number - 1), max_size=2) if number else st.just(set())
        found.append(
            Script(tuple(sorted(draw(earlier))), draw(st.integers(0, 3)), draw(st.integers(0, 9)) == 0)
        )
    return tuple(found)


SCENARIOS = st.builds(
    Scenario,
    atoms=_scripts(),
    schedule=st.sampled_from(["waves", "flow"]),
    policy=st.sampled_from(["block", "continue", "stop"]),
    max_attempts=st.integers(1, 4),
    max_concurrency=st.integers(1, 4),
    fault_share=st.sampled_from([0.0, 0.3]),
    interruption=st.sampled_from(["none", "pause", "cancel", "lost leases"]),
    answers_before=st.integers(0, 6),
    seed=st.integers(1, 1000),
)


def _plan(scripts: tuple[Script, ...]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    atoms, misses = [], []
    for number, script in enumerate(scripts):
        atom = adder(f"a{number}", depends_on=[f"a{one}" for one in script.depends_on], amount=number + 1)
        if script.hopeless:
            atom["reference_solution"] = f"def nothing_{number}(x):\n    return {number}\n"
        atoms.append(atom)
        misses += [
            {"atom": atom["key"], "kind": "nothing", "code": f"def nothing(x):\n    return {number}{n}\n"}
            for n in range(script.wrong)
        ]
    return plan(*atoms), misses


def _expected(scenario: Scenario) -> dict[str, tuple[str, int]]:
    """(status, attempts) of each atom when nobody cancels."""
    found: dict[str, tuple[str, int]] = {}
    for number, script in enumerate(scenario.atoms):
        won = all(found[f"a{one}"][0] == "succeeded" for one in script.depends_on)
        needed = scenario.max_attempts + 1 if script.hopeless else script.wrong + 1
        if not won and scenario.policy != "continue":
            found[f"a{number}"] = ("blocked", 0)
        elif needed <= scenario.max_attempts:
            found[f"a{number}"] = ("succeeded", needed)
        else:
            found[f"a{number}"] = ("failed", scenario.max_attempts)
    return found


@given(scenario=SCENARIOS)
@examples(
    max_examples=10,
    deadline=None,
    # Each example runs for the better part of a second: a failure is not worth minutes of shrinking.
    phases=[Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_whatever_happens_counters_equal_rows_events_tell_the_truth_and_everything_ends(
    settings: Any, moves: set[tuple[str, str, str]], scenario: Scenario
) -> None:
    settings.MGE_PROVIDER_BACKOFF_SECONDS = 0.01
    settings.MGE_PROVIDER_BACKOFF_MAX_SECONDS = 0.02
    value, misses = _plan(scenario.atoms)
    with tempfile.TemporaryDirectory() as folder:
        model = ModelInProcess(
            Path(folder),
            value,
            misses,
            shut=True,
            fault_share=scenario.fault_share,
            faults=FAULTS,
            seed=scenario.seed,
        )
        with asked(settings, model):
            execution = start(
                value,
                schedule=scenario.schedule,
                on_dependency_failure=scenario.policy,
                max_attempts=scenario.max_attempts,
                max_concurrency=scenario.max_concurrency,
                validators=NOT_RUN,
            )
            _run(execution, model, scenario)

    assert_all_ended(execution)
    assert_counters_equal_rows(execution)
    assert check_execution(execution.id) == []
    _assert_events_tell_the_rows(execution)
    if scenario.interruption != "cancel":
        runs = AtomRun.objects.filter(execution=execution)
        assert {
            key: (status, attempts) for key, status, attempts in runs.values_list("key", "status", "attempts")
        } == (_expected(scenario))
        assert execution.status == "completed"
    _assert_only_known_moves(moves)


def _run(execution: Execution, model: ModelInProcess, scenario: Scenario) -> None:
    """Interrupt it after some answers, then work until it has ended."""

    def rests() -> bool:
        execution.refresh_from_db()
        return execution.status in RESTING

    with RunnerThread(execution):
        for _ in range(scenario.answers_before):
            wait_for(lambda: model.waiting > 0 or rests(), "a call in flight")
            model.let_through(1)
        wait_for(lambda: model.waiting > 0 or rests(), "a call in flight")
        _interrupt(execution, scenario.interruption)
        model.let_through(None)
    while not rests() or execution.status not in EXECUTION_ENDED:
        if execution.status == ExecutionStatus.PAUSED:
            resume_execution(execution_id=execution.id, actor=None)
        run_to_rest(execution)


def _interrupt(execution: Execution, how: str) -> None:
    try:
        if how == "pause":
            pause_execution(execution_id=execution.id, actor=None)
        elif how == "cancel":
            cancel_execution(execution_id=execution.id, actor=None)
        elif how == "lost leases":
            expire_leases(execution)
            reconcile()
    except WrongState:
        # It was faster, and has ended.
        assert execution.status in EXECUTION_ENDED


def _assert_events_tell_the_rows(execution: Execution) -> None:
    """What somebody who only reads the events would know, against the rows."""
    atoms: dict[str, str] = {}
    waves: dict[int, str] = {}
    verdicts = {"passed": 0, "rejected": 0}
    for event in Event.objects.filter(execution=execution).order_by("seq"):
        if event.type == "atom.ended":
            assert event.atom not in atoms
            atoms[event.atom] = event.data["status"]
        elif event.type == "wave.ended":
            waves[event.wave] = event.data["status"]
        elif event.type == "attempt.ended" and event.data["status"] in verdicts:
            verdicts[event.data["status"]] += 1
    assert atoms == dict(AtomRun.objects.filter(execution=execution).values_list("key", "status"))
    assert waves == dict(Wave.objects.filter(execution=execution).values_list("number", "status"))
    for status, count in verdicts.items():
        assert count == Attempt.objects.filter(execution=execution, status=status).count()


# --- every change of status, as the database saw it ---------------------------------------------------------------------


@pytest.fixture
def moves(transactional_db: None) -> Iterator[set[tuple[str, str, str]]]:  # noqa: F811
    """(table, before, after) of every change of status so far, filled when it is asked for."""
    with _witness() as seen:
        yield seen


@contextmanager
def _witness() -> Iterator[Any]:
    with connection.cursor() as cursor:
        cursor.execute('CREATE TABLE test_moves (name TEXT, before TEXT, "after" TEXT)')
        for table in ("atomrun", "execution"):
            watch_moves(cursor, table)
    try:
        yield set()
    finally:
        with connection.cursor() as cursor:
            for table in ("atomrun", "execution"):
                on = "" if connection.vendor == "sqlite" else f" ON executions_{table}"
                cursor.execute(f"DROP TRIGGER test_move_{table}{on}")
            if connection.vendor != "sqlite":
                cursor.execute("DROP FUNCTION test_move()")
            cursor.execute("DROP TABLE test_moves")


def watch_moves(cursor: Any, table: str) -> None:
    """From now on each change of a status in this table is noted in `test_moves`."""
    when = f"AFTER UPDATE OF status ON executions_{table} FOR EACH ROW WHEN (OLD.status <> NEW.status)"
    insert = "INSERT INTO test_moves VALUES ('{}', OLD.status, NEW.status)"
    if connection.vendor == "sqlite":
        cursor.execute(f"CREATE TRIGGER test_move_{table} {when} BEGIN {insert.format(table)}; END")
        return
    cursor.execute(
        "CREATE OR REPLACE FUNCTION test_move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO test_moves VALUES (TG_ARGV[0], OLD.status, NEW.status); RETURN NULL; END $$"
    )
    cursor.execute(f"CREATE TRIGGER test_move_{table} {when} EXECUTE FUNCTION test_move('{table}')")


def _assert_only_known_moves(seen: set[tuple[str, str, str]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute('SELECT DISTINCT name, before, "after" FROM test_moves')
        seen |= set(cursor.fetchall())
    for name, before, after in seen:
        if name == "atomrun":
            assert AtomStatus(after) in ATOM_TRANSITIONS[AtomStatus(before)], f"{before} → {after}"
        else:
            assert ExecutionStatus(after) in _in_one_transaction(ExecutionStatus(before)), (
                f"{before} → {after}"
            )
    assert ("execution", "pending", "running") in seen


def _in_one_transaction(status: ExecutionStatus) -> set[ExecutionStatus]:
    """Where an execution may be when a transaction ends: it may pass through states in which nothing needs to happen."""
    found: set[ExecutionStatus] = set()
    ahead = list(EXECUTION_TRANSITIONS[status])
    while ahead:
        one = ahead.pop()
        if one not in found:
            found.add(one)
            if one in (ExecutionStatus.RUNNING, ExecutionStatus.PAUSING, ExecutionStatus.CANCELLING):
                ahead += EXECUTION_TRANSITIONS[one]
    return found
