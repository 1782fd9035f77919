"""The gates that a runner works on, beside its atoms: few at a time, and none of them takes an atom's place."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import uuid
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

from django.db import DatabaseError

from executions.engine.gate_changes import RecordGate, RecordGateDeath, ReleaseGate
from executions.engine.gate_claims import ClaimedGate
from executions.engine.gate_project import GateWork, load_gate
from executions.engine.ledger import LeaseLost, Ledger, Reader
from executions.engine.runner_resources import sandbox
from executions.validation.levels.gate import judge_project
from executions.validation.sandbox.isolation import SandboxUnavailable

log = logging.getLogger(__name__)

MOST_AT_ONCE = (os.cpu_count() or 1) + 2
"""Gates that one runner works on; more than there are processors, or a few endless tests would hold up everybody's."""
SANDBOX_WAIT = timedelta(seconds=5)


class GateRunner:
    """Works claimed gates. It reads by a thread of its own: a large project must not hold up the atoms."""

    def __init__(self, ledger: Ledger, ended: Callable[[], None]) -> None:
        """`ended` is told each time a gate has ended, or was given back."""
        self._ledger = ledger
        self._ended = ended
        self._reader: Reader | None = None
        self._tasks: dict[asyncio.Task[None], ClaimedGate] = {}

    @property
    def busy(self) -> bool:
        return bool(self._tasks)

    @property
    def executions(self) -> set[uuid.UUID]:
        return {claim.execution_id for claim in self._tasks.values()}

    def room(self) -> int:
        """How many more may be claimed. The ledger asks, from its thread."""
        return MOST_AT_ONCE - len(self._tasks)

    def start(self, claims: Sequence[ClaimedGate]) -> None:
        """Begin to work on them."""
        for claim in claims:
            task = asyncio.create_task(self._work(claim), name=f"gate of {claim.name}")
            self._tasks[task] = claim
            task.add_done_callback(self._note_end)

    def cancel(self, executions: Collection[uuid.UUID] | None = None) -> None:
        """Stop working on the gates of these executions, or on all: they are given back."""
        for task, claim in self._tasks.items():
            # Once: a second cancel would interrupt the note that the first one makes.
            if (executions is None or claim.execution_id in executions) and not task.cancelling():
                task.cancel()

    async def close(self) -> None:
        """Give back what is in hand, and end the thread that reads."""
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._reader is not None:
            await self._reader.close()

    def _note_end(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        self._ended()

    async def _work(self, claim: ClaimedGate) -> None:
        try:
            await self._judge(claim)
        except LeaseLost as lost:
            log.warning("execution=%s %s", claim.execution_id, lost)
        except SandboxUnavailable as error:
            what = f"gate of {claim.name}: sandbox unavailable"
            log.error("execution=%s %s: %s", claim.execution_id, what, error)  # noqa: TRY400
            await self._give_back(ReleaseGate(claim, SANDBOX_WAIT))
        except asyncio.CancelledError:
            await self._give_back(ReleaseGate(claim))
        except Exception:
            # A bug of ours, or a database that stays away: as if the owner had died; five such deaths end it.
            log.exception("execution=%s gate of %s: runner error", claim.execution_id, claim.name)
            await self._give_back(RecordGateDeath(claim))

    async def _judge(self, claim: ClaimedGate) -> None:
        if self._reader is None:
            self._reader = Reader()
        work: GateWork = await self._reader.run(load_gate, claim)
        verdict = work.verdict
        if work.project is not None:
            verdict = await judge_project(sandbox(), work.project)
        if verdict is None:
            raise RuntimeError("a gate has neither a project nor a verdict")
        await self._ledger.record(RecordGate(claim, verdict, work.digest, work.stops))
        log.info(
            "execution=%s gate of %s %s",
            claim.execution_id,
            claim.name,
            "passed" if verdict.passed else "failed",
        )

    async def _give_back(self, change: ReleaseGate | RecordGateDeath) -> None:
        # Nobody waits for it who could do better: its lease would end, and somebody else take it back.
        with contextlib.suppress(LeaseLost, DatabaseError):
            await self._ledger.record(change)
