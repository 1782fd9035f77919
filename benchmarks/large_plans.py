"""How cost grows with the size of the plan: `python -m benchmarks.large_plans [ATOMS…]`, 10, 1,000 and 10,000 by default.

Each plan is run by `run_masterplan` with workers of its own, the scripted model without latency, `validators=syntax`. The
smallest shows what starting and stopping costs. SQLite; with MGE_TEST_ENGINE=postgres and MGE_TEST_DATABASE_URL, PostgreSQL.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.plans import irregular_plan
from benchmarks.processes import Watched
from tests.ground import ON_POSTGRES
from tests.plans import write_plan
from tests.product import Product, endpoint
from tests.scripted import ScriptedServer


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run."""

    atoms: int
    succeeded: int
    calls: int
    wall_s: float
    run_s: float
    cpu_s: float
    """Of every process of the product and, on PostgreSQL, of its server's processes for this database."""
    runner_cpu_s: float
    runner_peak_mb: float


def measure(atoms: int, folder: Path, *, schedule: str, keep: bool = False) -> Figures:
    plan = write_plan(folder / "plan", irregular_plan(atoms))
    with ScriptedServer("--answers", plan) as server:
        product = Product(folder / "product")
        try:
            product.environment.update(endpoint(server.url))
            return _run(product, plan, atoms, schedule)
        finally:
            if not keep:
                product.close()


def _run(product: Product, plan: Path, atoms: int, schedule: str) -> Figures:
    began = time.monotonic()
    settings = ["validators=syntax", f"schedule={schedule}", "max_concurrency=100", "cache=off"]
    output = product.folder / "report.json"
    process = product.start("run_masterplan", plan, "--json", "--yes", "--set", *settings, output=output)
    database = product.environment.get("DATABASE_URL", "").rpartition("/")[2]
    with Watched(process.pid, database=database) as watched:
        # Waited for by hand: this tells the CPU time of the process and of all that it waited for.
        _, _, used = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - began
    lines = output.read_text(encoding="utf-8").splitlines()
    found = next((line for line in lines if line.startswith('{"executions"')), None)
    if found is None:
        raise SystemExit("\n".join(lines))
    (report,) = json.loads(found)["executions"]
    # Without the command, which has the whole file in memory.
    workers = [one for pid, one in watched.processes.items() if pid != process.pid]
    busiest = max(one.cpu_s for one in workers)
    return Figures(
        atoms=atoms,
        succeeded=report["atoms_succeeded"],
        calls=report["calls_total"],
        wall_s=wall_s,
        run_s=report["seconds"],
        cpu_s=used.ru_utime + used.ru_stime + sum(one.cpu_s for one in watched.servers.values()),
        runner_cpu_s=_runners_cpu(watched, process.pid),
        runner_peak_mb=max(one.peak_mb for one in workers if one.cpu_s >= busiest / 10),
    )


def _runners_cpu(watched: Watched, root: int) -> float:
    own = sum(one.cpu_s for pid, one in watched.processes.items() if pid != root)
    return own + sum(one.cpu_s for one in watched.servers.values())


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("atoms", type=int, nargs="*", default=[10, 1_000, 10_000])
    parser.add_argument("--schedule", default="waves", choices=("waves", "flow"))
    arguments = parser.parse_args()
    say(f"{'PostgreSQL' if ON_POSTGRES else 'SQLite'}, schedule {arguments.schedule}")
    say("atoms  succeeded  calls   wall s    run s  CPU ms/atom: all  workers+database  runner's peak MB")
    for atoms in arguments.atoms:
        with tempfile.TemporaryDirectory(prefix="mge-large-", ignore_cleanup_errors=True) as folder:
            figures = measure(atoms, Path(folder), schedule=arguments.schedule)
        say(
            f"{figures.atoms:5}  {figures.succeeded:9}  {figures.calls:5} {figures.wall_s:8.1f} {figures.run_s:8.1f}"
            f"  {1000 * figures.cpu_s / atoms:16.2f}  {1000 * figures.runner_cpu_s / atoms:16.2f}"
            f"  {figures.runner_peak_mb:16.0f}"
        )


if __name__ == "__main__":
    main()
