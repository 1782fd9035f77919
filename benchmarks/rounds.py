"""The runs on one database, in a process of its own: `python -m benchmarks.rounds --help`; used by `python -m benchmarks`.

Which database is decided by MGE_TEST_ENGINE and MGE_TEST_DATABASE_URL, as for the tests. In each round the baseline runs
between the schedules of ours, or before or after the only one, and every second round runs the other way round. Prints one
JSON object a line as soon as it is known: `{"database"}`, `{"case"}`, `{"starts"}`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import machine
from benchmarks.bounds import CONCURRENCY, barriers, lower_bound, seconds_per_atom
from benchmarks.choices import add_choices
from benchmarks.installation import WARM_UP_KEY, Installation, database_version, warm_up_plan
from benchmarks.process_trees import look
from benchmarks.results import BARE, Case, Run, Starts
from benchmarks.start_latency import measure_starts
from benchmarks.workloads import WORKLOADS, Workload
from tests.ground import ON_POSTGRES, ROOT, SCRATCH
from tests.scripted import ScriptedServer

ENGINE = "postgres" if ON_POSTGRES else "sqlite"
SETTINGS = ("validators=syntax", "cache=off", f"max_concurrency={CONCURRENCY}")


def order_of(round_number: int, schedules: Sequence[str]) -> list[str]:
    """Who runs after whom in this round: every run of ours is next to one of the baseline."""
    middle = len(schedules) // 2
    order = [*schedules[:middle], BARE, *schedules[middle:]]
    return order if round_number % 2 == 0 else order[::-1]


class Measured:
    """One workload with one latency: a server, an installation, and what runs between them."""

    def __init__(
        self, workload: Workload, plan_file: Path, warm_up: Path, server: ScriptedServer, site: Installation
    ) -> None:
        self._workload = workload
        self._plan_file = plan_file
        self._warm_up = warm_up
        self._server = server
        self._site = site
        self._plan_id = site.store(plan_file)

    def run(self, executor: str) -> Run:
        _reset(self._server)
        load = machine.load()
        before, model = self._outside(), look(self._server.pid).total_s
        began = time.monotonic()
        figures = self._figures(executor)
        seconds = time.monotonic() - began
        model_cpu = look(self._server.pid).total_s - model
        accounted = figures.pop("accounted_cpu_s") + model_cpu
        others = max(0.0, self._outside() - before - accounted) / seconds
        latency = seconds_per_atom(entry for entry in self._server.log() if entry["atom"] != WARM_UP_KEY)
        depends_on = self._workload.depends_on
        return Run(
            executor=executor,
            model_cpu_s=model_cpu,
            most_in_flight=self._server.stats()["max_in_flight"],
            bound_s=lower_bound(depends_on, latency),
            barrier_s=barriers(depends_on, latency),
            load_before=load,
            others_cores=round(others, 3),
            **figures,
        )

    def _figures(self, executor: str) -> dict[str, Any]:
        """Fields of a `Run`, and CPU seconds that are accounted for without being a child's of ours."""
        return self._bare() if executor == BARE else self._ours(executor)

    @staticmethod
    def _outside() -> float:
        """CPU seconds of the machine that were neither ours nor our children's."""
        return machine.busy_s() - machine.own_s()

    def _bare(self) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.bare", self._plan_file, "--url", self._server.url],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        found = json.loads(done.stdout)
        self._check(BARE, found["succeeded"], found["calls"])
        return {
            "wall_s": found["wall_s"],
            "cpu_s": found["cpu_s"],
            "workers_cpu_s": found["cpu_s"],
            "database_cpu_s": 0.0,
            "idle_cpu_s": 0.0,
            "window_s": found["wall_s"],
            "command_cpu_s": 0.0,
            "peak_mb": found["peak_mb"],
            "calls": found["calls"],
            "transactions": None,
            "others_transactions": 0,
            "accounted_cpu_s": 0.0,  # a child of ours, waited for
        }

    def _ours(self, schedule: str) -> dict[str, Any]:
        children = machine.own_s()
        outcome = self._site.run(self._plan_id, f"schedule={schedule}", *SETTINGS)
        report, used, everything = outcome.report, outcome.used, outcome.all_used
        self._check(schedule, report["atoms_succeeded"], report["calls_total"])
        cpu, all_cpu = used.workers_s + used.database_s, everything.workers_s + everything.database_s
        return {
            "wall_s": report["seconds"],
            "cpu_s": cpu,
            "workers_cpu_s": used.workers_s,
            "database_cpu_s": used.database_s,
            "idle_cpu_s": all_cpu - cpu,
            "window_s": everything.seconds,
            "command_cpu_s": machine.own_s() - children,
            "peak_mb": outcome.peak_mb,
            "calls": report["calls_total"],
            "transactions": used.transactions,
            "others_transactions": used.others_transactions,
            "accounted_cpu_s": all_cpu,
        }

    def _check(self, executor: str, succeeded: int, calls: int) -> None:
        expected = (self._workload.atoms, self._workload.calls)
        if (succeeded, calls) != expected:
            raise SystemExit(
                f"{executor} {self._workload.name}: (atoms, calls) are {(succeeded, calls)}, not {expected}"
            )


def _reset(server: ScriptedServer) -> None:
    """The same latencies in the same order for every run, and a log of its own."""
    request = urllib.request.Request(f"{server.url}/reset", b"", method="POST")  # noqa: S310  our own loopback server
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310  the same


M = TypeVar("M", bound=Measured)


@contextmanager
def prepared(workload: Workload, latency: str, folder: Path, kind: type[M]) -> Iterator[M]:
    """A server and an installation for the runs of a workload; both end with the block."""
    plan_file, near_misses = workload.write(folder / "plan")
    warm_up = warm_up_plan(folder / "warm-up")
    answers = ("--answers", plan_file, warm_up, "--near-misses", near_misses, "--near-miss-share", "1.0")
    with (
        ScriptedServer(*answers, "--latency", latency) as server,
        Installation(folder / "site", server.url, warm_up) as site,
    ):
        yield kind(workload, plan_file, warm_up, server, site)


def measure_case(
    workload: Workload,
    latency: str,
    schedules: Sequence[str],
    runs: int,
    folder: Path,
    say: Callable[[str], None],
) -> Case:
    """Run a workload `runs` times by each executor on one installation."""
    done: list[Run] = []
    with prepared(workload, latency, folder, Measured) as measured:
        for number in range(runs):
            for executor in order_of(number, schedules):
                run = measured.run(executor)
                done.append(run)
                say(
                    f"{ENGINE} {workload.name} latency {latency} round {number + 1}: {executor} {run.wall_s:.2f} s,"
                    f" {1000 * run.cpu_s / workload.atoms:.2f} CPU ms an atom, load {run.load_before}"
                )
    return Case(ENGINE, workload.name, latency, workload.atoms, done)


def measure(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    yield {"database": database_version()}

    def say(text: str) -> None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    if arguments.starts:
        with _folder() as name:
            seconds = measure_starts(Path(name), arguments.starts)
        yield {"starts": asdict(Starts(ENGINE, seconds))}
    for one in arguments.cases:
        runs = arguments.long_runs if one.is_long else arguments.runs
        with _folder() as name:
            case = measure_case(WORKLOADS[one.workload](), one.latency, one.schedules, runs, Path(name), say)
        yield {"case": asdict(case)}


def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="mge-bench-", ignore_cleanup_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_choices(parser)
    # Else the site under measurement would go on, and disturb whatever is measured next.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        for found in measure(parser.parse_args()):
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)


if __name__ == "__main__":
    main()
