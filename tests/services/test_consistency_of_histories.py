"""Histories at random, worked by hand step by step: whatever people and runners do, fsck finds nothing."""

from __future__ import annotations

import dataclasses
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from executions.engine.gate_changes import RecordGate, RecordGateDeath, ReleaseGate
from executions.engine.gate_claims import ClaimedGate
from executions.engine.ledger import Change, LeaseLost
from executions.engine.plan_graph import plan_graph
from executions.engine.reconciler import take_back
from executions.findings import Finding, Severity
from executions.models import AtomRun, Attempt, Call, Execution, Gate
from executions.services.approvals import approve
from executions.services.consistency import check_all
from executions.services.control import cancel_execution, pause_execution, resume_execution
from executions.services.errors import InvalidRequest, NotFound
from executions.services.fork import fork_execution
from executions.services.gates import judge_again
from executions.services.repair import retry_atoms, roll_back
from executions.services.review import supply_code
from executions.states import (
    ATOM_TRANSITIONS,
    ATTEMPT_TRANSITIONS,
    GATE_TRANSITIONS,
    WAVE_TRANSITIONS,
    AttemptKind,
    CallOutcome,
    WrongState,
)
from executions.validation.levels.verdict import GateVerdict
from tests.engine.by_hand import Hand, assert_counters_equal_rows, claiming, expire_leases, start, write
from tests.engine.test_random_runs import watch_moves
from tests.plans import adder, plan

pytestmark = pytest.mark.django_db

PLANS = {
    "chain": [("a", ()), ("b", "a"), ("c", "b"), ("d", "c")],
    "diamond": [("a", ()), ("b", "a"), ("c", "a"), ("d", "bc")],
    "wide": [("a", ()), ("b", ()), ("c", ()), ("d", "ab"), ("e", "c"), ("f", "de")],
}
"""Atoms with the keys of their dependencies."""

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *(["claim"] * 3 + ["pass"] * 3 + ["reject"] * 2),
                *(
                    "fault",
                    "give up",
                    "intend",
                    "release",
                    "abort",
                    "die",
                    "pause",
                    "resume",
                    "resume",
                    "cancel",
                ),
                *("retry", "retry with dependents", "retry failed", "roll back", "fork", "review", "approve"),
                *(["pass all"] * 2 + ["take a gate"] * 3 + ["pass the gate"] * 2),
                *("fail the gate", "stop at the gate", "release the gate", "lose the gate", "judge again"),
            ]
        ),
        st.integers(0, 5),
    ),
    min_size=10,
    max_size=60,
)


class History:
    """One execution, its forks, and the work under way."""

    def __init__(self, execution: Execution) -> None:
        self.executions = [execution]
        self.hands: list[Hand] = []
        self.gates: list[ClaimedGate] = []

    def step(self, what: str, number: int) -> None:
        execution = self.executions[number % len(self.executions)]
        try:
            with transaction.atomic():
                if what == "claim":
                    self.hands += [Hand(claim, 2) for claim in write(claiming(1 + number % 3))]
                elif what == "pass all":
                    self.hands += [Hand(claim, 2) for claim in write(claiming())]
                    for _ in range(len(self.hands)):
                        self._work("pass", 0)
                elif what == "take a gate":
                    claim = dataclasses.replace(claiming(0), gate_room=lambda: 1 + number % 2)
                    write(claim)
                    self.gates += claim.gates
                elif what.endswith("the gate"):
                    self._judge(what, number)
                elif what in ("pass", "reject", "fault", "give up", "intend", "release", "abort"):
                    self._work(what, number)
                else:
                    self._steer(execution, what, number)
        except (WrongState, InvalidRequest, NotFound):
            pass  # refused: then nothing has changed

    def _judge(self, what: str, number: int) -> None:
        if not self.gates:
            return
        gate = self.gates.pop(number % len(self.gates))
        row = Gate.objects.get(pk=gate.gate_id)
        wrong = GateVerdict.of(Finding(Severity.ERROR, "test-failed", "it is wrong"))
        changes: dict[str, Change[None]] = {
            "pass the gate": RecordGate(gate, GateVerdict.of(), "", stops=True),
            "fail the gate": RecordGate(gate, wrong, "", stops=False),
            "stop at the gate": RecordGate(gate, wrong, "", stops=True),
            "release the gate": ReleaseGate(gate),
            "lose the gate": RecordGateDeath(gate),
        }
        if (row.lease_owner, row.fence) == (gate.owner, gate.fence):
            write(changes[what])
            return
        with pytest.raises(LeaseLost):
            write(changes[what])

    def _work(self, what: str, number: int) -> None:
        if not self.hands:
            return
        hand = self.hands[number % len(self.hands)]
        run = AtomRun.objects.get(pk=hand.claim.run_id)
        if (run.lease_owner, run.fence) != (hand.claim.owner, hand.claim.fence):
            self.hands.remove(hand)  # lost; late writes have tests of their own
            return
        running = Attempt.objects.filter(atom_run=run, status="running").first()
        if running is not None and running.kind == AttemptKind.PERSON:
            verdict = hand.verdict(passed=what == "pass")
            mine: dict[str, Any] = {
                "kind": AttemptKind.PERSON,
                "attempt_id": running.id,
                "number": running.number,
            }
            write(dataclasses.replace(verdict, **mine))
            self.hands.remove(hand)
            return
        if Execution.objects.get(pk=run.execution_id).status != "running" and what != "abort":
            what = "release"
        self._ask(hand, running, what)

    def _ask(self, hand: Hand, running: Attempt | None, what: str) -> None:
        if what in ("release", "abort"):
            has_open_call = Call.objects.filter(attempt=running, outcome="").exists()
            hand.abort() if has_open_call or what == "abort" else hand.give_back()
            self.hands.remove(hand)
            return
        if running is not None:
            hand.attempt_id, hand.calls = running.id, Call.objects.filter(attempt=running).count()
            hand.used = running.number - 1
            hand.open_call = getattr(
                Call.objects.filter(attempt=running, outcome="").first(), "id", uuid.UUID(int=0)
            )
        if running is None or not hand.open_call.int:
            hand.intend()
        if what in ("fault", "give up"):
            hand.fault(
                hand.open_call,
                most=1 if what == "give up" else 8,
                outcome=CallOutcome.TRUNCATED,
                cost_nano_usd=5,
            )
            self.hands.remove(hand)
        elif what in ("pass", "reject"):
            hand.answer(hand.open_call)
            if hand.judge(passed=what == "pass") is None:
                self.hands.remove(hand)

    def _steer(self, execution: Execution, what: str, number: int) -> None:
        about: dict[str, Any] = {"execution_id": execution.id, "actor": None}
        keys = sorted(AtomRun.objects.filter(execution=execution).values_list("key", flat=True))
        key = keys[number % len(keys)]
        if what == "die":
            expire_leases(execution)
            Gate.objects.filter(execution=execution, status="running").update(
                lease_until=datetime(2000, 1, 1, tzinfo=UTC)
            )
            take_back(execution.id)
        elif what == "pause":
            pause_execution(**about)
        elif what == "resume":
            resume_execution(**about)
        elif what == "cancel" and number < 2:
            cancel_execution(**about)
        elif what == "retry failed":
            retry_atoms(**about, failed=True)
        elif what.startswith("retry"):
            retry_atoms(**about, atoms=[key], with_dependents="dependents" in what)
        elif what == "roll back":
            roll_back(**about, wave=number % (execution.waves_total + 1))
        elif what == "judge again":
            judge_again(**about, wave=number or None)
        elif what == "fork" and len(self.executions) < 3:
            self.executions.append(fork_execution(**about, wave=number % (execution.waves_total + 1)))
        elif what == "review":
            supply_code(**about, atom=key, code="x = 1\n")
        elif what == "approve":
            approve(**about, atom=key) if number % 2 else approve(
                **about, wave=1 + number % execution.waves_total
            )


