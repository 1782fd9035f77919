"""The ledger: what was awaited is durable, many changes share a transaction, one bad change harms nobody else."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import pytest
from django.db import DatabaseError, connection

from executions.engine import dialect
from executions.engine.claims import Release
from executions.engine.ledger import Change, LeaseLost, Ledger, Refusal
from executions.engine.transaction import ExecutionTransaction
from executions.models import AtomRun, Event, Execution
from tests.engine.away import database_away
from tests.engine.by_hand import claim_one, claiming, held, start, write
from tests.engine.committed import transactional_db  # noqa: F401  a fixture
from tests.ground import ON_POSTGRES
from tests.plans import layers, plan
from tests.product import wait_for

pytestmark = pytest.mark.usefixtures("transactional_db")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tell(Change[int]):
    """Append one event."""

    execution_id: uuid.UUID
    number: int = 0

    def execution_ids(self, cursor: Any) -> Iterable[uuid.UUID]:
        return (self.execution_id,)

    def apply(self, unit: ExecutionTransaction) -> int:
        unit.event(unit.executions[self.execution_id], "test.told", number=self.number)
        return self.number


@dataclass(frozen=True, slots=True)
class TellAtOnce(Tell):
    """Append one event, and nobody is waited for."""

    is_urgent: bool = True


@dataclass(frozen=True, slots=True)
class Refuse(Tell):
    """Tell, and then refuse: what was written stands."""

    def apply(self, unit: ExecutionTransaction) -> int:
        Tell.apply(self, unit)
        raise LeaseLost("no longer ours")


@dataclass(frozen=True, slots=True)
class BadSql(Tell):
    """A change that the database rejects after it has told something."""

    def apply(self, unit: ExecutionTransaction) -> int:
        Tell.apply(self, unit)
        unit.cursor.execute("INSERT INTO executions_event (seq) VALUES (0)")
        return 0


@dataclass(frozen=True, slots=True)
class Bug(Tell):
    """A change with a bug."""

    def apply(self, unit: ExecutionTransaction) -> int:
        Tell.apply(self, unit)
        raise KeyError("a bug")


@dataclass(frozen=True, slots=True)
class BreakOnce(Tell):
    """A change during which the connection dies, the first time."""

    broken: list[int] = field(default_factory=list)

    def apply(self, unit: ExecutionTransaction) -> int:
        Tell.apply(self, unit)
        if not self.broken:
            self.broken.append(1)
            unit.cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return self.number


@dataclass(frozen=True, slots=True)
class AskBackend(Tell):
    """The server process of the ledger's connection."""

    def apply(self, unit: ExecutionTransaction) -> int:
        unit.cursor.execute("SELECT pg_backend_pid()")
        return int(unit.cursor.fetchone()[0])


@dataclass(frozen=True, slots=True)
class BeImpatient(Tell):
    """The ledger's connection waits for a lock no longer than 50 ms from now on."""

    def apply(self, unit: ExecutionTransaction) -> int:
        unit.cursor.execute("PRAGMA busy_timeout=50")
        return 0


@asynccontextmanager
async def _ledger(window_s: float = 0.0, writers: int = 1) -> AsyncIterator[Ledger]:
    ledger = Ledger(window_s=lambda: window_s, writers=lambda: writers)
    ledger.start()
    try:
        yield ledger
    finally:
        await ledger.close()


def _with_ledger(work: Callable[[Ledger], Awaitable[T]]) -> T:
    async def run() -> T:
        async with _ledger() as ledger:
            return await work(ledger)

    return asyncio.run(run())


def _elsewhere(read: Callable[[], T]) -> T:
    """Read over a connection of its own, in a thread of its own."""
    try:
        return read()
    finally:
        connection.close()


def _told(execution: Execution) -> list[int]:
    found = Event.objects.filter(execution=execution, type="test.told").order_by("seq")
    return [data["number"] for data in found.values_list("data", flat=True)]


def test_what_was_awaited_is_seen_by_everybody() -> None:
    execution = start(plan(*layers(2)))

    async def work(ledger: Ledger) -> None:
        for number in range(5):
            assert await ledger.record(Tell(execution.id, number)) == number
            assert (await asyncio.to_thread(_elsewhere, lambda: _told(execution)))[-1] == number

    _with_ledger(work)


def test_changes_that_come_while_one_commits_share_the_next_transaction() -> None:
    execution = start(plan(*layers(60)))
    claims = write(claiming())

    async def work(ledger: Ledger) -> tuple[int, int]:
        with held(execution):
            pending = [asyncio.ensure_future(ledger.record(Release(claim))) for claim in claims]
            await asyncio.sleep(0)
        await asyncio.gather(*pending)
        return ledger.transactions, ledger.changes

    transactions, changes = _with_ledger(work)

    assert changes == 60
    assert transactions <= 2
    assert set(AtomRun.objects.values_list("status", flat=True)) == {"ready"}


