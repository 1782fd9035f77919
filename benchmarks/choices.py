"""What can be chosen for `python -m benchmarks` and, for one database, `python -m benchmarks.rounds`."""

from __future__ import annotations

import argparse

from benchmarks.workloads import WORKLOADS

SCHEDULES = ("flow", "waves")
LATENCIES = ("0", "0.2", "lognormal:1,0.6")


def add_choices(parser: argparse.ArgumentParser) -> None:
    """The same arguments in both."""
    parser.add_argument("--workloads", nargs="+", choices=sorted(WORKLOADS), default=sorted(WORKLOADS))
    parser.add_argument(
        "--latency", nargs="+", default=list(LATENCIES), help="seconds, or lognormal:MEDIAN,SIGMA"
    )
    parser.add_argument("--schedules", nargs="+", choices=SCHEDULES, default=list(SCHEDULES))
    parser.add_argument("--runs", type=int, default=5, help="of each executor")
    parser.add_argument("--starts", type=int, default=100, help="executions for the start latency; 0: none")
