"""What was measured of the peers, and where it is kept: one JSON file per use of `python -m benchmarks.peers`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.results import BARE, FOLDER, Case, Run, case_from

PEERS_FOLDER = FOLDER / "peers"


@dataclass(frozen=True, slots=True)
class Failure:
    """A peer that did not get through a workload; its runs before that stay."""

    peer: str
    workload: str
    latency: str
    reason: str


@dataclass(slots=True)
class PeersResult:
    """All of one use. The runs of a case come in pairs: an executor's, and the baseline's next to it, in either order."""

    at: str
    """ISO time of its start, UTC."""
    machine: dict[str, str | int | float]
    database: str
    versions: dict[str, str]
    """Of the peers' packages."""
    cases: list[Case] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def save(self, folder: Path = PEERS_FOLDER) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{self.at.replace(':', '')}.json"
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        unfinished.replace(file)
        return file


def read_result(file: Path) -> PeersResult:
    value: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    cases = [case_from(case) for case in value.pop("cases")]
    failures = [Failure(**failure) for failure in value.pop("failures")]
    return PeersResult(**value, cases=cases, failures=failures)


def pairs_of(case: Case) -> dict[str, list[tuple[Run, Run]]]:
    """By executor, in the order of their first runs: each of its runs with the baseline's."""
    found: dict[str, list[tuple[Run, Run]]] = {}
    for one, other in zip(case.runs[::2], case.runs[1::2], strict=True):
        run, bare = (other, one) if one.executor == BARE else (one, other)
        found.setdefault(run.executor, []).append((run, bare))
    return found
