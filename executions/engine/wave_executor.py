"""The wave executor: a runner that claims ready atoms and works up to its capacity of them in one event loop.

It knows no single execution: it claims from all that are running, in a fair share. Waves open in the ledger, in the
transaction in which the wave ahead ends, so any number of runners may share an execution.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Count, Exists, Min, OuterRef, Q

from executions.engine import dialect, doorbell
from executions.engine.calls import RecordAborted, RecordUnsent
from executions.engine.claims import Claim, ClaimedAtom, Release
from executions.engine.commit_window import CommitWindow
from executions.engine.context import AtomContext, ExecutionContext, load_atoms, load_execution
from executions.engine.first_calls import FirstCalls
from executions.engine.gate_changes import ReleaseGate
from executions.engine.gate_runner import GateRunner
from executions.engine.heartbeat import Heartbeat
from executions.engine.intended_calls import IntendedCall
from executions.engine.ledger import Change, LeaseLost, Ledger, Reader
from executions.engine.node import claims_nothing, idle_workers
from executions.engine.owners import owner_name
from executions.engine.reconciler import RecordDeath
from executions.engine.retry_orchestrator import Patience, RetryOrchestrator
from executions.engine.runner_resources import Clients, Validators, can_execute
from executions.models import AtomRun, Execution
from executions.scripted_model.embedded import EmbeddedModelError
from executions.states import ATOM_LEASED, EXECUTION_CLAIMABLE, AtomStatus, ExecutionStatus

log = logging.getLogger(__name__)

CLAIMED_AT_ONCE = 32
"""Atoms taken by one claim on SQLite: their calls are on the way while the next ones are claimed. On PostgreSQL a claim takes
all there is room for: a lock and a dozen round trips for each make small ones slower where calls are short.
"""
MOST_ASKED = 3
"""Claims on their way: one that is being written, one for what has ended since, one that was answered. More would hold atoms
that nobody works on while the oldest is taken up.
"""
LOOK_S = 0.5
"""How often a runner looks for commands of people, and for work when it has room."""
HELP_S = 1.0
"""How often a full runner looks whether more could be in flight than it holds."""
MODEL_WAIT = timedelta(seconds=5)
"""Until the embedded model, which could not be started, is tried again."""


def run_slice() -> int:
    """Run atoms for one slice; returns how many claims were worked. Called by the django-q2 task."""
    owner = owner_name()
    lease = timedelta(seconds=settings.MGE_LEASE_SECONDS)
    with Heartbeat(owner, lease):
        return asyncio.run(WaveExecutor(owner, lease).run())


@dataclass(frozen=True, slots=True)
class _Asked:
    """A claim on its way through the ledger."""

    claim: Claim
    """It holds the gates that it takes."""
    first: FirstCalls
    """What it reads and intends of its atoms."""
    answer: asyncio.Future[list[ClaimedAtom]]
    rooms: list[int]
    """How much room there was whenever it was written."""

    @property
    def left_room(self) -> bool:
        """Whether it would have taken more. One that was told of no room has not looked."""
        return len(self.claim.taken) < self.rooms[-1] if self.rooms else False


@dataclass(slots=True)
class WaveExecutor:
    """One runner; see the module."""

    owner: str
    lease: timedelta
    ledger: Ledger = field(init=False)
    reader: Reader = field(init=False)
    window: CommitWindow = field(init=False)
    clients: Clients = field(init=False)
    validators: Validators = field(init=False)
    orchestrator: RetryOrchestrator = field(init=False)
    gates: GateRunner = field(init=False)
    executions: dict[uuid.UUID, ExecutionContext] = field(init=False)
    asking: set[uuid.UUID] = field(default_factory=set)
    """Executions whose model's client has been made: not before an atom needs it, for it takes a second."""
    tasks: dict[asyncio.Task[None], ClaimedAtom] = field(init=False)
    ended: list[asyncio.Task[None]] = field(default_factory=list)
    """Tasks that are done and have not been looked at."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    leaving: set[uuid.UUID] = field(default_factory=set)
    """Atoms whose end is being written: they take no room any more."""
    claims_until: float = float("-inf")
    """By the monotonic clock; no new work is taken later."""
    asked: tuple[_Asked, ...] = ()
    """The claims that are on their way, oldest first: one that is being written, and one that sees what has ended since.
    Never changed but replaced: the ledger's thread reads it.
    """
    first: FirstCalls = field(init=False)
    """What the claim that was taken up last has read and intended."""
    unstarted: list[ClaimedAtom] = field(default_factory=list)
    """What was claimed and is not worked on yet."""
    more: bool = False
    """Room has been made since it was asked."""
    dry: bool = False
    """The last claim found less than there was room for, and nothing has changed since."""
    full: bool = False
    """The last claim took as many as are claimed at once: there may be more."""
    worked: int = 0
    stopping: bool = False

    def __post_init__(self) -> None:
        self.window = CommitWindow(settings.MGE_COMMIT_WINDOW_MS / 1000)
        self.ledger = Ledger(window_s=self.window.seconds, writers=lambda: len(self.tasks))
        self.reader = Reader()
        self.clients = Clients()
        self.validators = Validators()
        self.executions = {}
        self.tasks = {}
        self.gates = GateRunner(self.ledger, self._gate_ended)
        self.orchestrator = RetryOrchestrator(
            self.ledger,
            self.validators.get,
            self.clients.get,
            Patience(
                backoff_s=settings.MGE_PROVIDER_BACKOFF_SECONDS,
                backoff_max_s=settings.MGE_PROVIDER_BACKOFF_MAX_SECONDS,
                most_faults=settings.MGE_PROVIDER_MAX_FAULTS,
                window_s=settings.MGE_PROVIDER_WINDOW_SECONDS,
                call_timeout_s=settings.MGE_CALL_TIMEOUT_SECONDS,
                dependency_bodies=settings.MGE_DEPENDENCY_BODIES,
            ),
            random.Random(self.owner),  # noqa: S311  jitter of waits
            lambda: self.stopping,
            self._about_to_end,
            self.window,
        )
        self.first = self._first_calls()

    async def run(self) -> int:
        """Claim and work until the slice ends or nothing is left; then hand over and drain."""
        self.ledger.start()
        watch = asyncio.create_task(self._watch(), name="watch")
        try:
            self.stopping = await self.reader.run(claims_nothing)
            await self._claim_and_work(time.monotonic() + settings.MGE_SLICE_SECONDS)
            if self.worked:
                # The next runner is rung for before this one drains, so that free slots are not left empty meanwhile.
                # One that got nothing rings nobody: whoever holds the slots will, and the reconciler when it died.
                await self.reader.run(_hand_over)
            if self.tasks or self.gates.busy:
                await self._drain()
                # Once more, for what the last atoms have freed.
                await self.reader.run(_hand_over)
        finally:
            watch.cancel()
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(watch, *self.tasks, return_exceptions=True)
            # Nobody is left for whom a change could wait.
            self.tasks.clear()
            await self.gates.close()
            await self._give_back_unstarted()
            await self.clients.close()
            await self.ledger.close()
            await self.reader.close()
        return self.worked

    async def _claim_and_work(self, deadline: float) -> None:
        helped = float("-inf")
        self.claims_until = deadline
        try:
            while self._claims():
                if not self.dry and self._room() > 0:
                    if not self.asked:
                        self._ask()
                    elif self.full:
                        self.ledger.hurry()
                if self.asked:
                    await self._take_up(self.asked[0])
                if self._room() <= 0 and time.monotonic() - helped >= HELP_S:
                    helped = time.monotonic()
                    await self.reader.run(_call_for_help)
                if not self.dry and self._room() > 0:
                    await self._look_at_ended()
                    continue
                if not (self.tasks or self.gates.busy or self.asked):
                    wait = await self.reader.run(_next_work_in)
                    if wait is None:
                        return
                    await asyncio.sleep(min(wait, LOOK_S))
                    self.dry = False
                    continue
                # Never longer: a full runner must notice, too, that its node is told to stop; one with room that others
                # have made work ready.
                self.dry = await self._wait_for_one(LOOK_S) and self.dry
        finally:
            self.claims_until = float("-inf")
        while self.asked:
            await self._take_up(self.asked[0])

    async def _give_back_unstarted(self) -> None:
        """What was claimed and not begun, when the runner ends by an error: else it would wait for its lease to end."""
        answers = await asyncio.gather(*(asked.answer for asked in self.asked), return_exceptions=True)
        for claimed in answers:
            # What went wrong with it is in the log of the ledger, and is why this runner ends.
            self.unstarted += claimed if isinstance(claimed, list) else []
        gates = [gate for asked in self.asked for gate in asked.claim.gates]
        changes = [*map(self._unstarted, self.unstarted), *map(ReleaseGate, gates)]
        await self._record_all(changes, but=(LeaseLost, DatabaseError))

    def _claims(self) -> bool:
        return time.monotonic() < self.claims_until and not self.stopping

    def _room(self) -> int:
        """How many more may be worked on here, without those whose end is being written. The ledger asks, from its thread: an
        atom that is just being begun or has just ended may be counted twice, never not at all. So what it leaves is read
        before what it enters.
        """
        unstarted, tasks, leaving = len(self.unstarted), len(self.tasks), len(self.leaving)
        return settings.MGE_RUNNER_CAPACITY - unstarted - tasks + leaving

    def _room_beside(self, first: FirstCalls) -> int:
        """The same for the claim with these first calls, while others have taken atoms that nobody has taken up yet."""
        taken = sum(len(asked.claim.taken) for asked in self.asked if asked.first is not first)
        return self._room() - taken

    def _gate_room_beside(self, first: FirstCalls) -> int:
        taken = sum(len(asked.claim.gates) for asked in self.asked if asked.first is not first)
        return self.gates.room() - taken

    def _ask(self, within_s: float | None = None) -> None:
        """Queue a claim for as many as there is room for when it is written. `within_s`: one that goes with a verdict waits for
        company as long as that does; without it nothing is worth waiting for.
        """
        self.more = False
        first = self._first_calls()
        rooms: list[int] = []

        def room() -> int:
            rooms.append(min(self._room_beside(first), _at_once()))
            return rooms[-1]

        claim = Claim(
            self.owner,
            room,
            self.lease,
            settings.MGE_MAX_IN_FLIGHT,
            can_execute(),
            lambda: self._gate_room_beside(first),
            first.begin,
            is_urgent=within_s is None,
        )
        answer = self.ledger.submit(claim, within_s=within_s, awaited=False)
        self.asked = (*self.asked, _Asked(claim, first, answer, rooms))

    def _first_calls(self) -> FirstCalls:
        return FirstCalls(self._known_execution, self.orchestrator.first_call)

    def _known_execution(self, execution_id: uuid.UUID) -> ExecutionContext | None:
        """One that this runner works on, and whose model it can ask. The ledger asks, from its thread."""
        return self.executions.get(execution_id) if execution_id in self.asking else None

    def _unstarted(self, claim: ClaimedAtom) -> Change[None]:
        """What gives back an atom whose work has not begun."""
        known = (self.first, *(asked.first for asked in self.asked))
        call = next((first.calls[claim] for first in known if claim in first.calls), None)
        return Release(claim) if call is None else RecordUnsent(claim, call.intent.call_id)

    def _about_to_end(self, claim: ClaimedAtom, within_s: float) -> None:
        """The verdict that ends this atom has been queued, to be written within so many seconds. What takes its place is claimed
        in the same transaction: it sees what the verdict has freed, and costs no commit of its own.
        """
        self.leaving.add(claim.run_id)
        self.window.note_end(claim)
        self.dry = False
        if not self._claims():
            return
        # One that is being written may not see this verdict.
        if not all(asked.claim.is_taken_up for asked in self.asked):
            return
        if len(self.asked) < MOST_ASKED:
            self._ask(within_s)
            self.wake.set()
        else:
            self._note_room()

    async def _take_up(self, asked: _Asked) -> None:
        """Start the work on what the oldest claim took."""
        # Shielded: who is cancelled here must still learn what he holds.
        claims = await asyncio.shield(asked.answer)
        self.window.note_claim(asked.claim.short_of_slots, left_slots=asked.claim.left_slots)
        # What it took is counted where it goes before it is not counted here any more: the ledger asks for room meanwhile.
        self.unstarted = list(claims)
        self.first = asked.first
        gates = asked.claim.gates
        if self.stopping:
            await self._record_all([ReleaseGate(gate) for gate in gates])
        else:
            self.gates.start(gates)
        self.asked = self.asked[1:]
        by_execution: dict[uuid.UUID, list[ClaimedAtom]] = {}
        for claim in claims if self.stopping else self._start_read(claims):
            by_execution.setdefault(claim.execution_id, []).append(claim)
        for execution_id, found in by_execution.items():
            if self.stopping:
                await self._record_all([self._unstarted(claim) for claim in found])
                self._are_taken_up(found)
                continue
            try:
                contexts = await self._prepare(execution_id, found)
            except DatabaseError:
                raise
            except (EmbeddedModelError, OSError) as error:
                log.error("execution=%s has no model to ask: %s", execution_id, error)  # noqa: TRY400
                await self._record_all([Release(claim, MODEL_WAIT) for claim in found])
            except Exception:
                # A bug, or a configuration of another time: this execution's trouble, not that of all the others here.
                log.exception("execution=%s cannot be worked on", execution_id)
                await self._record_all([RecordDeath(claim) for claim in found])
                self._note_room()
            else:
                for context in contexts:
                    self._start(context)
            self._are_taken_up(found)
        self.worked += len(claims) + len(gates)
        # What is left free now, nobody had work for, unless more was there than is claimed at once.
        self.full = len(claims) >= _at_once()
        self.dry = asked.left_room and not self.more

    def _gate_ended(self) -> None:
        """It may have opened a wave: there is something to claim."""
        self._note_room()
        self.wake.set()

    def _note_room(self) -> None:
        """There may be something to claim that a claim on its way has not seen."""
        self.dry, self.more = False, True
        if not all(asked.claim.is_taken_up for asked in self.asked):
            # One that goes with a verdict and would wait for company as long as that.
            self.ledger.hurry()

    def _are_taken_up(self, claims: Sequence[ClaimedAtom]) -> None:
        done = {claim.run_id for claim in claims}
        self.unstarted = [claim for claim in self.unstarted if claim.run_id not in done]

    async def _prepare(self, execution_id: uuid.UUID, claims: list[ClaimedAtom]) -> list[AtomContext]:
        """What the work on claims of one execution needs; the execution's own part is read once."""
        execution = self.executions.get(execution_id)
        if execution is None:
            execution = await self.reader.run(load_execution, execution_id)
            self.executions[execution_id] = execution
        contexts: list[AtomContext] = await self.reader.run(load_atoms, execution, claims)
        if execution_id not in self.asking and any(context.may_ask for context in contexts):
            await asyncio.to_thread(self.clients.prepare, execution.configuration.endpoint)
            self.asking.add(execution_id)
            _settle_in()
        return contexts

    async def _record_all(
        self, changes: Iterable[Change[None]], *, but: tuple[type[Exception], ...] = (LeaseLost,)
    ) -> None:
        """Write them together: one after the other each would wait for company. `but`: errors that do not matter."""
        pending = [self.ledger.submit(change) for change in changes]
        for outcome in await asyncio.gather(*pending, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, but):
                raise outcome

    def _start_read(self, claims: Sequence[ClaimedAtom]) -> list[ClaimedAtom]:
        """Start the work on what was read with its claim; returns the others."""
        read = [claim for claim in claims if claim in self.first.contexts]
        for claim in read:
            self._start(self.first.contexts[claim], self.first.calls.get(claim))
        self._are_taken_up(read)
        return [claim for claim in claims if claim not in self.first.contexts]

    def _start(self, context: AtomContext, call: IntendedCall | None = None) -> None:
        task = asyncio.create_task(self.orchestrator.work(context, call), name=context.claim.key)
        self.tasks[task] = context.claim
        self.window.note_begin(context.claim, in_waves=context.execution.configuration.schedule == "waves")
        task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self.ended.append(task)
        self.wake.set()

    async def _wait_for_one(self, longest_s: float) -> bool:
        """Wait until a task has ended, or a claim been asked for; False when neither came in time."""
        woken = True
        if (self.tasks or self.gates.busy) and not self.ended and not self.asked:
            # Not `asyncio.wait`: it would look at every task each time that one ends.
            try:
                async with asyncio.timeout(longest_s):
                    await self.wake.wait()
            except TimeoutError:
                woken = False
        await self._look_at_ended()
        return woken

    async def _look_at_ended(self) -> None:
        """What the tasks that have ended leave behind."""
        self.wake.clear()
        done, self.ended = self.ended, []
        changes: list[Change[None]] = []
        for task in done:
            claim = self.tasks[task]
            if claim.run_id in self.leaving:
                self.leaving.remove(claim.run_id)
            else:
                # It waits for its time, or was lost: its place under the limits is free, and nobody has claimed it yet.
                self._note_room()
            del self.tasks[task]
            self.window.note_end(claim)
            if task.cancelled():
                # Before its first step: it could not note the abort itself.
                changes.append(RecordAborted(claim))
                self._note_room()
                continue
            error = task.exception()
            if error is not None:
                # A bug of ours, or a database that stays away: as if the owner had died; five such deaths end it.
                log.error("execution=%s atom=%s runner error", claim.execution_id, claim.key, exc_info=error)
                changes.append(RecordDeath(claim))
                self._note_room()
        await self._record_all(changes)

    async def _drain(self) -> None:
        """Let what is in flight end. On a node that is told to stop, only for the grace time: then it is given back."""
        deadline = time.monotonic() + settings.MGE_DRAIN_SECONDS
        while self.tasks or self.gates.busy:
            await self._wait_for_one(LOOK_S)
            if self.stopping and time.monotonic() > deadline:
                for task in self.tasks:
                    task.cancel()
                self.gates.cancel()
                if self.tasks:
                    await asyncio.wait(self.tasks)

    async def _watch(self) -> None:
        """Look for commands: a cancelled execution's calls are aborted, a draining node claims nothing more."""
        while True:
            await asyncio.sleep(LOOK_S)
            mine = {claim.execution_id for claim in self.tasks.values()} | self.gates.executions
            try:
                cancelling, draining = await self.reader.run(_commands, mine)
            except DatabaseError as error:
                log.warning("runner %s cannot look for commands: %s", self.owner, type(error).__name__)
                continue
            self.stopping = self.stopping or draining
            for task, claim in list(self.tasks.items()):
                # Once: a second cancel would interrupt the note that the first one makes.
                if claim.execution_id in cancelling and not task.cancelling():
                    task.cancel()
            self.gates.cancel(cancelling)


