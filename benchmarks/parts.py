"""The measurements of `benchmarks.micro` on one database, in a process of their own: `python -m benchmarks.parts ledger …`.

Prints one JSON object a line: `{"what", "unit", "value"}`.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.feed_clients import Clients
from benchmarks.installation import WARM_UP_KEY, Installation, warm_up_plan
from benchmarks.tables import percentile
from benchmarks.workloads import layered
from tests.ground import SCRATCH
from tests.plans import adder, plan, write_plan
from tests.product import Product, endpoint, wait_for
from tests.scripted import ScriptedServer
from tests.supervisor.site import Site

Figure = tuple[str, str, float]
"""What, its unit, its value."""
REQUESTS = 300
EVENTS = 100


def _inside(product: Product, call: str) -> dict[str, Any]:
    """What a function of `benchmarks.inside` prints; `call` is written as in Python."""
    done = product.manage("shell", "-c", f"from benchmarks import inside; inside.{call}", timeout=600)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _wide(folder: Path, atoms: int) -> Path:
    return write_plan(folder / "plan", layered("wide", waves=1, width=atoms, fewest=0, most=0))


@contextmanager
def _without_workers(folder: Path) -> Iterator[Product]:
    product = Product(folder / "product")
    try:
        if product.manage("migrate", "--verbosity", "0").returncode:
            raise SystemExit("cannot migrate")
        yield product
    finally:
        product.close()


def _spread(what: str, seconds: Sequence[float]) -> Iterator[Figure]:
    yield f"{what}, p50", "ms", 1_000 * percentile(seconds, 0.5)
    yield f"{what}, p99", "ms", 1_000 * percentile(seconds, 0.99)


def ledger(folder: Path) -> Iterator[Figure]:
    for tasks in (1, 100):
        place = folder / str(tasks)
        with _without_workers(place) as product:
            found = _inside(product, f"ledger_changes({str(_wide(place, 1_000))!r}, {tasks}, 1_000)")
        what = f"ledger, {tasks} in flight"
        yield what, "intents/s", found["changes"] / found["seconds"]
        yield what, "CPU ms/intent", 1_000 * found["cpu_s"] / found["changes"]
        yield what, "intents/transaction", found["changes"] / found["transactions"]


def claims(folder: Path) -> Iterator[Figure]:
    for size, count in ((1, 200), (20, 50)):
        place = folder / str(size)
        with _without_workers(place) as product:
            found = _inside(product, f"claims({str(_wide(place, 1_000))!r}, {size}, {count})")
        yield from _spread(f"claim of {size}, 1,000 ready", found["seconds"])


def plans(folder: Path) -> Iterator[Figure]:
    for atoms, waves in ((1_000, 10), (10_000, 4)):
        place = folder / str(atoms)
        value = layered(f"{atoms} atoms", waves=waves, width=atoms // waves, fewest=1, most=3)
        file, warm_up = write_plan(place / "plan", value), warm_up_plan(place / "warm-up")
        with (
            ScriptedServer("--answers", file, warm_up, "--latency", "1") as server,
            Installation(place / "site", server.url, warm_up) as site,
        ):
            found = _inside(site.product, f"store_and_start({str(file)!r})")
            first = _first_call(server)
        what = f"plan of {atoms:,}"
        yield f"{what}: read and checked", "s", found["read_s"]
        yield f"{what}: stored", "s", found["store_s"]
        yield f"{what}: started", "s", found["start_s"]
        yield f"{what}: from the start to the first call", "s", first - found["started_at"]


def _first_call(server: ScriptedServer) -> float:
    """Unix seconds of its arrival."""

    def earliest() -> float | None:
        return min((one["at"] for one in server.log() if one["atom"] != WARM_UP_KEY), default=None)

    first: float = wait_for(earliest, "the first call", seconds=300)
    return first


@contextmanager
def _served(folder: Path, server: ScriptedServer) -> Iterator[tuple[Product, str]]:
    """A site with one worker whose sample has ended, and its address."""
    unlimited = {"MGE_THROTTLE_READS": "1000000", "MGE_THROTTLE_WRITES": "1000000"}
    product = Product(folder / "product", MGE_WORKERS="1", **unlimited, **endpoint(server.url))
    try:
        site = Site(product)
        url = site.url()
        wait_for(lambda: _ended(product, 1), "the end of the sample", seconds=240)
        yield product, url
        site.stop()
    finally:
        product.close()


def _ended(product: Product, count: int) -> bool:
    sql = "SELECT COUNT(*) FROM executions_execution WHERE status = 'completed'"
    return bool(product.query(sql)[0][0] == count)


def _stored(product: Product, file: Path) -> str:
    done = product.manage("import_masterplan", file)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout.split()[-1]


def _token(product: Product) -> str:
    return product.manage("token", "create", "admin").stdout.strip().splitlines()[-1]


def status(folder: Path) -> Iterator[Figure]:
    value = layered("watched", waves=10, width=100, fewest=3, most=3)
    file = write_plan(folder / "plan", value)
    with (
        ScriptedServer("--answers", file, "--latency", "1") as server,
        _served(folder, server) as (product, url),
    ):
        token, plan_id = _token(product), _stored(product, file)
        execution = _inside(product, f"start_of({plan_id!r})")["execution"]
        wait_for(lambda: server.stats()["in_flight"] >= 90, "calls in flight")
        yield from _spread("status while 100 calls are in flight", _asked(url, token, execution))
        wait_for(lambda: _ended(product, 2), "the end", seconds=120)
        yield from _spread("status of 1,000 atoms, site at rest", _asked(url, token, execution))


def _asked(url: str, token: str, execution: str) -> list[float]:
    """Seconds of each request, over one connection where the server keeps it."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    seconds = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        connection.request(
            "GET", f"/api/v2/execution/{execution}", headers={"Authorization": f"Bearer {token}"}
        )
        answer = connection.getresponse()
        answer.read()
        seconds.append(time.perf_counter() - began)
        if answer.status != 200:
            raise SystemExit(f"status: {answer.status}")
    connection.close()
    return seconds


