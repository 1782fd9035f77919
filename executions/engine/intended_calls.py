"""What an atom asks the model next: the prompt, the call's intent, and the request, made of what was read of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from executions.engine.calls import AttemptIntent, RecordIntent
from executions.engine.context import OpenAttempt
from executions.engine.prompt_of_atom import prompt_for
from executions.generation.client import ModelRequest
from executions.generation.ladder import Rung, rung_json
from executions.generation.prices import estimate
from executions.identity import new_id

if TYPE_CHECKING:
    from executions.engine.context import AtomContext

EXPECTED_OUTPUT_TOKENS = 1_000
"""Reserved for an answer before any has been seen; the true cost is settled after the call."""
MOST_TOKENS = 64_000


@dataclass(frozen=True, slots=True)
class IntendedCall:
    """A call that may be made once its intent is committed."""

    intent: RecordIntent
    attempt: OpenAttempt
    """The attempt it belongs to, this call counted."""
    rung: Rung
    max_tokens: int

    def request(self, timeout_s: float) -> ModelRequest:
        """What is sent, to be answered within `timeout_s` seconds."""
        return ModelRequest(
            model=self.intent.model,
            system=self.attempt.prompt_system,
            user=self.attempt.prompt_user,
            max_tokens=self.max_tokens,
            temperature=self.rung.temperature,
            effort=self.rung.effort,
            timeout_s=timeout_s,
        )


def intended_call(
    context: AtomContext, rung: Rung, attempt: OpenAttempt | None, *, endpoint: str, dependency_bodies: int
) -> IntendedCall:
    """The next call of an attempt, or the first of a new one on this rung. May be called from any thread.

    Raises AssemblyConflict when the accepted code in the atom's own file cannot share it after all.
    """
    claim, configuration = context.claim, context.execution.configuration
    new_attempt = None
    if attempt is None:
        prompt = prompt_for(context, rung, tuple(context.history), dependency_bodies=dependency_bodies)
        attempt = OpenAttempt(new_id(), rung.number, prompt.system, prompt.user, 0, 0, None)
        new_attempt = AttemptIntent(
            number=attempt.number,
            strategy=rung.strategy.value,
            rung=rung_json(rung),
            prompt_system=attempt.prompt_system,
            prompt_user=attempt.prompt_user,
        )
    model = rung.model or configuration.model
    tokens = min(rung.max_tokens * 2**attempt.truncations, max(MOST_TOKENS, rung.max_tokens))
    reserve = estimate(
        model,
        input_chars=len(attempt.prompt_system) + len(attempt.prompt_user),
        expected_output_tokens=EXPECTED_OUTPUT_TOKENS,
    )
    intent = RecordIntent(
        claim=claim,
        attempt_id=attempt.id,
        attempt_number=attempt.number,
        call_id=new_id(),
        ordinal=attempt.calls + 1,
        endpoint=endpoint,
        model=model,
        requested={"temperature": rung.temperature, "effort": rung.effort, "max_tokens": tokens},
        reserve_nano_usd=reserve.nano_usd,
        new_attempt=new_attempt,
    )
    return IntendedCall(intent, replace(attempt, calls=attempt.calls + 1), rung, tokens)
