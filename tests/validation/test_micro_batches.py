"""Pieces are collected only while somebody else may come, and each gets the answer that is its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.validation.static import micro_batches
from executions.validation.static.micro_batches import MOST_TOGETHER, InFlight, MicroBatches

NEVER = 3600.0
"""A window that no test outlives: what is sent is sent for another reason."""


class Doubling:
    """Work that remembers its batches; 13 breaks it."""

    def __init__(self, window: float = NEVER) -> None:
        self.in_flight, self.ahead = InFlight(), InFlight()
        self.batches: list[list[int]] = []
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self._micro: MicroBatches[int, int] = MicroBatches(
            self._work, self.in_flight, self.ahead, window=window
        )

    async def _work(self, pieces: Sequence[int]) -> list[int]:
        self.batches.append(list(pieces))
        self.begun.set()
        await self.gate.wait()
        if 13 in pieces:
            raise ValueError("unlucky")
        return [2 * piece for piece in pieces]

    async def double(self, piece: int) -> int:
        with self.in_flight.one():
            return await self._micro.submit(piece)


async def test_a_lone_piece_waits_for_nobody() -> None:
    work = Doubling()
    assert await work.double(4) == 8


async def test_those_that_begin_together_are_one_batch() -> None:
    work = Doubling()
    assert await asyncio.gather(*(work.double(n) for n in range(1, 11))) == [2 * n for n in range(1, 11)]
    assert work.batches == [list(range(1, 11))]


async def test_a_full_batch_goes_although_others_are_on_their_way() -> None:
    work = Doubling()
    with work.in_flight.one():
        results = await asyncio.gather(*(work.double(n) for n in range(100, 100 + MOST_TOGETHER)))
    assert results == [2 * n for n in range(100, 100 + MOST_TOGETHER)]


async def test_the_window_ends_the_waiting_for_one_who_does_not_come() -> None:
    work = Doubling(window=0.01)
    with work.in_flight.one():
        assert await work.double(4) == 8


async def test_what_comes_while_a_batch_is_worked_on_goes_together() -> None:
    work = Doubling(window=0.0)
    work.gate.clear()
    with work.in_flight.one():
        first = asyncio.create_task(work.double(1))
        await work.begun.wait()
        others = [asyncio.create_task(work.double(n)) for n in (2, 3)]
        for _ in range(5):
            await asyncio.sleep(0)  # until the window of the two, which is none, is over
        work.gate.set()
        assert await asyncio.gather(first, *others) == [2, 4, 6]
    assert work.batches == [[1], [2, 3]]


async def test_a_failure_reaches_all_of_the_batch_and_none_of_the_next() -> None:
    work = Doubling()
    with pytest.raises(ValueError, match="unlucky"):
        await asyncio.gather(work.double(1), work.double(13))
    assert await work.double(2) == 4


async def test_one_who_leaves_takes_nobody_along() -> None:
    work = Doubling()
    work.gate.clear()
    leaving, staying = asyncio.create_task(work.double(1)), asyncio.create_task(work.double(2))
    await work.begun.wait()
    leaving.cancel()
    work.gate.set()
    assert await staying == 4
    with pytest.raises(asyncio.CancelledError):
        await leaving


@given(st.lists(st.integers(1, 12), min_size=1, max_size=200))
def test_every_piece_gets_its_own_answer(pieces: list[int]) -> None:
    work = Doubling(window=0.0)

    async def all_of_them() -> list[int]:
        return await asyncio.gather(*(work.double(piece) for piece in pieces))

    assert asyncio.run(all_of_them()) == [2 * piece for piece in pieces]
    assert max(map(len, work.batches)) <= MOST_TOGETHER
    assert sorted(piece for batch in work.batches for piece in batch) == sorted(pieces)


async def test_nobody_is_hurried_to_where_others_wait_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(micro_batches, "LONGEST_SECONDS", NEVER)
    work = Doubling(window=0.0)
    with work.ahead.one(), work.in_flight.one():
        first = asyncio.create_task(work.double(1))
        await asyncio.sleep(0.02)
        second = asyncio.create_task(work.double(2))
        await asyncio.sleep(0.02)
        assert work.batches == []
    assert await asyncio.gather(first, second) == [2, 4]
    assert work.batches == [[1, 2]]


async def test_where_others_wait_for_ever_it_goes_all_the_same() -> None:
    work = Doubling(window=0.0)
    with work.ahead.one(), work.in_flight.one():
        assert await work.double(1) == 2
