"""Instructions of the processor that an atom costs, beside the baseline: `python -m benchmarks.instructions`.

A count and no time: it comes out the same on a slow machine and on a busy one, to about a hundredth. The work is W1's, waves
of 100 atoms on 3 of the wave before, without latency and in one process: a runner on SQLite, or the baseline. Two plans
are run; what the longer one takes more is divided by the atoms that it has more, so that starting is not counted. Counting
slows a process down about fiftyfold, the scripted model beside it not at all; a runner looks for commands that much more
rarely. Needs valgrind (Debian's package of that name).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.workloads import layered
from tests.ground import ON_POSTGRES, ROOT, SCRATCH
from tests.plans import write_plan
from tests.product import Product, endpoint
from tests.scripted import ScriptedServer

WIDTH = 100
WAVES = (2, 6)
SLOWED = 50
"""By how much counting slows a process down, about."""
_TOTAL = re.compile(rb"^(?:totals|summary): (\d+)", re.MULTILINE)


def _valgrind() -> str:
    found = shutil.which("valgrind")
    if found is None:
        raise SystemExit("valgrind is not installed; on Debian it is in the package of that name")
    return found


def instructions(command: Sequence[object], environment: Mapping[str, str], folder: Path) -> int:
    """Of one Python process and its threads, in user space. Raises SystemExit when it fails."""
    counts = folder / "counts"
    done = subprocess.run(
        [
            _valgrind(),
            "--tool=callgrind",
            f"--callgrind-out-file={counts}",
            sys.executable,
            *map(str, command),
        ],
        cwd=ROOT,
        env={**environment, "PYTHONHASHSEED": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    found = _TOTAL.findall(counts.read_bytes()) if counts.exists() else []
    if done.returncode or not found:
        raise SystemExit(f"{done.stdout}{done.stderr}")
    return int(found[-1])


def of_baseline(plan_file: Path, server: ScriptedServer, folder: Path) -> int:
    command = ["-m", "benchmarks.bare", plan_file, "--url", server.url]
    return instructions(command, os.environ, folder)


def of_runner(plan_file: Path, server: ScriptedServer, folder: Path) -> int:
    product = Product(folder / "site", MGE_SLICE_SECONDS="3000", **endpoint(server.url))
    try:
        done = product.manage("migrate", "--verbosity", "0")
        if done.returncode:
            raise SystemExit(done.stderr)
        code = f"from benchmarks import inside; inside.run_alone({str(plan_file)!r}, {SLOWED})"
        return instructions(["manage.py", "shell", "-c", code], product.environment, folder)
    finally:
        product.close()


EXECUTORS = {"bare asyncio": of_baseline, "MGE Execution, SQLite": of_runner}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=1, help="of each; the spread is told")
    runs = parser.parse_args().runs
    if ON_POSTGRES:
        raise SystemExit("the server's instructions would not be counted: run it without MGE_TEST_ENGINE")
    plans = {waves: layered(f"{waves} waves", waves=waves, width=WIDTH, fewest=3, most=3) for waves in WAVES}
    atoms = WIDTH * (WAVES[1] - WAVES[0])
    sys.stdout.write("| executor | million instructions an atom | least and most |\n| --- | --- | --- |\n")
    try:
        for name, count in EXECUTORS.items():
            found = []
            for _ in range(runs):
                totals = []
                for waves, plan in plans.items():
                    with tempfile.TemporaryDirectory(prefix="mge-count-") as made:
                        folder = Path(made)
                        file = write_plan(folder / "plan", plan)
                        with ScriptedServer("--answers", file) as server:
                            totals.append(count(file, server, folder))
                    sys.stderr.write(f"{name}, {waves * WIDTH} atoms: {totals[-1] / 1e6:,.0f} million\n")
                found.append((totals[1] - totals[0]) / atoms / 1e6)
            middle = sorted(found)[len(found) // 2]
            sys.stdout.write(f"| {name} | {middle:.2f} | {min(found):.2f} to {max(found):.2f} |\n")
            sys.stdout.flush()
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)


if __name__ == "__main__":
    main()
