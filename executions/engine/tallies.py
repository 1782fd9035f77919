"""What happened, counted: the numbers behind `/metrics`, added up from the facts of an execution's history.

Each fact that a transaction appends is told to its `Tallies`; what follows from it is written before the same commit, so
the numbers are exact after any kill, whatever process did the work. Rows are keyed by execution while it goes on and
written under its lock only: executions never wait for each other's counters. When it ends they are moved into the sums
of its masterplan and of the site, once and in a fixed order, so that two ends cannot lock each other out.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from executions.engine import dialect
from executions.models.metrics import ALL
from executions.states import ATTEMPT_COUNTED, EXECUTION_ENDED, AttemptKind, ExecutionStatus

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

    from executions.engine.transaction import LockedExecution

MICRO = 1_000_000
MOST_WAVES = 100
"""Waves counted under their own number; those behind share a label, so that a chain of 10,000 atoms stays bounded."""
MORE_WAVES = "more"
SUM = "sum"


class Tallied(StrEnum):
    """What is counted, and by which label and part."""

    ATOMS = "atoms"
    """Atoms that ended; wave, status."""
    ATTEMPTS = "attempts"
    """Attempts that got a verdict; number, status."""
    TEMPERATURES = "temperatures"
    """Retries whose rung asks for another temperature than the attempt before; from, to."""
    EXECUTIONS = "executions"
    """Executions that ended; status."""
    CALLS = "calls"
    """Calls that were begun."""
    FAILED_CALLS = "failed_calls"
    """Calls without a usable answer; outcome."""
    LATE_WRITES = "late_writes"
    """Results of former owners, refused."""
    LOST_LEASES = "lost_leases"
    """Atoms taken back because their owner was gone."""
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    COST = "cost"
    """Settled cost in nano-USD."""
    POSSIBLY_SPENT = "possibly_spent"
    """Reserved by calls that are lost, in nano-USD; falls when a bill comes after all."""
    ATOM_SECONDS = "atom_seconds"
    """Histogram."""
    WAVE_SECONDS = "wave_seconds"
    """Histogram; wave."""
    WAVE_THROUGHPUT = "wave_throughput"
    """Histogram of succeeded atoms per second; wave."""
    EXECUTION_SECONDS = "execution_seconds"
    """Histogram."""


BOUNDS: Mapping[Tallied, tuple[float, ...]] = {
    Tallied.ATOM_SECONDS: (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600),
    Tallied.WAVE_SECONDS: (1, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400),
    Tallied.WAVE_THROUGHPUT: (0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500),
    Tallied.EXECUTION_SECONDS: (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400),
}
"""Upper bounds of the histograms' buckets. They may be changed: a stored bucket counts from the next bound on."""

OF_PLANS = frozenset({Tallied.ATOMS, Tallied.COST, Tallied.EXECUTION_SECONDS})
"""What is kept for each masterplan as well."""

_GROWN: Mapping[str, Tallied] = {
    "calls_total": Tallied.CALLS,
    "input_tokens": Tallied.INPUT_TOKENS,
    "output_tokens": Tallied.OUTPUT_TOKENS,
    "cost_nano_usd": Tallied.COST,
    "lost_nano_usd": Tallied.POSSIBLY_SPENT,
}
"""Counters of the execution's row whose growth is a tally."""

_COLUMNS = {
    "masterplan_id": "uuid",
    "execution_id": "uuid",
    "name": "text",
    "label": "text",
    "part": "text",
    "amount": "bigint",
}
_Row = tuple[uuid.UUID, uuid.UUID, str, str, str]
"""Masterplan, execution, name, label, part."""


def wave_label(number: int) -> str:
    return str(number) if number <= MOST_WAVES else MORE_WAVES


def _counts(attempt: Mapping[str, Any]) -> bool:
    """Whether the fact is about an attempt of the model; of the others it names the kind."""
    return bool(attempt.get("kind", AttemptKind.MODEL) == AttemptKind.MODEL)


def temperature_label(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}".rstrip("0").rstrip(".")


def bucket(name: Tallied, value: float) -> str:
    """The part under which a value is counted: the lowest bound that is not below it."""
    return next((f"{bound:g}" for bound in BOUNDS[name] if value <= bound), "inf")


