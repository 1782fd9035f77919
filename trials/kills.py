"""Kills what runs the atoms' tests while it runs them: `python -m trials.kills [--kills 30] [--atoms 400]`.

An execution of the product with workers of its own generates atoms whose tests take their time. Again and again the
worker, its sandbox's supervisor or one of the fork servers is killed with SIGKILL. Each time it is watched from outside
until no process and no mount of that sandbox is left; in the end every atom must have succeeded, with the one attempt
that it needed. Exit 1 when something is left after two seconds, or lost. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.plans import adder, plan, write_plan
from tests.product import Product
from trials.processes import descendants
from trials.report import Table, say, write_json

VICTIMS = ("worker", "supervisor", "fork server")
MAY_TAKE_S = 2.0
_SUPERVISOR, _FORK_SERVER = b"mge_outside.supervisor", b"mge_inside.fork_server"


@dataclass(frozen=True, slots=True)
class Kill:
    """One SIGKILL. `gone_s`: until nothing of the sandbox was left; `again_s`: until tests were run again."""

    victim: str
    processes: int
    gone_s: float
    left: int
    again_s: float


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One worker's sandbox at a moment."""

    worker: int
    supervisor: int
    fork_servers: tuple[int, ...]
    """The forking processes themselves and, where there is one, the bubblewrap around each."""
    runs: tuple[int, ...]

    @property
    def all(self) -> frozenset[int]:
        return frozenset((self.supervisor, *self.fork_servers, *self.runs))


def sandboxes(root: int) -> list[Sandbox]:
    """Those of all processes below `root`."""
    found = []
    for pid in descendants(root):
        if (
            _SUPERVISOR in _command(pid) and _parent(pid) != root
        ):  # the command itself tries the sandbox when it starts
            below = descendants(pid)
            # A run's processes are forks, with the fork server's command line; their parents tell them apart.
            keepers = [one for one in below if _parent(one) == pid or _name(_parent(one)) == "bwrap"]
            runs = tuple(one for one in below if one not in keepers)
            found.append(Sandbox(_parent(pid), pid, tuple(keepers), runs))
    return found


def work(
    product: Product, file: Path, kills: int, *, seed: int, settings: Sequence[str] = ()
) -> dict[str, Any]:
    """Runs the plan of `file` under `kills` kills and returns what the command reports, its exit status and the kills.

    Raises RuntimeError when there was nothing to kill for a minute.
    """
    output = product.folder / "run.json"
    process = product.start(
        "run_masterplan", file, "--json", "--scripted", "--set", "cache=off", *settings, output=output
    )
    chooser, done = random.Random(seed), []  # noqa: S311 - moments, no secrets
    for number in range(kills):
        before = _busy(process.pid)
        if before is None:
            break
        time.sleep(chooser.uniform(0, 2))
        done.append(_kill(process.pid, VICTIMS[number % len(VICTIMS)], before))
    status = process.wait(600)
    text = output.read_text(encoding="utf-8")
    reported = [line for line in text.splitlines() if line.startswith('{"executions"')]
    if not reported:
        raise RuntimeError(f"the run reported nothing: {text[-2000:]}")
    return {**json.loads(reported[-1])["executions"][0], "exit_status": status, "kills": done}


def _busy(root: int) -> Sandbox | None:
    """A sandbox with runs in it; None when the command has ended. Raises RuntimeError after a minute without."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not _alive(root):
            return None
        busy = [one for one in sandboxes(root) if one.runs and one.fork_servers]
        if busy:
            return max(busy, key=lambda one: len(one.runs))
        time.sleep(0.01)
    raise RuntimeError("no tests were run for a minute")


def _kill(root: int, victim: str, seen: Sandbox) -> Kill:
    """Of the sandbox as it is now; what was `seen` a moment ago may have ended."""
    now = next((one for one in sandboxes(root) if one.supervisor == seen.supervisor), seen)
    if victim == "fork server":
        chosen = [one for one in now.fork_servers if _name(one) != "bwrap"][-1:]
        # Its runs go with it; the supervisor and the other servers stay.
        doomed = frozenset(one for pid in chosen for one in (pid, *descendants(pid)))
    else:
        chosen = [now.worker if victim == "worker" else now.supervisor]
        doomed = now.all
    began = time.monotonic()
    for pid in chosen:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # it has just ended
    while any(map(_alive, doomed)) and time.monotonic() - began < 5 * MAY_TAKE_S:
        time.sleep(0.005)
    gone = time.monotonic() - began
    left = sum(map(_alive, doomed)) + len(_mounts())
    _busy(root)
    return Kill(victim, len(doomed), gone, left, time.monotonic() - began)


def _mounts() -> list[str]:
    """What a sandbox has mounted in the host's own table; there should never be anything."""
    lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.split()[1] in ("/project", "/packages", "/runner")]


def _alive(pid: int) -> bool:
    """A process that has ended and waits to be collected holds nothing any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def patient_plan(atoms: int, seconds: float) -> dict[str, Any]:
    """Atoms whose tests sleep, so that there is always somebody to kill."""
    return plan(
        *(
            {
                **(atom := adder(f"a{number}", amount=number)),
                "tests": f"import time\n{atom['tests']}    time.sleep({seconds})\n",
            }
            for number in range(atoms)
        ),
        name="patient plan",
    )


def wrongs(result: dict[str, Any], atoms: int) -> Iterator[str]:
    """What did not hold."""
    for kill in result["kills"]:
        if kill.left or kill.gone_s > MAY_TAKE_S:
            yield f"after a {kill.victim} was killed, {kill.left} processes were left after {kill.gone_s:.1f} s"
    if result["exit_status"] or result["atoms_succeeded"] != atoms:
        yield f"{result['atoms_succeeded']} of {atoms} atoms succeeded, exit status {result['exit_status']}"
    several = {key: count for key, count in result["attempts"].items() if count != 1}
    if several:
        yield f"a killed validation counted as an attempt: {several}"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m trials.kills",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--atoms", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mge-kills-") as folder:
        product = Product(Path(folder), MGE_LEASE_SECONDS="5", MGE_RECONCILE_SECONDS="1")
        try:
            file = write_plan(Path(folder), patient_plan(options.atoms, 0.4))
            # Few at a time: an atom whose owner died five times is given up, and here owners die every few seconds.
            settings = ("--set", "max_concurrency=8")
            result = work(product, file, options.kills, seed=options.seed, settings=settings)
        finally:
            product.close()
    table = Table(
        "victim", "kills", "processes, most", "gone after, longest s", "left", "tests again after, longest s"
    )
    for victim in VICTIMS:
        of = [kill for kill in result["kills"] if kill.victim == victim]
        if of:
            table.row(
                victim, len(of), max(kill.processes for kill in of), max(kill.gone_s for kill in of),
                sum(kill.left for kill in of), max(kill.again_s for kill in of),
            )  # fmt: skip
    say(str(table))
    say(
        f"{result['atoms_succeeded']} of {options.atoms} atoms succeeded with {result['attempts_total']} attempts"
    )
    failed = list(wrongs(result, options.atoms))
    for line in failed:
        say(line)
    kept = {**result, "kills": [asdict(kill) for kill in result["kills"]], "wrong": failed}
    say(f"written to {write_json('kills', kept)}")
    return 1 if failed or len(result["kills"]) < options.kills else 0


if __name__ == "__main__":
    sys.exit(main())
