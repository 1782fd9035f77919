"""What validating an atom costs: `python -m benchmarks.validation [--runs 5] [--atoms 200] [--levels isolated restricted]`.

Small atoms with three tests each, every one of them new (so that nothing known of an earlier one helps), 16 in flight. In
each round one after the other: a bare `python -m pytest` subprocess for each atom, as many at once as there are
processors; level 1 as a whole; its tests alone; level 1 of atoms whose tests need pytest. Then an endless loop among 100
atoms, and the same 100 without it. CPU is of all processes together. Medians; prints Markdown beside the last earlier
figures, and keeps all in `var/bench/validation/<date>.json`. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.process_trees import look
from benchmarks.results import FOLDER
from executions.validation.candidate import Candidate
from executions.validation.pipeline import Validator
from executions.validation.sandbox.sandbox import Sandbox
from executions.validation.verdict import Isolation, Verdict

KEPT = FOLDER / "validation"
IN_FLIGHT = 16
_SOURCE = """
def scaled_{n}(values: list[int], factor: int) -> list[int]:
    \"\"\"Each value times the factor, without those that are negative.\"\"\"
    kept = []
    for value in values:
        if value >= 0:
            kept.append(value * factor + {n} - {n})
    return kept
"""
_TESTS = """from answer import scaled_{n}


def test_empty():
    assert scaled_{n}([], {n}) == []


def test_scales():
    assert scaled_{n}([1, 2, 3], 2) == [2, 4, 6]


def test_leaves_negative_values_out():
    values = [1, -{n}, 3]
    assert scaled_{n}(values, 1) == [1, 3]
    assert len(values) == 3
"""
_ENDLESS = "def scaled_{n}(values, factor):\n    while True:\n        pass\n"


@dataclass(frozen=True, slots=True)
class Figure:
    """One median of one round's kind. `unit` says what `value` is in."""

    level: str
    what: str
    unit: str
    value: float


@dataclass(frozen=True, slots=True)
class _Lap:
    cpu_ms: float
    """Of all processes, for each atom."""
    sandbox_ms: float
    """Of it that of the sandboxed processes, as the verdicts say."""
    per_second: float


def atoms(first: int, count: int, *, head: str = "", source: str = _SOURCE) -> list[Candidate]:
    """Atoms that all differ, in their answers and their tests."""
    return [
        Candidate(
            source=source.format(n=n),
            tests=head + _TESTS.format(n=n),
            entry_points=(f"scaled_{n}",),
            target_path="answer.py",
            signature=f"def scaled_{n}(values: list[int], factor: int) -> list[int]",
        )
        for n in range(first, first + count)
    ]


def _write(folder: str, candidate: Candidate) -> None:
    Path(folder, "answer.py").write_text(str(candidate.source), encoding="utf-8")
    Path(folder, "test_answer.py").write_text(candidate.tests, encoding="utf-8")


async def _bare(candidates: list[Candidate]) -> list[float]:
    """A subprocess for each atom; nothing is known of a sandbox's time, hence the zeros."""
    slots = asyncio.Semaphore(os.cpu_count() or 1)

    async def one(candidate: Candidate) -> float:
        with tempfile.TemporaryDirectory() as folder:
            _write(folder, candidate)
            async with slots:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folder,
                    stdout=subprocess.DEVNULL,
                    env={"PATH": os.environ["PATH"], "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
                )  # fmt: skip
                if await process.wait():
                    raise RuntimeError("the bare run of an atom failed")
        return 0.0

    return await asyncio.gather(*map(one, candidates))


def _validated(validator: Validator) -> Callable[[list[Candidate]], Awaitable[list[float]]]:
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def one(candidate: Candidate) -> float:
        async with slots:
            verdict = await validator.validate(candidate)
        if not verdict.passed or not verdict.executed:
            raise RuntimeError(f"an atom did not pass: {verdict.findings}")
        return verdict.cpu_ms

    async def all_of(candidates: list[Candidate]) -> list[float]:
        return await asyncio.gather(*map(one, candidates))

    return all_of


async def _lap(
    work: Callable[[list[Candidate]], Awaitable[list[float]]], candidates: list[Candidate]
) -> _Lap:
    before, started = look(os.getpid()), time.monotonic()
    inside = await work(candidates)
    seconds, after = time.monotonic() - started, look(os.getpid())
    count = len(candidates)
    return _Lap((after.total_s - before.total_s) * 1000 / count, statistics.median(inside), count / seconds)