@dataclass(slots=True)
class Tallies:
    """What one transaction has counted so far."""

    _counts: Counter[tuple[uuid.UUID, str, str, str]] = field(default_factory=Counter)
    _retries: list[tuple[uuid.UUID, str, int, float | None]] = field(default_factory=list)

    def tell(
        self,
        execution_id: uuid.UUID,
        kind: str,
        *,
        wave: int | None,
        atom: str,
        attempt: int | None,
        data: Mapping[str, Any],
    ) -> None:
        """Take in a fact of the history."""
        label = "" if wave is None else wave_label(wave)
        match kind:
            # What a fork takes over was counted where it was made.
            case "atom.ended" if data.get("reason") != "fork":
                self._add(execution_id, Tallied.ATOMS, label, data["status"])
                self._observe(execution_id, Tallied.ATOM_SECONDS, "", data.get("seconds"))
            case "attempt.started" if attempt is not None and attempt > 1 and _counts(data):
                self._retries.append((execution_id, atom, attempt, data["temperature"]))
            case "attempt.ended" if data["status"] in ATTEMPT_COUNTED and _counts(data):
                self._add(execution_id, Tallied.ATTEMPTS, str(attempt), data["status"])
            case "wave.ended" if data.get("seconds") is not None:
                self._observe(execution_id, Tallied.WAVE_SECONDS, label, data["seconds"])
                if data["seconds"]:
                    speed = data["succeeded"] / data["seconds"]
                    self._observe(execution_id, Tallied.WAVE_THROUGHPUT, label, speed)
            case "execution.ended":
                self._add(execution_id, Tallied.EXECUTIONS, data["status"])
                # Not of one that was cut short, nor of one reopened: most of that time it lay still.
                if data["status"] != ExecutionStatus.CANCELLED and data["run_number"] == 1:
                    self._observe(execution_id, Tallied.EXECUTION_SECONDS, "", data.get("seconds"))
            case "call.failed":
                self._add(execution_id, Tallied.FAILED_CALLS, data["outcome"])
            case "lease.late_write":
                self._add(execution_id, Tallied.LATE_WRITES)
            case "lease.lost":
                self._add(execution_id, Tallied.LOST_LEASES)

    def write(self, cursor: CursorWrapper, executions: Mapping[uuid.UUID, LockedExecution]) -> None:
        """Add everything to the stored tallies; those of executions that have ended move on. Once, before the commit."""
        for one in executions.values():
            for counter, name in _GROWN.items():
                self._add(one.id, name, amount=one.grown.get(counter, 0))
        if self._retries:
            self._compare_temperatures(cursor)
        if not self._counts:
            return
        _store(
            cursor,
            {(executions[key[0]].masterplan_id, *key): amount for key, amount in self._counts.items()},
        )
        touched = sorted({key[0] for key in self._counts})
        ended = [executions[one] for one in touched if executions[one].status in EXECUTION_ENDED]
        if ended:
            move(cursor, ended)

    def _add(
        self, execution_id: uuid.UUID, name: Tallied, label: str = "", part: str = "", amount: int = 1
    ) -> None:
        if amount:
            self._counts[execution_id, name.value, label, part] += amount

    def _observe(self, execution_id: uuid.UUID, name: Tallied, label: str, value: float | None) -> None:
        if value is not None:
            self._add(execution_id, name, label, bucket(name, value))
            self._add(execution_id, name, label, SUM, round(value * MICRO))

    def _compare_temperatures(self, cursor: CursorWrapper) -> None:
        """What the attempts before asked for is in their rows: one look for each execution, whatever the number of retries."""
        for execution_id in {one[0] for one in self._retries}:
            keys = sorted({atom for owner, atom, _, _ in self._retries if owner == execution_id})
            named, values = dialect.atoms_named(execution_id, keys)
            cursor.execute(
                f"SELECT r.key, a.number, a.rung FROM {named} JOIN executions_attempt a"  # noqa: S608
                " ON a.atom_run_id = r.id AND a.generation = r.generation AND a.kind = 'model'",
                values,
            )
            asked = {
                (key, number): dialect.load(rung)["temperature"] for key, number, rung in cursor.fetchall()
            }
            for owner, atom, number, temperature in self._retries:
                if owner != execution_id:
                    continue
                if (atom, number - 1) in asked:
                    before, after = temperature_label(asked[atom, number - 1]), temperature_label(temperature)
                    if before != after:
                        self._add(execution_id, Tallied.TEMPERATURES, before, after)


def _store(cursor: CursorWrapper, amounts: Mapping[_Row, int]) -> None:
    """Add to the rows, in one order for all transactions: rows of totals are shared, and taken by whoever ends an execution."""
    dialect.insert_many(
        cursor,
        "executions_tally",
        _COLUMNS,
        [
            (dialect.uid(row[0]), dialect.uid(row[1]), *row[2:], amount)
            for row, amount in sorted(amounts.items())
            if amount
        ],
        "ON CONFLICT (masterplan_id, execution_id, name, label, part)"
        " DO UPDATE SET amount = executions_tally.amount + excluded.amount",
    )


def move(cursor: CursorWrapper, ended: Iterable[LockedExecution]) -> None:
    """Tallies of ended executions into those of their masterplans and of the site, where no deletion reaches them."""
    totals: Counter[_Row] = Counter()
    for one in ended:
        cursor.execute(
            "DELETE FROM executions_tally WHERE masterplan_id = %s AND execution_id = %s RETURNING name, label, part, amount",
            [dialect.uid(one.masterplan_id), dialect.uid(one.id)],
        )
        for name, label, part, amount in cursor.fetchall():
            totals[ALL, ALL, name, label, part] += amount
            if name in OF_PLANS:
                totals[one.masterplan_id, ALL, name, label, part] += amount
    _store(cursor, totals)
