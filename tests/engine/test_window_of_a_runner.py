"""What a runner tells its window of what is in flight, and how long it lets changes wait."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from executions.engine.ledger import Change
from executions.engine.owners import owner_name
from executions.engine.wave_executor import WaveExecutor
from executions.services.control import cancel_execution
from tests.engine.by_hand import start, statuses
from tests.engine.committed import transactional_db  # noqa: F401  a fixture
from tests.engine.model_in_process import ModelInProcess, asked
from tests.engine.runner_thread import InThread
from tests.plans import adder, plan
from tests.product import wait_for

pytestmark = pytest.mark.usefixtures("transactional_db")

CALL_S = 1.0
VALUE = plan(adder("a"), adder("b", depends_on=["a"]), adder("c", depends_on=["b"]), adder("d"))


class _Runner(InThread):
    """`with _Runner() as runner:` works one slice, and writes down what is queued. Calls seem to take a second."""

    def __init__(self) -> None:
        super().__init__()
        self.executor = WaveExecutor(owner_name(), timedelta(seconds=30))
        for _ in range(3):
            self.executor.window.note_call(CALL_S)
        self.queued: list[tuple[str, str, float | None, bool]] = []
        """Kind of change, atom, seconds that it may wait, whether it is awaited."""
        self._submit = self.executor.ledger.submit
        self.executor.ledger.submit = self._noted  # type: ignore[method-assign]

    def run(self) -> None:
        asyncio.run(self.executor.run())

    def _noted(
        self, change: Change[Any], *, within_s: float | None = None, awaited: bool = True
    ) -> asyncio.Future[Any]:
        claim = getattr(change, "claim", None)
        self.queued.append((type(change).__name__, claim.key if claim else "", within_s, awaited))
        return self._submit(change, within_s=within_s, awaited=awaited)

    def waits(self, kind: str, key: str) -> float:
        """Seconds that the only change of this kind may wait for company."""
        ((within_s, _),) = [
            (waits, awaited) for name, atom, waits, awaited in self.queued if (name, atom) == (kind, key)
        ]
        assert within_s is not None
        return within_s

    def in_flight(self) -> dict[int, int]:
        """Atoms by the length of the chain that hangs on them."""
        chains = self.executor.window._chains
        return dict(*chains.values()) if chains else {}


@pytest.mark.parametrize(("schedule", "chains"), [("flow", {3: 1, 1: 1}), ("waves", {0: 2})])
def test_the_window_knows_the_chains_in_flight_and_forgets_them(
    schedule: str, chains: dict[int, int], scratch: Path, settings: Any
) -> None:
    with asked(settings, ModelInProcess(scratch, VALUE, shut=True)) as model:
        execution = start(VALUE, validators="syntax", cache="off", schedule=schedule)
        with _Runner() as runner:
            model.until_waiting(2)
            wait_for(lambda: runner.in_flight() == chains, "both are known")
            model.let_through(None)

    assert set(statuses(execution).values()) == {"succeeded"}
    assert runner.in_flight() == {}
    assert runner.executor.window._in_flight == {}


def test_what_is_cancelled_is_in_flight_no_more(scratch: Path, settings: Any) -> None:
    with asked(settings, ModelInProcess(scratch, VALUE, shut=True)) as model:
        execution = start(VALUE, validators="syntax", cache="off", schedule="flow")
        with _Runner() as runner:
            model.until_waiting(2)
            cancel_execution(execution_id=execution.id, actor=None)

    assert set(statuses(execution).values()) == {"cancelled"}
    assert runner.executor.window._in_flight == {}


def test_an_end_waits_by_its_slack_its_answer_as_long_and_its_claim_with_it(
    scratch: Path, settings: Any
) -> None:
    with asked(settings, ModelInProcess(scratch, VALUE, shut=True)) as model:
        start(VALUE, validators="syntax", cache="off", schedule="flow")
        with _Runner() as runner:
            model.until_waiting(2)
            model.let_through(None)

    # The longest chain leads; of two that end at once the second finds itself alone.
    assert runner.waits("RecordVerdict", "a") == pytest.approx(CALL_S / 100, rel=0.3)
    verdicts = [(key, waits) for kind, key, waits, _ in runner.queued if kind == "RecordVerdict"]
    assert sorted(key for key, _ in verdicts) == ["a", "b", "c", "d"]
    for key, waits in verdicts:
        assert runner.waits("RecordAnswer", key) == pytest.approx(waits, rel=0.3)
    # A claim waits no longer than the verdict that it goes with; one that goes with none waits for nothing.
    claims = {waits for kind, _, waits, _ in runner.queued if kind == "Claim"}
    assert claims <= {None, *(waits for _, waits in verdicts)}
    assert len(claims) > 1
    unawaited = {kind for kind, _, _, awaited in runner.queued if not awaited}
    assert unawaited == {"RecordAnswer", "Claim"}


def test_an_atom_that_goes_on_waits_the_usual_time_and_its_intent_with_the_verdict(
    scratch: Path, settings: Any
) -> None:
    value = plan(adder("a"), adder("b"))
    wrong = [{"atom": "a", "kind": "syntax", "code": "def a(:\n", "verdict": "failed"}]
    with asked(settings, ModelInProcess(scratch, value, wrong)) as model:
        execution = start(value, validators="syntax", cache="off", schedule="flow")
        with _Runner() as runner:
            pass
        assert model.stats()["calls"] == 3

    assert set(statuses(execution).values()) == {"succeeded"}
    rejected, _ = [waits for kind, key, waits, _ in runner.queued if (kind, key) == ("RecordVerdict", "a")]
    ((intended, awaited),) = [
        (waits, awaited)
        for kind, key, waits, awaited in runner.queued
        if (kind, key) == ("RecordIntent", "a")
    ][-1:]
    assert rejected == intended == pytest.approx(0.04 * CALL_S, rel=0.3)
    # The verdict alone lets nobody go on.
    assert awaited


def test_where_another_waits_for_its_slot_an_end_waits_the_usual_time(scratch: Path, settings: Any) -> None:
    with asked(settings, ModelInProcess(scratch, VALUE)):
        start(VALUE, validators="syntax", cache="off", schedule="flow", max_concurrency=1)
        with _Runner() as runner:
            pass

    assert runner.waits("RecordVerdict", "a") == pytest.approx(0.04 * CALL_S, rel=0.3)


def test_a_claim_that_waits_with_a_verdict_is_hurried_when_somebody_else_has_made_room() -> None:
    execution = start(VALUE, validators="syntax", cache="off", schedule="flow")

    async def work() -> set[str]:
        executor = WaveExecutor("me", timedelta(seconds=30))
        opened = threading.Event()

        def writers() -> int:
            opened.set()
            return 50

        executor.ledger._writers = writers
        executor.ledger.start()
        try:
            executor._ask(within_s=3600)
            (asked_for,) = executor.asked
            await asyncio.to_thread(opened.wait, 30)
            assert not asked_for.answer.done()
            executor._note_room()
            async with asyncio.timeout(30):
                return {claim.key for claim in await asked_for.answer}
        finally:
            await executor.ledger.close()
            await executor.reader.close()

    assert asyncio.run(work()) == {"a", "d"}
    assert statuses(execution)["a"] == "generating"