@pytest.mark.parametrize("writers", [2, 20])
def test_a_window_gathers_what_several_writers_send_one_after_another(writers: int) -> None:
    execution = start(plan(*layers(2)))

    async def teller(ledger: Ledger, name: int) -> None:
        for step in range(4):
            await ledger.record(Tell(execution.id, 10 * name + step))
            # The next one comes a moment later, as that of an atom which has something to do in between.
            await asyncio.sleep(0.001 * (name % 3))

    async def work() -> tuple[int, int]:
        async with _ledger(window_s=0.5, writers=writers) as ledger:
            await asyncio.gather(*(teller(ledger, name) for name in range(writers)))
            return ledger.transactions, ledger.changes

    transactions, changes = asyncio.run(work())

    assert changes == 4 * writers
    assert transactions <= changes / 2
    assert sorted(_told(execution)) == sorted(
        10 * name + step for name in range(writers) for step in range(4)
    )


def test_a_batch_with_a_change_of_every_writer_is_not_kept_waiting() -> None:
    execution = start(plan(*layers(2)))

    async def work() -> tuple[int, int]:
        async with _ledger(window_s=3600, writers=2) as ledger:
            async with asyncio.timeout(30):
                for step in range(0, 6, 2):
                    together = (ledger.submit(Tell(execution.id, step + one)) for one in range(2))
                    await asyncio.gather(*together)
            return ledger.transactions, ledger.changes

    assert asyncio.run(work()) == (3, 6)


def test_what_nobody_waits_for_makes_no_batch_complete() -> None:
    execution = start(plan(*layers(2)))

    async def work() -> tuple[int, int]:
        async with _waiting_for_company(Tell(execution.id, 1), writers=1, awaited=False) as (ledger, alone):
            assert not alone.done()
            await ledger.record(Tell(execution.id, 2))
            assert alone.done()
            return ledger.transactions, ledger.changes

    assert asyncio.run(work()) == (1, 2)
    assert _told(execution) == [1, 2]


def test_a_batch_is_written_when_the_most_impatient_of_its_changes_has_waited_long_enough() -> None:
    execution = start(plan(*layers(2)))

    async def work() -> int:
        async with _waiting_for_company(Tell(execution.id, 1)) as (ledger, patient):
            assert not patient.done()
            await ledger.submit(Tell(execution.id, 2), within_s=0.02)
            assert patient.done()
            return ledger.transactions

    assert asyncio.run(work()) == 1


@asynccontextmanager
async def _waiting_for_company(
    change: Change[T], *, writers: int = 50, awaited: bool = True
) -> AsyncIterator[tuple[Ledger, asyncio.Future[T]]]:
    """A ledger that has opened a window without end for this change."""
    opened = threading.Event()

    def how_many() -> int:
        opened.set()
        return writers

    ledger = Ledger(window_s=lambda: 3600, writers=how_many)
    ledger.start()
    try:
        async with asyncio.timeout(30):
            future = ledger.submit(change, awaited=awaited)
            await asyncio.to_thread(opened.wait, 30)
            yield ledger, future
    finally:
        await ledger.close()


def test_an_urgent_change_ends_the_wait_of_all() -> None:
    execution = start(plan(*layers(2)))

    async def work() -> int:
        async with _waiting_for_company(Tell(execution.id, 1)) as (ledger, patient):
            assert not patient.done()
            await ledger.record(TellAtOnce(execution.id, 2))
            assert patient.done()
            return ledger.transactions

    assert asyncio.run(work()) == 1


def test_a_ledger_that_is_hurried_waits_for_nothing_more() -> None:
    execution = start(plan(*layers(2)))

    async def work() -> int:
        async with _waiting_for_company(Tell(execution.id, 1)) as (ledger, patient):
            assert not patient.done()
            ledger.hurry()
            await patient
            return ledger.transactions

    assert asyncio.run(work()) == 1
    assert _told(execution) == [1]


def test_what_still_waits_for_company_is_written_when_the_ledger_closes() -> None:
    execution = start(plan(*layers(2)))

    async def work() -> None:
        async with _waiting_for_company(Tell(execution.id, 1)):
            assert await asyncio.to_thread(_elsewhere, lambda: _told(execution)) == []

    asyncio.run(work())

    assert _told(execution) == [1]


def test_a_lone_writer_never_waits_for_others() -> None:
    execution = start(plan(*layers(2)))

    async def work() -> int:
        async with _ledger(window_s=3600) as ledger, asyncio.timeout(30):
            for step in range(3):
                await ledger.record(Tell(execution.id, step))
            return ledger.transactions

    assert asyncio.run(work()) == 3


