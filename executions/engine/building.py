"""Building: the rows of an execution's atoms, stored in chunks where there are many.

A plan of at most `LARGE_PLAN` atoms is stored whole when it starts. A larger one is stored without its atoms; builders
(django-q2 tasks) insert them chunk by chunk, each chunk under the execution's lock and in a transaction of its own:
`atoms_stored` says how far it is, so that any number of builders may run, die and begin again. Nothing is claimed before
all rows are there. A pause does not stop the building; what is being cancelled is stored all the same, as cancelled.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Q

from executions.engine import dialect, doorbell
from executions.engine.forking import count_what_is_unmet, overrides_of
from executions.engine.progress import cancel_waiting, settle
from executions.engine.transaction import ExecutionTransaction, LockedExecution, open_transaction
from executions.identity import new_id
from executions.models import Atom, AtomRun, Execution
from executions.states import Approval, ExecutionStatus

LARGE_PLAN = 2_000
"""Atoms up to which an execution is stored whole when it starts."""
CHUNK = 1_000
"""Atoms stored in one transaction."""
MOST_TOLD = 10
"""Events of progress in the building of one execution."""
TASK = "executions.tasks.build"
BUILDABLE = (ExecutionStatus.PENDING, ExecutionStatus.PAUSED, ExecutionStatus.CANCELLING)
"""States in which an execution may be without some of its atoms."""


@dataclass(frozen=True, slots=True)
class PlannedAtom:
    """What the row of an atom takes from the plan."""

    atom_id: int
    key: str
    wave: int
    chain: int
    position: int
    depends_on: tuple[str, ...]
    approval: bool


Columns = Mapping[str, Any]
"""Values of columns of an atom's row, as the database takes them (`dialect.uid`, `dialect.at`), by the column's name."""
Overrides = Callable[
    [ExecutionTransaction, LockedExecution, Sequence[PlannedAtom]], Mapping[str, Columns] | None
]
"""Asked for each chunk, before its rows are stored: what differs from a new row, by the atom's key. It may write rows of its
own and change counters in the same transaction; it sees the chunks in the order of the plan."""


def build(execution_id: uuid.UUID, *, overrides: Overrides | None = None) -> int:
    """Store what is missing of an execution's atoms, chunk by chunk; returns how many this builder stored."""
    execution = Execution.objects.filter(pk=execution_id).first()
    if execution is None:
        return 0
    ids = list(
        Atom.objects.filter(masterplan_id=execution.masterplan_id)
        .order_by("position")
        .values_list("pk", flat=True)
    )
    overrides = overrides or overrides_of(execution)
    built = 0
    while (stored := _build_one_chunk(execution_id, ids, overrides)) is not None:
        built += stored
    return built


def _build_one_chunk(execution_id: uuid.UUID, ids: Sequence[int], overrides: Overrides | None) -> int | None:
    """Store the next chunk; None when nothing is missing (any more)."""
    with open_transaction(execution_id) as unit:
        execution = unit.executions.get(execution_id)
        if execution is None or execution.is_built or execution.status not in BUILDABLE:
            return None
        before = execution.atoms_stored
        atoms = planned_atoms(ids[before : before + CHUNK])
        store_atoms(unit, execution, atoms, None if overrides is None else overrides(unit, execution, atoms))
        _tell(unit, execution, before)
        if execution.status is ExecutionStatus.CANCELLING:
            cancel_waiting(unit, execution)
            settle(unit, execution)
        elif execution.is_built and execution.status is ExecutionStatus.PENDING:
            doorbell.ring(execution_id)
    return len(atoms)


def _tell(unit: ExecutionTransaction, execution: LockedExecution, before: int) -> None:
    stored, total = execution.atoms_stored, execution.atoms_total
    if execution.is_built:
        unit.event(execution, "execution.built", atoms=total)
    elif stored * MOST_TOLD // total > before * MOST_TOLD // total:
        unit.event(execution, "execution.building", stored=stored, atoms=total)