async def _delay(sandbox: Sandbox, first: int) -> tuple[float, float, float]:
    """Seconds until the last of 100 atoms is judged: without and with an endless loop among them; and the loop's own."""
    honest, loop = atoms(first, 99), atoms(first + 99, 1, source=_ENDLESS)[0]

    validator = Validator(sandbox)

    async def judged(candidate: Candidate) -> tuple[Verdict, float]:
        verdict = await validator.validate(candidate)
        return verdict, time.monotonic() - started

    started = time.monotonic()
    alone = max([at for _, at in await asyncio.gather(*map(judged, honest))])
    started = time.monotonic()
    (verdict, loop_at), *others = await asyncio.gather(*map(judged, [loop, *honest]))
    if verdict.passed or not all(other.passed for other, _ in others):
        raise RuntimeError("the endless loop changed a verdict")
    return alone, max(at for _, at in others), loop_at


async def measure(level: Isolation, runs: int, count: int, data_dir: Path) -> list[Figure]:
    """All figures of one level. Raises RuntimeError when it is not granted here."""
    sandbox = Sandbox.detect(data_dir=data_dir, forced=level)
    if sandbox.isolation is not level:
        raise RuntimeError(f"{level} is not granted here")
    works = {
        "bare pytest": (_bare, max(10, count // 5), ""),
        "level 1": (_validated(Validator(sandbox)), count, ""),
        "tests alone": (_validated(Validator(sandbox, validators="tests")), count, ""),
        "level 1, tests need pytest": (
            _validated(Validator(sandbox)),
            max(10, count // 4),
            "import pytest\n\n",
        ),
    }
    laps: dict[str, list[_Lap]] = {name: [] for name in works}
    number = 1
    for run in range(runs + 1):
        for name, (work, many, head) in works.items():
            lap = await _lap(work, atoms(number, many, head=head))
            number += many
            if run:  # the first round starts the fork servers
                laps[name].append(lap)
    delays = [await _delay(sandbox, number + 100 * run) for run in range(max(1, runs // 2))]
    figures = []
    for name, all_laps in laps.items():
        middle = statistics.median(lap.per_second for lap in all_laps)
        figures.append(
            Figure(level, name, "ms CPU per atom", statistics.median(lap.cpu_ms for lap in all_laps))
        )
        if name != "bare pytest":
            inside = statistics.median(lap.sandbox_ms for lap in all_laps)
            figures.append(Figure(level, f"{name}: of it in the sandbox", "ms CPU per atom", inside))
            ratio = statistics.median(
                lap.per_second / base.per_second
                for lap, base in zip(all_laps, laps["bare pytest"], strict=True)
            )
            figures.append(Figure(level, f"{name}: throughput", "times bare pytest", ratio))
        figures.append(Figure(level, name, "atoms/s", middle))
    for place, what in enumerate(("99 atoms", "99 atoms beside an endless loop", "the endless loop itself")):
        value = statistics.median(delay[place] for delay in delays)
        figures.append(Figure(level, f"{what}: last verdict after", "s", value))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.validation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--atoms", type=int, default=200)
    parser.add_argument(
        "--levels", nargs="+", type=Isolation, default=[Isolation.ISOLATED, Isolation.RESTRICTED]
    )
    options = parser.parse_args()
    KEPT.mkdir(parents=True, exist_ok=True)
    earlier = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(KEPT.glob("*.json"))]
    at, load = datetime.now(UTC).isoformat()[:19], machine.load()
    figures: list[Figure] = []
    for level in options.levels:
        figures += asyncio.run(measure(level, options.runs, options.atoms, FOLDER.parent))
    about = machine.description()
    found = {"at": at, "machine": about, "load_before": load, "figures": [asdict(one) for one in figures]}
    (KEPT / f"{at.replace(':', '')}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(_rendered(found, options.runs, options.atoms, figures, earlier)) + "\n")


def _rendered(
    found: Mapping[str, Any], runs: int, count: int, figures: list[Figure], earlier: list[Mapping[str, Any]]
) -> Iterator[str]:
    about = found["machine"]
    yield f"# Validation, {found['at'][:16].replace('T', ' ')} UTC"
    yield ""
    yield (
        f"{about['cpu']}, {about['cores']} cores, Python {about['python']}, load before {found['load_before']:g}. "
        f"Medians of {runs} runs of {count} atoms, {IN_FLIGHT} in flight."
    )
    yield ""
    yield "| level | what | figure | unit | before |"
    yield "| --- | --- | --- | --- | --- |"
    for figure in figures:
        same = [
            one["value"]
            for old in earlier
            for one in old["figures"]
            if all(one[name] == getattr(figure, name) for name in ("level", "what", "unit"))
        ]
        before = f"{same[-1]:.3g}" if same else "-"
        yield f"| {figure.level} | {figure.what} | {figure.value:.3g} | {figure.unit} | {before} |"


if __name__ == "__main__":
    main()
