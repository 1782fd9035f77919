"""What other tools need for the same work: `python -m benchmarks.peers [--only langgraph …] [--workloads W1] [--runs 5]`.

Makes an environment for them in var/bench/peers-venv where there is none, runs each beside ours and the baseline on
PostgreSQL (MGE_TEST_DATABASE_URL, by default postgres@127.0.0.1:5432; databases of their own), prints Markdown and keeps all
figures in `var/bench/peers/<date>.json`. A peer that fails is named with the reason, and the others go on.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from benchmarks import machine
from benchmarks.engines import found_on
from benchmarks.peers.choices import add_choices
from benchmarks.peers.environment import python_of_peers, versions
from benchmarks.peers.peer_list import PEERS
from benchmarks.peers.results import Failure, PeersResult
from benchmarks.peers.tables import render
from benchmarks.results import case_from


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_choices(parser)
    options = parser.parse_args()
    python_of_peers()
    pinned = versions()
    result = PeersResult(
        at=datetime.now(UTC).isoformat(timespec="seconds")[:19],
        machine=machine.description(),
        database="",
        versions={name: pinned[name] for peer in PEERS.values() for name in peer.packages},
    )
    arguments = [
        *("--only", *options.only),
        *("--workloads", *options.workloads),
        *("--latency", *options.latency),
        *("--runs", str(options.runs)),
    ]
    for found in found_on("postgres", "benchmarks.peers.rounds", arguments):
        if "database" in found:
            result.database = found["database"]
        elif "failure" in found:
            result.failures.append(Failure(**found["failure"]))
        else:
            result.cases.append(case_from(found["case"]))
        if result.cases or result.failures:
            result.save()
    sys.stdout.write(render(result))


if __name__ == "__main__":
    main()