def _at_once() -> int:
    return CLAIMED_AT_ONCE if dialect.is_sqlite() else int(settings.MGE_RUNNER_CAPACITY)


@cache
def _settle_in() -> None:
    """What is loaded by now stays: the garbage collector need not look at it again and again, a sixth of a second each time."""
    gc.collect()
    gc.freeze()


def _commands(executions: set[uuid.UUID]) -> tuple[set[uuid.UUID], bool]:
    cancelling = Execution.objects.filter(pk__in=executions, status=ExecutionStatus.CANCELLING).values_list(
        "pk", flat=True
    )
    return set(cancelling), claims_nothing()


def _unfinished() -> dict[str, object]:
    return {
        "status": AtomStatus.READY,
        "execution__status__in": sorted(EXECUTION_CLAIMABLE),
        **({} if can_execute() else {"execution__needs_sandbox": False}),
    }


def _next_work_in() -> float | None:
    """Seconds until a waiting atom's `not_before`; None when no atom waits for its time.

    Atoms that are ready but could not be claimed are no reason to stay: whoever holds the slots claims them next. One whose
    time has come a moment ago is: the claim before this question may have been too early for it.
    """
    now = datetime.now(UTC)
    waiting = AtomRun.objects.filter(**_unfinished(), not_before__gt=now - timedelta(seconds=LOOK_S))
    earliest = waiting.aggregate(earliest=Min("not_before"))["earliest"]
    return None if earliest is None else max(0.02, (earliest - now).total_seconds())