def test_a_claim_sees_what_the_verdicts_of_its_own_batch_have_freed() -> None:
    execution = start(plan(*layers(1, 1)), schedule="flow")
    first = claim_one(execution)
    call = first.intend()
    first.answer(call)

    async def work() -> tuple[list[str], int]:
        async with _ledger(window_s=3600, writers=2) as ledger, asyncio.timeout(30):
            claimed = ledger.submit(claiming(1))
            await ledger.submit(first.verdict(passed=True))
            return [claim.key for claim in await claimed], ledger.transactions

    assert asyncio.run(work()) == (["a2.0"], 1)


@dataclass(frozen=True, slots=True)
class TellLast(Tell):
    """Append one event after all others of the batch, and do something when it is taken up."""

    last: ClassVar[bool] = True
    then: Callable[[], None] = lambda: None

    def taken_up(self) -> None:
        self.then()


def test_there_are_never_two_claims_in_a_batch() -> None:
    execution = start(plan(*layers(2)))

    async def work() -> int:
        loop = asyncio.get_running_loop()
        async with _ledger() as ledger, asyncio.timeout(30):
            others: list[asyncio.Future[int]] = []

            async def more() -> None:
                others.extend(map(ledger.submit, (Tell(execution.id, 1), TellLast(execution.id, 3))))

            def ask_for_more() -> None:
                # From the ledger's thread, which then takes what has come until it knew of the first.
                asyncio.run_coroutine_threadsafe(more(), loop).result(30)

            await ledger.record(TellLast(execution.id, 2, ask_for_more))
            await asyncio.gather(*others)
            return ledger.transactions

    assert asyncio.run(work()) == 2
    assert _told(execution) == [1, 2, 3]


def test_what_a_cancelled_waiter_had_queued_is_written_all_the_same() -> None:
    execution = start(plan(*layers(2)))

    async def work(ledger: Ledger) -> None:
        with held(execution):
            waiting = asyncio.ensure_future(ledger.record(Tell(execution.id, 1)))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        await ledger.record(Tell(execution.id, 2))

    _with_ledger(work)

    assert _told(execution) == [1, 2]


@pytest.mark.parametrize(("bad", "error"), [(BadSql, DatabaseError), (Bug, KeyError)])
def test_a_bad_change_fails_its_own_waiter_and_no_other(bad: type[Tell], error: type[Exception]) -> None:
    execution = start(plan(*layers(2)))
    changes: list[Tell] = [Tell(execution.id, 0), bad(execution.id, 1), Tell(execution.id, 2)]

    async def work(ledger: Ledger) -> list[Any]:
        with held(execution):
            pending = [asyncio.ensure_future(ledger.record(change)) for change in changes]
            await asyncio.sleep(0)
        found = await asyncio.gather(*pending, return_exceptions=True)
        return [*found, await ledger.record(Tell(execution.id, 3))]

    first, failed, second, later = _with_ledger(work)

    assert (first, second, later) == (0, 2, 3)
    assert isinstance(failed, error)
    assert _told(execution) == [0, 2, 3]


def test_a_change_for_an_execution_that_is_gone_fails_its_own_waiter() -> None:
    execution = start(plan(*layers(2)))

    async def work(ledger: Ledger) -> list[Any]:
        pending = [ledger.record(Tell(uuid.uuid4())), ledger.record(Tell(execution.id, 1))]
        return await asyncio.gather(*pending, return_exceptions=True)

    gone, told = _with_ledger(work)

    assert isinstance(gone, KeyError)
    assert told == 1


def test_a_refusal_is_an_answer_and_undoes_nothing() -> None:
    execution = start(plan(*layers(2)))

    async def work(ledger: Ledger) -> list[Any]:
        with held(execution):
            pending = [
                asyncio.ensure_future(ledger.record(change))
                for change in (Tell(execution.id, 1), Refuse(execution.id, 2), Tell(execution.id, 3))
            ]
            await asyncio.sleep(0)
        return await asyncio.gather(*pending, return_exceptions=True)

    first, refused, last = _with_ledger(work)

    assert (first, last) == (1, 3)
    assert isinstance(refused, Refusal)
    assert _told(execution) == [1, 2, 3]


def test_a_caller_that_is_cancelled_does_not_take_its_change_back() -> None:
    execution = start(plan(*layers(2)))

    async def work(ledger: Ledger) -> None:
        with held(execution):
            pending = asyncio.ensure_future(ledger.record(Tell(execution.id, 7)))
            await asyncio.sleep(0)
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)
        await ledger.record(Tell(execution.id, 8))

    _with_ledger(work)

    assert _told(execution) == [7, 8]


def test_the_order_of_the_callers_is_the_order_of_the_events() -> None:
    execution = start(plan(*layers(2)))

    async def work(ledger: Ledger) -> None:
        await asyncio.gather(*(ledger.record(Tell(execution.id, number)) for number in range(300)))

    _with_ledger(work)

    assert _told(execution) == list(range(300))


