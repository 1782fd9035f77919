"""`python -m trials.soak`: thousands of validations in a row, some of them hostile.

Memory, descriptors and processes of the sandbox at rest must be as in the beginning, and each verdict what the same
answer gets when it is judged alone. Exit 0 when both hold, 1 when not, 2 when nothing here isolates generated code.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from executions.validation.candidate import Candidate
from executions.validation.pipeline import Validator
from executions.validation.sandbox.sandbox import Sandbox
from executions.validation.verdict import Isolation, Verdict
from trials.hostile.bait import Bait, laid_out
from trials.hostile.program import Outcome, Program
from trials.hostile.programs import CLASSES
from trials.hostile.trial import SHORT, blocking
from trials.masterplans import NEEDS_PYTEST
from trials.processes import descendants, descriptors, resident_bytes, threads
from trials.report import RESULTS, ROOT, Table, say, write_json

_MOST_GROWTH, _SLACK_MB = 1.10, 4.0
"""Of the last quarter's memory over the first's: what a measurement by pages wavers by."""
_SETTLING_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Known:
    """One answer, and what became of it when it was judged alone."""

    name: str
    candidate: Candidate
    program: Program | None
    """None: an honest one."""
    passed: bool = False
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """The sandbox's standing processes, with no validation in flight."""

    validations: int
    processes: int
    resident_mb: float
    descriptors: int
    threads: int
    caller_mb: float
    caller_descriptors: int


def main() -> int:
    options = _arguments()
    with tempfile.TemporaryDirectory(prefix="mge-soak-") as folder:
        Path(folder).chmod(0o755)  # may hold the interpreter's copy, which the runs' own uids read
        sandbox = Sandbox.detect(data_dir=Path(folder), forced=options.level)
        if sandbox.isolation is Isolation.NONE:
            say("nothing here isolates generated code; `manage.py doctor` says why")
            return 2
        with laid_out(ROOT) as bait:
            return asyncio.run(_soak(sandbox, bait, options))


async def _soak(sandbox: Sandbox, bait: Bait, options: argparse.Namespace) -> int:
    seeded = random.Random(options.seed)  # noqa: S311 - a choice that can be repeated
    validator = Validator(sandbox, limits=SHORT, max_parallel=options.jobs, validators="contract,tests")
    known = [
        await _alone(one, validator) for one in [*honest(), *(hostile(bait) if options.hostile_share else [])]
    ]
    say(f"{sandbox.isolation}: {len(known)} answers judged alone; now {options.validations} validations")
    fair, foul = [one for one in known if one.program is None], [one for one in known if one.program]
    started, used = time.monotonic(), sum(os.times()[:4])
    samples, differing = [await settled(0)], []
    done = hostile_done = 0
    while done < options.validations:
        size = min(options.batch, options.validations - done)
        batch = [
            seeded.choice(foul if seeded.random() < options.hostile_share else fair) for _ in range(size)
        ]
        hostile_done += sum(one.program is not None for one in batch)
        differing += await _judged(batch, validator, options.jobs)
        done += size
        samples.append(await settled(done))
        say(_line(samples[-1], time.monotonic() - started))
    seconds = time.monotonic() - started
    table, grown = compared(samples)
    say(f"\n{table}\n")
    say(f"{done} validations, {hostile_done} hostile, {seconds:.0f} s, {done / seconds:.1f} a second")
    for words in [*differing, *grown]:
        say(words)
    say(
        "flat, and every verdict as when judged alone" if not differing and not grown else "NOT as it must be"
    )
    path = write_json(
        "soak",
        {
            "isolation": sandbox.isolation.value,
            "validations": done,
            "hostile": hostile_done,
            "jobs": options.jobs,
            "seed": options.seed,
            "seconds": round(seconds, 1),
            "cpu_seconds": round(sum(os.times()[:4]) - used, 1),
            "samples": [asdict(sample) for sample in samples],
            "differing": differing,
            "grown": grown,
        },
        options.out,
    )
    say(f"written to {path}")
    return 1 if differing or grown else 0


def honest() -> list[Known]:
    """Small answers, right and wrong, for both runners."""
    found = []
    for number in range(10):
        tests = f"from answer import f\n\n\ndef test_one():\n    assert f(1) == {number + 1}\n\n\n"
        tests += "def test_two():\n    assert [f(n) for n in (0, 5)] == "
        tests += f"[{number}, {number + 5}]\n\n\ndef test_three():\n    assert f(-{number}) == 0\n"
        for right in (True, False):
            source = f"def f(x):\n    return x + {number if right else number + 1}\n"
            given = tests + (NEEDS_PYTEST if number % 5 == 0 else "")
            name = f"{'right' if right else 'wrong'} answer {number}"
            found.append(Known(name, _candidate(source, given), None))
    return found


