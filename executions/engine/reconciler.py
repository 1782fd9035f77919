"""The reconciler: takes back work whose owner died and rings for work that nobody looks after.

It only queues again; work starts by a claim alone. Each step is guarded by the execution's lock, so that any number of
processes could do it at once; most of it is done by one that leads, and one execution's trouble does not stop the others'.

An owner that died on this host is known by its process, at once, to every process here; one elsewhere by its lease's end.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction

from executions.engine import dialect, doorbell
from executions.engine.attempt_rows import end_open_attempt
from executions.engine.building import ring_unbuilt
from executions.engine.claims import ClaimedAtom, hold
from executions.engine.deadlines import pause_overdue
from executions.engine.gate_changes import take_back_gates
from executions.engine.leadership import lead
from executions.engine.ledger import Change
from executions.engine.owners import has_ended
from executions.engine.progress import Ending, cancel_atom, end_atom, settle
from executions.engine.remains import sweep
from executions.engine.transaction import ExecutionTransaction, LockedExecution, open_transaction
from executions.models import Execution
from executions.states import AtomStatus, AttemptStatus, CallOutcome, ExecutionStatus

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

log = logging.getLogger(__name__)

LED_ROUNDS = 3
"""Rounds that a leader may miss before another one takes over."""
MOST_RUNG = 50
"""Executions rung for in one round."""


def reconcile() -> int:
    """One round; returns how many atoms were taken back."""
    taken = take_back_from_the_dead()
    if not lead("reconciler", timedelta(seconds=LED_ROUNDS * settings.MGE_RECONCILE_SECONDS)):
        return taken
    taken += _for_each(_executions_with_expired_leases(), take_back)
    for chore in (pause_overdue, ring_unbuilt, sweep):
        try:
            chore()
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            log.exception("%s cannot be done", chore.__name__)
    _for_each(_unattended(), _ring_once)
    return taken


def take_back_from_the_dead() -> int:
    """Take back, before their leases end, the atoms of owners on this host whose process is gone; returns how many."""
    with connection.cursor() as cursor:
        # In the words of the indexes' own condition, or SQLite would read the whole table.
        cursor.execute(
            "SELECT lease_owner FROM executions_atomrun WHERE NOT (lease_owner = '')"
            " UNION SELECT lease_owner FROM executions_gate WHERE NOT (lease_owner = '')"
        )
        dead = [row[0] for row in cursor.fetchall() if has_ended(row[0])]
        if not dead:
            return 0
        marks = dialect.marks(len(dead))
        cursor.execute(
            "SELECT execution_id FROM executions_atomrun WHERE NOT (lease_owner = '')"  # noqa: S608
            f" AND lease_owner IN ({marks}) UNION SELECT execution_id FROM executions_gate"
            f" WHERE NOT (lease_owner = '') AND lease_owner IN ({marks})",
            [*dead, *dead],
        )
        left_behind = [dialect.to_uuid(row[0]) for row in cursor.fetchall()]
    return _for_each(left_behind, partial(take_back, dead=dead))


def _for_each(execution_ids: Iterable[uuid.UUID], work: Callable[[uuid.UUID], int]) -> int:
    done = 0
    for execution_id in execution_ids:
        try:
            done += work(execution_id)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            # A bug or a row that cannot be: on record, and the others are looked after all the same.
            log.exception("execution=%s cannot be looked after", execution_id)
    return done


def _executions_with_expired_leases() -> Iterable[uuid.UUID]:
    with connection.cursor() as cursor:
        now = dialect.now(cursor)
        # States as literals: with parameters SQLite cannot prove that the partial index holds every row asked for; and
        # for a DISTINCT it would rather read another index from end to end.
        cursor.execute(
            "SELECT execution_id FROM executions_atomrun"
            " WHERE status IN ('generating', 'validating') AND lease_until < %s UNION ALL"
            " SELECT execution_id FROM executions_gate WHERE status = 'running' AND lease_until < %s",
            [dialect.at(now), dialect.at(now)],
        )
        return sorted({dialect.to_uuid(row[0]) for row in cursor.fetchall()})


def take_back(execution_id: uuid.UUID, *, dead: Sequence[str] = ()) -> int:
    """Queue the atoms and gates of one execution again whose lease has ended, or whose owner is among the `dead`.

    Their open calls are lost: possibly paid for. Somebody is rung for in the same transaction.
    """
    with open_transaction(execution_id) as unit:
        execution = unit.executions.get(execution_id)
        if execution is None:
            return 0
        unit.cursor.execute(
            "SELECT id, key, wave, deaths, lease_owner, fence FROM executions_atomrun WHERE execution_id = %s"  # noqa: S608
            " AND status IN ('generating', 'validating') AND (lease_until < %s"
            f"{f' OR lease_owner IN ({dialect.marks(len(dead))})' if dead else ''}) ORDER BY position",
            [dialect.uid(execution_id), dialect.at(unit.now), *dead],
        )
        rows = unit.cursor.fetchall()
        for run_id, key, wave, deaths, owner, fence in rows:
            unit.event(execution, "lease.lost", wave=wave, atom=key, owner=owner, fence=fence)
            log.warning("execution=%s atom=%s lease of %s ended", execution_id, key, owner)
            _take_back_one(unit, execution, dialect.to_uuid(run_id), key, wave, deaths + 1)
        taken = len(rows) + take_back_gates(unit, execution, dead)
        settle(unit, execution)
        if taken and execution.status is ExecutionStatus.RUNNING:
            doorbell.ring(execution_id)
    return taken


@dataclass(frozen=True, slots=True)
class RecordDeath(Change[None]):
    """The work on one atom broke down inside a runner that lives on: the same as if its owner had died."""

    claim: ClaimedAtom

    def execution_ids(self, cursor: CursorWrapper) -> Iterable[uuid.UUID]:
        return (self.claim.execution_id,)

    def apply(self, unit: ExecutionTransaction) -> None:
        claim, execution = self.claim, unit.executions[self.claim.execution_id]
        hold(unit, claim)
        unit.cursor.execute(
            "SELECT deaths FROM executions_atomrun WHERE id = %s", [dialect.uid(claim.run_id)]
        )
        deaths: int = unit.cursor.fetchone()[0] + 1
        _take_back_one(unit, execution, claim.run_id, claim.key, claim.wave, deaths)
        settle(unit, execution)


def _take_back_one(
    unit: ExecutionTransaction,
    execution: LockedExecution,
    run_id: uuid.UUID,
    key: str,
    wave: int,
    deaths: int,
) -> None:
    _lose_open_call(unit, execution, run_id, key, wave)
    if execution.status is ExecutionStatus.CANCELLING:
        cancel_atom(unit, execution, run_id, key, wave)
    elif deaths >= settings.MGE_MAX_DEATHS:
        end_open_attempt(unit, execution, run_id, key, wave, AttemptStatus.DEAD_LETTERED)
        error = f"Its owner died {deaths} times while working on it"
        ending = Ending(AtomStatus.DEAD_LETTERED, reason="deaths", error=error)
        end_atom(unit, execution, run_id, key, wave, ending)
    else:
        unit.cursor.execute(
            "UPDATE executions_atomrun SET status = 'ready', lease_owner = '', lease_until = NULL, not_before = NULL"
            " WHERE id = %s",
            [dialect.uid(run_id)],
        )
    unit.cursor.execute(
        "UPDATE executions_atomrun SET deaths = %s WHERE id = %s", [deaths, dialect.uid(run_id)]
    )


def _lose_open_call(
    unit: ExecutionTransaction, execution: LockedExecution, run_id: uuid.UUID, key: str, wave: int
) -> None:
    unit.cursor.execute(
        "UPDATE executions_call SET outcome = %s, ended_at = %s WHERE outcome = '' AND attempt_id IN"
        " (SELECT id FROM executions_attempt WHERE atom_run_id = %s) RETURNING reserved_nano_usd",
        [CallOutcome.LOST.value, dialect.at(unit.now), dialect.uid(run_id)],
    )
    for (reserved,) in unit.cursor.fetchall():
        execution.add("reserved_nano_usd", -reserved)
        execution.add("lost_nano_usd", reserved)
        unit.event(execution, "call.failed", wave=wave, atom=key, outcome=CallOutcome.LOST.value)


def _unattended() -> Iterable[uuid.UUID]:
    """Executions with an atom or a gate that could be claimed now, or not begun at all, that nobody works on and that were not
    rung for lately.
    """
    with connection.cursor() as cursor:
        now = dialect.now(cursor)
        cursor.execute(
            "SELECT e.id FROM executions_execution e WHERE e.status IN ('pending', 'running')"
            " AND e.atoms_stored = e.atoms_total AND (e.rung_at IS NULL OR e.rung_at < %s)"
            " AND (e.status = 'pending' OR e.gates_due > 0"
            " OR EXISTS (SELECT 1 FROM executions_atomrun r WHERE r.execution_id = e.id"
            " AND r.status = 'ready' AND (r.not_before IS NULL OR r.not_before <= %s)))"
            " AND NOT EXISTS (SELECT 1 FROM executions_atomrun r WHERE r.execution_id = e.id"
            " AND r.status IN ('generating', 'validating')) ORDER BY e.created_at LIMIT %s",
            [dialect.at(now - doorbell.RING_AGAIN), dialect.at(now), MOST_RUNG],
        )
        return [dialect.to_uuid(row[0]) for row in cursor.fetchall()]


def _ring_once(execution_id: uuid.UUID) -> bool:
    """Ring, unless somebody just did; returns whether it rang."""
    with transaction.atomic():
        execution = Execution.objects.select_for_update().filter(pk=execution_id).first()
        with connection.cursor() as cursor:
            quiet_since = dialect.now(cursor) - doorbell.RING_AGAIN
        if execution is None or (execution.rung_at is not None and execution.rung_at >= quiet_since):
            return False
        doorbell.ring(execution_id)
        return True