def test_closing_commits_what_is_queued() -> None:
    execution = start(plan(*layers(2)))

    async def work() -> list[int]:
        ledger = Ledger()
        ledger.start()
        with held(execution):
            pending = [asyncio.ensure_future(ledger.record(Tell(execution.id, n))) for n in range(20)]
            await asyncio.sleep(0)
            closing = asyncio.ensure_future(ledger.close())
            await asyncio.sleep(0)
        await closing
        return await asyncio.gather(*pending)

    assert asyncio.run(work()) == list(range(20))
    assert _told(execution) == list(range(20))


@pytest.mark.skipif(not ON_POSTGRES, reason="server processes are PostgreSQL's")
def test_it_heals_after_its_connection_was_ended() -> None:
    execution = start(plan(*layers(2)))

    async def work(ledger: Ledger) -> None:
        backend = await ledger.record(AskBackend(execution.id))
        await asyncio.to_thread(_elsewhere, lambda: _terminate(backend))
        assert await ledger.record(Tell(execution.id, 1)) == 1
        assert await ledger.record(AskBackend(execution.id)) != backend

    _with_ledger(work)

    assert _told(execution) == [1]


def _terminate(backend: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [backend])


@pytest.mark.skipif(not ON_POSTGRES, reason="server processes are PostgreSQL's")
def test_a_connection_that_breaks_in_the_middle_costs_no_change_of_its_batch() -> None:
    execution = start(plan(*layers(2)))

    async def work(ledger: Ledger) -> list[int]:
        with held(execution):
            changes = (Tell(execution.id, 1), BreakOnce(execution.id, 2), Tell(execution.id, 3))
            pending = [asyncio.ensure_future(ledger.record(change)) for change in changes]
            await asyncio.sleep(0)
        return await asyncio.gather(*pending)

    assert _with_ledger(work) == [1, 2, 3]
    assert _told(execution) == [1, 2, 3]


@pytest.mark.skipif(ON_POSTGRES, reason="SQLite locks the whole database")
def test_it_waits_for_a_database_that_is_locked_for_longer_than_its_timeout(
    caplog: pytest.LogCaptureFixture,
) -> None:
    execution = start(plan(*layers(2)))

    async def work(ledger: Ledger) -> int:
        await ledger.record(BeImpatient(execution.id))
        with held(execution):
            pending = asyncio.ensure_future(ledger.record(Tell(execution.id, 1)))
            await asyncio.to_thread(wait_for, lambda: "is tried again" in caplog.text, "a first try in vain")
        return await pending

    assert _with_ledger(work) == 1
    assert _told(execution) == [1]


@pytest.mark.skipif(not ON_POSTGRES, reason="a database that takes no connection is PostgreSQL's")
def test_it_gives_up_on_a_database_that_stays_away_and_works_again_when_it_is_back() -> None:
    execution = start(plan(*layers(2)))

    async def work(ledger: Ledger) -> int:
        assert await ledger.record(Tell(execution.id, 0)) == 0
        with database_away(), pytest.raises(DatabaseError):
            await ledger.record(Tell(execution.id, 1))
        return await ledger.record(Tell(execution.id, 2))

    assert _with_ledger(work) == 2
    connection.close()
    assert _told(execution) == [0, 2]


def test_events_are_numbered_without_gaps_when_two_write_at_once() -> None:
    execution = start(plan(*layers(2)))

    def write_many(name: int) -> None:
        async def work(ledger: Ledger) -> None:
            for step in range(40):
                await ledger.record(Tell(execution.id, 1000 * name + step))

        _with_ledger(work)

    threads = [threading.Thread(target=write_many, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    numbers = list(Event.objects.filter(execution=execution).order_by("seq").values_list("seq", flat=True))
    assert numbers == list(range(1, 3 * 40 + 2))
    assert Execution.objects.get().seq == numbers[-1]
    told = _told(execution)
    for name in range(3):
        assert [one for one in told if one // 1000 == name] == [1000 * name + step for step in range(40)]


def test_times_follow_the_order_of_events_although_a_writer_had_to_wait() -> None:
    execution = start(plan(*layers(2)))

    async def work(ledger: Ledger) -> Any:
        with held(execution):
            pending = asyncio.ensure_future(ledger.record(Tell(execution.id)))
            await asyncio.to_thread(_elsewhere, lambda: wait_for(_somebody_waits, "the ledger waits"))
            held_at = await asyncio.to_thread(_elsewhere, _database_time)
        await pending
        return held_at

    held_at = _with_ledger(work)

    assert Event.objects.get(type="test.told").at >= held_at


def _somebody_waits() -> bool:
    if not ON_POSTGRES:
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def _database_time() -> Any:
    with connection.cursor() as cursor:
        return dialect.now(cursor)