def events(folder: Path) -> Iterator[Figure]:
    # It waits for a person, so nothing but our events happens to it.
    file = write_plan(folder / "plan", plan(adder("one"), name="waits", approvals=[1]))
    with ScriptedServer("--answers", file) as server, _served(folder, server) as (product, url):
        token = _token(product)
        found = _inside(product, f"start_of({_stored(product, file)!r})")
        dice = random.Random(1)  # noqa: S311  a repeatable sequence is what is wanted
        pauses = [2.0] + [round(dice.uniform(0.05, 0.4), 3) for _ in range(EVENTS)]
        clients = Clients(url, found["execution"], cookie=found["cookie"], token=token)
        arrived, written = asyncio.run(
            clients.follow(lambda: _inside(product, f"events({found['execution']!r}, {pauses})"))
        )
    # The first one finds the clients only just connected.
    committed = {int(seq): at for seq, at in list(written["committed"].items())[1:]}
    for client, seen in arrived.items():
        missing = committed.keys() - seen.keys()
        if missing:
            raise SystemExit(f"{client}: events {sorted(missing)} did not arrive")
        yield from _spread(f"event to {client}", [max(0.0, seen[seq] - at) for seq, at in committed.items()])


PARTS: dict[str, Callable[[Path], Iterator[Figure]]] = {
    "ledger": ledger,
    "claims": claims,
    "plans": plans,
    "status": status,
    "events": events,
}


def main() -> None:
    try:
        for name in sys.argv[1:]:
            sys.stderr.write(f"{name}\n")
            with tempfile.TemporaryDirectory(prefix="mge-micro-", ignore_cleanup_errors=True) as folder:
                for what, unit, value in PARTS[name](Path(folder)):
                    sys.stdout.write(
                        json.dumps({"what": what, "unit": unit, "value": round(value, 3)}) + "\n"
                    )
                    sys.stdout.flush()
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)


if __name__ == "__main__":
    main()
