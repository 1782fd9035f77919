"""How long a batch of the ledger waits for company: a small share of what the calls take, and longer where nobody waits for it.

A transaction has a price of its own, whatever is in it. Where atoms end one by one, company saves most of that. What the wait
costs is measured by the calls: a step of a run takes longer by about this share of the mean call, and a worker that is killed
loses about that much more than it loses with its calls in flight. Where models of different speed are mixed the mean is
nearer to the fast ones, of which there are more calls, but above them.

The end of an atom has slack where a longer chain is in flight: nothing that it frees is what the execution ends with. So it has
beside others with a chain as long, by as much as the slowest of them will probably be slower, and before the last one of a
wave. Where atoms wait for a slot no end has slack, and each waits as all else does.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection
from typing import Protocol

SHARE = 0.04
"""Of the time of a call."""
LEAST_S = 0.005
"""As long as a commit takes, about: what a change that comes during one waits anyway."""
USUAL_BOUND = 1 / 3
"""Of the bound: as long as what nothing is known of waits at most, and what has no slack, but for that beside others."""
# The four that follow were chosen by a simulation, `python -m benchmarks.commit_windows`: a third fewer transactions than where
# all wait for 4 %, and a shorter makespan.
END_SHARE = 1 / 100
"""Of the time of a call: at the end of an atom whose chain is the longest."""
LEVEL_SHARE = 1 / 20
"""The same for each atom by which a chain in flight is longer."""
BESIDE_SHARE = 1 / 280
"""Of what calls differ by, for each atom in flight with a chain as long."""
LONGEST_SHARE = 1 / 10
"""Of the time of a call: no end waits longer, whatever its slack."""
_IN_A_WAVE = 0
"""In place of a chain's length: what comes next waits for all of the wave."""
_NEWEST = 1 / 16
"""Weight of the newest call."""


class InFlight(Protocol):
    """A claim on an atom, as far as it matters here."""

    @property
    def execution_id(self) -> uuid.UUID: ...

    @property
    def chain(self) -> int:
        """Atoms on the longest path from this one to one on which nothing depends, itself among them."""
        ...

    def __hash__(self) -> int: ...


class CommitWindow:
    """Told how long calls take and what is in flight. `most_s` bounds what it answers, all in seconds; 0: nothing ever waits.

    Used by the event loop; `seconds` by any thread.
    """

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._call_s: float | None = None
        self._spread_s = 0.0
        self._chains: dict[uuid.UUID, Counter[int]] = {}
        """Of the atoms in flight, by execution: how many have a chain of each length."""
        self._in_flight: dict[InFlight, int] = {}
        self._short: Collection[uuid.UUID] = ()
        self._all_are_short = False

    def note_call(self, seconds: float) -> None:
        """A call was answered after so long."""
        known = self._call_s
        if known is None:
            self._call_s = seconds
            return
        self._call_s = known + (seconds - known) * _NEWEST
        self._spread_s += (abs(seconds - known) - self._spread_s) * _NEWEST

    def note_begin(self, claim: InFlight, *, in_waves: bool) -> None:
        """An atom is worked on. `in_waves`: its execution opens the next wave only when this one has ended."""
        chain = _IN_A_WAVE if in_waves else claim.chain
        self._in_flight[claim] = chain
        self._chains.setdefault(claim.execution_id, Counter())[chain] += 1

    def note_end(self, claim: InFlight) -> None:
        """It is not worked on any more, or its end is queued. May be said twice."""
        chain = self._in_flight.pop(claim, None)
        if chain is None:
            return
        chains = self._chains[claim.execution_id]
        chains[chain] -= 1
        if not chains[chain]:
            del chains[chain]
        if not chains:
            del self._chains[claim.execution_id]

    def note_claim(self, short: Collection[uuid.UUID], *, left_slots: bool) -> None:
        """A claim was written. `short`: executions of which atoms may be ready that wait for a slot; without `left_slots` for one
        that any other may leave.
        """
        self._short = short
        self._all_are_short = bool(short) and not left_slots

    def seconds(self) -> float:
        """For what an atom goes on with, and for all else."""
        return self._bounded(min(self._most_s * USUAL_BOUND, SHARE * (self._call_s or 0.0)))

    def at_end_s(self, claim: InFlight) -> float:
        """For the end of an atom that is in flight."""
        chain = self._in_flight.get(claim)
        if chain is None or self._all_are_short or claim.execution_id in self._short:
            return self.seconds()
        chains = self._chains[claim.execution_id]
        beside = chains[chain] - 1
        call_s = self._call_s or 0.0
        if chain == _IN_A_WAVE and beside:
            return self._bounded(LONGEST_SHARE * call_s)
        wait_s = min(self._most_s * USUAL_BOUND, END_SHARE * call_s)
        wait_s += LEVEL_SHARE * call_s * (max(chains) - chain)
        wait_s += BESIDE_SHARE * self._spread_s * beside
        return self._bounded(min(LONGEST_SHARE * call_s, wait_s))

    def _bounded(self, seconds: float) -> float:
        return min(self._most_s, max(LEAST_S, seconds))
