"""Runs the programs one after the other at one level, as whoever this process is, with the witness around each.

`python -m trials.hostile.trial --level isolated` prints one JSON line per run; `trials.hostile` starts it as root, as an
ordinary user and inside the jail, and makes a table of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from executions.validation.candidate import Candidate
from executions.validation.pipeline import SandboxUnavailable, Validator
from executions.validation.sandbox.limits import Limits
from executions.validation.sandbox.sandbox import Sandbox
from executions.validation.verdict import Isolation, Verdict
from trials.hostile.bait import Bait, laid_out
from trials.hostile.program import REACHED, TESTS, Outcome, Program
from trials.hostile.programs import CLASSES
from trials.hostile.witness import Witness
from trials.masterplans import NEEDS_PYTEST

ROOT = Path(__file__).resolve().parents[2]
SHORT = Limits(cpu_seconds=2, wall_seconds=4.0, outer_seconds=7.0)
"""What waits for ever shall do so for four seconds only; the other limits are the product's."""
_WARM = 4


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one program, run once."""

    group: str
    name: str
    runner: str
    outcome: Outcome
    passed: bool
    rules: tuple[str, ...]
    """Of the findings that reject it."""
    escapes: tuple[str, ...]
    """What the witness saw, or the program itself told of; empty: nothing got out."""
    wrong: str
    """Why the verdict is not what it must be; "" when it is."""
    most_mb: int
    """Memory of everything below the caller at its highest."""
    seconds: float


class Trial:
    """Judges programs at one level: first `warm_up`, then `run` for one after the other."""

    def __init__(self, sandbox: Sandbox, bait: Bait, witness: Witness) -> None:
        self._bait = bait
        self._witness = witness
        self._validators = {
            validators: Validator(sandbox, validators=validators, limits=SHORT)
            for validators in ("contract,tests", "full")
        }

    async def warm_up(self) -> None:
        """Whatever the sandbox starts once and keeps is there before the witness learns what belongs here."""
        harmless = Program("warm-up", "def f(x):\n    return x + 1\n", Outcome.PASSES)
        for validator in self._validators.values():
            for runner in ("own", "pytest"):
                candidate = self._candidate(harmless, runner)
                await asyncio.gather(*(validator.validate(candidate) for _ in range(_WARM)))
        await asyncio.to_thread(self._witness.learn)

    async def run(self, group: str, program: Program, runner: str) -> Result:
        """One program by one runner, and its neighbour beside it."""
        started = time.monotonic()
        self._witness.begin()
        verdicts: list[Verdict] = []
        broken = ""
        try:
            verdicts = await self._verdicts(program, runner)
        except SandboxUnavailable as error:
            broken = f"the sandbox broke: {error}"
        told = json.dumps([asdict(verdict) for verdict in verdicts], default=str) + broken
        escapes = await asyncio.to_thread(self._witness.end, told)
        escapes += [told[at : at + 300] for at in [told.find(REACHED)] if at >= 0]
        rules = blocking(verdicts[0]) if verdicts else ()
        return Result(
            group=group,
            name=program.name,
            runner=runner,
            outcome=program.outcome,
            passed=bool(verdicts) and verdicts[0].passed,
            rules=rules,
            escapes=tuple(escapes),
            wrong=broken or wrong(program, verdicts),
            most_mb=self._witness.most_used >> 20,
            seconds=round(time.monotonic() - started, 2),
        )

    async def _verdicts(self, program: Program, runner: str) -> list[Verdict]:
        """The program's own first."""
        validator = self._validators[program.validators]
        work = [validator.validate(self._candidate(program, runner))]
        if program.neighbour:
            neighbour = program.neighbour.replace("@TOKEN@", self._bait.facts.token)
            work.append(
                validator.validate(
                    Candidate(source=neighbour, tests=TESTS, entry_points=("f",), target_path="answer.py")
                )
            )
        return list(await asyncio.gather(*work))

    def _candidate(self, program: Program, runner: str) -> Candidate:
        return Candidate(
            source=self._bait.filled_in(program.source),
            tests=program.tests + (NEEDS_PYTEST if runner == "pytest" else ""),
            hidden_tests=program.hidden_tests,
            entry_points=("f",),
            target_path="answer.py",
        )


def blocking(verdict: Verdict) -> tuple[str, ...]:
    """The rules that reject, each once."""
    return tuple(dict.fromkeys(finding.rule for finding in verdict.findings if finding.severity.blocks))


def wrong(program: Program, verdicts: list[Verdict]) -> str:
    """What is wrong with the verdicts; "" for nothing."""
    verdict, *neighbours = verdicts
    for neighbour in neighbours:
        if not neighbour.passed:
            return f"its neighbour was rejected: {_shown(neighbour)}"
    if program.executed and not verdict.executed:
        return f"was not executed: {_shown(verdict)}"
    if program.outcome is Outcome.PASSES and not verdict.passed:
        return f"is benign and was rejected: {_shown(verdict)}"
    if program.outcome is Outcome.REJECTED:
        if verdict.passed:
            return "passed"
        strange = set(blocking(verdict)) - program.rules
        if strange:
            return f"was rejected by {', '.join(sorted(strange))}, not by one of {', '.join(sorted(program.rules))}"
    return ""


def _shown(verdict: Verdict) -> str:
    return "; ".join(f"{f.rule}: {f.message[:200]}" for f in verdict.findings if f.severity.blocks)


def chosen(words: list[str], *, quick: bool) -> Iterator[tuple[str, Program, str]]:
    """Class, program and runner of every run; `words`: only what holds one of them in its class or name."""
    for group, programs in CLASSES.items():
        for program in programs:
            if words and not any(word in f"{group}: {program.name}" for word in words):
                continue
            if not (quick and program.waits):
                yield from ((group, program, runner) for runner in program.runners)


async def _run_all(sandbox: Sandbox, options: argparse.Namespace) -> int:
    _say({"isolation": sandbox.isolation.value, "checks": len(sandbox.report)})
    if sandbox.isolation is Isolation.NONE:
        _say({"refused": [asdict(check) for check in sandbox.refused if not check.ok]})
        return 2
    with laid_out(ROOT) as bait:
        own = ROOT / "executions" / "validation" / "sandbox" / "mge_inside"
        trial = Trial(sandbox, bait, Witness(bait, Path(tempfile.gettempdir()), own))
        await trial.warm_up()
        for group, program, runner in chosen(options.only, quick=options.quick):
            if program.needs_namespaces and sandbox.isolation is not Isolation.ISOLATED:
                continue
            if runner not in options.runners:
                continue
            _say(asdict(await trial.run(group, program, runner)))
    return 0


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--level", type=Isolation, default=None, help="only this one; default: the best that is granted"
    )
    parser.add_argument(
        "--only", nargs="*", default=[], metavar="WORD", help="programs with one of these words"
    )
    parser.add_argument("--runners", nargs="*", default=["own", "pytest"], help="own, pytest (default: both)")
    parser.add_argument("--quick", action="store_true", help="leave out what waits for a limit")
    options = parser.parse_args()
    data = Path(tempfile.mkdtemp(prefix="mge-trial-data-"))
    data.chmod(0o755)  # may hold a copy of the interpreter, which the runs' own uids read
    sandbox = Sandbox.detect(data_dir=data, forced=options.level)
    return asyncio.run(_run_all(sandbox, options))


if __name__ == "__main__":
    sys.exit(main())
