"""The process of one peer, in the peers' environment: `python -m benchmarks.peers.process NAME …`, used by `peers.rounds`.

Sets the tool up, runs the warm-up plan, prints `{"ready"}` and waits for a line; runs the plan, prints what became of it,
and waits for a line again, so that its processes can be looked at before they end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

from benchmarks.atom_work import calls, read_plan, succeeded
from benchmarks.bounds import CONCURRENCY
from benchmarks.peers.executor import Given


async def serve(arguments: argparse.Namespace, answers: TextIO) -> None:
    def say(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    module = import_module(f"benchmarks.peers.on_{arguments.peer.replace('-', '_')}")
    given = Given(arguments.url, arguments.database, arguments.concurrency, Path.cwd())
    plan = read_plan(arguments.plan)
    async with module.executor(given) as run:
        await run(read_plan(arguments.warm_up))
        say({"ready": True})
        await asyncio.to_thread(sys.stdin.readline)
        began = time.perf_counter()
        done = await run(plan)
        wall = time.perf_counter() - began
        say({"succeeded": succeeded(done), "calls": calls(done), "wall_s": wall})
        await asyncio.to_thread(sys.stdin.readline)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("peer")
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--warm-up", type=Path, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--concurrency", type=int, default=CONCURRENCY)
    arguments = parser.parse_args()
    # Tools and their workers print what they like; our answers must stay apart.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    asyncio.run(serve(arguments, answers))


if __name__ == "__main__":
    main()
