"""A checking program asked about many pieces in one process; where that fails, about each one alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from executions.validation.static.checker_process import CheckerBroke, run_over, sweep
from executions.validation.static.micro_batches import InFlight, MicroBatches
from executions.validation.static.piece import Piece, Remark, Remarks, Unavailable

log = logging.getLogger(__name__)

ALONE_AT_ONCE = 2
"""Processes at the same time when pieces are asked about one by one."""


class Tool(Protocol):
    """How a program is asked, and how its answer is read."""

    @property
    def name(self) -> str: ...
    @property
    def ends_well(self) -> frozenset[int]: ...
    @property
    def environment(self) -> Mapping[str, str]: ...
    def groups(self, pieces: Sequence[Piece]) -> list[list[int]]: ...
    def files(self, pieces: Sequence[Piece]) -> dict[str, str]: ...
    def command(self, pieces: Sequence[Piece]) -> list[str]: ...
    def read(self, output: bytes, pieces: Sequence[Piece]) -> list[tuple[Remark, ...]]: ...


class Checker:
    """Remarks on one piece at a time for those who ask, one process for many of them underneath."""

    def __init__(self, tool: Tool, in_flight: InFlight, ahead: InFlight) -> None:
        self._tool = tool
        self._batches: MicroBatches[Piece, Remarks] = MicroBatches(self._about, in_flight, ahead)
        self._swept = False

    async def remarks(self, piece: Piece) -> Remarks:
        return await self._batches.submit(piece)

    async def _about(self, pieces: Sequence[Piece]) -> list[Remarks]:
        if not self._swept:
            self._swept = True
            await asyncio.to_thread(sweep)
        results: dict[int, Remarks] = {}
        groups = self._tool.groups(pieces)
        for members, said in zip(
            groups,
            await asyncio.gather(*(self._group([pieces[n] for n in members]) for members in groups)),
            strict=True,
        ):
            results.update(zip(members, said, strict=True))
        return [results[number] for number in range(len(pieces))]

    async def _group(self, pieces: Sequence[Piece]) -> Sequence[Remarks]:
        try:
            return await self._ask(pieces)
        except CheckerBroke as error:
            if len(pieces) == 1:
                log.warning("%s: no word about an answer: %s", self._tool.name, error)
                return [Unavailable(str(error))]
            log.warning("%s: %d answers are looked at one by one: %s", self._tool.name, len(pieces), error)
        slots = asyncio.Semaphore(ALONE_AT_ONCE)

        async def alone(piece: Piece) -> Remarks:
            async with slots:
                return (await self._group([piece]))[0]

        return await asyncio.gather(*(alone(piece) for piece in pieces))

    async def _ask(self, pieces: Sequence[Piece]) -> list[tuple[Remark, ...]]:
        tool = self._tool
        output = await run_over(
            tool.files(pieces), tool.command(pieces), tool.environment, ends_well=tool.ends_well
        )
        return tool.read(output, pieces)