def _call_for_help() -> None:
    """Ring for one more runner when this one is full, the limits allow more in flight, and a worker is idle.

    Without an idle one nobody is rung for: messages would only pile up. The next runner, once it is full, rings for another.
    """
    if not idle_workers():
        return
    busy = dict(
        AtomRun.objects.filter(status__in=sorted(ATOM_LEASED))
        .order_by()
        .values_list("execution_id")
        .annotate(Count("pk"))
    )
    if sum(busy.values()) >= settings.MGE_MAX_IN_FLIGHT:
        return
    now = datetime.now(UTC)
    due = AtomRun.objects.filter(
        Q(not_before__isnull=True) | Q(not_before__lte=now), execution=OuterRef("pk"), status=AtomStatus.READY
    )
    waiting = Execution.objects.filter(Exists(due), status__in=sorted(EXECUTION_CLAIMABLE))
    for execution_id, most in waiting.order_by("created_at").values_list("pk", "max_concurrency"):
        if busy.get(execution_id, 0) < most:
            doorbell.ring(execution_id)
            return


def _hand_over() -> None:
    """Ring for the executions that still have work that nobody holds."""
    # Without an order: the model's own would count each atom as another row of the distinct ones.
    left = (
        AtomRun.objects.filter(**_unfinished()).order_by().values_list("execution_id", flat=True).distinct()
    )
    due = Execution.objects.filter(gates_due__gt=0, status__in=sorted(EXECUTION_CLAIMABLE)).order_by()
    if not can_execute():
        due = due.none()
    for execution_id in {*left, *due.values_list("pk", flat=True)}:
        doorbell.ring(execution_id)
