"""The reconciler: takes back work whose owner died and rings for work that nobody looks after.

It only queues again; work starts by a claim alone. Any number may run at once: each step is guarded by the execution's
lock, and one execution's trouble does not stop the others'.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Exists, OuterRef, Q

from executions.engine import dialect, doorbell
from executions.engine.claims import ClaimedAtom, hold
from executions.engine.progress import Ending, cancel_atom, end_atom, end_open_attempt, settle
from executions.engine.transaction import ExecutionTransaction, LockedExecution, open_transaction
from executions.models import AtomRun, Execution
from executions.states import ATOM_LEASED, AtomStatus, AttemptStatus, CallOutcome, ExecutionStatus

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

log = logging.getLogger(__name__)


def reconcile() -> int:
    """One round; returns how many atoms were taken back."""
    taken = 0
    for execution_id in _executions_with_expired_leases():
        try:
            taken += take_back(execution_id)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            # A bug or a row that cannot be: on record, and the others are looked after all the same.
            log.exception("execution=%s cannot be looked after", execution_id)
    for execution_id in _unattended():
        _ring_once(execution_id)
    return taken


def _executions_with_expired_leases() -> Iterable[uuid.UUID]:
    with connection.cursor() as cursor:
        now = dialect.now(cursor)
    expired = AtomRun.objects.filter(status__in=sorted(ATOM_LEASED), lease_until__lt=now)
    return list(expired.order_by().values_list("execution_id", flat=True).distinct())


def take_back(execution_id: uuid.UUID) -> int:
    """Queue the atoms of one execution again whose lease has ended. Their open calls are lost: possibly paid for."""
    with open_transaction(execution_id) as unit:
        execution = unit.executions.get(execution_id)
        if execution is None:
            return 0
        unit.cursor.execute(
            "SELECT id, key, wave, deaths, lease_owner, fence FROM executions_atomrun WHERE execution_id = %s"
            " AND status IN ('generating', 'validating') AND lease_until < %s ORDER BY position",
            [dialect.uid(execution_id), dialect.at(unit.now)],
        )
        rows = unit.cursor.fetchall()
        for run_id, key, wave, deaths, owner, fence in rows:
            unit.event(execution, "lease.lost", wave=wave, atom=key, owner=owner, fence=fence)
            log.warning("execution=%s atom=%s lease of %s ended", execution_id, key, owner)
            _take_back_one(unit, execution, dialect.to_uuid(run_id), key, wave, deaths + 1)
        settle(unit, execution)
    return len(rows)


@dataclass(frozen=True, slots=True)
class RecordDeath:
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
    """Executions with an atom that could be claimed now, or not begun at all, that nobody works on and no ring was for lately."""
    now = datetime.now(UTC)
    due = Q(atom_runs__status=AtomStatus.READY) & (
        Q(atom_runs__not_before__isnull=True) | Q(atom_runs__not_before__lte=now)
    )
    waiting = Q(status=ExecutionStatus.PENDING) | Q(status=ExecutionStatus.RUNNING) & due
    quiet = Q(rung_at__isnull=True) | Q(rung_at__lt=now - doorbell.RING_AGAIN)
    leased = AtomRun.objects.filter(execution=OuterRef("pk"), status__in=sorted(ATOM_LEASED))
    found = Execution.objects.filter(waiting & quiet).exclude(Exists(leased))
    return list(found.order_by("created_at").values_list("pk", flat=True).distinct()[:50])


def _ring_once(execution_id: uuid.UUID) -> None:
    """Ring, unless another reconciler just did."""
    with transaction.atomic():
        quiet = Q(rung_at__isnull=True) | Q(rung_at__lt=datetime.now(UTC) - doorbell.RING_AGAIN)
        if Execution.objects.select_for_update().filter(quiet, pk=execution_id).exists():
            doorbell.ring(execution_id)
