"""What can be chosen for `python -m benchmarks.peers`."""

from __future__ import annotations

import argparse

from benchmarks.peers.peer_list import PEERS
from benchmarks.workloads import WORKLOADS

OURS = "flow"
"""The schedule of ours that stands beside them."""


def add_choices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", nargs="*", choices=sorted(PEERS), default=list(PEERS), metavar="PEER")
    parser.add_argument("--workloads", nargs="+", choices=sorted(WORKLOADS), default=["W1"])
    parser.add_argument(
        "--latency", nargs="+", default=["0", "0.2"], help="seconds, or lognormal:MEDIAN,SIGMA"
    )
    parser.add_argument("--runs", type=int, default=5, help="of each executor")
