"""The baseline: a plan with nothing durable, wave by wave, in one process: `python -m benchmarks.bare PLAN --url URL`.

The same client as the product's, a short prompt, a semaphore and `gather` per wave, `ast.parse` as validation, up to four
attempts with the error fed back (`benchmarks.atom_work`). Prints one JSON object: atoms, succeeded, calls, wall_s, cpu_s
(user and system of this process), peak_mb. Only the work is timed: imports, the client and its first connection are there
before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.atom_work import AtomWork, Done, WorkPlan, calls, read_plan, succeeded
from benchmarks.bounds import CONCURRENCY


class Bare:
    """One run of a plan."""

    def __init__(self, plan: WorkPlan, url: str, concurrency: int) -> None:
        self._plan = plan
        self._work = AtomWork("bare", url)
        self._slots = asyncio.Semaphore(concurrency)
        self.done: dict[str, Done] = {}

    async def run(self) -> dict[str, Any]:
        """What it took. Raises `ProviderFault` where the model does not answer: nothing is done about it here."""
        # As a worker that has worked before has imported all it needs.
        await self._work.connect()
        cpu, began = _cpu_s(), time.perf_counter()
        for wave in self._plan.waves:
            await asyncio.gather(*(self._atom(key) for key in wave))
        wall = time.perf_counter() - began
        cpu = _cpu_s() - cpu
        await self._work.close()
        return {
            "atoms": len(self._plan.atoms),
            "succeeded": succeeded(self.done),
            "calls": calls(self.done),
            "wall_s": wall,
            "cpu_s": cpu,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }

    async def _atom(self, key: str) -> None:
        async with self._slots:
            self.done[key] = await self._work.do(self._plan.atoms[key])


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--url", required=True)
    parser.add_argument("--concurrency", type=int, default=CONCURRENCY)
    arguments = parser.parse_args()
    found = asyncio.run(Bare(read_plan(arguments.plan), arguments.url, arguments.concurrency).run())
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
