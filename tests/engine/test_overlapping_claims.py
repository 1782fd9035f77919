"""Claims of one runner that overlap: what ends while one is being written is replaced by the next, never by both."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from executions.engine.owners import owner_name
from executions.engine.wave_executor import WaveExecutor
from executions.models import AtomRun, Call, Execution
from tests.engine.by_hand import assert_all_ended, assert_counters_equal_rows, events, held, start
from tests.engine.committed import transactional_db  # noqa: F401  a fixture
from tests.engine.model_in_process import ModelInProcess, asked
from tests.engine.runner_thread import InThread
from tests.plans import layers, plan
from tests.product import wait_for

pytestmark = pytest.mark.usefixtures("transactional_db")


class _Runner(InThread):
    """`with _Runner() as runner:` works one slice; `runner.executor` can be looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.executor: WaveExecutor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: asyncio.Task[int] | None = None

    def run(self) -> None:
        asyncio.run(self._slice())

    async def _slice(self) -> None:
        self._loop = asyncio.get_running_loop()
        executor = WaveExecutor(owner_name(), timedelta(seconds=30))
        self._running = asyncio.create_task(executor.run())
        self.executor = executor
        await asyncio.wait([self._running])
        if not self._running.cancelled():
            self._running.result()

    def taken_up(self) -> list[bool]:
        """Of each claim on its way: whether the ledger is writing it."""
        assert self.executor is not None
        return [asked.claim.is_taken_up for asked in self.executor.asked]

    def cancel(self) -> None:
        assert self._loop is not None
        assert self._running is not None
        self._loop.call_soon_threadsafe(self._running.cancel)


def _two_ended_one_after_the_other(model: ModelInProcess, runner: _Runner) -> None:
    """The first verdict is being written with a claim, and waits; the second has come since."""
    model.let_through(1)
    wait_for(
        lambda: runner.taken_up() == [True], "the claim that goes with the first verdict is being written"
    )
    model.let_through(1)
    wait_for(lambda: runner.taken_up() == [True, False], "another goes with the second verdict")


def test_what_ends_while_a_claim_is_written_is_replaced_in_the_transaction_of_its_own_verdict(
    scratch: Path, settings: Any
) -> None:
    value = plan(*layers(8))
    with asked(settings, ModelInProcess(scratch, value, shut=True)) as model:
        execution = start(value, validators="syntax", cache="off", max_concurrency=3)
        with _Runner() as runner:
            model.until_waiting(3)
            with held(execution):
                _two_ended_one_after_the_other(model, runner)
            model.until_waiting(3)
            ended, started = events(execution, "atom.ended"), events(execution, "atom.started")
            model.let_through(None)

    # One transaction has one time.
    assert [event.at for event in started[3:]] == [event.at for event in ended]
    assert len({event.at for event in ended}) == len(ended) == 2
    assert_all_ended(execution)
    assert_counters_equal_rows(execution)
    assert Call.objects.count() == 8


def test_a_runner_that_is_ended_gives_back_what_all_its_claims_have_taken(
    scratch: Path, settings: Any
) -> None:
    value = plan(*layers(8))
    with asked(settings, ModelInProcess(scratch, value, shut=True)) as model:
        execution = start(value, validators="syntax", cache="off", max_concurrency=3)
        with _Runner() as runner:
            model.until_waiting(3)
            with held(execution):
                _two_ended_one_after_the_other(model, runner)
                runner.cancel()

        # Nothing was sent in place of the two that were answered.
        assert (model.stats()["calls"], model.waiting) == (2, 0)

    assert set(AtomRun.objects.exclude(status="succeeded").values_list("status", "lease_owner")) == {
        ("ready", "")
    }
    assert Execution.objects.get().atoms_succeeded == 2
    # Two were claimed in place of those that had ended, and their calls intended but never sent.
    assert Call.objects.filter(outcome="cancelled").count() == 2
    assert_counters_equal_rows(execution)
