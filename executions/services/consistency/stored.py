"""An execution as it is stored, read at one moment: what the checks look at. Rows are read raw; nothing is repaired."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from executions.engine import dialect
from executions.engine.plan_graph import PlanGraph, plan_graph
from executions.models import Execution, Wave
from executions.services.consistency.inconsistency import Inconsistency
from executions.states import ATOM_ENDED, ATOM_LEASED, AttemptKind

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

_ATOM_COLUMNS = (
    *("id", "key", "wave", "status", "reason", "unmet", "approval", "lease_owner", "fence", "deaths"),
    *("generation", "attempts", "accepted_id", "assurance", "atom_id", "chain", "position"),
)


@dataclass(frozen=True, slots=True)
class StoredAtom:
    """A row of an atom, as it is."""

    id: uuid.UUID
    key: str
    wave: int
    status: str
    reason: str
    unmet: int
    approval: str
    lease_owner: str
    fence: int
    deaths: int
    generation: int
    attempts: int
    accepted_id: uuid.UUID | None
    assurance: str
    atom_id: int
    chain: int
    position: int
    has_lease: bool
    started: bool
    ended: bool
    """`ended_at` is set."""

    @property
    def is_leased(self) -> bool:
        return self.status in ATOM_LEASED

    @property
    def has_ended(self) -> bool:
        return self.status in ATOM_ENDED


class StoredExecution:
    """Reads lazily, each kind of row once. Only good inside the transaction in which it was made."""

    def __init__(self, cursor: CursorWrapper, row: Execution) -> None:
        self.row = row
        self.id: uuid.UUID = row.id
        self._cursor = cursor

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a query; `%s` marks parameters."""
        self._cursor.execute(sql, parameters)
        found: list[tuple[Any, ...]] = self._cursor.fetchall()
        return found

    def of_execution(self, sql: str, *more: Any) -> list[tuple[Any, ...]]:
        """The same, with the execution's id as the first parameter."""
        return self.rows(sql, dialect.uid(self.id), *more)

    @cached_property
    def atoms(self) -> Mapping[str, StoredAtom]:
        """By key, in the plan's order."""
        found = self.of_execution(
            f"SELECT {', '.join(_ATOM_COLUMNS)}, lease_until IS NOT NULL, started_at IS NOT NULL, ended_at IS NOT NULL"  # noqa: S608
            " FROM executions_atomrun WHERE execution_id = %s ORDER BY position"
        )
        atoms = {}
        for row in found:
            values = dict(zip(_ATOM_COLUMNS, row, strict=False))
            accepted = values["accepted_id"]
            atom = StoredAtom(
                **values
                | {
                    "id": dialect.to_uuid(values["id"]),
                    "accepted_id": None if accepted is None else dialect.to_uuid(accepted),
                    "has_lease": bool(row[-3]),
                    "started": bool(row[-2]),
                    "ended": bool(row[-1]),
                }
            )
            atoms[atom.key] = atom
        return atoms

    @cached_property
    def atoms_by_id(self) -> Mapping[uuid.UUID, StoredAtom]:
        return {atom.id: atom for atom in self.atoms.values()}

    @cached_property
    def waves(self) -> Sequence[Wave]:
        return list(Wave.objects.filter(execution=self.id).order_by("number"))

    @cached_property
    def graph(self) -> PlanGraph:
        return plan_graph(self.row.masterplan_id)

    @cached_property
    def under_review(self) -> frozenset[str]:
        """Keys of atoms that have code of a person's waiting for its verdict."""
        return frozenset(
            row[0]
            for row in self.of_execution(
                "SELECT r.key FROM executions_attempt a JOIN executions_atomrun r ON r.id = a.atom_run_id"
                " WHERE a.execution_id = %s AND a.kind = %s AND a.status = 'running'",
                AttemptKind.PERSON.value,
            )
        )

    @cached_property
    def reviewed(self) -> frozenset[str]:
        """Keys of atoms for which a person has ever supplied code: they are worked on again after they ended."""
        return frozenset(
            row[0]
            for row in self.of_execution(
                "SELECT DISTINCT r.key FROM executions_attempt a JOIN executions_atomrun r ON r.id = a.atom_run_id"
                " WHERE a.execution_id = %s AND a.kind = %s",
                AttemptKind.PERSON.value,
            )
        )

    def wrong(self, check: str, what: str, expected: object, found: object) -> Inconsistency:
        return Inconsistency(self.id, check, what, str(expected), str(found))


def name_of(atom_id: uuid.UUID | None, atoms: Mapping[uuid.UUID, StoredAtom]) -> str:
    """An atom's key, or its id where the row is missing."""
    atom = None if atom_id is None else atoms.get(atom_id)
    return str(atom_id) if atom is None else atom.key
