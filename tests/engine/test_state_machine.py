"""Everything a person or an accident can do to executions, in any order, against the real services and database.

The runner is worked by hand, change by change (`tests/engine/by_hand.py`), so that a kill may fall between any two. After
each step `fsck` must find nothing; at the end everything is let go on, and must end.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, Phase
from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from executions.engine.claims import ClaimedAtom
from executions.engine.ledger import Refusal
from executions.engine.reconciler import take_back
from executions.engine.verdicts import RecordVerdict
from executions.models import AtomRun, Attempt, Call, Event, Execution, Wave
from executions.services.approvals import approve
from executions.services.consistency import check_execution
from executions.services.control import cancel_execution, pause_execution, resume_execution
from executions.services.errors import InvalidRequest, NotFound
from executions.services.fork import fork_execution
from executions.services.repair import preview_retry, retry_atoms, roll_back
from executions.services.review import supply_code
from executions.states import ATOM_LEASED, EXECUTION_ENDED, AttemptKind, CallOutcome, WrongState
from tests.engine.by_hand import Hand, assert_counters_equal_rows, claiming, expire_leases, start, write
from tests.plans import adder, plan

pytestmark = pytest.mark.django_db
REFUSED = (WrongState, InvalidRequest, NotFound)
EXAMPLES = int(os.environ.get("MGE_TEST_EXAMPLES", "10"))
MOST_EXECUTIONS = 4
SHAPES = (
    ((), (), (0,), (0, 1), (2,), (3, 4)),
    ((), (0,), (1,), (2,), (3,)),
    ((), (), (), (0, 1, 2), (3,)),
    ((), (0,), (0,), (1, 2)),
)
"""What each atom depends on, by number."""


class Worker:
    """Goes on with a claimed atom from wherever its last owner left it."""

    def __init__(self, claim: ClaimedAtom, max_attempts: int) -> None:
        self.hand = Hand(claim, max_attempts)
        self.person = False
        self.answered = False
        attempt = Attempt.objects.filter(atom_run=claim.run_id, status="running").first()
        if attempt is None:
            return
        self.hand.attempt_id = attempt.id
        self.person = attempt.kind == AttemptKind.PERSON
        self.number = attempt.number
        calls = Call.objects.filter(attempt=attempt)
        self.hand.calls = calls.count()
        self.answered = calls.filter(outcome=CallOutcome.ANSWERED).exists()

    def step(self, passes: bool, fault: bool) -> bool:
        """One change; whether the work on the atom goes on."""
        hand = self.hand
        if self.person:
            write(self._persons_verdict(passes))
            return False
        if self.answered:
            self.answered = False
            return hand.judge(passed=passes) is not None
        if hand.calls and Call.objects.filter(pk=hand.open_call, outcome="").exists():
            if fault:
                hand.fault(hand.open_call, wait_s=0)
                return False
            self.answered = hand.answer(hand.open_call)
            return self.answered
        hand.intend()
        return True

    def _persons_verdict(self, passes: bool) -> RecordVerdict:
        return replace(self.hand.verdict(passed=passes), kind=AttemptKind.PERSON, number=self.number)


class Steering(RuleBasedStateMachine):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        # Undone at the end of each example; services and changes nest in it.
        self._outer = transaction.atomic()
        self._outer.__enter__()
        self.executions: list[Execution] = []
        self.workers: list[Worker] = []

    def teardown(self) -> None:
        try:
            if self.executions:
                self._finish()
            connection.check_constraints()
        finally:
            transaction.set_rollback(True)
            self._outer.__exit__(None, None, None)
        super().teardown()

    # --- rules ----------------------------------------------------------------------------------------------------------

    @initialize(
        shape=st.sampled_from(SHAPES),
        schedule=st.sampled_from(["waves", "flow"]),
        policy=st.sampled_from(["block", "continue", "stop"]),
        attempts=st.integers(1, 2),
        gate=st.sampled_from(["none", "wave", "atom"]),
    )
    def start_one(
        self, shape: tuple[tuple[int, ...], ...], schedule: str, policy: str, attempts: int, gate: str
    ) -> None:
        atoms = [
            adder(
                f"a{number}",
                depends_on=[f"a{one}" for one in before],
                approval=gate == "atom" and number == 1,
            )
            for number, before in enumerate(shape)
        ]
        value = plan(*atoms, approvals=[2] if gate == "wave" else [])
        self.executions.append(
            start(
                value,
                schedule=schedule,
                on_dependency_failure=policy,
                max_attempts=attempts,
                max_concurrency=3,
            )
        )

    @rule(limit=st.integers(1, 3), owner=st.sampled_from(["one", "two"]))
    def claim(self, limit: int, owner: str) -> None:
        for found in write(claiming(limit, owner=owner)):
            execution = Execution.objects.get(pk=found.execution_id)
            self.workers.append(Worker(found, execution.config["max_attempts"]))

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), passes=st.booleans(), fault=st.integers(0, 4))
    def work(self, data: st.DataObject, passes: bool, fault: int) -> None:
        self._step(data.draw(st.sampled_from(self.workers)), passes=passes, fault=fault == 0)

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(self.workers))
        self.workers.remove(worker)
        try:
            worker.hand.abort()
        except Refusal:
            assert not self._holds(worker)

    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        """Their owners are silent for too long; what they write later is refused."""
        execution = self._any(data)
        expire_leases(execution)
        take_back(execution.id)

    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        self._try(self._any(data), lambda one: pause_execution(execution_id=one.id, actor=None))

    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        self._try(self._any(data), lambda one: resume_execution(execution_id=one.id, actor=None))

    @rule(data=st.data(), sure=st.integers(0, 5))
    def cancel(self, data: st.DataObject, sure: int) -> None:
        if sure == 0:
            self._try(self._any(data), lambda one: cancel_execution(execution_id=one.id, actor=None))

    @rule(data=st.data(), failed=st.booleans(), dependents=st.booleans())
    def retry(self, data: st.DataObject, failed: bool, dependents: bool) -> None:
        execution = self._any(data)
        keys = self._keys(data, execution, most=2)

        def act(one: Execution) -> None:
            seen = preview_retry(execution_id=one.id, atoms=keys, failed=failed, with_dependents=dependents)
            told = retry_atoms(
                execution_id=one.id, actor=None, atoms=keys, failed=failed, with_dependents=dependents
            )
            assert seen == told

        self._try(execution, act)

    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        execution = self._any(data)
        wave = data.draw(st.integers(0, execution.waves_total))
        self._try(execution, lambda one: roll_back(execution_id=one.id, actor=None, wave=wave))

    @precondition(lambda self: len(self.executions) < MOST_EXECUTIONS)
    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        source = self._any(data)
        wave = data.draw(st.integers(0, source.waves_total))

        def act(one: Execution) -> None:
            before = AtomRun.objects.filter(execution=one, wave__lte=wave, status="succeeded").count()
            fork = fork_execution(execution_id=one.id, actor=None, wave=wave, settings={"seed": 7})
            assert fork.atoms_succeeded == before
            self.executions.append(fork)

        self._try(source, act)

    @rule(data=st.data())
    def review(self, data: st.DataObject) -> None:
        execution = self._any(data)
        (key,) = self._keys(data, execution, least=1, most=1)
        self._try(
            execution, lambda one: supply_code(execution_id=one.id, actor=None, atom=key, code="x = 2\n")
        )

    @rule(data=st.data(), whole_wave=st.booleans())
    def approve(self, data: st.DataObject, whole_wave: bool) -> None:
        execution = self._any(data)
        what: dict[str, Any] = {"wave": 2} if whole_wave else {"atom": "a1"}
        self._try(execution, lambda one: approve(execution_id=one.id, actor=None, **what))

    # --- what always holds ----------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_inconsistent(self) -> None:
        for execution in self.executions:
            assert check_execution(execution.id) == []
            assert_counters_equal_rows(execution)

    @invariant()
    def no_more_in_flight_than_allowed(self) -> None:
        for execution in self.executions:
            leased = AtomRun.objects.filter(execution=execution, status__in=sorted(ATOM_LEASED)).count()
            assert leased <= execution.max_concurrency

    # --- how it is done -------------------------------------------------------------------------------------------------

    def _any(self, data: st.DataObject) -> Execution:
        found: Execution = data.draw(st.sampled_from(self.executions))
        found.refresh_from_db()
        return found

    def _keys(self, data: st.DataObject, execution: Execution, *, least: int = 0, most: int) -> list[str]:
        keys = list(
            AtomRun.objects.filter(execution=execution).order_by("position").values_list("key", flat=True)
        )
        found: list[str] = data.draw(
            st.lists(st.sampled_from(keys), min_size=least, max_size=most, unique=True)
        )
        return found

    def _try(self, execution: Execution, act: Callable[[Execution], object]) -> None:
        """Do it, or be refused: then nothing has changed."""
        before = Event.objects.filter(execution=execution).count()
        try:
            act(execution)
        except REFUSED:
            assert Event.objects.filter(execution=execution).count() == before

    def _holds(self, worker: Worker) -> bool:
        claim = worker.hand.claim
        return bool(
            AtomRun.objects.filter(
                pk=claim.run_id, lease_owner=claim.owner, fence=claim.fence, status__in=sorted(ATOM_LEASED)
            ).exists()
        )

    def _step(self, worker: Worker, *, passes: bool, fault: bool = False) -> None:
        """One change of a worker; that of a former owner changes no atom."""
        owned = self._holds(worker)
        before = None if owned else self._atoms()
        try:
            goes_on = worker.step(passes, fault)
        except Refusal:
            goes_on = False
            if self._holds(worker):
                worker.hand.give_back()
        if before is not None:
            assert self._atoms() == before
            assert not goes_on
        if not goes_on:
            self.workers.remove(worker)

    @staticmethod
    def _atoms() -> list[Any]:
        return list(
            AtomRun.objects.order_by("pk").values_list(
                "status", "fence", "attempts", "accepted_id", "generation"
            )
        )

    def _finish(self) -> None:
        """Let everything go on; whatever was done before, all of it ends, and no atom has two accepted results."""
        for execution in self.executions:
            expire_leases(execution)
            take_back(execution.id)
        self.workers = []
        for _ in range(500):
            if self._nudge():
                break
            self.claim(limit=10, owner="last")
            while self.workers:
                self._step(self.workers[0], passes=True)
        for execution in self.executions:
            execution.refresh_from_db()
            assert execution.status in EXECUTION_ENDED, execution.status
            assert check_execution(execution.id) == []
            passed = Attempt.objects.filter(execution=execution, status="passed", superseded=False)
            assert passed.count() == len(set(passed.values_list("atom_run_id", flat=True)))

    def _nudge(self) -> bool:
        """Resume and approve; whether everything has ended."""
        open_ones = [
            one for one in self.executions if Execution.objects.get(pk=one.pk).status not in EXECUTION_ENDED
        ]
        for execution in open_ones:
            if Execution.objects.get(pk=execution.pk).status in ("paused", "pausing"):
                resume_execution(execution_id=execution.id, actor=None)
            for number in Wave.objects.filter(execution=execution, approval="asked").values_list(
                "number", flat=True
            ):
                approve(execution_id=execution.id, actor=None, wave=number)
            for key in AtomRun.objects.filter(execution=execution, approval="asked").values_list(
                "key", flat=True
            ):
                approve(execution_id=execution.id, actor=None, atom=key)
        return not open_ones


@pytest.mark.slow
@pytest.mark.usefixtures("db")
def test_whatever_people_and_accidents_do_every_invariant_holds(settings: Any) -> None:
    settings.MGE_MAX_DEATHS = 1_000
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Steering,
        settings=examples(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            deadline=timedelta(seconds=30),
            # A failure is not worth the minutes of shrinking on every run; MGE_TEST_EXAMPLES asks for them too.
            phases=[Phase.reuse, Phase.generate, *([Phase.shrink] if EXAMPLES > 10 else [])],
            suppress_health_check=list(HealthCheck),
        ),
    )
