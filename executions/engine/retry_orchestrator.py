"""The retry orchestrator: one atom up its ladder. Generate, validate, feed the findings back, try again.

A fault of the provider is no attempt: the atom gives its slot back and waits. An answer goes to the ledger before it is looked
at: between its commit and its verdict a crash pays nothing again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from executions.engine.answer_cache import KnownAnswer
from executions.engine.call_results import applied_parameters, outcome_of, result_of
from executions.engine.calls import (
    CallResult,
    FaultPolicy,
    RecordAborted,
    RecordAnswer,
    RecordFault,
    RecordUnsent,
)
from executions.engine.claims import ClaimedAtom, Release
from executions.engine.commit_window import CommitWindow
from executions.engine.context import AtomContext, OpenAttempt
from executions.engine.intended_calls import IntendedCall, intended_call
from executions.engine.judging import judged, unread
from executions.engine.ledger import LeaseLost, Ledger, Stopped
from executions.engine.time_limits import Overrun, RecordOverrun, TimeLimit
from executions.engine.verdicts import RecordVerdict
from executions.findings import Finding, Severity
from executions.generation.client import ModelClient, ProviderFault
from executions.generation.extraction import NoCode, extract
from executions.generation.prompts import PastAttempt
from executions.identity import new_id
from executions.planning.assembly import AssemblyConflict
from executions.states import AttemptKind, AttemptStatus, CallOutcome
from executions.validation.pipeline import SandboxUnavailable, Validator
from executions.validation.verdict import Verdict

log = logging.getLogger(__name__)

MOST_TRUNCATIONS = 3
SANDBOX_WAIT = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how often an atom waits for the provider; times in seconds."""

    backoff_s: float
    backoff_max_s: float
    most_faults: int
    window_s: float
    call_timeout_s: float
    dependency_bodies: int


@dataclass(frozen=True, slots=True)
class Answered:
    """An attempt with an answer to judge."""

    attempt: OpenAttempt
    call_id: uuid.UUID | None = None
    kept: asyncio.Future[bool] | None = None
    """Of an answer that has just come: it is on its way into the ledger; whether the atom was still ours then."""


@dataclass(frozen=True, slots=True)
class GoingOn:
    """What is known of the next attempt."""

    used: int
    """Attempts before it."""
    call: IntendedCall | None = None
    """Its first call, where that is intended already."""
    written: asyncio.Future[None] | None = None
    """Of an intent that is on its way into the ledger."""


