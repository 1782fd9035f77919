"""What may go wrong on purpose, and how long answers take. Seeded: the same seed gives the same sequence."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Hashable
from enum import StrEnum

MOST_IN_A_ROW = 3
"""An answer is never withheld more often in a row, so that runs end; unless every request is to fail."""


class Fault(StrEnum):
    """What a request gets in place of a good answer."""

    RATE_LIMIT_AFTER = "rate_limit_after"
    """429 that says when to come back."""
    RATE_LIMIT = "rate_limit"
    """429 that does not."""
    OVERLOADED = "overloaded"
    """529."""
    SERVER_ERROR = "server_error"
    """500."""
    DISCONNECT = "disconnect"
    """The connection breaks: before the answer, or in the middle of a stream."""
    TRUNCATE = "truncate"
    """Half the answer, stop_reason max_tokens."""
    SLOW = "slow"
    """The whole answer, late; a stream trickles."""
    PROSE = "prose"
    """The whole answer between much prose, after a block in another language."""
    HANG = "hang"
    """No answer for as long as the client waits."""
    CUT_BODY = "cut_body"
    """A body that ends in mid-JSON, its length as promised; a stream without its last events."""
    REFUSAL = "refusal"
    """stop_reason refusal."""
    SPEND_LIMIT = "spend_limit"
    """429 that no waiting cures."""

    @property
    def answers(self) -> bool:
        """Whether the client gets the whole answer nevertheless."""
        return self in (Fault.SLOW, Fault.PROSE)


USUAL = (
    Fault.RATE_LIMIT_AFTER,
    Fault.RATE_LIMIT,
    Fault.OVERLOADED,
    Fault.SERVER_ERROR,
    Fault.DISCONNECT,
    Fault.TRUNCATE,
    Fault.SLOW,
    Fault.PROSE,
)
"""The ones that a run survives without waiting long."""


class FaultPlan:
    """Which requests fail, and how."""

    def __init__(self, *, share: float, kinds: tuple[Fault, ...], seed: int) -> None:
        self._share = share
        self._kinds = kinds
        self._seed = seed
        self._number = 0
        self._in_a_row: dict[Hashable, int] = {}

    def draw(self, answer: Hashable) -> Fault | None:
        """The fault of the next request, which is for `answer`; None where it is to be answered."""
        self._number += 1
        if not self._share:
            return None
        dice = hashlib.sha256(f"{self._seed}\0{self._number}".encode()).digest()
        spared = self._share < 1 and self._in_a_row.get(answer, 0) >= MOST_IN_A_ROW
        hit = int.from_bytes(dice[:8], "big") < self._share * 2**64
        fault = (
            self._kinds[int.from_bytes(dice[8:12], "big") % len(self._kinds)] if hit and not spared else None
        )
        if fault is None or fault.answers:
            self._in_a_row.pop(answer, None)
        else:
            self._in_a_row[answer] = self._in_a_row.get(answer, 0) + 1
        return fault

    def restart(self) -> None:
        """Back to the first request."""
        self._number = 0
        self._in_a_row.clear()


class Latency:
    """Seconds that an answer takes: `0`, a number, or `lognormal:MEDIAN,SIGMA` (median in seconds)."""

    def __init__(self, spec: str, *, seed: int) -> None:
        """Raises ValueError when `spec` is none of these."""
        kind, _, numbers = spec.strip().rpartition(":")
        try:
            values = [float(number) for number in numbers.split(",")]
        except ValueError:
            values = []
        expected = {"": 1, "lognormal": 2}.get(kind)
        if len(values) != expected or not all(math.isfinite(value) and value >= 0 for value in values):
            raise ValueError(f"latency {spec!r} is neither a number of seconds nor lognormal:MEDIAN,SIGMA")
        self._median, self._sigma = values[0], values[1] if expected == 2 else 0.0
        self._seed = seed
        self._random = random.Random(seed)  # noqa: S311 - a repeatable sequence is what is wanted

    def draw(self) -> float:
        if not self._sigma:
            return self._median
        return self._median * math.exp(self._sigma * self._random.gauss(0, 1))

    def restart(self) -> None:
        """Back to the first answer."""
        self._random.seed(self._seed)
