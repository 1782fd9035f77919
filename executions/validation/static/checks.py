"""Lint and types as a validator asks for them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from executions.findings import Finding
from executions.validation.static.checker import Checker
from executions.validation.static.micro_batches import InFlight
from executions.validation.static.piece import Piece
from executions.validation.static.ruff import Ruff
from executions.validation.static.ty import Ty
from executions.validation.static.weighing import lint_findings, type_findings

LineOf = Callable[[int], int | None]


class StaticChecks:
    """What ruff and ty say of the answers of one validator, batched over those in flight."""

    def __init__(self) -> None:
        self._in_flight, self._ahead = InFlight(), InFlight()
        self._lint = Checker(Ruff(), self._in_flight, self._ahead)
        self._types = Checker(Ty(), self._in_flight, self._ahead)

    def one_in_flight(self) -> AbstractContextManager[None]:
        """Around the judging of each answer: a piece waits for others only while there are some."""
        return self._in_flight.one()

    def one_waits_for_the_sandbox(self) -> AbstractContextManager[None]:
        """While some do, nothing is gained by hurrying others there: batches may grow."""
        return self._ahead.one()

    async def lint(self, piece: Piece, line_of: LineOf) -> list[Finding]:
        """Findings that reject where they are certain, notes otherwise."""
        return lint_findings(await self._lint.remarks(piece), piece, line_of)

    async def types(self, piece: Piece, line_of: LineOf) -> list[Finding]:
        """Notes only."""
        return type_findings(await self._types.remarks(piece), line_of)
