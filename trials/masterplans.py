"""Known answers from masterplan files: references, which must pass, and near misses, which must not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from executions.validation.candidate import Candidate

NEEDS_PYTEST = "\nimport pytest\n"
"""Behind the tests it hands them to pytest; they stay the same otherwise."""
_NEAR_MISS = "-near-miss"


class NoData(Exception):
    """The folder holds no masterplans that could be tried; says what is missing."""


@dataclass(frozen=True, slots=True)
class Case:
    """One answer whose verdict is known beforehand."""

    name: str
    candidate: Candidate
    must_pass: bool


def cases(folder: Path) -> list[Case]:
    """All answers of `<plan>.json` and `<plan>-near-miss.json` in `folder`.

    An atom's files are the references of all atoms that it depends on, directly or not. Raises NoData.
    """
    plans = sorted(path for path in folder.glob("*.json") if not path.stem.endswith(_NEAR_MISS))
    if not plans:
        raise NoData(f"{folder} holds no masterplan")
    found: list[Case] = []
    for path in plans:
        atoms = dict(_atoms(json.loads(path.read_text(encoding="utf-8"))))
        found += [Case(f"{path.stem} {key}", candidate, must_pass=True) for key, candidate in atoms.items()]
        misses = path.with_name(f"{path.stem}{_NEAR_MISS}.json")
        if not misses.exists():
            raise NoData(f"{misses} is not there")
        for number, miss in enumerate(json.loads(misses.read_text(encoding="utf-8"))["near_misses"], start=1):
            candidate = replace(atoms[miss["atom"]], source=miss["code"])
            found.append(Case(f"{path.stem} {miss['atom']} near miss {number}", candidate, must_pass=False))
    return found


def _atoms(held: Mapping[str, Any]) -> Iterator[tuple[str, Candidate]]:
    for plan in held.get("masterplans") or [held]:
        by_key = {atom["key"]: atom for atom in plan["atoms"]}
        for key, atom in by_key.items():
            names = atom["entry_point"]
            yield (
                key,
                Candidate(
                    source=atom["reference_solution"],
                    tests=atom["tests"],
                    entry_points=(names,) if isinstance(names, str) else tuple(names),
                    target_path=atom["target_path"],
                    signature=atom.get("signature", ""),
                    files={
                        by_key[one]["target_path"]: by_key[one]["reference_solution"]
                        for one in _below(atom, by_key)
                    },
                ),
            )


def _below(atom: Mapping[str, Any], by_key: Mapping[str, Mapping[str, Any]]) -> set[str]:
    found: set[str] = set()
    pending = list(atom["depends_on"])
    while pending:
        key = pending.pop()
        if key not in found:
            found.add(key)
            pending += by_key[key]["depends_on"]
    return found
