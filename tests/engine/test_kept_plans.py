"""Plans that PostgreSQL keeps for the ledger: on its own connection alone, also after that broke, and only where wanted."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from executions.engine.accepted_code import accepted_code
from executions.engine.ledger import Change, Ledger
from executions.engine.progress import wait_for_less
from executions.engine.transaction import ExecutionTransaction
from executions.models import Execution
from tests.engine.by_hand import start
from tests.engine.committed import transactional_db  # noqa: F401  a fixture
from tests.ground import ON_POSTGRES
from tests.plans import layers, plan

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

pytestmark = [
    pytest.mark.usefixtures("transactional_db"),
    pytest.mark.skipif(not ON_POSTGRES, reason="SQLite's driver keeps compiled statements by itself"),
]
ATOMS = 300
READ = (
    "SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'executions_atomrun'"
)
SEEN = (
    "SELECT current_setting('enable_seqscan') = 'on', COUNT(*) FILTER (WHERE strpos(statement, 'SELECT id, masterplan_id') > 0"
    " AND strpos(statement, 'pg_prepared_statements') = 0)"
    " FROM pg_prepared_statements"
)


@dataclass(frozen=True, slots=True)
class Do(Change[None]):
    """SQL over the ledger's connection."""

    sql: str

    def execution_ids(self, cursor: CursorWrapper) -> Iterable[uuid.UUID]:
        return ()

    def apply(self, unit: ExecutionTransaction) -> None:
        unit.cursor.execute(self.sql)


@dataclass(frozen=True, slots=True)
class Look(Change[tuple[bool, int]]):
    """Whether tables are read whole, and how many plans of the statement that locks executions are kept."""

    execution_id: uuid.UUID
    breaks: bool = False
    """The connection breaks, each time but when it is written again."""

    def execution_ids(self, cursor: CursorWrapper) -> Iterable[uuid.UUID]:
        return (self.execution_id,)

    def apply(self, unit: ExecutionTransaction) -> tuple[bool, int]:
        if self.breaks and not unit.again:
            unit.cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        unit.cursor.execute(SEEN)
        reads_whole, kept = unit.cursor.fetchone()
        return bool(reads_whole), int(kept)


@dataclass(frozen=True, slots=True)
class NameAtoms(Change[int]):
    """Three atoms of an execution are named to read their code and to count down what they wait for: how many rows are read."""

    execution: Execution

    def execution_ids(self, cursor: CursorWrapper) -> Iterable[uuid.UUID]:
        return (self.execution.id,)

    def apply(self, unit: ExecutionTransaction) -> int:
        execution = unit.executions[self.execution.id]
        before = _rows_read(unit)
        keys = [f"a1.{number}" for number in (7, 70, 170)]
        accepted_code(unit.cursor, execution.id, keys)
        wait_for_less(unit, execution, dict.fromkeys(keys, 1), opens=False)
        return _rows_read(unit) - before


def _rows_read(unit: ExecutionTransaction) -> int:
    unit.cursor.execute(READ)
    return int(unit.cursor.fetchone()[0])


def _answers(*changes: Change[Any]) -> list[Any]:
    """What so many transactions answer, one after the other."""

    async def work() -> list[Any]:
        ledger = Ledger()
        ledger.start()
        try:
            return [await ledger.record(one) for one in changes]
        finally:
            await ledger.close()

    return asyncio.run(work())


def _look(*breaks: bool) -> list[tuple[bool, int]]:
    execution = start(plan(*layers(2)))
    return _answers(*(Look(execution.id, one) for one in breaks))


def test_what_is_asked_again_and_again_has_its_plan_kept_and_goes_by_indexes() -> None:
    first, *_, last = _look(*[False] * 5)

    assert first == (False, 0)
    assert last == (False, 1)
    with connection.cursor() as cursor:
        cursor.execute(SEEN)
        assert cursor.fetchone() == (True, 0)


def test_they_are_kept_anew_after_the_connection_broke() -> None:
    assert _look(*[False] * 4, True, *[False] * 4)[-1] == (False, 1)


def test_none_is_kept_where_a_pooler_could_not_pass_that_on(settings: Any) -> None:
    settings.MGE_PREPARED_STATEMENTS = False

    assert _look(*[False] * 5)[-1] == (True, 0)


@pytest.mark.parametrize(
    "loses",
    [
        # A pooler that hands the session to somebody else.
        "DEALLOCATE ALL",
        # A migration: the result of the statement that locks executions has another form now.
        "ALTER TABLE executions_execution ALTER COLUMN status_reason TYPE varchar(1000)",
    ],
)
def test_a_plan_that_is_of_no_use_any_more_costs_a_new_connection_and_no_change(loses: str) -> None:
    execution = start(plan(*layers(2)))
    looks = [Look(execution.id) for _ in range(4)]
    try:
        found = _answers(*looks, Do(loses), *looks)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE executions_execution ALTER COLUMN status_reason TYPE text")

    assert found[3] == (False, 1)
    assert found[5] == (False, 0), "it is not another connection"
    assert found[-1] == (False, 1)


@pytest.mark.parametrize("small", [0, 40])
def test_a_few_atoms_are_looked_up_by_name_however_many_there_are(small: int) -> None:
    """Whatever is known of the table: as it comes, or that an execution has one atom."""
    for _ in range(small):
        start(plan(*layers(1)))
    if small:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE executions_atomrun")
    execution = start(plan(*layers(ATOMS)))

    rows = _answers(*[NameAtoms(execution)] * 5)

    assert max(rows) <= 12, rows