@given(
    name=st.sampled_from(sorted(PLANS)),
    schedule=st.sampled_from(["waves", "flow"]),
    policy=st.sampled_from(["block", "continue", "stop"]),
    asks=st.booleans(),
    judged=st.booleans(),
    steps=STEPS,
)
@examples(
    max_examples=20,
    deadline=None,
    # A history takes the better part of a second: a failure is not worth minutes of shrinking.
    phases=[Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_whatever_is_done_by_hand_leaves_nothing_to_find(
    name: str, schedule: str, policy: str, asks: bool, judged: bool, steps: list[tuple[str, int]]
) -> None:
    atoms = [adder(key, depends_on=list(behind), approval=asks and key == "b") for key, behind in PLANS[name]]
    with transaction.atomic():
        _watch()
        plan_graph.cache_clear()
        more: dict[str, Any] = {"approvals": [2]} if asks else {}
        settings = {"schedule": schedule, "on_dependency_failure": policy, "max_attempts": 2}
        settings["validators"] = "full" if judged else "syntax,contract"
        history = History(start(plan(*atoms, **more), **settings))
        done: list[tuple[str, int]] = []
        # Where gates are, begin with the first one ready: few histories would come so far by chance.
        for step in [*([("pass all", 0)] * judged), *steps]:
            history.step(*step)
            done.append(step)
            assert check_all() == [], done
        for execution in history.executions:
            assert_counters_equal_rows(execution)
        _assert_only_known_moves()
        transaction.set_rollback(True)


def _watch() -> None:
    with connection.cursor() as cursor:
        cursor.execute('CREATE TABLE test_moves (name TEXT, before TEXT, "after" TEXT)')
        for table in ("atomrun", "wave", "attempt", "gate"):
            watch_moves(cursor, table)


def _assert_only_known_moves() -> None:
    known = {
        (name, before.value, after.value)
        for name, table in (
            ("atomrun", ATOM_TRANSITIONS),
            ("wave", WAVE_TRANSITIONS),
            ("attempt", ATTEMPT_TRANSITIONS),
            ("gate", GATE_TRANSITIONS),
        )
        for before, afters in table.items()
        for after in afters
    }
    # A wave may start and end in one transaction, where it has nothing left to do.
    known |= {
        ("wave", before.value, last.value)
        for before, afters in WAVE_TRANSITIONS.items()
        for after in afters
        for last in WAVE_TRANSITIONS[after]
    }
    with connection.cursor() as cursor:
        cursor.execute('SELECT DISTINCT name, before, "after" FROM test_moves')
        assert set(cursor.fetchall()) <= known
