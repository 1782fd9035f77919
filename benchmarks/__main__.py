"""How fast the product is, and what durability costs: `make bench`, `python -m benchmarks [--quick] [--show]`.

Runs workloads with and without latency on SQLite and PostgreSQL, each run beside a baseline that keeps nothing
(`benchmarks.bare`), and measures how soon an idle site asks the model. Prints Markdown, keeps all figures in
`var/bench/<date>.json` and compares with what was measured last. PostgreSQL is that of MGE_TEST_DATABASE_URL, by default
postgres@127.0.0.1:5432; each installation gets a database of its own there. The whole takes more than an hour; leave the
machine alone meanwhile.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from benchmarks import machine
from benchmarks.choices import add_choices
from benchmarks.engines import ENGINES, found_on
from benchmarks.results import Result, Starts, case_from, stored
from benchmarks.tables import render

QUICK = ["--cases", "W1@0", "--runs", "3", "--starts", "0"]


def measure(engines: Sequence[str], arguments: Sequence[str]) -> Result:
    """Kept after every case, so that what was measured outlives an interruption."""
    result = Result(at=datetime.now(UTC).isoformat(timespec="seconds")[:19], machine=machine.description())
    for engine in engines:
        for found in found_on(engine, "benchmarks.rounds", arguments):
            if "database" in found:
                result.databases[engine] = found["database"]
            elif "starts" in found:
                result.starts.append(Starts(**found["starts"]))
            else:
                result.cases.append(case_from(found["case"]))
            if result.cases or result.starts:
                result.save()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_choices(parser)
    parser.add_argument("--engine", nargs="+", choices=sorted(ENGINES), default=list(ENGINES))
    parser.add_argument("--quick", action="store_true", help="W1 without latency, 3 runs, SQLite; a minute")
    parser.add_argument("--show", action="store_true", help="print the last result again, measure nothing")
    options = parser.parse_args()
    if options.show:
        kept = stored()
        if not kept:
            raise SystemExit("nothing has been measured yet")
        sys.stdout.write(render(kept[-1], kept[:-1]))
        return
    # Else the measurement of one database would go on, and its site with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    earlier = stored()
    if options.quick:
        result = measure(["sqlite"], QUICK)
    else:
        result = measure(
            options.engine,
            [
                *("--cases", *map(str, options.cases)),
                *("--runs", str(options.runs)),
                *("--long-runs", str(options.long_runs)),
                *("--starts", str(options.starts)),
            ],
        )
    sys.stdout.write(render(result, earlier))


if __name__ == "__main__":
    main()
