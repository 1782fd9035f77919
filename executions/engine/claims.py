"""Claims: an atom is worked on only under a lease, taken here, with a fence that goes up each time.

Later writes carry owner and fence; `hold` is the guard that they all use.
"""

from __future__ import annotations

import heapq
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from django.db import connection, transaction

from executions.engine import dialect
from executions.engine.gate_claims import ClaimedGate, holds_gate, take_gates
from executions.engine.ledger import Change, LeaseLost
from executions.engine.progress import atom_claimed, begin, cancel_atom, settle
from executions.engine.rows import Touched
from executions.engine.transaction import ExecutionTransaction, LockedExecution
from executions.states import AtomStatus, ExecutionStatus

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

MOST_EXECUTIONS = 50
"""Executions looked at in one claim."""


@dataclass(frozen=True, slots=True)
class ClaimedAtom:
    """An atom under our lease."""

    run_id: uuid.UUID
    execution_id: uuid.UUID
    key: str
    wave: int
    owner: str
    fence: int
    generation: int
    attempts: int
    faults: int
    chain: int
    """Atoms on the longest path from this one to one on which nothing depends, itself among them."""

    def __hash__(self) -> int:
        return hash((self.run_id, self.fence))


def hold(unit: ExecutionTransaction, claim: ClaimedAtom) -> None:
    """Raise LeaseLost unless the claim's owner still holds the atom. The execution's lock keeps it so until the commit."""
    if not holds(unit, claim):
        raise LeaseLost(f"{claim.key}: fence {claim.fence} is no longer ours")


def holds(unit: ExecutionTransaction, claim: ClaimedAtom) -> bool:
    """Whether the claim's owner still holds the atom."""
    rows = unit.rows
    return rows.has_atom(claim.run_id) and rows.atom(claim.run_id).is_held(claim.owner, claim.fence)


def _none() -> int:
    return 0


def _nothing(_unit: ExecutionTransaction, _claims: Sequence[ClaimedAtom]) -> None:
    """What is done with the atoms of a claim that somebody works on later."""