def planned_atoms(ids: Sequence[int]) -> list[PlannedAtom]:
    """These atoms of a stored plan, in the plan's order."""
    found: list[PlannedAtom] = []
    for start in range(0, len(ids), 500):
        rows = Atom.objects.filter(pk__in=ids[start : start + 500]).order_by("position")
        found += [
            PlannedAtom(pk, key, wave, chain, position, tuple(depends_on), approval)
            for pk, key, wave, chain, position, depends_on, approval in rows.values_list(
                "pk", "key", "wave", "chain", "position", "depends_on", "approval"
            )
        ]
    return found


def store_whole(
    unit: ExecutionTransaction, execution: LockedExecution, overrides: Overrides | None = None
) -> None:
    """Store all atoms of an execution in the caller's transaction; for plans that are not large."""
    atoms = planned_atoms(
        list(
            Atom.objects.filter(masterplan_id=execution.masterplan_id)
            .order_by("position")
            .values_list("pk", flat=True)
        )
    )
    store_atoms(unit, execution, atoms, None if overrides is None else overrides(unit, execution, atoms))


def store_atoms(
    unit: ExecutionTransaction,
    execution: LockedExecution,
    atoms: Sequence[PlannedAtom],
    overrides: Mapping[str, Columns] | None = None,
) -> None:
    """Insert the rows of these atoms and count them as stored.

    Args:
        atoms: the next ones in the plan's order, after the `atoms_stored` that are there.
        overrides: by key, the columns in which an atom's row differs from a new one, e.g. of results taken over from
            another execution; counters of execution and waves are the caller's.

    Not by `bulk_create`, which spends four fifths of the start of a large plan on making and preparing equal values.
    """
    values = _new_row()
    rows = []
    for atom in atoms:
        row = {
            **values,
            "id": dialect.uid(new_id()),
            "execution_id": dialect.uid(execution.id),
            "atom_id": atom.atom_id,
            "key": atom.key,
            "wave": atom.wave,
            "chain": atom.chain,
            "position": atom.position,
            "unmet": len(atom.depends_on),
            "approval": Approval.NEEDED.value if atom.approval else "",
            **(overrides or {}).get(atom.key, {}),
        }
        rows.append(tuple(row.values()))
    types = {str(field.column): str(field.db_type(connection)) for field in AtomRun._meta.concrete_fields}
    dialect.insert_many(unit.cursor, AtomRun._meta.db_table, types, rows)
    execution.atoms_stored += len(rows)
    execution.changed = True
    if overrides is not None and execution.is_built:
        count_what_is_unmet(unit, execution)


def _new_row() -> dict[str, Any]:
    """The columns of an atom's row as a new one has them."""
    new = AtomRun()
    return {
        str(field.column): field.get_db_prep_save(getattr(new, field.attname), connection)
        for field in AtomRun._meta.concrete_fields
    }


def ring_for_builder(execution_id: uuid.UUID) -> None:
    """Enqueue a builder. Like a doorbell it may be lost, late or doubled; it joins the caller's transaction."""
    doorbell.send(TASK, str(execution_id))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE executions_execution SET rung_at = %s WHERE id = %s",
            [dialect.at(dialect.now(cursor)), dialect.uid(execution_id)],
        )


def ring_unbuilt() -> int:
    """Ring for builders of what is not built and was not rung for lately; returns for how many.

    What is being cancelled is finished here and now: there may be no worker any more, and a cancellation needs none.
    """
    unbuilt = Execution.objects.filter(atoms_stored__lt=F("atoms_total"))
    for execution_id in list(unbuilt.filter(status=ExecutionStatus.CANCELLING).values_list("pk", flat=True)):
        build(execution_id)
    waiting = unbuilt.filter(status__in=(ExecutionStatus.PENDING, ExecutionStatus.PAUSED))
    rung = 0
    for execution_id in list(waiting.filter(_quiet()).values_list("pk", flat=True)[:50]):
        with transaction.atomic():
            # Unless another process just did.
            if waiting.select_for_update().filter(_quiet(), pk=execution_id).exists():
                ring_for_builder(execution_id)
                rung += 1
    return rung


def _quiet() -> Q:
    return Q(rung_at__isnull=True) | Q(rung_at__lt=datetime.now(UTC) - doorbell.RING_AGAIN)
