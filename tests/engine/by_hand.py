"""A runner worked by hand: what it records, step by step, without a model and without threads."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from django.db import connection, transaction
from django.db.models import Sum

from executions.engine.calls import (
    AttemptIntent,
    CallResult,
    FaultPolicy,
    RecordAborted,
    RecordAnswer,
    RecordFault,
    RecordIntent,
)
from executions.engine.claims import Claim, ClaimedAtom, Release
from executions.engine.gate_changes import RecordGate
from executions.engine.ledger import Change, write_changes
from executions.engine.transaction import open_transaction
from executions.engine.verdicts import RecordVerdict
from executions.findings import Finding, Severity
from executions.identity import new_id
from executions.models import AtomRun, Attempt, Call, Event, Execution, Wave
from executions.planning.format import load_document
from executions.services.masterplans import store_masterplans
from executions.services.start import start_execution
from executions.states import ATOM_ENDED, ATTEMPT_COUNTED, CallOutcome
from executions.validation.levels.verdict import GateVerdict

R = TypeVar("R")
COST = 700
RESERVED = 1_000


def start(plan: dict[str, Any], *, owner: Any = None, **settings: Any) -> Execution:
    """Store a plan and start an execution of it; nothing runs yet. Without tests unless told: gates need a sandbox."""
    settings.setdefault("validators", "syntax,contract")
    masterplan = store_masterplans(load_document(plan, origin="test"), owner=owner)[0]
    return start_execution(masterplan=masterplan, actor=owner, settings=settings)


def write(change: Change[R]) -> R:
    """One change in a transaction of its own, as the ledger writes it; a refusal undoes nothing and is raised."""
    with transaction.atomic(), connection.cursor() as cursor:
        ((result, refused),) = write_changes(cursor, [change])
    if refused is not None:
        raise refused
    answer: R = result
    return answer


@contextmanager
def statements_sent() -> Iterator[list[str]]:
    """The single statements that are sent in the block over Django's cursors, with their values where the driver keeps them."""
    sent: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not many:
            # Of some statements PostgreSQL's driver keeps no text.
            sent.append(connection.ops.last_executed_query(context["cursor"].cursor, sql, params) or sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield sent


def claiming(
    limit: int = 100, *, owner: str = "runner", most: int = 400, can_execute: bool = True, lease_s: float = 30
) -> Claim:
    return Claim(owner, lambda: limit, timedelta(seconds=lease_s), most, can_execute)


@contextmanager
def held(execution: Execution) -> Iterator[None]:
    """The execution is locked by somebody else while the block runs: whoever would write it must wait."""
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with open_transaction(execution.id):
                taken.set()
                done.wait(timeout=60)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(timeout=30)
    try:
        yield
    finally:
        done.set()
        thread.join()


class Hand:
    """The work on one claimed atom."""

    def __init__(self, claim: ClaimedAtom, max_attempts: int = 4) -> None:
        self.claim = claim
        self.max_attempts = max_attempts
        self.used = claim.attempts
        self.attempt_id = new_id()
        self.calls = 0
        """Calls of this attempt so far."""
        self.open_call = uuid.UUID(int=0)

    def intend(self, *, reserve: int = RESERVED, new: bool | None = None) -> uuid.UUID:
        """Record that a call is about to be made; returns its id."""
        call_id = new_id()
        new = self.calls == 0 if new is None else new
        intent = AttemptIntent(self.used + 1, "generate", {"temperature": 0.7}, "system", "user")
        write(
            RecordIntent(
                claim=self.claim,
                attempt_id=self.attempt_id,
                attempt_number=self.used + 1,
                call_id=call_id,
                ordinal=self.calls + 1,
                endpoint="test",
                model="scripted-test",
                requested={"temperature": 0.7},
                reserve_nano_usd=reserve,
                new_attempt=intent if new else None,
            )
        )
        self.calls += 1
        self.open_call = call_id
        return call_id

    def answer(self, call_id: uuid.UUID, text: str = "x = 1\n", cost: int = COST) -> bool:
        result = CallResult(
            CallOutcome.ANSWERED, answer=text, input_tokens=30, output_tokens=12, cost_nano_usd=cost
        )
        return write(RecordAnswer(self.claim, self.used + 1, call_id, result))

    def fault(
        self,
        call_id: uuid.UUID,
        *,
        wait_s: float | None = 0.0,
        most: int = 8,
        outcome: CallOutcome = CallOutcome.TRANSPORT_ERROR,
        **result: Any,
    ) -> bool:
        return write(
            RecordFault(
                claim=self.claim,
                attempt_number=self.used + 1,
                call_id=call_id,
                result=CallResult(outcome, **result),
                policy=FaultPolicy(most, timedelta(minutes=10)),
                wait=None if wait_s is None else timedelta(seconds=wait_s),
            )
        )

    def judge(self, *, passed: bool, assurance: str = "tested", message: str = "it is wrong") -> int | None:
        used = write(self.verdict(passed=passed, assurance=assurance, message=message))
        if used is not None:
            self.used, self.attempt_id, self.calls = used, new_id(), 0
        return used

    def verdict(
        self, *, passed: bool, assurance: str = "tested", message: str = "it is wrong"
    ) -> RecordVerdict:
        findings = () if passed else (Finding(Severity.ERROR, "test-failed", message),)
        return RecordVerdict(
            claim=self.claim,
            attempt_id=self.attempt_id,
            number=self.used + 1,
            max_attempts=self.max_attempts,
            code="x = 1\n",
            passed=passed,
            assurance=assurance if passed else "",
            isolation="isolated",
            findings=findings,
            tests_passed=("test_one",) if passed else (),
            tests_total=1,
            duration_ms=1.0,
            cpu_ms=1.0,
        )

    def attempt(self, *, passed: bool) -> int | None:
        """A whole attempt: intent, answer, verdict."""
        self.answer(self.intend())
        return self.judge(passed=passed)

    def give_back(self, wait_s: float | None = None) -> None:
        write(Release(self.claim, None if wait_s is None else timedelta(seconds=wait_s)))

    def abort(self) -> None:
        write(RecordAborted(self.claim))


def claim_one(execution: Execution, key: str | None = None, *, owner: str = "runner") -> Hand:
    """Claim the next atom of an execution, which must be `key` when that is given."""
    (claim,) = write(claiming(1, owner=owner))
    assert claim.execution_id == execution.id
    assert key is None or claim.key == key
    return Hand(claim, execution.config["max_attempts"])


def succeed_all(execution: Execution) -> None:
    """Claim whatever is ready and let it pass, until nothing is ready any more."""
    while claims := write(claiming()):
        for claim in claims:
            Hand(claim, execution.config["max_attempts"]).attempt(passed=True)
    execution.refresh_from_db()


def fail_the_gate(execution: Execution, message: str, *, stops: bool = False) -> None:
    """Claim the next gate, of which one of two tests fails with this message."""
    claim = replace(claiming(0), gate_room=lambda: 1)
    write(claim)
    (gate,) = claim.gates
    assert gate.execution_id == execution.id
    found = Finding(Severity.ERROR, "test-failed", message)
    write(RecordGate(gate, GateVerdict((found,), 1, 2, "isolated", 12.0, 3.0), "", stops))


def expire_leases(execution: Execution) -> None:
    """As if the owners had been silent for longer than their leases last."""
    AtomRun.objects.filter(execution=execution).exclude(lease_owner="").update(
        lease_until=datetime.now(UTC) - timedelta(seconds=1)
    )


def events(execution: Execution, *types: str) -> list[Event]:
    found = Event.objects.filter(execution=execution).order_by("seq")
    return list(found.filter(type__in=types) if types else found)


def statuses(execution: Execution) -> dict[str, str]:
    return dict(AtomRun.objects.filter(execution=execution).values_list("key", "status"))


def assert_counters_equal_rows(execution: Execution) -> None:
    """Every counter of execution and waves, recomputed from the rows it counts; and events without gaps."""
    execution.refresh_from_db()
    runs = Counter(AtomRun.objects.filter(execution=execution).values_list("status", flat=True))
    attempts = Attempt.objects.filter(execution=execution, kind="model", status__in=sorted(ATTEMPT_COUNTED))
    calls = Call.objects.filter(execution=execution)
    sums = calls.aggregate(
        cost=Sum("cost_nano_usd", default=0),
        tokens_in=Sum("input_tokens", default=0),
        tokens_out=Sum("output_tokens", default=0),
    )
    hits = Attempt.objects.filter(execution=execution, kind="cache", status="passed").count()
    assert execution.cache_hits == hits
    assert {
        name: getattr(execution, name)
        for name in (
            *(f"atoms_{word}" for word in ("succeeded", "failed", "blocked", "cancelled", "dead_lettered")),
            *("atoms_static", "attempts_total", "attempts_passed", "retries_total", "retries_passed"),
            *("calls_total", "input_tokens", "output_tokens", "cost_nano_usd"),
            *("reserved_nano_usd", "lost_nano_usd", "seq"),
        )
    } == {
        **{
            f"atoms_{word}": runs[word]
            for word in ("succeeded", "failed", "blocked", "cancelled", "dead_lettered")
        },
        "atoms_static": AtomRun.objects.filter(execution=execution, assurance="static").count(),
        "attempts_total": attempts.count(),
        "attempts_passed": attempts.filter(status="passed").count(),
        "retries_total": attempts.filter(number__gt=1).count(),
        "retries_passed": attempts.filter(number__gt=1, status="passed").count(),
        "calls_total": calls.count(),
        "input_tokens": sums["tokens_in"],
        "output_tokens": sums["tokens_out"],
        "cost_nano_usd": sums["cost"],
        "reserved_nano_usd": _reserved(calls.filter(outcome="")),
        "lost_nano_usd": _reserved(calls.filter(cost_nano_usd=None).exclude(outcome="")),
        "seq": Event.objects.filter(execution=execution).count(),
    }
    for run in AtomRun.objects.filter(execution=execution):
        assert run.attempts == attempts.filter(atom_run=run, generation=run.generation).count()
    for wave in Wave.objects.filter(execution=execution):
        ended = AtomRun.objects.filter(
            execution=execution, wave=wave.number, status__in=sorted(ATOM_ENDED)
        ).values_list("status", flat=True)
        won = sum(1 for status in ended if status == "succeeded")
        assert (wave.atoms_succeeded, wave.atoms_unsuccessful) == (won, len(ended) - won)
    numbers = list(Event.objects.filter(execution=execution).order_by("seq").values_list("seq", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))


def assert_all_ended(execution: Execution) -> None:
    """Terminal means terminal: waves, atoms, attempts and calls have ended, and the last event says so.

    Only former owners that come back may be told of after the end.
    """
    execution.refresh_from_db()
    assert execution.status in ("completed", "failed", "cancelled")
    assert execution.ended_at is not None
    assert (
        not Wave.objects.filter(execution=execution).exclude(status__in=["completed", "cancelled"]).exists()
    )
    assert not Wave.objects.filter(execution=execution, ended_at=None).exists()
    assert not AtomRun.objects.filter(execution=execution).exclude(status__in=sorted(ATOM_ENDED)).exists()
    assert not AtomRun.objects.filter(execution=execution, ended_at=None).exists()
    assert not Attempt.objects.filter(execution=execution, status="running").exists()
    assert not Call.objects.filter(execution=execution, outcome="").exists()
    assert execution.reserved_nano_usd == 0
    told = [event.type for event in events(execution) if event.type != "lease.late_write"]
    assert told[-1] == "execution.ended"


def _reserved(calls: Any) -> int:
    total: int = calls.aggregate(total=Sum("reserved_nano_usd", default=0))["total"]
    return total
