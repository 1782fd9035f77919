"""`python -m chaos`: rounds of faults until there were enough; exit 0 only if everything held, 2 when it cannot run."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from chaos.faults import Kind
from chaos.private_services import Missing, PrivatePostgres, PrivateRedis, postgres_binaries, redis_binary
from chaos.report import table, write_json
from chaos.rounds import SMOKE, Circumstances, Round, RoundRunner, deal, kinds_for

ROOT = Path(__file__).resolve().parents[1]
ENGINES = ("sqlite", "postgres", "sqlite+redis", "postgres+redis")
"""Database, and the queue's broker where that is not the database too."""


def main() -> int:
    """The whole campaign."""
    chosen = _arguments()
    engines = chosen.engines.split(",")
    seed = chosen.seed if chosen.seed is not None else random.SystemRandom().randrange(10**6)
    folder = Path(tempfile.mkdtemp(prefix="mge-chaos-"))
    folder.chmod(0o711)  # PostgreSQL runs as another user when we are root
    began, rounds = time.monotonic(), []
    command = _command(chosen, seed)
    say(f"seed {seed}; everything lies in {folder}")
    try:
        with ExitStack() as stack:
            runner = _runner(chosen, engines, seed, folder, stack)
            for engine in engines:
                for number in _numbers(chosen):
                    kinds = deal(seed, engine, number, chosen.faults_per_round, _kinds(chosen, engine))
                    say(f"  {engine}, round {number}")
                    one = runner.run(engine, number, kinds)
                    rounds.append(one)
                    _say_of_round(one, command)
    except Missing as missing:
        say(f"missing: {missing}")
        shutil.rmtree(folder, ignore_errors=True)
        return 2
    except KeyboardInterrupt:
        say("stopped")
    seconds = time.monotonic() - began
    held = all(one.held for one in rounds) and bool(rounds)
    path = ROOT / "var" / "chaos" / f"{time.strftime('%Y%m%d-%H%M%S')}-seed-{seed}.json"
    write_json(path, rounds, seed=seed, seconds=seconds, command=command)
    say("")
    say(table(rounds, seconds))
    say(f"written to {path.relative_to(ROOT)}")
    if held:
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    say(f"NOT everything held; the data is kept in {folder}. All of it again: {command}")
    return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument(
        "--engines", help=f"comma-separated, of {', '.join(ENGINES)} (default: no sqlite+redis)"
    )
    parser.add_argument("--smoke", action="store_true", help="few faults, small plans: three minutes at most")
    parser.add_argument("--faults", type=int, help="how many in all (default 104, smoke 10)")
    parser.add_argument("--faults-per-round", type=int, help="in one installation (default 13, smoke 5)")
    parser.add_argument("--seed", type=int, help="repeats a campaign (default: drawn and printed)")
    parser.add_argument("--round", type=int, help="only this one of each engine's rounds")
    parser.add_argument(
        "--only", default="", help="kinds, comma-separated: " + ", ".join(k.name.lower() for k in Kind)
    )
    parser.add_argument("--without", default="", help="kinds to leave out")
    parser.add_argument("--lease", type=float, default=3.0, help="seconds that a lease lasts (default 3)")
    parser.add_argument(
        "--capacity", type=int, default=10, help="atoms that one runner holds at most (default 10)"
    )
    chosen = parser.parse_args()
    chosen.engines = chosen.engines or (
        "sqlite,postgres+redis" if chosen.smoke else "sqlite,postgres,postgres+redis"
    )
    chosen.faults = chosen.faults or (10 if chosen.smoke else 104)
    chosen.faults_per_round = chosen.faults_per_round or (5 if chosen.smoke else 13)
    for engine in chosen.engines.split(","):
        if engine not in ENGINES:
            parser.error(f"--engines: {engine!r} is none of {', '.join(ENGINES)}")
    names = {kind.name.lower() for kind in Kind}
    for name in [*_names(chosen.only), *_names(chosen.without)]:
        if name not in names:
            parser.error(f"{name!r} is no kind of fault; known are {', '.join(sorted(names))}")
    if chosen.faults < 1 or chosen.faults_per_round < 1:
        parser.error("--faults and --faults-per-round must be at least 1")
    return chosen


def _names(text: str) -> list[str]:
    return [name.strip().lower().replace("-", "_") for name in text.split(",") if name.strip()]


def _kinds(chosen: argparse.Namespace, engine: str) -> list[Kind]:
    only, without = _names(chosen.only), _names(chosen.without)
    kinds = [
        k for k in kinds_for(engine) if (not only or k.name.lower() in only) and k.name.lower() not in without
    ]
    if not kinds:
        raise SystemExit(f"none of the chosen faults fits {engine}")
    return kinds


def _numbers(chosen: argparse.Namespace) -> list[int]:
    if chosen.round is not None:
        return [chosen.round]
    per_engine = -(-chosen.faults // len(chosen.engines.split(",")))
    return list(range(-(-per_engine // chosen.faults_per_round)))


def _runner(
    chosen: argparse.Namespace, engines: list[str], seed: int, folder: Path, stack: ExitStack
) -> RoundRunner:
    """The services that outlive rounds, and who runs those. Raises Missing."""
    postgres, redis = None, None
    if any(engine.startswith("postgres") for engine in engines):
        postgres_binaries()
        postgres = PrivatePostgres(folder)
        stack.callback(postgres.stop, immediate=True)
        postgres.start()
    if any(engine.endswith("+redis") for engine in engines):
        redis_binary()
        redis = PrivateRedis(folder)
        stack.callback(redis.stop)
        redis.start()
    return RoundRunner(
        root=ROOT,
        python=Path(sys.executable),
        folder=folder,
        seed=seed,
        circumstances=replace(
            SMOKE if chosen.smoke else Circumstances(), lease_s=chosen.lease, capacity=chosen.capacity
        ),
        postgres=postgres,
        redis=redis,
        say=say,
    )


def _command(chosen: argparse.Namespace, seed: int) -> str:
    words = [f"--engines {chosen.engines}", f"--faults {chosen.faults}", f"--seed {seed}"]
    words += [f"--faults-per-round {chosen.faults_per_round}", f"--lease {chosen.lease:g}"]
    words += [f"--capacity {chosen.capacity}"]
    words += ["--smoke"] if chosen.smoke else []
    words += [f"--{name} {getattr(chosen, name)}" for name in ("only", "without") if getattr(chosen, name)]
    return "python -m chaos " + " ".join(words)


def _say_of_round(one: Round, command: str) -> None:
    found = one.found
    say(
        f"  {one.engine}, round {one.number}: {'held' if one.held else 'did NOT hold'};"
        f" {len(one.faults)} faults, {found.succeeded}/{found.atoms} atoms, {found.calls_beyond} calls beyond"
        f" ({found.calls_allowed} were in flight at faults), {one.seconds:.0f} s"
    )
    for violation in found.violations:
        say(f"    ! {violation}")
    if not one.held:
        say(f"    data: {one.folder}\n    again: {command} --round {one.number}")


def say(line: str) -> None:
    """At once, also into a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
