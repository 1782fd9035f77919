"""What was measured, and where it is kept: one JSON file per use of `python -m benchmarks`, named by its date."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "var" / "bench"
BARE = "bare"
FORMAT = 1
"""Goes up when a field changes its meaning or its name; results of another format are passed over."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a workload by one executor."""

    executor: str
    """`bare`, or the schedule of ours: `flow`, `waves`."""
    wall_s: float
    cpu_s: float
    """Of the executor's processes and its database's server, without what they use idle."""
    workers_cpu_s: float
    database_cpu_s: float
    """0 where the database has no server of its own."""
    idle_cpu_s: float
    """Taken off: what these processes use in `window_s` when nothing runs."""
    window_s: float
    """Between the readings around the run; the waiting command starts and ends in it, too."""
    command_cpu_s: float
    """Of the command that started the run and waited for it, its own start included; not in `cpu_s`."""
    model_cpu_s: float
    """Of the scripted model; not in `cpu_s`."""
    peak_mb: float
    """Resident memory of the process that ran it."""
    calls: int
    most_in_flight: int
    bound_s: float
    """What no executor can beat with the seconds that the model took in this run."""
    barrier_s: float
    """The same for executors that work wave by wave."""
    load_before: float
    others_cores: float
    """Cores that other work on this machine kept busy meanwhile."""
    transactions: float | None
    """Committed in the database, without those of an idle site; None where it does not count them."""
    others_transactions: int
    """Committed in other databases of the server meanwhile: where they are many, others' CPU is in `database_cpu_s`."""


@dataclass(frozen=True, slots=True)
class Case:
    """Runs of one workload with one latency on one database, in the order in which they were made."""

    engine: str
    workload: str
    latency: str
    atoms: int
    runs: list[Run]

    def of(self, executor: str) -> list[Run]:
        return [run for run in self.runs if run.executor == executor]

    @property
    def schedules(self) -> list[str]:
        return sorted({run.executor for run in self.runs} - {BARE})


@dataclass(frozen=True, slots=True)
class Starts:
    """From the start of an execution on an idle site to the arrival of its first call at the model."""

    engine: str
    seconds: list[float]


@dataclass(slots=True)
class Result:
    """All of one use."""

    at: str
    """ISO time of its start, UTC."""
    machine: dict[str, str | int | float]
    databases: dict[str, str] = field(default_factory=dict)
    """Versions by engine."""
    cases: list[Case] = field(default_factory=list)
    starts: list[Starts] = field(default_factory=list)

    def save(self, folder: Path = FOLDER) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{self.at.replace(':', '')}.json"
        # Complete or not at all: a reader of the latest one must not meet half of it.
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_text(
            json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n", encoding="utf-8"
        )
        unfinished.replace(file)
        return file


def case_from(value: dict[str, Any]) -> Case:
    return Case(**{**value, "runs": [Run(**run) for run in value["runs"]]})


def result_from(value: dict[str, Any]) -> Result:
    return Result(
        at=value["at"],
        machine=value["machine"],
        databases=value["databases"],
        cases=[case_from(case) for case in value["cases"]],
        starts=[Starts(**starts) for starts in value["starts"]],
    )


def stored(folder: Path = FOLDER) -> list[Result]:
    """All that was kept in the present format, the oldest first."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]
    return [result_from(value) for value in found if value.get("format") == FORMAT]


def earlier_case(case: Case, results: list[Result]) -> tuple[str, Case] | None:
    """The last one of the same engine, workload and latency, with the time of its result."""
    for result in reversed(results):
        for one in result.cases:
            if (one.engine, one.workload, one.latency) == (case.engine, case.workload, case.latency):
                return result.at, one
    return None


def earlier_starts(starts: Starts, results: list[Result]) -> tuple[str, Starts] | None:
    """The last ones on the same engine, with the time of their result."""
    for result in reversed(results):
        for one in result.starts:
            if one.engine == starts.engine:
                return result.at, one
    return None
