"""The dependency graph of a stored masterplan, kept in the process: masterplans never change once stored."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import lru_cache

from executions.models import Atom


@dataclass(frozen=True, slots=True)
class PlanNode:
    """What the engine needs of an atom to find its way in the graph."""

    atom_id: int
    depends_on: tuple[str, ...]
    target_path: str
    rank: int


@dataclass(frozen=True, slots=True)
class PlanGraph:
    nodes: dict[str, PlanNode]
    dependents: dict[str, tuple[str, ...]]
    sharing: dict[str, tuple[str, ...]]
    """Target paths that several atoms share: their keys, dependencies first."""

    def ancestors(self, key: str) -> list[str]:
        """Every atom that this one builds on, directly or not, dependencies first."""
        found: set[str] = set()
        stack = list(self.nodes[key].depends_on)
        while stack:
            one = stack.pop()
            if one not in found:
                found.add(one)
                stack.extend(self.nodes[one].depends_on)
        return sorted(found, key=lambda one: self.nodes[one].rank)

    def count_ancestors(self, key: str, most: int) -> int:
        """How many `ancestors` has; a number above `most` as soon as there are more."""
        found: set[str] = set()
        stack = list(self.nodes[key].depends_on)
        while stack and len(found) <= most:
            one = stack.pop()
            if one not in found:
                found.add(one)
                stack.extend(self.nodes[one].depends_on)
        return len(found)

    def ancestors_in_its_file(self, key: str) -> list[str]:
        """Those of them that share its target path."""
        path = self.nodes[key].target_path
        if path not in self.sharing:
            return []
        return [one for one in self.ancestors(key) if self.nodes[one].target_path == path]


@lru_cache(maxsize=8)
def plan_graph(masterplan_id: uuid.UUID) -> PlanGraph:
    """Read once per process and plan, by whichever thread asks first."""
    nodes: dict[str, PlanNode] = {}
    dependents: dict[str, list[str]] = {}
    rows = Atom.objects.filter(masterplan_id=masterplan_id).values_list(
        "id", "key", "depends_on", "target_path", "rank"
    )
    for atom_id, key, depends_on, target_path, rank in rows.order_by("rank").iterator(chunk_size=2000):
        nodes[key] = PlanNode(atom_id, tuple(depends_on), target_path, rank)
        for one in depends_on:
            dependents.setdefault(one, []).append(key)
    atoms_at: dict[str, list[str]] = {}
    for key, node in nodes.items():
        atoms_at.setdefault(node.target_path, []).append(key)
    return PlanGraph(
        nodes,
        {key: tuple(sorted(found)) for key, found in dependents.items()},
        {path: tuple(keys) for path, keys in atoms_at.items() if len(keys) > 1},
    )


def dependents_of(masterplan_id: uuid.UUID, key: str) -> tuple[str, ...]:
    return plan_graph(masterplan_id).dependents.get(key, ())