def hostile(bait: Bait) -> list[Known]:
    """Every program that is run and is not benign."""
    return [
        Known(
            f"{group}: {program.name}",
            replace(
                _candidate(bait.filled_in(program.source), program.tests), hidden_tests=program.hidden_tests
            ),
            program,
        )
        for group, programs in CLASSES.items()
        for program in programs
        if program.executed and program.outcome is not Outcome.PASSES and "own" in program.runners
    ]


def _candidate(source: str | bytes, tests: str) -> Candidate:
    return Candidate(source=source, tests=tests, entry_points=("f",), target_path="answer.py")


async def _alone(one: Known, validator: Validator) -> Known:
    verdict = await validator.validate(one.candidate)
    return replace(one, passed=verdict.passed, rules=blocking(verdict))


async def _judged(batch: Sequence[Known], validator: Validator, jobs: int) -> list[str]:
    """In words what differs from the verdict given alone."""
    free = asyncio.Semaphore(jobs)

    async def one(known: Known) -> str:
        async with free:
            return difference(known, await validator.validate(known.candidate))

    return [words for words in await asyncio.gather(*map(one, batch)) if words]


def difference(known: Known, verdict: Verdict) -> str:
    """In words; "" for none. Of a hostile one only whether a cheat passes is compared: which limit ends it, and what an
    attack does to itself, depends on the moment.
    """
    rules = blocking(verdict)
    if known.program is None:
        same = (verdict.passed, rules) == (known.passed, known.rules)
    else:
        same = known.program.outcome is not Outcome.REJECTED or verdict.passed is known.passed
    if same:
        return ""
    messages = "; ".join(finding.message[:200] for finding in verdict.findings if finding.severity.blocks)
    return f"{known.name}: alone {known.rules or 'passed'}, now {rules or 'passed'} {messages}".rstrip()


async def settled(validations: int) -> Sample:
    """A sample, once two in a row show the same processes."""
    deadline = time.monotonic() + _SETTLING_SECONDS
    before = -1
    while (now := len(descendants(os.getpid()))) != before and time.monotonic() < deadline:
        before = now
        await asyncio.sleep(0.5)
    return await asyncio.to_thread(_sample, validations)


def _sample(validations: int) -> Sample:
    standing = descendants(os.getpid())
    return Sample(
        validations=validations,
        processes=len(standing),
        resident_mb=round(sum(map(resident_bytes, standing)) / 1e6, 1),
        descriptors=sum(map(descriptors, standing)),
        threads=sum(map(threads, standing)),
        caller_mb=round(resident_bytes(os.getpid()) / 1e6, 1),
        caller_descriptors=descriptors(os.getpid()),
    )


def compared(samples: Sequence[Sample]) -> tuple[Table, list[str]]:
    """The first quarter against the last, and in words what has grown. The sample before the start is left out."""
    running = samples[1:]
    quarter = max(1, len(running) // 4)
    table, grown = Table("sandbox at rest", "first quarter", "last quarter", "highest"), []
    for name in ("processes", "resident_mb", "descriptors", "threads", "caller_mb", "caller_descriptors"):
        values = [float(getattr(sample, name)) for sample in running]
        first, last = statistics.median(values[:quarter]), statistics.median(values[-quarter:])
        table.row(name.replace("_", " ").replace(" mb", ", MB"), first, last, max(values))
        allowed = first * _MOST_GROWTH + _SLACK_MB if name.endswith("mb") else first
        if last > allowed:
            grown.append(f"{name} has grown from {first:g} to {last:g}")
    return table, grown


def _line(sample: Sample, seconds: float) -> str:
    return (
        f"{sample.validations:>6} after {seconds:.0f} s: {sample.processes} processes, {sample.resident_mb:.0f} MB, "
        f"{sample.descriptors} descriptors"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m trials.soak", description=__doc__)
    parser.add_argument("--validations", type=int, default=2000)
    parser.add_argument("--hostile-share", type=float, default=0.05)
    parser.add_argument("--jobs", type=int, default=(os.cpu_count() or 1) + 2, help="in flight")
    parser.add_argument("--batch", type=int, default=100, help="validations between two samples")
    parser.add_argument("--level", type=Isolation, default=None, help="default: the best that is granted")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="where the JSON goes")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
