"""The baseline: a plan with nothing durable, wave by wave, in one process: `python -m benchmarks.bare PLAN --url URL`.

The same client as the product's, a short prompt, a semaphore and `gather` per wave, `ast.parse` as validation, up to four
attempts with the error fed back. Prints one JSON object: atoms, succeeded, calls, wall_s, cpu_s (user and system of this
process), peak_mb. Only the work is timed: imports, the client and its first connection are there before.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import json
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.bounds import CONCURRENCY
from executions.generation.client import Endpoint, ModelClient, ModelRequest
from executions.generation.extraction import NoCode, extract
from executions.planning.graph import build_graph

MODEL = "scripted-test"
MOST_ATTEMPTS = 4
TIMEOUT_S = 600.0
SYSTEM = "You write one Python module. Answer with one fenced code block that holds the whole file."


class Bare:
    """One run of a plan."""

    def __init__(self, plan: Mapping[str, Any], url: str, concurrency: int) -> None:
        self._atoms = {atom["key"]: atom for atom in plan["atoms"]}
        self._waves = build_graph({key: atom["depends_on"] for key, atom in self._atoms.items()}).waves
        self._client = ModelClient(Endpoint("bare", url, "x"))
        self._slots = asyncio.Semaphore(concurrency)
        self.calls = 0

    async def run(self) -> dict[str, Any]:
        """What it took. Raises `ProviderFault` where the model does not answer: nothing is done about it here."""
        # Makes the client and a connection, as a worker that has worked before has imported all it needs.
        await self._client.complete(_request("Are you there?"))
        succeeded = 0
        cpu, began = _cpu_s(), time.perf_counter()
        for wave in self._waves:
            succeeded += sum(await asyncio.gather(*(self._atom(self._atoms[key]) for key in wave)))
        wall = time.perf_counter() - began
        cpu = _cpu_s() - cpu
        await self._client.close()
        return {
            "atoms": len(self._atoms),
            "succeeded": succeeded,
            "calls": self.calls,
            "wall_s": wall,
            "cpu_s": cpu,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }

    async def _atom(self, atom: Mapping[str, Any]) -> bool:
        asked = f"{atom['description']}\n\n{atom['signature']}\n\n```python\n{atom['tests']}\n```\n"
        prompt = asked
        async with self._slots:
            for _ in range(MOST_ATTEMPTS):
                self.calls += 1
                answer = await self._client.complete(_request(prompt))
                error = _error_in(answer.text, atom["entry_point"])
                if not error:
                    return True
                prompt = (
                    f"{asked}\nYou answered:\n\n{answer.text}\n\nThis is wrong: {error}. Write it again.\n"
                )
        return False


def _request(prompt: str) -> ModelRequest:
    return ModelRequest(
        model=MODEL,
        system=SYSTEM,
        user=prompt,
        max_tokens=4_096,
        temperature=None,
        effort=None,
        timeout_s=TIMEOUT_S,
    )


def _error_in(text: str, entry_point: str) -> str:
    """Why the answer cannot be used; '' where it can."""
    try:
        tree = ast.parse(extract(text).code)
    except (NoCode, SyntaxError, ValueError) as error:
        return str(error)
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    if not any(isinstance(node, definitions) and node.name == entry_point for node in tree.body):
        return f"{entry_point} is not defined"
    return ""


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--url", required=True)
    parser.add_argument("--concurrency", type=int, default=CONCURRENCY)
    arguments = parser.parse_args()
    plan = json.loads(arguments.plan.read_text(encoding="utf-8"))
    found = asyncio.run(Bare(plan, arguments.url, arguments.concurrency).run())
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
