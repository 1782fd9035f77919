"""How close a run comes to the best schedule: `python -m benchmarks.schedules [--atoms N] [--seed N…]`.

1,000 atoms in an irregular graph, 100 in flight, latencies log-normal with median 1 s and sigma 0.6, `validators=syntax`, in
both schedules. Compared with what no executor could beat, computed from the latencies that the server really gave:
`flow` with max(critical path, work / concurrency), `waves` with the sum over the waves of max(longest, work / concurrency).
Besides with a perfect executor that knows the latencies no better than ours: it starts the atoms in the same order (longest
remaining chain first) and loses no time.
SQLite; with MGE_TEST_ENGINE=postgres and MGE_TEST_DATABASE_URL, PostgreSQL.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.bounds import CONCURRENCY, barriers, list_scheduled, lower_bound, seconds_per_atom
from benchmarks.plans import dependencies, irregular_plan
from executions.planning.graph import build_graph
from tests.ground import ON_POSTGRES, SCRATCH
from tests.plans import adder, plan, write_plan
from tests.product import Product, endpoint, wait_for
from tests.scripted import ScriptedServer

LATENCY = "lognormal:1,0.6"


def measure(folder: Path, atoms: int, seed: int, schedule: str) -> dict[str, Any]:
    """One run on a worker that has worked before, as those of a site have."""
    value = irregular_plan(atoms, seed=seed)
    warm_up = plan(adder("w"), name="warm-up")
    files = [write_plan(folder / "plan", value), write_plan(folder / "warm", warm_up)]
    product = Product(folder / "product", MGE_WORKERS="1")
    try:
        with ScriptedServer("--answers", *files, "--latency", LATENCY, "--seed", seed) as server:
            product.environment.update(endpoint(server.url))
            product.start("worker")
            wait_for(lambda: _live(product), "a live node")
            common = ("--set", "validators=syntax", f"schedule={schedule}", "cache=off")
            product.run_plan(files[1], *common, timeout=600)
            _, (report,) = product.run_plan(files[0], *common, f"max_concurrency={CONCURRENCY}", timeout=600)
            latency = seconds_per_atom(entry for entry in server.log() if entry["atom"] != "w")
            most = server.stats()["max_in_flight"]
    finally:
        product.close()
    if report["atoms_succeeded"] != atoms:
        raise SystemExit(f"not all atoms succeeded: {report}")
    depends_on = dependencies(value)
    bounds = {
        "flow": lower_bound(depends_on, latency),
        "waves": barriers(depends_on, latency),
    }
    barrier = build_graph(depends_on).wave_of if schedule == "waves" else {}
    return {
        "seconds": report["seconds"],
        "bound": bounds[schedule],
        "perfect": list_scheduled(depends_on, latency, barrier),
        "most": most,
    }


def _live(product: Product) -> bool:
    with contextlib.suppress(Exception):
        return bool(product.query("SELECT COUNT(*) FROM executions_node")[0][0])
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--atoms", type=int, default=1_000)
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--schedule", nargs="+", default=["flow", "waves"], choices=("flow", "waves"))
    arguments = parser.parse_args()
    sys.stdout.write(f"{'PostgreSQL' if ON_POSTGRES else 'SQLite'}, {arguments.atoms} atoms, {LATENCY}\n")
    sys.stdout.write("schedule  seed  makespan s   bound s  ratio  perfect s  ratio  most in flight\n")
    for seed in arguments.seed:
        for schedule in arguments.schedule:
            with tempfile.TemporaryDirectory(prefix="mge-schedules-", ignore_cleanup_errors=True) as folder:
                found = measure(Path(folder), arguments.atoms, seed, schedule)
            seconds, bound, perfect = found["seconds"], found["bound"], found["perfect"]
            sys.stdout.write(
                f"{schedule:8}  {seed:4}  {seconds:10.2f}  {bound:8.2f}  {seconds / bound:5.3f}"
                f"  {perfect:9.2f}  {seconds / perfect:5.3f}  {found['most']}\n"
            )
            sys.stdout.flush()
    shutil.rmtree(SCRATCH, ignore_errors=True)


if __name__ == "__main__":
    main()
