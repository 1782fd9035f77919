"""What came back from a call, as the ledger keeps it."""

from __future__ import annotations

from executions.engine.calls import CallResult
from executions.generation.client import ModelAnswer
from executions.generation.prices import price_of
from executions.states import CallOutcome


def outcome_of(answer: ModelAnswer) -> CallOutcome:
    if answer.stop_reason == "max_tokens":
        return CallOutcome.TRUNCATED
    if answer.stop_reason == "refusal":
        return CallOutcome.REFUSED
    return CallOutcome.ANSWERED


def applied_parameters(applied: object, dropped: object, tokens: int) -> dict[str, object]:
    """Every parameter with what was sent; null for what was left out."""
    sent = dict(applied) if isinstance(applied, dict) else {}
    left_out = dict.fromkeys(dropped) if isinstance(dropped, dict) else {}
    return {"max_tokens": tokens, **left_out, **sent}


def result_of(answer: ModelAnswer, outcome: CallOutcome, tokens: int, model: str) -> CallResult:
    price = price_of(model, answer.usage)
    return CallResult(
        outcome=outcome,
        applied=applied_parameters(dict(answer.applied), dict(answer.dropped), tokens),
        dropped=answer.dropped,
        status_code=200,
        error="" if outcome is CallOutcome.ANSWERED else f"the answer ended with {answer.stop_reason}",
        error_type="" if outcome is CallOutcome.ANSWERED else outcome.value,
        request_id=answer.request_id,
        stop_reason=answer.stop_reason,
        answer=answer.text,
        input_tokens=answer.usage.input_tokens
        + answer.usage.cache_read_tokens
        + answer.usage.cache_write_tokens,
        output_tokens=answer.usage.output_tokens,
        cache_read_tokens=answer.usage.cache_read_tokens,
        cache_write_tokens=answer.usage.cache_write_tokens,
        price_kind=price.kind.value,
        cost_nano_usd=price.nano_usd,
    )
