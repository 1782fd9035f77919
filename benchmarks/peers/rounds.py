"""The peers' runs beside ours and the baseline's: `python -m benchmarks.peers.rounds`; used by `python -m benchmarks.peers`.

On PostgreSQL, as MGE_TEST_ENGINE and MGE_TEST_DATABASE_URL say. Each run of a peer or of ours is next to one of the
baseline, before or after it by turns, and every second round runs the other way round. Prints one JSON object a line as soon
as it is known: `{"database"}`, `{"case"}`, `{"failure"}`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.installation import Reading, Used, database_version
from benchmarks.peers.choices import OURS, add_choices
from benchmarks.peers.environment import python_of_peers
from benchmarks.peers.peer_list import PEERS
from benchmarks.peers.peer_process import PeerFailed, PeerProcess, committed, own_database
from benchmarks.peers.results import Failure
from benchmarks.process_trees import forget_peaks, look, peak_mb
from benchmarks.results import BARE, Case, Run
from benchmarks.rounds import ENGINE, Measured, prepared
from benchmarks.workloads import WORKLOADS
from tests.ground import SCRATCH

SETTLED_S = 2.0
IDLE_S = 5.0


class MeasuredBesidePeers(Measured):
    """The same for peers: fresh process, fresh database and a plan of one atom first, in every run."""

    def _figures(self, executor: str) -> dict[str, Any]:
        return self._peer(executor) if executor in PEERS else super()._figures(executor)

    def _peer(self, name: str) -> dict[str, Any]:
        python = python_of_peers()
        at_first = self._site.read()
        with tempfile.TemporaryDirectory(prefix="mge-peer-") as folder, own_database() as database:

            def read() -> Reading:
                reading = self._site.read()  # waits for the server's statistics
                return replace(reading, workers=look(peer.pid), transactions=committed(database))

            with PeerProcess(
                python,
                name,
                Path(folder) / name,
                plan=self._plan_file,
                warm_up=self._warm_up,
                url=self._server.url,
                database=database,
            ) as peer:
                time.sleep(SETTLED_S)
                resting = read()
                time.sleep(IDLE_S)
                before = read()
                forget_peaks(before.workers)
                found = peer.run()
                after = read()
                peak = peak_mb(after.workers.busiest_since(before.workers))
                peer.end()
        others = self._site.read().since(at_first)
        everything = after.since(before)
        idle = before.since(resting)
        if not PEERS[name].on_postgres:
            everything, idle = (
                replace(one, database_s=0.0, transactions=None, others_transactions=0)
                for one in (everything, idle)
            )
        used = everything.without(idle)
        if (found["succeeded"], found["calls"]) != (self._workload.atoms, self._workload.calls):
            raise PeerFailed(
                f"{found['succeeded']} atoms with {found['calls']} calls,"
                f" not {self._workload.atoms} with {self._workload.calls}"
            )
        cpu = used.workers_s + used.database_s
        return {
            "wall_s": found["wall_s"],
            "cpu_s": cpu,
            "workers_cpu_s": used.workers_s,
            "database_cpu_s": used.database_s,
            "idle_cpu_s": everything.workers_s + everything.database_s - cpu,
            "window_s": everything.seconds,
            "command_cpu_s": 0.0,
            "peak_mb": peak,
            "calls": found["calls"],
            "transactions": used.transactions,
            "others_transactions": _of_others(everything) + _of_others(idle),
            # The peer's processes were children of ours, waited for; the server and the idle site were not.
            "accounted_cpu_s": others.workers_s + others.database_s,
        }


def _of_others(used: Used) -> int:
    """Transactions of neither the site nor the peer: to the site's reading, the peer is one of the others."""
    return used.others_transactions - round(used.transactions or 0)


def measure_case(
    name: str, latency: str, peers: Sequence[str], runs: int, folder: Path
) -> Iterator[Failure | Case]:
    """A workload `runs` times by each executor. A peer that fails is left out from then on."""
    workload = WORKLOADS[name]()
    done: list[Run] = []
    executors = [OURS, *peers]
    with prepared(workload, latency, folder, MeasuredBesidePeers) as measured:
        for number in range(runs):
            for executor in list(executors if number % 2 == 0 else executors[::-1]):
                try:
                    pair = [measured.run(one) for one in in_turn(executor, number)]
                except PeerFailed as error:
                    executors.remove(executor)
                    yield Failure(executor, name, latency, str(error))
                    continue
                done += pair
                _say(number, workload.atoms, pair)
    yield Case(ENGINE, name, latency, workload.atoms, done)


def in_turn(executor: str, number: int) -> tuple[str, str]:
    """Which of the two runs first in this round."""
    return (BARE, executor) if number % 2 == 0 else (executor, BARE)


def _say(number: int, atoms: int, pair: Sequence[Run]) -> None:
    for run in pair:
        sys.stderr.write(
            f"round {number + 1}: {run.executor} {run.wall_s:.2f} s,"
            f" {1000 * run.cpu_s / atoms:.2f} CPU ms an atom, load {run.load_before}\n"
        )
    sys.stderr.flush()


def measure(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    yield {"database": database_version()}
    for workload in arguments.workloads:
        for latency in arguments.latency:
            with tempfile.TemporaryDirectory(prefix="mge-bench-", ignore_cleanup_errors=True) as folder:
                for found in measure_case(workload, latency, arguments.only, arguments.runs, Path(folder)):
                    yield {"failure" if isinstance(found, Failure) else "case": asdict(found)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_choices(parser)
    try:
        for found in measure(parser.parse_args()):
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)


if __name__ == "__main__":
    main()
