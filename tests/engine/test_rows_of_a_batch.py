"""What the ledger writes for a whole batch at once arrives as it was given, on both databases."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from executions.engine import dialect
from executions.engine.calls import AttemptIntent, CallResult, RecordAnswer, RecordIntent
from executions.engine.ledger import Ledger
from executions.engine.verdicts import RecordVerdict
from executions.findings import Finding, Severity
from executions.identity import new_id
from executions.models import AtomRun, Attempt, Call, Event, Issue
from executions.states import CallOutcome
from tests.engine.by_hand import assert_counters_equal_rows, claiming, start, write
from tests.engine.committed import transactional_db  # noqa: F401  a fixture
from tests.plans import layers, plan

pytestmark = pytest.mark.usefixtures("transactional_db")
ODD = [
    "plain",
    "",
    "quotes \" and ' and {braces} and, commas",
    "back\\slash and %s and %b and ? and $1",
    "NULL",
    "two\nlines\ttab",
    "émoji 🦊 and 漢字",
    "x" * 5_000,
]


def _together(*changes: Any) -> list[Any]:
    async def run() -> list[Any]:
        ledger = Ledger(window_s=lambda: 60, writers=lambda: len(changes))
        ledger.start()
        try:
            answers = await asyncio.gather(*(ledger.record(change) for change in changes))
            assert ledger.transactions == 1
        finally:
            await ledger.close()
        return list(answers)

    return asyncio.run(run())


def test_texts_and_missing_values_of_a_batch_are_stored_as_they_were_given() -> None:
    execution = start(plan(*layers(len(ODD))), max_attempts=1)
    claims = write(claiming())
    work = [(claim, new_id(), new_id(), text) for claim, text in zip(claims, ODD, strict=True)]

    _together(
        *(
            RecordIntent(
                claim, attempt, 1, call, 1, "here", "scripted-test", {"effort": None, "note": text}, 10,
                AttemptIntent(1, "generate", {"temperature": 0.7, "model": None}, text, text[::-1]),
            )
            for claim, attempt, call, text in work
        )
    )  # fmt: skip
    _together(
        *(
            RecordAnswer(
                claim,
                1,
                call,
                CallResult(
                    CallOutcome.ANSWERED,
                    applied={"temperature": None},
                    dropped={"temperature": text},
                    status_code=None if text else 200,
                    answer=text,
                    output_tokens=number,
                    cost_nano_usd=number,
                ),
            )
            for number, (claim, _, call, text) in enumerate(work)
        )
    )
    answers = _together(
        *(
            RecordVerdict(
                claim, attempt, 1, 1, text, bool(number % 2), "tested" if number % 2 else "", "isolated",
                [Finding(Severity.ERROR, "rule", text, None if number else 3, text)], [text], number,
                0.5 if number else None, None if number else 0.25,
            )
            for number, (claim, attempt, _, text) in enumerate(work)
        )
    )  # fmt: skip

    assert answers == [None] * len(ODD)
    for number, (claim, attempt_id, call_id, text) in enumerate(work):
        attempt = Attempt.objects.get(pk=attempt_id)
        assert (attempt.prompt_system, attempt.prompt_user, attempt.code) == (text, text[::-1], text)
        assert attempt.rung == {"temperature": 0.7, "model": None}
        assert (attempt.tests_passed, attempt.tests_total) == ([text], number)
        assert (attempt.validation_ms, attempt.validation_cpu_ms) == ((0.5, None) if number else (None, 0.25))
        assert attempt.started_at <= (attempt.ended_at or attempt.started_at)
        call = Call.objects.get(pk=call_id)
        assert (call.requested, call.dropped) == ({"effort": None, "note": text}, {"temperature": text})
        assert (call.answer, call.output_tokens, call.cost_nano_usd) == (text, number, number)
        assert call.status_code == (None if text else 200)
        issue = Issue.objects.get(attempt_id=attempt_id)
        assert (issue.message, issue.hint, issue.line) == (text, text, None if number else 3)
        run = AtomRun.objects.get(pk=claim.run_id)
        assert (run.status, run.accepted_id) == (
            ("succeeded", attempt_id) if number % 2 else ("failed", None)
        )
    assert_counters_equal_rows(execution)
    numbers = list(Event.objects.filter(execution=execution).order_by("seq").values_list("seq", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ({"b": 1, "a": [1.5, None, True]}, '{"a":[1.5,null,true],"b":1}'),
        ({"fox": "🦊"}, '{"fox":"\\ud83e\\udd8a"}'),
        ({"nul": "a\0b"}, '{"nul":"a\\ufffdb"}'),
        (
            {"half\ud800": "of \udc00 a pair"},
            '{"half\\ufffd\\ufffd\\ufffd":"of \\ufffd\\ufffd\\ufffd a pair"}',
        ),
        ({"already written": "\\u0000"}, '{"already written":"\\\\u0000"}'),
    ],
)
def test_json_holds_what_every_database_can_store(value: Any, stored: str) -> None:
    assert dialect.dump(value) == stored
