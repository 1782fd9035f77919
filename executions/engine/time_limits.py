"""Time limits on the work of one owner on one attempt: what they leave for a call, and what happens when they are over.

The clock runs under a lease only, from the first intent to the verdict: neither waits for the provider nor those for a
free worker count. Work that takes longer is aborted and counted as a fault of the provider, never as an attempt.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from executions.engine.attempt_rows import end_open_attempt
from executions.engine.calls import FaultPolicy
from executions.engine.claims import ClaimedAtom, hold, release
from executions.engine.ledger import Change
from executions.engine.progress import Ending, end_atom
from executions.engine.rows import Touched
from executions.engine.transaction import ExecutionTransaction, LockedExecution
from executions.states import AtomStatus, AttemptStatus

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

    from executions.engine.configuration import Configuration


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """How long the work on an attempt may still take."""

    call_s: float
    """Seconds for one call."""
    attempt_s: float | None
    ends_at: float | None
    """By the loop's clock; None: no limit."""

    @classmethod
    def of(cls, configuration: Configuration, call_timeout_s: float) -> Self:
        """A limit that begins now. `call_timeout_s` is the site's own, which no execution exceeds."""
        attempt_s = configuration.attempt_timeout_s
        return cls(
            min(call_timeout_s, configuration.call_timeout_s or call_timeout_s),
            attempt_s,
            None if attempt_s is None else asyncio.get_running_loop().time() + attempt_s,
        )

    @property
    def for_a_call_s(self) -> float:
        """Seconds that a call may take which is made now; 0 when there is no time for one."""
        if self.ends_at is None:
            return self.call_s
        return min(self.call_s, max(0.0, self.ends_at - asyncio.get_running_loop().time()))


class Overrun(Exception):
    """The time for an attempt is over while no call is in flight."""


@dataclass(frozen=True, slots=True)
class RecordOverrun(Change[None]):
    """The work on an attempt took too long. The atom waits without a slot; an answer that it has is judged again."""

    claim: ClaimedAtom
    limit_s: float
    policy: FaultPolicy
    wait: timedelta

    def execution_ids(self, cursor: CursorWrapper) -> Iterable[uuid.UUID]:
        return (self.claim.execution_id,)

    def touches(self) -> Touched:
        return Touched(atoms=(self.claim.run_id,))

    def apply(self, unit: ExecutionTransaction) -> None:
        claim, execution = self.claim, unit.executions[self.claim.execution_id]
        hold(unit, claim)
        row = unit.rows.atom(claim.run_id)
        faults, since = row.faults + 1, row.fault_since or unit.now
        unit.event(
            execution,
            "attempt.overran",
            wave=claim.wave,
            atom=claim.key,
            limit_s=self.limit_s,
            faults=faults,
            wait_s=round(self.wait.total_seconds(), 3),
        )
        row.faults, row.fault_since = faults, since
        unit.rows.changed(row)
        if faults >= self.policy.most or unit.now - since >= self.policy.window:
            self._give_up(unit, execution, faults)
        else:
            release(unit, claim, unit.now + self.wait)

    def _give_up(self, unit: ExecutionTransaction, execution: LockedExecution, faults: int) -> None:
        claim = self.claim
        end_open_attempt(unit, execution, claim.run_id, claim.key, claim.wave, AttemptStatus.PROVIDER)
        error = f"The time limit of an attempt ({self.limit_s:g} s) was reached {faults} times in a row"
        ending = Ending(AtomStatus.FAILED, reason="provider", error=error)
        end_atom(unit, execution, claim.run_id, claim.key, claim.wave, ending)
