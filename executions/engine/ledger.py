"""The ledger: one writer thread per runner through which every change of state goes, many in one transaction.

Use: `result = await ledger.record(change)`; when it returns, the change is committed. While one batch commits the next
fills up; with many atoms in flight a short window gathers more. A change that the database rejects is replayed alone,
so that it fails only its own waiter.

A change first looks, then writes. It raises `Refusal` only while all that it has written so far may stand: a refusal is
an answer, it undoes nothing of its batch.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from django.db import InterfaceError, OperationalError, connection, transaction

from executions.engine.cursors import keep_plans, ledger_cursor, lost_plans_as_lost_connection
from executions.engine.inbox import Inbox
from executions.engine.rows import Touched
from executions.engine.transaction import ExecutionTransaction

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

log = logging.getLogger(__name__)

LARGEST_BATCH = 500
"""Changes in one transaction; a claim takes in what was queued before it, too."""
ENOUGH = 10
"""Changes that are worth a commit: where so many are at hand when the writer is free nothing is waited for, the next batch
fills meanwhile."""
AT_A_TIME = 8
"""Waiters that are answered in one round of the event loop."""
CONNECTION_TRIES = 5
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class Refusal(Exception):
    """A change does not apply any more; nothing was written."""


class LeaseLost(Refusal):
    """The atom belongs to another owner, or to none: drop the result."""


class Stopped(Refusal):
    """The execution takes no new work now."""

    def __init__(self, status: str) -> None:
        super().__init__(f"the execution is {status}")
        self.status = status


class Change(ABC, Generic[R_co]):
    """One change of state."""

    __slots__ = ()
    last: ClassVar[bool] = False
    """Whether it comes after all others of its batch: it sees what they have done."""

    @abstractmethod
    def execution_ids(self, cursor: CursorWrapper) -> Iterable[uuid.UUID]:
        """Executions to lock before anything is written."""

    @property
    def is_urgent(self) -> bool:
        """Whether a batch that it is in waits for nothing more."""
        return False

    def taken_up(self) -> None:
        """The ledger is about to write it: what is queued from now on comes later."""

    def does_less(self) -> bool:
        """Asked when it could not be written alone: whether it now leaves out something that may have been the reason."""
        return False

    def touches(self) -> Touched:
        """Rows that `apply` is going to look at: they are read for the whole batch at once."""
        return Touched()

    @abstractmethod
    def apply(self, unit: ExecutionTransaction) -> R_co:
        """Write it, or raise Refusal."""


def write_changes(
    cursor: CursorWrapper, changes: Sequence[Change[Any]], *, again: bool = False
) -> list[tuple[Any, Refusal | None]]:
    """Write changes in the cursor's transaction; what each of them answers, and how it refused.

    `again`: the same changes were written before, and nobody knows whether that was committed.
    """
    # The time is taken from the database's clock once the rows are locked.
    unit = ExecutionTransaction(cursor, datetime.now(UTC), again)
    unit.lock({one for change in changes for one in change.execution_ids(cursor)})
    unit.rows.expect(change.touches() for change in changes)
    answers: list[tuple[Any, Refusal | None]] = []
    for change in changes:
        try:
            answers.append((change.apply(unit), None))
        except Refusal as refusal:
            answers.append((None, refusal))
    unit.flush()
    return answers


@dataclass(slots=True)
class _Entry:
    change: Change[Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    outcome: Any = None
    error: BaseException | None = None


class Ledger:
    """See the module.

    `window_s` says how long a change waits for company that nothing else is said of; `writers` how many there are now that may
    come: a batch of as many changes is complete, a lone writer never waits. `writers` is asked in the ledger's thread.
    """

    def __init__(
        self, *, window_s: Callable[[], float] = lambda: 0.0, writers: Callable[[], int] = lambda: 1
    ) -> None:
        self._inbox: Inbox[_Entry] = Inbox()
        self._window_s = window_s
        self._writers = writers
        self._thread = threading.Thread(target=self._write, name="ledger", daemon=True)
        self.transactions = 0
        self.changes = 0

    def start(self) -> None:
        self._thread.start()

    async def close(self) -> None:
        """Commit what is queued, then end the thread and its connection."""
        self._inbox.close()
        await asyncio.to_thread(self._thread.join)

    def submit(
        self, change: Change[R], *, within_s: float | None = None, awaited: bool = True
    ) -> asyncio.Future[R]:
        """Queue a change of this event loop; the future tells what it answers once it is committed.

        It is written even if nobody waits for it any more. What is queued without a pause in between is written together.
        `within_s`: as long as it may wait for company, if not for the ledger's window. `awaited`: one of the writers goes on only
        after it; of several that one and the same waits for it is said once.
        """
        loop = asyncio.get_running_loop()
        entry = _Entry(change, loop, loop.create_future())
        within_s = self._window_s() if within_s is None else within_s
        self._inbox.put(entry, within_s=within_s, counts=awaited, urgent=change.is_urgent)
        return entry.future

    def hurry(self) -> None:
        """What is queued waits for nothing more."""
        self._inbox.hurry()

    async def record(self, change: Change[R]) -> R:
        """Commit a change and return what it answers; raises its refusal."""
        return await self.submit(change)

    def _write(self) -> None:
        try:
            while not self._inbox.is_closed or len(self._inbox):
                batch = self._gather()
                # The bell may be late: it is then rung for what was taken already.
                if batch:
                    self._commit(batch)
                    self._answer(batch)
        finally:
            connection.close()

    def _gather(self) -> list[_Entry]:
        """The next batch; perhaps none."""
        inbox = self._inbox
        inbox.wait_for_any()
        writers = self._writers()
        if len(inbox) < ENOUGH and inbox.counted < writers:
            inbox.wait_until_due(writers)
        batch = inbox.take(LARGEST_BATCH)
        told = 0
        while told < len(batch):
            news, told = batch[told:], len(batch)
            for entry in news:
                entry.change.taken_up()
            if any(entry.change.last for entry in news):
                # What was queued before they knew is still written with them, however much it is.
                for entry in inbox.take():
                    if entry.change.last:
                        # One claim in a batch: written again, two of one owner could answer with the same atom.
                        inbox.put(entry, urgent=True)
                    else:
                        batch.append(entry)
        batch.sort(key=lambda entry: entry.change.last)
        return batch

    def _commit(self, batch: Sequence[_Entry], *, again: bool = False) -> None:
        for tries_left in reversed(range(CONNECTION_TRIES)):
            try:
                self._apply(batch, again=again)
            except (OperationalError, InterfaceError) as error:
                # A broken connection, a database that restarts, a lock waited for too long: the whole batch again.
                # It may have been committed all the same, if only the answer was lost: what must not be written twice
                # looks for itself (`again`), everything else checks owner and fence.
                connection.close()
                again = True
                if tries_left == 0:
                    self._fail(batch, error)
                    return
                log.warning(
                    "ledger: %s; the batch of %d is tried again",
                    type(error.__cause__ or error).__name__,
                    len(batch),
                )
                time.sleep(0.2 * (CONNECTION_TRIES - tries_left))
            except Exception as error:  # noqa: BLE001  a bug in one change must not end the writer; its waiter gets the error
                if len(batch) == 1 and not batch[0].change.does_less():
                    self._fail(batch, error)
                    return
                log.warning(
                    "ledger: %s; the batch of %d is written one by one", type(error).__name__, len(batch)
                )
                for entry in batch:
                    self._commit([entry], again=again)
                return
            else:
                return

    def _apply(self, batch: Sequence[_Entry], *, again: bool) -> None:
        changes = [entry.change for entry in batch]
        keep_plans()
        # Once: what fails in the same way on a new connection is a fault of one change, not of all of them.
        with nullcontext() if again else lost_plans_as_lost_connection(), transaction.atomic():
            answers = write_changes(ledger_cursor(), changes, again=again)
            for entry, (outcome, refusal) in zip(batch, answers, strict=True):
                entry.outcome, entry.error = outcome, refusal
        self.transactions += 1
        self.changes += len(batch)

    @staticmethod
    def _fail(batch: Sequence[_Entry], error: BaseException) -> None:
        for entry in batch:
            entry.error = error

    @staticmethod
    def _answer(batch: Sequence[_Entry]) -> None:
        loop = batch[0].loop

        def resolve(start: int) -> None:
            for entry in batch[start : start + AT_A_TIME]:
                if entry.future.done():
                    continue
                if entry.error is not None:
                    entry.future.set_exception(entry.error)
                else:
                    entry.future.set_result(entry.outcome)
            if start + AT_A_TIME < len(batch):
                # In the loop's next round: what the first ones have to send is on its way while the others prepare theirs.
                loop.call_soon(resolve, start + AT_A_TIME)

        loop.call_soon_threadsafe(resolve, 0)


class Reader:
    """One thread with a connection of its own for the runner's reads; `await reader.run(function, …)`."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="reader")

    async def run(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, _healed, function, *arguments)

    async def close(self) -> None:
        """Close the thread's connection: thread-local connections outlive the loop otherwise."""
        await self.run(_close_connection)
        self._pool.shutdown()


def _close_connection() -> None:
    # Looked up here, in the reader's own thread: `connection` is another object in each thread.
    connection.close()


def _healed(function: Any, *arguments: Any) -> Any:
    for tries_left in reversed(range(CONNECTION_TRIES)):
        try:
            return function(*arguments)
        except (OperationalError, InterfaceError):
            connection.close()
            if tries_left == 0:
                raise
            time.sleep(0.2 * (CONNECTION_TRIES - tries_left))
    return None
