"""Plans that PostgreSQL keeps for the ledger: on its own connection alone, also after that broke, and only where wanted."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from executions.engine.ledger import Change, Ledger
from executions.engine.transaction import ExecutionTransaction
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
SEEN = (
    "SELECT current_setting('enable_seqscan') = 'on', COUNT(*) FILTER (WHERE strpos(statement, 'SELECT id, masterplan_id') = 1)"
    " FROM pg_prepared_statements"
)


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


def _look(*breaks: bool) -> list[tuple[bool, int]]:
    """What is seen in so many transactions, one after the other."""
    execution = start(plan(*layers(2)))

    async def work() -> list[tuple[bool, int]]:
        ledger = Ledger()
        ledger.start()
        try:
            return [await ledger.record(Look(execution.id, one)) for one in breaks]
        finally:
            await ledger.close()

    return asyncio.run(work())


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
