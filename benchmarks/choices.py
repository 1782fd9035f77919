"""What can be chosen for `python -m benchmarks` and, for one database, `python -m benchmarks.rounds`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from benchmarks.workloads import WORKLOADS

SCHEDULES = ("flow", "waves")
PROMISED = ("W1@0", "W1@0.2", "W1@lognormal:1,0.6@flow+waves", "W2@lognormal:1,0.6", "W3@0", "W4@0.2")
"""What the documentation has figures of."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A workload with one latency, as these schedules run it."""

    workload: str
    latency: str
    schedules: tuple[str, ...]

    @property
    def is_long(self) -> bool:
        """A run takes a minute: most of it is waiting for the slowest answers."""
        return self.latency.startswith("lognormal")

    def __str__(self) -> str:
        return f"{self.workload}@{self.latency}@{'+'.join(self.schedules)}"


def chosen(text: str) -> Chosen:
    """Of `WORKLOAD@LATENCY[@SCHEDULE[+SCHEDULE]]`. Raises argparse.ArgumentTypeError."""
    workload, _, rest = text.partition("@")
    latency, _, schedules = rest.partition("@")
    asked = tuple(schedules.split("+")) if schedules else SCHEDULES[:1]
    if workload not in WORKLOADS or not latency or not set(asked) <= set(SCHEDULES):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not WORKLOAD@LATENCY[@SCHEDULE[+SCHEDULE]]; workloads are {', '.join(sorted(WORKLOADS))},"
            f" schedules {' and '.join(SCHEDULES)}"
        )
    return Chosen(workload, latency, asked)


def add_choices(parser: argparse.ArgumentParser) -> None:
    """The same arguments in both."""
    parser.add_argument(
        "--cases",
        nargs="+",
        type=chosen,
        metavar="WORKLOAD@LATENCY[@SCHEDULES]",
        default=[chosen(one) for one in PROMISED],
        help="latency: seconds, or lognormal:MEDIAN,SIGMA; schedules: flow (without any), waves, flow+waves;"
        f" default: {' '.join(PROMISED)}",
    )
    parser.add_argument("--runs", type=int, default=5, help="of each executor")
    parser.add_argument("--long-runs", type=int, default=5, help="the same where latencies are log-normal")
    parser.add_argument("--starts", type=int, default=100, help="executions for the start latency; 0: none")