@dataclass(frozen=True, slots=True)
class Claim(Change[list[ClaimedAtom]]):
    """Take as many ready atoms as there is room for: fair over executions, longest remaining chain first, within every limit.

    Written again after a commit whose acknowledgement was lost, it answers with what it had taken, and takes the rest only.
    """

    owner: str
    room: Callable[[], int]
    """Asked when the claim is written; called from the ledger's thread."""
    lease: timedelta
    most_in_flight: int
    can_execute: bool
    last: ClassVar[bool] = True
    taken: list[ClaimedAtom] = field(default_factory=list, init=False, compare=False)
    """What the last writing of this claim took; ours only if that was committed."""
    gate_room: Callable[[], int] = _none
    """How many gates may be taken besides; asked in the same way."""
    gates: list[ClaimedGate] = field(default_factory=list, init=False, compare=False)
    """The gates that were taken, beside the atoms that this change answers with."""
    begin: Callable[[ExecutionTransaction, Sequence[ClaimedAtom]], None] = _nothing
    """What is done with the atoms in the transaction that takes them."""

    is_urgent: bool = False
    _short: set[uuid.UUID] = field(default_factory=set, init=False, compare=False)
    _spare: list[int] = field(default_factory=list, init=False, compare=False)
    _taken_up: list[bool] = field(default_factory=list, init=False, compare=False)
    _takes_only: list[bool] = field(default_factory=list, init=False, compare=False)

    def does_less(self) -> bool:
        """One atom that cannot be begun must not keep everybody from claiming."""
        if self._takes_only or self.begin is _nothing:
            return False
        self._takes_only.append(True)
        return True

    def taken_up(self) -> None:
        self._taken_up.append(True)

    @property
    def is_taken_up(self) -> bool:
        """Whether it may not see what is queued now."""
        return bool(self._taken_up)

    @property
    def short_of_slots(self) -> frozenset[uuid.UUID]:
        """Executions of which atoms may be ready that the last writing of this claim had no slot for."""
        return frozenset(self._short)

    @property
    def left_slots(self) -> bool:
        """Whether the last writing has left slots, of its runner's and of all, that nobody was ready for."""
        return bool(self._spare) and self._spare[-1] > 0

    def execution_ids(self, cursor: CursorWrapper) -> Iterable[uuid.UUID]:
        dialect.one_at_a_time(cursor, dialect.CLAIM_LOCK)
        now, time = dialect.sql_now(cursor)
        cursor.execute(
            "SELECT e.id FROM executions_execution e WHERE e.status IN ('pending', 'running')"  # noqa: S608
            " AND e.atoms_stored = e.atoms_total AND (e.needs_sandbox = %s OR %s)"
            # Not EXISTS: with an order both databases go by the index of what is claimable, not through all atoms.
            " AND (e.status = 'pending' OR e.gates_due > 0"
            " OR (SELECT r.position FROM executions_atomrun r WHERE r.execution_id = e.id"
            f" AND r.status = 'ready' AND (r.not_before IS NULL OR r.not_before <= {now})"
            " ORDER BY r.chain DESC, r.position LIMIT 1) IS NOT NULL)"
            " ORDER BY e.created_at",
            [False, self.can_execute, *time],
        )
        found = [dialect.to_uuid(row[0]) for row in cursor.fetchall()]
        if len(found) > MOST_EXECUTIONS:
            # Those first that have least in flight: nobody waits for all that were started earlier to end.
            busy = _in_flight(cursor)
            found.sort(key=lambda one: busy[one])
        # When it is written again: those, too, of what it had taken.
        return {*found[:MOST_EXECUTIONS], *(claim.execution_id for claim in self.taken)}

    def apply(self, unit: ExecutionTransaction) -> list[ClaimedAtom]:
        open_executions = []
        for execution in unit.executions.values():
            if not execution.is_built or (execution.needs_sandbox and not self.can_execute):
                continue
            if execution.status is ExecutionStatus.PENDING:
                begin(unit, execution)
            if execution.status is ExecutionStatus.RUNNING:
                open_executions.append(execution)
        busy = _in_flight(unit.cursor)
        held = [claim for claim in self.taken if holds(unit, claim)]
        limit = min(self.room() - len(held), self.most_in_flight - sum(busy.values()))
        shares = _share(limit, {one.id: (busy[one.id], one.max_concurrency) for one in open_executions})
        claimed = list(held)
        spare = limit
        left = []
        emptied: set[uuid.UUID] = set()
        # Executions with few ready atoms leave their share to the others: two rounds are enough to hand it on.
        for execution in sorted(open_executions, key=lambda one: busy[one.id]):
            share = min(spare, shares[execution.id])
            taken = self._take(unit, execution, share)
            busy[execution.id] += len(taken)
            spare -= len(taken)
            claimed += taken
            if len(taken) >= share:
                left.append(execution)
            else:
                emptied.add(execution.id)
        for execution in left:
            room = min(spare, execution.max_concurrency - busy[execution.id])
            taken = self._take(unit, execution, room)
            busy[execution.id] += len(taken)
            spare -= len(taken)
            claimed += taken
            if len(taken) < room:
                emptied.add(execution.id)
        self._short.clear()
        self._short.update(one.id for one in open_executions if one.id not in emptied)
        self._spare.append(spare)
        self.taken[:] = claimed
        self._take_gates(unit, open_executions)
        self.begin(unit, [] if self._takes_only else claimed)
        return claimed

    def _take_gates(self, unit: ExecutionTransaction, executions: Iterable[LockedExecution]) -> None:
        """Costs no statement where no gate is due."""
        self.gates[:] = [claim for claim in self.gates if holds_gate(unit, claim)]
        for execution in executions:
            if execution.counters["gates_due"]:
                room = self.gate_room() - len(self.gates)
                self.gates.extend(take_gates(unit, execution, self.owner, self.lease, room))

    def _take(self, unit: ExecutionTransaction, execution: LockedExecution, count: int) -> list[ClaimedAtom]:
        if count <= 0:
            return []
        unit.cursor.execute(
            "SELECT id, key, wave, fence, generation, attempts, faults, chain, started_at IS NULL FROM executions_atomrun"
            " WHERE execution_id = %s AND status = 'ready' AND (not_before IS NULL OR not_before <= %s)"
            " ORDER BY chain DESC, position LIMIT %s",
            [dialect.uid(execution.id), dialect.at(unit.now), count],
        )
        claimed = []
        rows = unit.cursor.fetchall()
        until = dialect.at(unit.now + self.lease)
        for run_id, key, wave, fence, generation, attempts, faults, chain, first in rows:
            claimed.append(
                ClaimedAtom(
                    dialect.to_uuid(run_id),
                    execution.id,
                    key,
                    wave,
                    self.owner,
                    fence + 1,
                    generation,
                    attempts,
                    faults,
                    chain,
                )
            )
            if first:
                atom_claimed(unit, execution, wave)
            unit.event(execution, "atom.started" if first else "atom.resumed", wave=wave, atom=key)
        if rows:
            these, ids = dialect.among([row[0] for row in rows])
            unit.cursor.execute(
                "UPDATE executions_atomrun SET status = 'generating', lease_owner = %s, lease_until = %s,"  # noqa: S608
                f" fence = fence + 1, not_before = NULL, started_at = COALESCE(started_at, %s) WHERE id {these}",
                [self.owner, until, dialect.at(unit.now), *ids],
            )
        return claimed


