"""What the scripted model may answer: plan files with reference solutions, and their near misses.

A plan file is JSON or YAML with one plan (`atoms`) or several (`masterplans`); every atom that has both
`tests` and a `reference_solution` is known. A near-miss file is an object whose `near_misses` list `{"atom",
"code", …}`; the sibling of `plan.json` is `plan-near-miss.json`. All of it is text to us: it is never run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

NEAR_MISS_SUFFIX = "-near-miss"
MOST_NEAR_MISSES = 3
"""An atom has four attempts by default, and the last one must be the reference."""
MARKS = ("target_path", "description", "signature", "name")
FURTHER_SPECIFICATION = ("prompt", "contract", "instructions")
PLAN_ENDINGS = (".json", ".yaml", ".yml")


class AnswersError(ValueError):
    """A file of answers that cannot be read; the message names it."""


@dataclass(frozen=True, slots=True)
class KnownAtom:
    """One atom that the scripted model can write."""

    plan: str
    key: str
    tests: str
    """The text by which a request for it is recognised; line ends are `\\n`, outer blank lines are gone."""
    reference: str
    near_misses: tuple[str, ...] = ()
    """Whole files that the tests reject, in file order."""
    chosen: bool = False
    """Whether it answers its near misses before the reference."""
    marks: tuple[str, ...] = ()
    """Target path, description, signature and name: they tell atoms with equal tests apart."""
    language: str = "python"
    """The word that marks its answers."""
    specification: str = ""
    """All that the plan says of it beside its tests; a quotation from it proves nothing about a retry."""

    @property
    def answers(self) -> tuple[str, ...]:
        """What it answers, in order; as many attempts as the atom is expected to need."""
        if not self.chosen:
            return (self.reference,)
        return (*self.near_misses[:MOST_NEAR_MISSES], self.reference)


def with_plain_line_ends(text: str) -> str:
    """`text` with every line end as `\\n`: the only thing that is forgiven when texts are compared."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def sibling_near_misses(plan_file: Path) -> Path:
    """Where the near misses of a plan file lie if it has any."""
    return plan_file.with_name(f"{plan_file.stem}{NEAR_MISS_SUFFIX}.json")


def is_near_miss_file(path: Path) -> bool:
    return path.stem.endswith(NEAR_MISS_SUFFIX)


def read_atoms(
    plan_file: Path, near_miss_files: Sequence[Path], *, share: float, seed: int
) -> tuple[KnownAtom, ...]:
    """All atoms of one plan file, with their near misses and the choice of those that use them.

    The share is taken within the file, so what is loaded later never changes what an earlier file's atoms
    answer. Raises `AnswersError` when a file cannot be read or is not what it should be.
    """
    near_misses: dict[str, list[str]] = {}
    for path in near_miss_files:
        for key, code in _near_misses_in(path):
            near_misses.setdefault(key, []).append(code)
    atoms = [replace(atom, near_misses=tuple(near_misses.get(atom.key, ()))) for atom in _atoms_in(plan_file)]
    chosen = choose(((atom.plan, atom.key) for atom in atoms if atom.near_misses), share=share, seed=seed)
    return tuple(replace(atom, chosen=(atom.plan, atom.key) in chosen) for atom in atoms)


def choose(candidates: Iterable[tuple[str, str]], *, share: float, seed: int) -> frozenset[tuple[str, str]]:
    """`round(share * n)` of the n (plan name, atom key) pairs; the same in every process and order."""
    distinct = set(candidates)

    def rank(candidate: tuple[str, str]) -> bytes:
        plan, key = candidate
        return hashlib.sha256(f"{seed}\0{plan}\0{key}".encode()).digest()

    return frozenset(sorted(distinct, key=rank)[: round(share * len(distinct))])


def plan_files_in(folder: Path) -> list[Path]:
    """The files of a folder that may be plans, by name; near-miss files are not."""
    return sorted(
        path for path in folder.iterdir() if path.suffix in PLAN_ENDINGS and not is_near_miss_file(path)
    )


def _atoms_in(path: Path) -> list[KnownAtom]:
    content = _object_in(path)
    if "masterplans" in content:
        plans = content["masterplans"]
    elif "atoms" in content:
        plans = [content]
    else:
        raise AnswersError(f'{path}: has neither "atoms" nor "masterplans"')
    if not isinstance(plans, list) or not all(isinstance(plan, dict) for plan in plans):
        raise AnswersError(f'{path}: "masterplans" must be a list of plans')
    return [atom for plan in plans for atom in _atoms_of(plan, path)]


def _atoms_of(plan: Mapping[str, Any], path: Path) -> Iterable[KnownAtom]:
    entries = plan.get("atoms", [])
    if not isinstance(entries, list):
        raise AnswersError(f'{path}: "atoms" must be a list')
    for entry in entries:
        if not isinstance(entry, dict):
            raise AnswersError(f"{path}: an atom must be an object")
        tests, reference = entry.get("tests"), entry.get("reference_solution")
        if not isinstance(tests, str) or not isinstance(reference, str) or not tests.strip():
            continue  # nothing to recognise it by, or nothing to answer
        texts = {
            name: with_plain_line_ends(text) if isinstance(text := entry.get(name), str) else ""
            for name in (*MARKS, *FURTHER_SPECIFICATION)
        }
        yield KnownAtom(
            plan=str(plan.get("name", "")),
            key=str(entry.get("key", "")),
            tests=with_plain_line_ends(tests).strip("\n"),
            reference=with_plain_line_ends(reference),
            marks=tuple(texts[name] for name in MARKS),
            language=language if isinstance(language := entry.get("language"), str) else "",
            specification="\n".join(texts.values()),
        )


def _near_misses_in(path: Path) -> Iterable[tuple[str, str]]:
    entries = _object_in(path).get("near_misses")
    if not isinstance(entries, list):
        raise AnswersError(f'{path}: has no list "near_misses"')
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("code"), str) or "atom" not in entry:
            raise AnswersError(f'{path}: a near miss must have "atom" and "code"')
        yield str(entry["atom"]), with_plain_line_ends(entry["code"])


def _object_in(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(text) if path.suffix == ".json" else _yaml(text)
    except (OSError, ValueError, RecursionError) as error:
        raise AnswersError(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise AnswersError(f"{path}: must hold an object")
    return content


def _yaml(text: str) -> object:
    import yaml  # only where a file needs it: it is a tenth of the time that the server takes to start

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