class RetryOrchestrator:
    """Works claimed atoms; shared by all atoms of a runner."""

    def __init__(
        self,
        ledger: Ledger,
        validator: Callable[[str], Validator],
        client: Callable[[str], ModelClient],
        patience: Patience,
        jitter: random.Random,
        stopping: Callable[[], bool],
        about_to_end: Callable[[ClaimedAtom, float], None],
        window: CommitWindow,
    ) -> None:
        """`about_to_end` is told at once when the verdict has been queued with which an atom ends, and for how many seconds that
        waits for company; `window` how long each call took that was answered.
        """
        self._ledger = ledger
        self._validator = validator
        self._client = client
        self._patience = patience
        self._jitter = jitter
        self._stopping = stopping
        self._about_to_end = about_to_end
        self._window = window

    def first_call(self, context: AtomContext) -> IntendedCall | None:
        """What the work on an atom asks before anything else was done; None: there is something to be done before. May be
        called from any thread once the client of the atom's endpoint has been made.
        """
        if context.open_attempt is not None or context.known is not None:
            return None
        try:
            return self._intended(context, context.claim.attempts, None)
        except AssemblyConflict:
            # Whoever works on this atom meets the same conflict, and it is that atom's alone.
            return None

    async def work(self, context: AtomContext, call: IntendedCall | None = None) -> None:
        """Work one atom until it ends, waits, or is no longer ours. Cancelling it aborts the call and records that.

        `call`: the first one, when its intent is committed already.
        """
        claim = context.claim
        try:
            await self._climb(context, call)
        except LeaseLost as lost:
            log.warning("execution=%s atom=%s lease lost: %s", claim.execution_id, claim.key, lost)
        except Stopped:
            await self._give_back(context)
        except Overrun:
            await self._overran(context)
        except SandboxUnavailable as error:
            log.error("execution=%s atom=%s sandbox unavailable: %s", claim.execution_id, claim.key, error)  # noqa: TRY400
            await self._give_back(context, SANDBOX_WAIT)
        except asyncio.CancelledError:
            try:
                await self._ledger.record(RecordAborted(claim))
            except LeaseLost:
                log.info(
                    "execution=%s atom=%s was taken over before its abort", claim.execution_id, claim.key
                )

    async def _stop_before(self, context: AtomContext, going: GoingOn) -> None:
        """Give the atom back between two attempts. Whoever claims it next goes on with the same findings and number."""
        if going.call is None or going.written is None:
            await self._give_back(context)
            return
        await going.written
        await self._ledger.record(RecordUnsent(context.claim, going.call.intent.call_id))

    async def _give_back(self, context: AtomContext, wait: timedelta | None = None) -> None:
        try:
            await self._ledger.record(Release(context.claim, wait))
        except LeaseLost as lost:
            log.warning(
                "execution=%s atom=%s lease lost: %s", context.claim.execution_id, context.claim.key, lost
            )

    async def _overran(self, context: AtomContext) -> None:
        limit_s = context.execution.configuration.attempt_timeout_s or 0
        with contextlib.suppress(LeaseLost):
            await self._ledger.record(
                RecordOverrun(
                    context.claim, limit_s, self._policy(), timedelta(seconds=self._backoff_s(context))
                )
            )

    async def _climb(self, context: AtomContext, call: IntendedCall | None) -> None:
        attempt, going = context.open_attempt, GoingOn(context.claim.attempts, call)
        if context.known is not None:
            used = await self._take(context, context.known)
            if used is None:
                return
            going = GoingOn(used)
        while True:
            limit = TimeLimit.of(context.execution.configuration, self._patience.call_timeout_s)
            if attempt is not None and attempt.can_be_judged:
                answered: Answered | None = Answered(attempt)
            else:
                answered = await self._generate(context, going, attempt, limit)
            if answered is None:
                return
            goes_on = await self._judge(context, answered, limit)
            if goes_on is None:
                return
            if self._stopping():
                await self._stop_before(context, goes_on)
                return
            attempt, going = None, goes_on

    # --- generate -------------------------------------------------------------------------------------------------

    def _intended(self, context: AtomContext, used: int, attempt: OpenAttempt | None) -> IntendedCall:
        configuration = context.execution.configuration
        return intended_call(
            context,
            configuration.ladder[used],
            attempt,
            endpoint=self._client(configuration.endpoint).endpoint.name,
            dependency_bodies=self._patience.dependency_bodies,
        )

    async def _generate(
        self, context: AtomContext, going: GoingOn, attempt: OpenAttempt | None, limit: TimeLimit
    ) -> Answered | None:
        """Ask until there is an answer; None when the atom was given back or ended."""
        claim, call, written = context.claim, going.call, going.written
        client = self._client(context.execution.configuration.endpoint)
        while True:
            timeout_s = limit.for_a_call_s
            if not timeout_s:
                raise Overrun
            if call is None:
                call = self._intended(context, going.used, attempt)
                written = self._ledger.submit(call.intent)
            if written is not None:
                await written
            attempt, call_id, tokens = call.attempt, call.intent.call_id, call.max_tokens
            request, call, written = call.request(timeout_s), None, None
            asked_at = time.monotonic()
            try:
                answer = await client.complete(request)
            except ProviderFault as fault:
                await self._ledger.record(self._fault(context, attempt, call_id, fault, tokens))
                return None
            self._window.note_call(time.monotonic() - asked_at)
            outcome = outcome_of(answer)
            result = result_of(answer, outcome, tokens, request.model)
            if outcome is CallOutcome.ANSWERED:
                change = RecordAnswer(claim, attempt.number, call_id, result)
                # Nobody waits for it alone. As long as its verdict may wait, if that comes at once.
                within_s = self._window.at_end_s(claim)
                kept = self._ledger.submit(change, within_s=within_s, awaited=False)
                return Answered(replace(attempt, answer=answer.text), call_id, kept)
            attempt = replace(attempt, truncations=attempt.truncations + 1)
            if not await self._ledger.record(self._unusable(context, attempt, call_id, result)):
                return None

    def _fault(
        self,
        context: AtomContext,
        attempt: OpenAttempt,
        call_id: uuid.UUID,
        fault: ProviderFault,
        tokens: int,
    ) -> RecordFault:
        patience = self._patience
        asked = fault.retry_after_s or 0.0
        stop_reason = f"the provider refuses: {fault}" if fault.fatal else ""
        if asked > patience.window_s:
            stop_reason = f"the provider asks to wait {asked:.0f} s"
        wait = self._backoff_s(context)
        if fault.retry_after_s is not None:
            # As asked, never sooner; the jitter spreads the atoms that were all told the same.
            wait = fault.retry_after_s + self._jitter.uniform(0, min(1.0, 0.1 * fault.retry_after_s))
        return RecordFault(
            claim=context.claim,
            attempt_number=attempt.number,
            call_id=call_id,
            result=CallResult(
                outcome=CallOutcome.TRANSPORT_ERROR,
                applied=applied_parameters(fault.applied, fault.dropped, tokens),
                dropped=fault.dropped,
                status_code=fault.status,
                error_type=fault.error_type or fault.kind.value,
                error=fault.message,
                request_id=fault.request_id,
                possibly_billed=fault.possibly_billed,
            ),
            policy=self._policy(),
            wait=timedelta(seconds=wait),
            stop_reason=stop_reason,
        )

    def _backoff_s(self, context: AtomContext) -> float:
        patience = self._patience
        backoff: float = min(patience.backoff_max_s, patience.backoff_s * 2**context.claim.faults)
        return backoff * self._jitter.uniform(0.75, 1.25)

    def _unusable(
        self, context: AtomContext, attempt: OpenAttempt, call_id: uuid.UUID, result: CallResult
    ) -> RecordFault:
        """Truncated or refused: truncation is tried again at once with more room, a refusal after a wait."""
        patient = result.outcome is CallOutcome.TRUNCATED and attempt.truncations < MOST_TRUNCATIONS
        wait = None if patient else timedelta(seconds=self._patience.backoff_s * 2**context.claim.faults)
        return RecordFault(
            claim=context.claim,
            attempt_number=attempt.number,
            call_id=call_id,
            result=result,
            policy=self._policy(),
            wait=wait,
        )

    def _policy(self) -> FaultPolicy:
        return FaultPolicy(self._patience.most_faults, timedelta(seconds=self._patience.window_s))

    # --- validate -------------------------------------------------------------------------------------------------

    async def _judge(self, context: AtomContext, answered: Answered, limit: TimeLimit) -> GoingOn | None:
        """Judge the answer; what comes next when the same owner goes on, None otherwise.

        The answer is on its way into the ledger before it is looked at. Where judging it is quick, its verdict is written
        in the same transaction, and so is the intent of what it makes necessary.
        """
        attempt, kept = answered.attempt, answered.kept
        try:
            # Only what was asked for has a limit: the sandbox has its own.
            async with asyncio.timeout_at(
                limit.ends_at if attempt.kind is AttemptKind.MODEL else None
            ) as clock:
                code, verdict = await self._verdict(context, attempt)
        except TimeoutError:
            if not clock.expired():
                raise
            raise Overrun from None
        if kept is not None and kept.done():
            if not kept.result():
                return None
            kept = None
        most = context.execution.configuration.max_attempts
        change = RecordVerdict(
            claim=context.claim,
            attempt_id=attempt.id,
            number=attempt.number,
            max_attempts=most,
            code=code,
            passed=verdict.passed,
            assurance=verdict.assurance,
            isolation=verdict.isolation.value,
            findings=verdict.findings,
            tests_passed=verdict.tests_passed,
            tests_total=verdict.tests_total,
            duration_ms=verdict.duration_ms,
            cpu_ms=verdict.cpu_ms,
            kind=attempt.kind,
            place=context.cache,
            shares_file=context.shares_file,
            call_id=None if kept is None else answered.call_id,
        )
        # In a shared file the ledger has the last word: what passed may be rejected yet.
        passes = verdict.passed and not context.shares_file
        ends = passes or attempt.number >= most or attempt.kind is not AttemptKind.MODEL
        within_s = self._window.at_end_s(context.claim) if ends else self._window.seconds()
        queued = self._ledger.submit(change, within_s=within_s)
        past = PastAttempt(
            number=attempt.number,
            code=code,
            findings=tuple(verdict.findings),
            tests_passed=verdict.tests_passed,
            tests_total=verdict.tests_total,
        )
        call, written = None, None
        if ends:
            self._about_to_end(context.claim, within_s)
        elif not verdict.passed and not self._stopping():
            context.history.append(past)
            call = self._intended(context, attempt.number, None)
            # Awaited as well: the writer may be gone with the verdict by now.
            written = self._ledger.submit(call.intent, within_s=within_s)
            # Nobody hears of its refusal where the verdict left nothing to go on with.
            written.add_done_callback(_heard)
        if kept is not None and not await kept:
            await queued
            return None
        used = await queued
        _say(context, attempt.kind, attempt.number, passed=verdict.passed and not change.misfits)
        if used is None:
            return None
        if call is None:
            findings = (*verdict.findings, *change.misfits)
            context.history.append(replace(past, findings=findings))
        return GoingOn(used, call, written)

    async def _take(self, context: AtomContext, known: KnownAnswer) -> int | None:
        """Accept an answer of the cache. Where it was accepted among other files it is judged again; when it is rejected, the
        number of attempts used, which is none, as `_judge` returns it.
        """
        accepted = known.accepted
        verdict = None if known.trusted else await judged(self._validator, context, accepted.code)
        change = RecordVerdict(
            claim=context.claim,
            attempt_id=new_id(),
            number=1,
            max_attempts=context.execution.configuration.max_attempts,
            code=accepted.code,
            passed=verdict is None or verdict.passed,
            assurance=accepted.assurance if verdict is None else verdict.assurance,
            isolation=accepted.isolation if verdict is None else verdict.isolation.value,
            findings=() if verdict is None else verdict.findings,
            tests_passed=accepted.tests_passed if verdict is None else verdict.tests_passed,
            tests_total=accepted.tests_total if verdict is None else verdict.tests_total,
            duration_ms=None if verdict is None else verdict.duration_ms,
            cpu_ms=None if verdict is None else verdict.cpu_ms,
            kind=AttemptKind.CACHE,
            known=known,
            shares_file=context.shares_file,
        )
        ends = change.passed and not context.shares_file
        within_s = self._window.at_end_s(context.claim) if ends else self._window.seconds()
        queued = self._ledger.submit(change, within_s=within_s)
        if ends:
            self._about_to_end(context.claim, within_s)
        used = await queued
        _say(context, AttemptKind.CACHE, 1, passed=change.passed and not change.misfits)
        return used

    async def _verdict(self, context: AtomContext, attempt: OpenAttempt) -> tuple[str, Verdict]:
        if attempt.kind is not AttemptKind.MODEL:
            return attempt.code, await judged(self._validator, context, attempt.code)
        try:
            code = extract(attempt.answer or "", language=context.spec.language).code
        except NoCode as error:
            return "", unread(Finding(Severity.CRITICAL, "no-code", str(error)))
        return code, await judged(self._validator, context, code)


def _heard(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()


def _say(context: AtomContext, kind: AttemptKind, number: int, *, passed: bool) -> None:
    log.info(
        "execution=%s atom=%s attempt=%d kind=%s %s",
        context.claim.execution_id,
        context.claim.key,
        number,
        kind.value,
        (AttemptStatus.PASSED if passed else AttemptStatus.REJECTED).value,
    )
