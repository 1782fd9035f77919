"""The dependency graph of a masterplan: waves, remaining chains, a fixed order. All in linear time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter


class Cycle(ValueError):
    """Atoms that wait for one another, so that none of them could ever start."""

    keys: tuple[str, ...]
    """The atoms along the cycle, each depending on the next; the first one is repeated at the end."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = tuple(keys)
        super().__init__("dependency cycle: " + " → ".join(self.keys))


@dataclass(frozen=True, slots=True)
class Graph:
    """Everything the engine asks about dependencies, worked out once."""

    waves: tuple[tuple[str, ...], ...]
    """Atoms by wave: each one in the first wave after all its dependencies, in the order they were given."""
    wave_of: Mapping[str, int]
    """Wave number of each atom, from 1."""
    chain: Mapping[str, int]
    """Atoms on the longest path from this atom to one that nothing depends on, itself included."""
    dependents: Mapping[str, tuple[str, ...]]
    """Atoms that depend directly on this one."""
    order: tuple[str, ...]
    """All atoms, dependencies first; the same input always gives the same order."""


def build_graph(depends_on: Mapping[str, Sequence[str]]) -> Graph:
    """Work out waves and order of atoms from what each one depends on.

    `depends_on` holds every atom, in the plan's order; naming a dependency twice means the same as once.
    Raises `Cycle` when there is one, ValueError when a dependency is no atom of the mapping.
    """
    position = {key: number for number, key in enumerate(depends_on)}
    dependents: dict[str, list[str]] = {key: [] for key in depends_on}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for key, dependencies in depends_on.items():
        distinct = dict.fromkeys(dependencies)
        for dependency in distinct:
            if dependency not in position:
                raise ValueError(f"{key!r} depends on {dependency!r}, which is no atom of this plan")
            dependents[dependency].append(key)
        sorter.add(key, *distinct)
    try:
        sorter.prepare()
    except CycleError as error:
        raise Cycle(_spelled_out(error.args[1], position)) from None

    waves: list[tuple[str, ...]] = []
    while sorter.is_active():
        wave = tuple(sorted(sorter.get_ready(), key=position.__getitem__))
        waves.append(wave)
        sorter.done(*wave)
    order = tuple(key for wave in waves for key in wave)
    chain: dict[str, int] = {}
    for key in reversed(order):
        chain[key] = 1 + max((chain[dependent] for dependent in dependents[key]), default=0)
    return Graph(
        waves=tuple(waves),
        wave_of={key: number for number, wave in enumerate(waves, start=1) for key in wave},
        chain={key: chain[key] for key in order},
        dependents={key: tuple(found) for key, found in dependents.items()},
        order=order,
    )


def _spelled_out(found: Sequence[str], position: Mapping[str, int]) -> list[str]:
    """Turn graphlib's cycle (dependency before dependent) round, so that each atom depends on the next,
    and let the earliest atom of the plan begin: one cycle always reads the same."""
    ring = list(reversed(found))[:-1]
    start = ring.index(min(ring, key=position.__getitem__))
    turned = ring[start:] + ring[:start]
    return [*turned, turned[0]]
