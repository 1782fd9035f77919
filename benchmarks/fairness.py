"""How long a small execution waits behind a large one: `python -m benchmarks.fairness [--rounds N]`.

10,000 atoms with a latency of log-normal median 1 s hold every slot that there is (100 over all executions); small executions
are started behind them, one after the other. Told is the time from the small one's creation to the first claim of an atom.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.plans import irregular_plan
from tests.ground import ON_POSTGRES
from tests.plans import layers, plan, write_plan
from tests.product import Product, endpoint, wait_for
from tests.scripted import ScriptedServer

SLOTS = 100
SETTINGS = ("--set", "validators=syntax", "cache=off")


def measure(folder: Path, atoms: int, rounds: int) -> list[float]:
    """Seconds that each small execution waited."""
    large = write_plan(folder / "large", irregular_plan(atoms))
    product = Product(folder / "product", MGE_MAX_IN_FLIGHT=str(SLOTS))
    waits = []
    with ScriptedServer("--answers", large, "--latency", "lognormal:1,0.6") as server:
        try:
            product.environment.update(endpoint(server.url))
            product.start("run_masterplan", large, "--yes", *SETTINGS, "max_concurrency=1000")
            wait_for(lambda: server.stats()["in_flight"] == SLOTS, "every slot is taken", seconds=120)
            for number in range(rounds):
                small = plan(*layers(2, 1, prefix=f"s{number}."), name=f"small {number}")
                file = write_plan(folder / f"small{number}", small)
                _, (report,) = product.run_plan(file, *SETTINGS, timeout=600)
                waits.append(_waited(product, report["execution_id"]))
        finally:
            product.close()
    return waits


def _waited(product: Product, execution_id: str) -> float:
    mine = execution_id if ON_POSTGRES else execution_id.replace("-", "")
    created, first = (
        product.query("SELECT MIN(at) FROM executions_event WHERE execution_id = ? AND type = ?", mine, kind)[
            0
        ][0]
        for kind in ("execution.created", "atom.started")
    )
    return (_time(first) - _time(created)).total_seconds()


def _time(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--atoms", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mge-fairness-", ignore_cleanup_errors=True) as folder:
        waits = measure(Path(folder), arguments.atoms, arguments.rounds)
    sys.stdout.write(
        f"{'PostgreSQL' if ON_POSTGRES else 'SQLite'}, {arguments.atoms} atoms ahead, {SLOTS} slots:"
        f" first atom after {', '.join(f'{one:.2f}' for one in waits)} s; median {median(waits):.2f}, longest {max(waits):.2f}\n"
    )


if __name__ == "__main__":
    main()
