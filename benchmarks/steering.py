"""Pause, resume and cancel with 100 calls in flight, by REST: `python -m benchmarks.steering [--rounds N]`.

A site under `manage.py serve` runs 300 independent atoms; the scripted model answers after about four seconds. Printed for
each round, in seconds: how long after the answer to `pause` the last new request reached the model, how long after the end
of the last call in flight the execution was `paused`, whether each atom was generated exactly once in the end; and how long
after the answer to `cancel` the last open call was closed. SQLite; with MGE_TEST_ENGINE=postgres and
MGE_TEST_DATABASE_URL, PostgreSQL.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.plans import layers, write_plan
from tests.product import Product, endpoint, wait_for
from tests.scripted import ScriptedServer
from tests.supervisor.site import Site

ATOMS = 300
CONCURRENCY = 100
LOOK_S = 0.01


@dataclass(slots=True)
class Requests:
    """Looks at the model's counts all the time; knows when calls began last and when none was open any more."""

    server: ScriptedServer
    began_last: float = 0.0
    closed: float = 0.0
    in_flight: int = 0
    calls: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._look, name="requests")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_S):
            seen = self.server.stats()
            now = time.monotonic()
            if seen["calls"] > self.calls:
                self.calls, self.began_last = seen["calls"], now
            if seen["in_flight"] == 0 and self.in_flight:
                self.closed = now
            self.in_flight = seen["in_flight"]


class Api:
    """The REST interface as one user."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(  # noqa: S310  loopback
            f"{self._url}/api/v2/{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  loopback
            return json.load(answer)

    def status(self, execution: str) -> str:
        found: str = self.ask("GET", f"executions/{execution}/")["status"]
        return found


@dataclass(frozen=True, slots=True)
class Round:
    new_request_s: float
    paused_s: float
    once: bool
    closed_s: float


def measure(folder: Path, rounds: int) -> list[Round]:
    plan = write_plan(folder / "plan", {"name": "wide", "atoms": layers(ATOMS)})
    with ScriptedServer("--answers", plan, "--latency", "lognormal:4,0.2") as server:
        product = Product(folder / "product", MGE_THROTTLE_WRITES="100000", MGE_THROTTLE_READS="100000")
        product.environment.update(endpoint(server.url))
        try:
            site = Site(product)
            url = site.url()
            # The first user, made by `serve` itself at its first start.
            made = product.manage("token", "create", "admin")
            api = Api(url, made.stdout.strip().splitlines()[-1])
            plan_id = product.manage("import_masterplan", plan).stdout.strip()
            # The sample of the first start, which would share the workers.
            wait_for(
                lambda: product.query("SELECT COUNT(*) FROM executions_execution WHERE status = 'completed'")[
                    0
                ][0],
                "the end of the sample",
                seconds=180,
            )
            found = [_round(api, server, plan_id) for _ in range(rounds)]
            site.stop()
            return found
        finally:
            product.close()


def _start(api: Api, plan_id: str) -> str:
    settings = {"validators": "syntax", "max_concurrency": CONCURRENCY, "cache": "off"}
    started: str = api.ask(
        "POST", "execution/start/", {"masterplan_id": plan_id, "settings": settings, "confirm_cost": True}
    )["execution_id"]
    return started


def _round(api: Api, server: ScriptedServer, plan_id: str) -> Round:
    with Requests(server) as requests:
        execution = _start(api, plan_id)
        wait_for(lambda: requests.in_flight >= CONCURRENCY, "100 calls in flight")
        api.ask("POST", f"executions/{execution}/pause/", {})
        asked = time.monotonic()
        wait_for(lambda: requests.in_flight == 0, "the calls in flight end")
        wait_for(lambda: api.status(execution) == "paused", "paused")
        paused = time.monotonic()
        new_request = max(0.0, requests.began_last - asked)
        paused_s = paused - requests.closed
        api.ask("POST", f"executions/{execution}/resume/", {})
        wait_for(lambda: api.status(execution) == "completed", "completed", seconds=120)
    counts = server.stats()["calls_per_atom"]
    once = len(counts) == ATOMS and set(counts.values()) == {1}
    with Requests(server) as requests:
        execution = _start(api, plan_id)
        wait_for(lambda: requests.in_flight >= CONCURRENCY, "100 calls in flight")
        api.ask("POST", f"executions/{execution}/cancel/", {})
        asked = time.monotonic()
        wait_for(lambda: requests.in_flight == 0, "open calls are closed")
        closed_s = requests.closed - asked
        wait_for(lambda: api.status(execution) == "cancelled", "cancelled")
    reset = urllib.request.Request(f"{server.url}/reset", b"", method="POST")  # noqa: S310  loopback
    urllib.request.urlopen(reset, timeout=30).close()  # noqa: S310  loopback
    return Round(new_request, paused_s, once, closed_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), rounds)
    say = sys.stdout.write
    say(
        "last new request after pause; paused after the last call; each atom once; open calls closed after cancel\n"
    )
    for one in found:
        once = "yes" if one.once else "NO"
        say(f"{one.new_request_s:8.3f} s {one.paused_s:8.3f} s {once:>6} {one.closed_s:8.3f} s\n")
    for name in ("new_request_s", "paused_s", "closed_s"):
        values = [getattr(one, name) for one in found]
        say(f"{name}: median {statistics.median(values):.3f}, max {max(values):.3f}\n")


if __name__ == "__main__":
    main()
