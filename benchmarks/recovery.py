"""From kill -9 of the only busy worker to the next claim: `python -m benchmarks.recovery [--kills 7] [--lease 10]`.

Twice: on one host, where the death is seen by the process; and with a second node under another host's name, where only the
end of the lease tells (PostgreSQL and the right to name a host: root, Linux). In each round a first execution keeps one
worker busy, which is killed; a second one shows whether others' work goes on undisturbed. SQLite; with
MGE_TEST_ENGINE=postgres and MGE_TEST_DATABASE_URL, PostgreSQL.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.ground import ON_POSTGRES, ROOT
from tests.plans import layers, plan, write_plan
from tests.product import Product, endpoint, wait_for
from tests.scripted import ScriptedServer

START = """
import time
from executions.models import AtomRun, Masterplan
from executions.services.start import start_execution
settings = {"max_concurrency": 2, "validators": "syntax", "cache": "off"}
for number in (1, 2):
    print(start_execution(masterplan=Masterplan.objects.first(), actor=None, settings=settings).id)
    while AtomRun.objects.exclude(lease_owner="").count() < 2 * number:
        time.sleep(0.05)
"""
CANCEL = """
import uuid
from executions.services.control import cancel_execution
cancel_execution(execution_id=uuid.UUID("%s"), actor=None)
"""
RECENT = "now() - interval '5 seconds'" if ON_POSTGRES else "datetime('now', '-5 seconds')"
ALIVE = f"SELECT COUNT(DISTINCT node_id) FROM executions_nodeworker WHERE beat_at > {RECENT}"  # noqa: S608
HELD = "SELECT lease_owner, COUNT(*) FROM executions_atomrun WHERE lease_owner <> '' GROUP BY lease_owner"


@dataclass(slots=True)
class Figures:
    """Seconds from each kill to the next claim of an atom that was lost; what happened to the others' atoms."""

    seconds: list[float] = field(default_factory=list)
    others_held: int = 0
    others_lost: int = 0


class Node:
    """`manage.py worker`, under a host's name of its own where one is given."""

    def __init__(self, product: Product, host: str, **environment: str) -> None:
        command = [sys.executable, str(ROOT / "manage.py"), "worker"]
        if host:
            command = ["unshare", "--uts", "sh", "-c", f'hostname {host} && exec "$0" "$@"', *command]
        self.folder = product.data_dir / (host or "node")
        self.folder.mkdir(exist_ok=True)
        self.product, self.host, self.command = product, host, command
        self.environment = {
            **product.environment,
            **environment,
            "MGE_DATA_DIR": str(self.folder if host else product.data_dir),
        }
        self.start()

    def start(self) -> None:
        with (self.folder / "output.txt").open("ab") as sink:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdout=sink, stderr=sink, start_new_session=True
            )

    def lose(self) -> None:
        """As if its host had lost power: the supervisor and, through it, all that it started."""
        mine = self.process.pid
        clusters = [pid for pid in map(int, _numbers()) if _parent(pid) == mine]
        for pid in clusters:
            os.killpg(pid, signal.SIGKILL)
        os.killpg(mine, signal.SIGKILL)
        self.process.wait()


def measure(product: Product, kills: int, *, hosts: bool) -> Figures:
    """The plan's atoms take so long that all that is claimed is still held when it is looked at."""
    figures = Figures()
    names = ("here", "there") if hosts else ("",)
    nodes = {name: Node(product, name, MGE_WORKERS="3", MGE_RUNNER_CAPACITY="2") for name in names}
    try:
        for _ in range(kills):
            wait_for(lambda: product.query(ALIVE)[0][0] >= len(names), "the nodes are there")
            _one_kill(product, nodes, figures)
    finally:
        for node in nodes.values():
            node.lose()
    return figures


def _one_kill(product: Product, nodes: dict[str, Node], figures: Figures) -> None:
    begun = _checked(product.manage("shell", "-c", START)).split()[-2:]
    wait_for(
        lambda: sorted(count for _, count in product.query(HELD)) == [2, 2], "two runners hold two atoms each"
    )
    victim, other = (owner for owner, _ in product.query(HELD))
    host = victim.split(":")[0]
    kept = _atoms(product, other)
    at = datetime.now(UTC)
    if host in nodes:
        nodes[host].lose()
    else:
        os.kill(int(victim.split(":")[2]), signal.SIGKILL)
    again = wait_for(lambda: _claimed_again(product, at), "what was lost is claimed again", seconds=120)
    figures.seconds.append((again - at).total_seconds())
    if not other.startswith(f"{host}:") or host not in nodes:
        figures.others_held += len(kept)
        figures.others_lost += len(kept.items() - _atoms(product, other).items())
    for execution in begun:
        _checked(product.manage("shell", "-c", CANCEL % execution))
    if host in nodes:
        nodes[host].start()
    wait_for(lambda: not product.query(HELD), "the round is over")


def _checked(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def _atoms(product: Product, owner: str) -> dict[str, int]:
    rows = product.query("SELECT id, fence FROM executions_atomrun WHERE lease_owner = ?", owner)
    return {str(one): fence for one, fence in rows}


def _claimed_again(product: Product, since: datetime) -> datetime | None:
    """When the first atom that somebody had begun was claimed anew after this time."""
    rows = product.query("SELECT at FROM executions_event WHERE type = 'atom.resumed' ORDER BY at")
    return next((at for at in (_time(row[0]) for row in rows) if at > since), None)


def _time(value: Any) -> datetime:
    at = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _numbers() -> list[str]:
    return [entry.name for entry in Path("/proc").glob("[0-9]*")]


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=7)
    parser.add_argument("--lease", type=float, default=10.0, help="seconds (MGE_LEASE_SECONDS)")
    parser.add_argument("--hosts", action="store_true", help="the second kind: another host, the lease alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mge-recovery-") as name:
        folder = Path(name)
        file = write_plan(folder / "plan", plan(*layers(6)))
        with ScriptedServer("--answers", file, "--latency", "600") as server:
            product = Product(
                folder / "product", MGE_LEASE_SECONDS=str(options.lease), **endpoint(server.url)
            )
            try:
                if not ON_POSTGRES:
                    product.manage("migrate", "--verbosity", "0")
                _checked(product.manage("import_masterplan", file))
                began = time.monotonic()
                figures = measure(product, options.kills, hosts=options.hosts)
            finally:
                product.close()
    print(  # noqa: T201
        json.dumps(
            {
                "database": "PostgreSQL" if ON_POSTGRES else "SQLite",
                "known_by": "the end of the lease" if options.hosts else "the process",
                "lease_s": options.lease,
                "kills": len(figures.seconds),
                "median_s": round(statistics.median(figures.seconds), 2),
                "longest_s": round(max(figures.seconds), 2),
                "seconds": [round(one, 2) for one in figures.seconds],
                "atoms_of_others": figures.others_held,
                "of_these_disturbed": figures.others_lost,
                "took_s": round(time.monotonic() - began),
            }
        )
    )


if __name__ == "__main__":
    main()
