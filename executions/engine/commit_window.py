"""How long a batch of the ledger waits for company: a small share of what the calls take.

A transaction has a price of its own, whatever is in it. Where atoms end one by one, company saves most of that. What the wait
costs is measured by the calls: a step of a run takes longer by about this share of the mean call, and a worker that is killed
loses about that much more than it loses with its calls in flight. Where models of different speed are mixed the mean is
nearer to the fast ones, of which there are more calls, but above them.
"""

from __future__ import annotations

SHARE = 0.04
"""Of the time of a call."""
LEAST_S = 0.005
"""As long as a commit takes, about: what a change that comes during one waits anyway."""
_NEWEST = 1 / 16
"""Weight of the newest call."""


class CommitWindow:
    """Told how long calls take; `seconds` is what follows from it. `most_s` bounds it, 0: nothing ever waits."""

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._call_s: float | None = None

    def note_call(self, seconds: float) -> None:
        """A call was answered after so long."""
        known = self._call_s
        self._call_s = seconds if known is None else known + (seconds - known) * _NEWEST

    def seconds(self) -> float:
        return min(self._most_s, max(LEAST_S, SHARE * (self._call_s or 0.0)))