def _in_flight(cursor: CursorWrapper) -> Counter[uuid.UUID]:
    """Atoms under a lease, by execution."""
    cursor.execute(
        "SELECT execution_id, COUNT(*) FROM executions_atomrun WHERE status IN ('generating', 'validating')"  # noqa: S608
        f" AND lease_until > %s GROUP BY {dialect.unindexed('execution_id')}",
        [dialect.at(datetime(2000, 1, 1, tzinfo=UTC))],
    )
    return Counter({dialect.to_uuid(one): count for one, count in cursor.fetchall()})


def _share(limit: int, executions: dict[uuid.UUID, tuple[int, int]]) -> dict[uuid.UUID, int]:
    """Deal `limit` slots one by one to whoever has the fewest in flight. Values: (in flight, most)."""
    dealt = dict.fromkeys(executions, 0)
    # By what they would have then; the first of those that have the same.
    poorest = [(now, place, one) for place, (one, (now, most)) in enumerate(executions.items()) if now < most]
    heapq.heapify(poorest)
    for _ in range(limit):
        if not poorest:
            break
        now, place, one = poorest[0]
        dealt[one] += 1
        if now + 1 < executions[one][1]:
            heapq.heapreplace(poorest, (now + 1, place, one))
        else:
            heapq.heappop(poorest)
    return dealt


@dataclass(frozen=True, slots=True)
class Release(Change[None]):
    """Give an atom back, unworked or to be gone on with later; it keeps its attempt number and findings."""

    claim: ClaimedAtom
    wait: timedelta | None = None

    def execution_ids(self, cursor: CursorWrapper) -> Iterable[uuid.UUID]:
        return (self.claim.execution_id,)

    def touches(self) -> Touched:
        return Touched(atoms=(self.claim.run_id,))

    def apply(self, unit: ExecutionTransaction) -> None:
        claim = self.claim
        hold(unit, claim)
        unit.event(unit.executions[claim.execution_id], "atom.released", wave=claim.wave, atom=claim.key)
        release(unit, claim, None if self.wait is None else unit.now + self.wait)


def release(unit: ExecutionTransaction, claim: ClaimedAtom, not_before: datetime | None) -> None:
    """Back to `ready`, without an owner; the atom of an execution that is being cancelled ends instead.

    The caller has checked the lease.
    """
    execution = unit.executions[claim.execution_id]
    if execution.status is ExecutionStatus.CANCELLING:
        cancel_atom(unit, execution, claim.run_id, claim.key, claim.wave)
        return
    row = unit.rows.atom(claim.run_id)
    row.leave(AtomStatus.READY.value, not_before=not_before)
    unit.rows.changed(row)
    settle(unit, execution)


def renew_leases(owner: str, lease: timedelta) -> int:
    """Heartbeat: prolong the leases of this owner; returns how many.

    A row that is being written this moment waits for the next beat: a transaction that writes many atoms has them in an
    order of its own, and to wait for one while holding others ends in a deadlock.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        until = dialect.at(dialect.now(cursor) + lease)
        cursor.execute(
            "UPDATE executions_atomrun SET lease_until = %s WHERE id IN (SELECT id FROM executions_atomrun"  # noqa: S608
            " WHERE lease_owner = %s AND status IN ('generating', 'validating')"
            f"{dialect.for_update_of_free_rows()})",
            [until, owner],
        )
        atoms = int(cursor.rowcount)
        cursor.execute(
            "UPDATE executions_gate SET lease_until = %s WHERE id IN (SELECT id FROM executions_gate"  # noqa: S608
            f" WHERE lease_owner = %s AND status = 'running'{dialect.for_update_of_free_rows()})",
            [until, owner],
        )
        return atoms + int(cursor.rowcount)
