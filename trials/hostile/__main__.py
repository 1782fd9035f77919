"""`python -m trials.hostile`: the whole suite as root, as an ordinary user and in the jail; exit 0 only if all held."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from executions.validation.verdict import Isolation
from trials.hostile.environments import Settled, Unavailable, environment, settled
from trials.report import RESULTS, Table, say, write_json

_ALL = ("root", "user", "jail", "jail-root")


def main() -> int:
    options = _arguments()
    began = time.monotonic()
    rounds: list[dict[str, Any]] = []
    missing: list[str] = []
    for name in options.who:
        try:
            chosen = environment(name)
            with settled(chosen) as place:
                levels = [one for one in chosen.levels if one is None or one in (options.levels or [one])]
                rounds += [_round(place, level, options) for level in levels]
        except Unavailable as error:
            missing.append(str(error))
            say(f"NOT RUN: {error}")
    say("")
    say(str(_table(rounds)))
    for one in rounds:
        _say_what_went_wrong(one)
    path = write_json(
        "hostile",
        {"rounds": rounds, "not_run": missing, "seconds": round(time.monotonic() - began, 1)},
        options.out,
    )
    say(f"written to {path}")
    if not rounds:
        return 2
    return 0 if all(_held(one) for one in rounds) and not missing else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m trials.hostile", description=__doc__)
    parser.add_argument(
        "--as", dest="who", nargs="*", choices=_ALL, default=list(_ALL), help="whose programs they are"
    )
    parser.add_argument(
        "--levels", nargs="*", type=Isolation, default=[], help="isolated, restricted (default: both)"
    )
    parser.add_argument(
        "--only", nargs="*", default=[], metavar="WORD", help="programs with one of these words"
    )
    parser.add_argument("--quick", action="store_true", help="leave out what waits for a limit")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="where the JSON goes")
    return parser.parse_args()


def _round(place: Settled, level: Isolation | None, options: argparse.Namespace) -> dict[str, Any]:
    """One environment at one level."""
    arguments = ["trials.hostile.trial"]
    arguments += ["--level", level.value] if level else []
    arguments += ["--quick"] if options.quick else []
    arguments += ["--only", *options.only] if options.only else []
    one: dict[str, Any] = {"as": place.chosen.name, "level": level.value if level else "", "results": []}
    started = time.monotonic()
    with place.run(*arguments) as process:
        for line in _lines(process.stdout):
            if "name" in line:
                one["results"].append(line)
                _say_of(line)
            else:
                one |= line
    one["code"], one["seconds"] = process.returncode, round(time.monotonic() - started, 1)
    say(
        f"{place.chosen.name}, {one.get('isolation', 'nothing')}: {len(one['results'])} runs in {one['seconds']:.0f} s"
    )
    return one


def _lines(stream: Any) -> Iterator[dict[str, Any]]:
    for line in stream:
        yield json.loads(line)


def _say_of(result: dict[str, Any]) -> None:
    if result["escapes"] or result["wrong"]:
        say(
            f"  {result['group']}: {result['name']} ({result['runner']}): {result['escapes'] or result['wrong']}"
        )


def _is_bad(result: dict[str, Any]) -> bool:
    return bool(result["escapes"] or result["wrong"])


def _held(one: dict[str, Any]) -> bool:
    granted = one.get("isolation") in ("isolated", "restricted")
    return one["code"] == 0 and granted and bool(one["results"]) and not any(map(_is_bad, one["results"]))


def _table(rounds: list[dict[str, Any]]) -> Table:
    table = Table(
        "as", "level", "programs", "runs", "escaped", "wrong verdicts", "benign rejected", "seconds"
    )
    for one in rounds:
        results = one["results"]
        rejected = [r for r in results if r["outcome"] == "passes" and not r["passed"]]
        wrong = [r for r in results if r["wrong"] and r not in rejected]
        programs = {(r["group"], r["name"]) for r in results}
        escaped = [r for r in results if r["escapes"]]
        table.row(
            one["as"], one.get("isolation", "-"), len(programs), len(results), len(escaped), len(wrong),
            len(rejected), one["seconds"],
        )  # fmt: skip
    return table


def _say_what_went_wrong(one: dict[str, Any]) -> None:
    if one["code"] != 0:
        say(f"{one['as']}: ended with {one['code']}: {one.get('refused', '')}")


if __name__ == "__main__":
    sys.exit(main())
