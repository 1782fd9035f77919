"""How long to wait before a child that died is started again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Restarts:
    """One child's deaths. The wait doubles with each, and a child that lived long enough begins anew."""

    first_s: float = 0.2
    longest_s: float = 10.0
    healthy_after_s: float = 60.0
    in_a_row: int = 0
    """Deaths since it was last healthy."""

    def after_death(self, *, lived_s: float) -> float:
        """The wait in seconds before the next start, after a life of `lived_s` seconds."""
        if lived_s >= self.healthy_after_s:
            self.in_a_row = 0
        self.in_a_row += 1
        # The exponent is bounded: a child may die for weeks.
        return min(self.longest_s, self.first_s * 2.0 ** min(self.in_a_row - 1, 60))
