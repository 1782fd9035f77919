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
import heapq
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.plans import dependencies, irregular_plan
from executions.planning.graph import build_graph
from tests.ground import ON_POSTGRES, SCRATCH
from tests.plans import adder, plan, write_plan
from tests.product import Product, endpoint, wait_for
from tests.scripted import ScriptedServer

CONCURRENCY = 100
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
            latency = {entry["atom"]: entry["seconds"] for entry in server.log() if entry["atom"] != "w"}
            most = server.stats()["max_in_flight"]
    finally:
        product.close()
    if report["atoms_succeeded"] != atoms:
        raise SystemExit(f"not all atoms succeeded: {report}")
    depends_on = dependencies(value)
    bounds = {
        "flow": max(critical_path(depends_on, latency), sum(latency.values()) / CONCURRENCY),
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


def critical_path(depends_on: Mapping[str, tuple[str, ...]], latency: Mapping[str, float]) -> float:
    """Seconds along the longest chain of dependencies."""
    ends: dict[str, float] = {}
    for key in build_graph(depends_on).order:
        ends[key] = latency[key] + max((ends[one] for one in depends_on[key]), default=0.0)
    return max(ends.values())


def barriers(depends_on: Mapping[str, tuple[str, ...]], latency: Mapping[str, float]) -> float:
    """Seconds of a perfect executor that begins no wave before the one ahead has ended."""
    waves: dict[int, list[float]] = defaultdict(list)
    for key, wave in build_graph(depends_on).wave_of.items():
        waves[wave].append(latency[key])
    return sum(max(max(one), sum(one) / CONCURRENCY) for one in waves.values())


def list_scheduled(
    depends_on: Mapping[str, tuple[str, ...]], latency: Mapping[str, float], barrier: Mapping[str, int]
) -> float:
    """Seconds of an executor without any overhead: whenever one of its slots is free, the ready atom with the longest
    remaining chain, then the plan's order, begins. `barrier`: waves by atom, where they are to be kept apart.
    """
    chain = build_graph(depends_on).chain
    priority = {key: (-chain[key], place) for place, key in enumerate(depends_on)}
    unmet = {key: set(needed) for key, needed in depends_on.items()}
    left_in = Counter(barrier.values())
    now, wave, running = 0.0, 1, list[tuple[float, str]]()
    waiting = set(depends_on)
    while waiting or running:
        ready = sorted(
            (key for key in waiting if not unmet[key] and barrier.get(key, wave) == wave),
            key=priority.__getitem__,
        )
        for key in ready[: CONCURRENCY - len(running)]:
            waiting.remove(key)
            heapq.heappush(running, (now + latency[key], key))
        now, done = heapq.heappop(running)
        for needed in unmet.values():
            needed.discard(done)
        if barrier:
            left_in[barrier[done]] -= 1
            wave += not left_in[wave]
    return now


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
