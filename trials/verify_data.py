"""`python -m trials.verify_data`: every reference passes and every near miss is rejected, the same in every way.

Ways: isolation levels, both runners, numbers of validations in flight. Exit 0 when all verdicts are right and equal, 1
when some are not, 2 when the data is not there or a level is not granted.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from executions.validation.expected_tests import expected_tests
from executions.validation.pipeline import SandboxUnavailable, Validator
from executions.validation.sandbox.sandbox import Sandbox
from executions.validation.verdict import Isolation, Verdict
from trials.masterplans import NEEDS_PYTEST, Case, NoData, cases
from trials.report import RESULTS, ROOT, Table, say, write_json

RUNNERS = ("own", "pytest")


@dataclass(frozen=True, slots=True)
class Way:
    """One of the ways in which everything is judged."""

    level: Isolation
    runner: str
    jobs: int

    def __str__(self) -> str:
        return f"{self.level}, {self.runner}, {self.jobs} in flight"


@dataclass(frozen=True, slots=True)
class Told:
    """Of a verdict what must be the same in every way."""

    passed: bool
    rules: tuple[str, ...]
    tests_passed: tuple[str, ...]
    messages: tuple[str, ...] = field(default=(), compare=False)
    """For people: they hold times and addresses."""

    @classmethod
    def of(cls, verdict: Verdict) -> Told:
        blocking = [finding for finding in verdict.findings if finding.severity.blocks]
        rules = {finding.rule for finding in blocking}
        messages = tuple(finding.message[:200] for finding in blocking)
        return cls(verdict.passed, tuple(sorted(rules)), tuple(sorted(verdict.tests_passed)), messages)

    @classmethod
    def broken(cls, error: SandboxUnavailable) -> Told:
        """There is no verdict, so it is neither right nor like any other."""
        return cls(False, ("not-judged",), (), (str(error),))


def main() -> int:
    options = _arguments()
    try:
        known = cases(options.data)
    except NoData as missing:
        say(f"nothing to verify: {missing}")
        return 2
    sandboxes = {}
    with tempfile.TemporaryDirectory(prefix="mge-verify-") as folder:
        Path(folder).chmod(0o755)
        for level in options.levels:
            sandboxes[level] = Sandbox.detect(data_dir=Path(folder), forced=level)
            if sandboxes[level].isolation is not level:
                say(f"{level} is not granted here; `manage.py doctor` says why")
                return 2
        ways = [Way(*way) for way in product(options.levels, options.runners, options.jobs)]
        return _verify(known, ways, sandboxes, options.out)


def _verify(
    known: Sequence[Case], ways: Sequence[Way], sandboxes: dict[Isolation, Sandbox], out: Path
) -> int:
    references = sum(case.must_pass for case in known)
    say(f"{references} references, {len(known) - references} near misses, {len(ways)} ways")
    table = Table("level", "runner", "in flight", "references passed", "near misses rejected", "seconds")
    told: dict[Way, list[Told]] = {}
    for way in ways:
        started = time.monotonic()
        told[way] = asyncio.run(judged(known, sandboxes[way.level], way))
        right = [_is_right(one, case) for one, case in zip(told[way], known, strict=True)]
        passed = sum(ok for ok, case in zip(right, known, strict=True) if case.must_pass)
        table.row(
            way.level.value, way.runner, way.jobs, passed, sum(right) - passed, time.monotonic() - started
        )
        say(f"{way}: {sum(right)} of {len(known)} right")
        for one, case, ok in zip(told[way], known, right, strict=True):
            if not ok:
                say(f"  {case.name}: {_shown(one)} {'; '.join(one.messages)}")
    problems = differences(known, told)
    say("")
    say(str(table))
    for problem in problems:
        say(problem)
    say(
        "all verdicts are right, and the same in every way"
        if not problems
        else f"{len(problems)} are not right"
    )
    path = write_json(
        "verify_data",
        {
            "ways": [str(way) for way in ways],
            "cases": len(known),
            "references": references,
            "problems": problems,
            "table": str(table).splitlines(),
        },
        out,
    )
    say(f"written to {path}")
    return 1 if problems else 0


async def judged(known: Sequence[Case], sandbox: Sandbox, way: Way) -> list[Told]:
    """The verdicts in the order of `known`, `way.jobs` of them in flight."""
    validator = Validator(sandbox, max_parallel=way.jobs)
    free = asyncio.Semaphore(way.jobs)

    async def one(case: Case) -> Told:
        candidate = case.candidate
        if way.runner == "pytest":
            candidate = replace(candidate, tests=candidate.tests + NEEDS_PYTEST)
        runner = expected_tests(candidate.tests).runner
        if runner != way.runner:
            raise RuntimeError(f"{case.name} would be run by {runner}")
        async with free:
            try:
                return Told.of(await validator.validate(candidate))
            except SandboxUnavailable as error:
                return Told.broken(error)

    return list(await asyncio.gather(*(one(case) for case in known)))


def differences(known: Sequence[Case], told: dict[Way, list[Told]]) -> list[str]:
    """Each wrong verdict, and each that is not what the first way says, in words."""
    ways = list(told)
    found = []
    for place, case in enumerate(known):
        for way in ways:
            one, first = told[way][place], told[ways[0]][place]
            if not _is_right(one, case):
                wanted = "must pass" if case.must_pass else "must be rejected"
                found.append(f"{case.name}: {wanted}, but {way} says {_shown(one)}")
            elif one != first:
                found.append(f"{case.name}: {way} says {_shown(one)}, {ways[0]} says {_shown(first)}")
    return found


def _is_right(one: Told, case: Case) -> bool:
    return one.passed is case.must_pass and "not-judged" not in one.rules


def _shown(one: Told) -> str:
    return (
        "passed" if one.passed else f"rejected ({', '.join(one.rules)}; {len(one.tests_passed)} tests passed)"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m trials.verify_data", description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of masterplans"
    )
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2, 16], metavar="N", help="in flight")
    levels = [Isolation.ISOLATED, Isolation.RESTRICTED]
    parser.add_argument("--levels", type=Isolation, nargs="+", choices=levels, default=levels)
    parser.add_argument("--runners", nargs="+", choices=RUNNERS, default=list(RUNNERS))
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="where the JSON goes")
    options = parser.parse_args()
    if min(options.jobs) < 1:
        parser.error("--jobs: at least 1")
    return options


if __name__ == "__main__":
    sys.exit(main())
