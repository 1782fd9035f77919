"""What atoms bind in the files that they share: each name is one atom's."""

from __future__ import annotations

from collections.abc import Sequence

from executions.planning.places import Place, ProblemList, quoted
from executions.planning.schema import AtomShape


def check_entry_points(atoms: Sequence[tuple[Place, AtomShape]], problems: ProblemList) -> None:
    """Two atoms with the same entry point in one file could never both be accepted."""
    bound: dict[tuple[str, str], tuple[Place, str]] = {}
    for place, atom in atoms:
        for name in dict.fromkeys(atom.entry_point):
            first, owner = bound.setdefault((atom.target_path, name), (place, atom.key))
            if first != place:
                problems.add(
                    (*place, "entry_point"),
                    f"{quoted(name)} is already an entry point in {quoted(atom.target_path)}, of"
                    f" atoms[{first[-1]}] ({quoted(owner)}): atoms that share a file each bind names of their own",
                )
