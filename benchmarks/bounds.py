"""What no executor can beat, computed from the seconds that the model really took.

`depends_on` holds every atom with what it depends on; `latency` the seconds of each atom: of all its calls, one after the
other, where it needed several attempts.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from executions.planning.graph import build_graph

CONCURRENCY = 100
"""Atoms in flight, where nothing else is said."""


def seconds_per_atom(log: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Of a scripted model's log (`GET /log`): an atom's attempts follow one another, so their seconds add up."""
    found: defaultdict[str, float] = defaultdict(float)
    for entry in log:
        if entry["atom"] is not None:
            found[entry["atom"]] += entry["seconds"]
    return dict(found)


def critical_path(depends_on: Mapping[str, tuple[str, ...]], latency: Mapping[str, float]) -> float:
    """Seconds along the longest chain of dependencies."""
    ends: dict[str, float] = {}
    for key in build_graph(depends_on).order:
        ends[key] = latency[key] + max((ends[one] for one in depends_on[key]), default=0.0)
    return max(ends.values(), default=0.0)


def lower_bound(
    depends_on: Mapping[str, tuple[str, ...]], latency: Mapping[str, float], concurrency: int = CONCURRENCY
) -> float:
    """Seconds that every executor needs: those of the longest chain, or of all work shared evenly among the slots."""
    return max(critical_path(depends_on, latency), sum(latency.values()) / concurrency)


def barriers(
    depends_on: Mapping[str, tuple[str, ...]], latency: Mapping[str, float], concurrency: int = CONCURRENCY
) -> float:
    """Seconds of a perfect executor that begins no wave before the one ahead has ended."""
    waves: dict[int, list[float]] = defaultdict(list)
    for key, wave in build_graph(depends_on).wave_of.items():
        waves[wave].append(latency[key])
    return sum(max(max(one), sum(one) / concurrency) for one in waves.values())


def list_scheduled(
    depends_on: Mapping[str, tuple[str, ...]],
    latency: Mapping[str, float],
    barrier: Mapping[str, int],
    concurrency: int = CONCURRENCY,
) -> float:
    """Seconds of an executor without any overhead: whenever one of its slots is free, the ready atom with the longest
    remaining chain, then the plan's order, begins. `barrier`: waves by atom, where they are to be kept apart.
    """
    chain = build_graph(depends_on).chain
    priority = {key: (-chain[key], place) for place, key in enumerate(depends_on)}
    unmet = {key: set(needed) for key, needed in depends_on.items()}
    left_in = Counter(barrier.values())
    now, wave, running = 0.0, 1, list[tuple[float, str]]()
    waiting = set(depends_on)
    while waiting or running:
        ready = sorted(
            (key for key in waiting if not unmet[key] and barrier.get(key, wave) == wave),
            key=priority.__getitem__,
        )
        for key in ready[: concurrency - len(running)]:
            waiting.remove(key)
            heapq.heappush(running, (now + latency[key], key))
        now, done = heapq.heappop(running)
        for needed in unmet.values():
            needed.discard(done)
        if barrier:
            left_in[barrier[done]] -= 1
            wave += not left_in[wave]
    return now
