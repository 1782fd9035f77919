"""Single parts of the product, one by one: `python -m benchmarks.micro [--engine sqlite postgres] [--parts ledger …]`.

- ledger: intents per second through the ledger with 1 and with 100 tasks in flight.
- claims: a claim of 1 and of 20 atoms, out of 1,000 that are ready.
- plans: reading, storing and starting plans of 1,000 and 10,000 atoms; from the start to the first call of the model.
- status: `GET /api/v2/execution/{id}` of an execution of 1,000 atoms, one request after the other, once it has ended and
  while it runs with 100 calls in flight.
- events: from the commit of an event to its arrival at a WebSocket and at a long poll.

Prints Markdown beside the last earlier figures, and keeps all in `var/bench/micro/<date>.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from benchmarks import machine
from benchmarks.engines import ENGINES, found_on
from benchmarks.results import FOLDER

PARTS = ("ledger", "claims", "plans", "status", "events")
MICRO = FOLDER / "micro"


def render(found: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    about = found["machine"]
    yield f"# Parts, {found['at'][:16].replace('T', ' ')} UTC"
    yield ""
    yield f"{about['cpu']}, {about['cores']} cores, Python {about['python']}, load before {found['load_before']:g}."
    yield ""
    yield "| what | unit | database | figure | before |"
    yield "| --- | --- | --- | --- | --- |"
    for figure in found["figures"]:
        before = next((one for one in map(_finder(figure), reversed(earlier)) if one is not None), None)
        shown = "-" if before is None else f"{before:g}"
        yield (
            f"| {figure['what']} | {figure['unit']} | {ENGINES[figure['engine']]}"
            f" | {figure['value']:g} | {shown} |"
        )


def _finder(figure: Mapping[str, Any]) -> Any:
    def value(earlier: Mapping[str, Any]) -> float | None:
        same = [
            one["value"]
            for one in earlier["figures"]
            if all(one[name] == figure[name] for name in ("engine", "what", "unit"))
        ]
        return same[0] if same else None

    return value


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.micro",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--engine", nargs="+", choices=sorted(ENGINES), default=list(ENGINES))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    MICRO.mkdir(parents=True, exist_ok=True)
    earlier = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(MICRO.glob("*.json"))]
    found: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat()[:19],
        "machine": machine.description(),
        "load_before": machine.load(),
        "figures": [],
    }
    for engine in options.engine:
        for figure in found_on(engine, "benchmarks.parts", options.parts):
            found["figures"].append({"engine": engine, **figure})
    file = MICRO / f"{found['at'].replace(':', '')}.json"
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write("\n".join(render(found, earlier)) + "\n")


if __name__ == "__main__":
    main()
