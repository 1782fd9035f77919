"""Many atoms worked at once, the way the ledger writes them: many changes in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction

from executions.engine.calls import AttemptIntent, CallResult, RecordAnswer, RecordIntent
from executions.engine.claims import ClaimedAtom
from executions.engine.ledger import Change, write_changes
from executions.engine.verdicts import RecordVerdict
from executions.findings import Finding, Severity
from executions.identity import new_id
from executions.models import Execution
from executions.states import CallOutcome
from tests.engine.by_hand import claiming, write


def write_together(changes: Sequence[Change[Any]]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        write_changes(cursor, changes)


def attempt_together(
    claims: Sequence[ClaimedAtom], *, number: int, passed: bool, temperature: float | None = 0.7
) -> None:
    """One attempt of each atom: intents, answers, verdicts."""
    ids = [(claim, new_id(), new_id()) for claim in claims]
    intent = AttemptIntent(number, "repair", {"temperature": temperature}, "system", "user")
    write_together(
        [
            RecordIntent(
                claim=claim,
                attempt_id=attempt_id,
                attempt_number=number,
                call_id=call_id,
                ordinal=1,
                endpoint="test",
                model="scripted-test",
                requested={"temperature": temperature},
                reserve_nano_usd=0,
                new_attempt=intent,
            )
            for claim, attempt_id, call_id in ids
        ]
    )
    answer = CallResult(
        CallOutcome.ANSWERED, answer="x = 1\n", input_tokens=30, output_tokens=12, cost_nano_usd=700
    )
    write_together([RecordAnswer(claim, 1, call_id, answer) for claim, _, call_id in ids])
    write_together(
        [
            RecordVerdict(
                claim=claim,
                attempt_id=attempt_id,
                number=number,
                max_attempts=20,
                code="x = 1\n",
                passed=passed,
                assurance="tested" if passed else "",
                isolation="isolated",
                findings=() if passed else (Finding(Severity.ERROR, "test-failed", "it is wrong"),),
                tests_passed=("test_one",) if passed else (),
                tests_total=1,
                duration_ms=1.0,
                cpu_ms=1.0,
            )
            for claim, attempt_id, _ in ids
        ]
    )


def work_through(execution: Execution) -> None:
    """Work an execution to its end; every third atom needs two attempts."""
    while claims := write(claiming(400)):
        slow, fast = claims[::3], [claim for place, claim in enumerate(claims) if place % 3]
        attempt_together(slow, number=1, passed=False)
        attempt_together(slow, number=2, passed=True, temperature=0.5)
        attempt_together(fast, number=1, passed=True)
    execution.refresh_from_db()
    assert execution.status == "completed"
