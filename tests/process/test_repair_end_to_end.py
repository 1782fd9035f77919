"""Retry, rollback, fork and a hand repair over REST, with real workers: what is unchanged is not paid again.

The count is the scripted model's own, which knows nothing of the product.
"""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.plans import adder, layers, plan, write_plan, wrong
from tests.product import Product, endpoint, wait_for
from tests.scripted import ScriptedServer

pytestmark = [pytest.mark.slow(on="postgres"), pytest.mark.needs_sandbox]

WAVES = layers(3, 3, 2, 2, 1)
STUBBORN = {
    **adder("stubborn", depends_on=["a1.0"], amount=5),
    # What the model answers, again and again; a person knows better.
    "reference_solution": "def add_stubborn(x: int) -> int:\n    return None\n",
}
BEHIND = adder("behind", depends_on=["stubborn"], amount=2)
PLAN = plan(*WAVES, STUBBORN, BEHIND, name="five waves")
WAVE_OF = {
    **{atom["key"]: int(atom["key"][1]) for atom in WAVES},
    "stubborn": 2,
    "behind": 3,
}


@dataclass(frozen=True)
class Site:
    url: str
    token: str
    model: ScriptedServer

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any, dict[str, str]]:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310  loopback
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  loopback
                return answer.status, json.load(answer), dict(answer.headers)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read()!r}") from error

    def get(self, path: str) -> Any:
        return self.ask("GET", path)[1]

    def done(self, execution: str, run: int) -> dict[str, Any]:
        """The execution, as soon as this run of it has completed."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.get(f"/api/v2/executions/{execution}/")
            return found if found["status"] == "completed" and found["run_number"] == run else None

        found: dict[str, Any] = wait_for(look, f"run {run} completes", seconds=120)
        return found

    def calls(self) -> dict[str, int]:
        """Requests per atom, as the model counted them."""
        counted: dict[str, int] = self.model.stats()["calls_per_atom"]
        return counted


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Atoms that were asked for in between, and how often."""
    return {key: count - before.get(key, 0) for key, count in after.items() if count > before.get(key, 0)}


@pytest.fixture
def site(scratch: Path) -> Iterator[Site]:
    file = write_plan(scratch / "plan", PLAN, [wrong(WAVES[0])])
    misses = scratch / "plan" / "plan-near-miss.json"
    with ScriptedServer("--answers", file, "--near-misses", misses, "--near-miss-share", "1") as model:
        product = Product(scratch / "site", MGE_WORKERS="1", **endpoint(model.url))
        try:
            if "DATABASE_URL" not in product.environment:
                assert product.manage("migrate", "--verbosity", "0").returncode == 0
            with socket.create_server(("127.0.0.1", 0)) as door:
                port = door.getsockname()[1]
            product.start("runserver", "--noreload", f"127.0.0.1:{port}")
            product.start("qcluster")
            make = "from django.contrib.auth.models import User; User.objects.create_user('ada')"
            assert product.manage("shell", "-c", make).returncode == 0
            token = product.manage("token", "create", "ada").stdout.strip()
            found = Site(f"http://127.0.0.1:{port}", token, model)
            wait_for(lambda: ready(found), "the site is ready", seconds=120)
            yield found
            checked = product.manage("fsck")
            assert checked.returncode == 0, checked.stdout + checked.stderr
        finally:
            product.close()


def ready(site: Site) -> bool:
    try:
        with urllib.request.urlopen(f"{site.url}/readyz", timeout=5) as answer:  # noqa: S310  loopback
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def history(site: Site, execution: str, key: str) -> list[tuple[int, str, str, bool]]:
    """(generation, kind, status, superseded) of every attempt at an atom."""
    attempts = site.get(f"/api/v2/executions/{execution}/atoms/{key}/")["all_attempts"]
    assert all(one["code"] for one in attempts), "what was replaced stays readable"
    return [(one["generation"], one["kind"], one["status"], one["superseded"]) for one in attempts]


def test_what_is_unchanged_is_not_paid_again(site: Site) -> None:
    stored = site.ask("POST", "/api/v2/masterplans/", PLAN)[1]
    body = {"masterplan_id": stored["id"], "settings": {"max_attempts": 2}}
    execution = site.ask("POST", "/api/v2/execution/start", body)[1]["execution_id"]
    base = f"/api/v2/executions/{execution}/"
    first = site.done(execution, 1)
    assert (first["atoms_total"], first["atoms_succeeded"], first["atoms_failed"]) == (13, 11, 1)
    paid = site.calls()
    assert paid == {**dict.fromkeys((atom["key"] for atom in WAVES), 1), "a1.0": 2, "stubborn": 2}

    # A hand repair: the first try is rejected with its issues, the second accepted; neither is paid for.
    bad = {"code": "def add_stubborn(x: int) -> int:\n    return x\n"}
    status, told, _ = site.ask("POST", f"{base}atoms/stubborn/code/", bad)
    assert status == 202
    site.done(execution, 2)
    tried = site.get(f"{base}atoms/stubborn/")["all_attempts"][-1]
    assert (tried["id"], tried["status"], tried["author"]) == (told["attempt_id"], "rejected", "ada")
    assert tried["issues"][0]["severity"] == "ERROR"
    assert site.calls() == paid
    good = {"code": "def add_stubborn(x: int) -> int:\n    return x + 5\n", "why": "I know better"}
    site.ask("POST", f"{base}atoms/stubborn/code/", good)
    mended = site.done(execution, 3)
    assert mended["atoms_succeeded"] == 13
    assert grown(paid, site.calls()) == {"behind": 1}
    paid = site.calls()

    # A retry with dependents: exactly what the preview says, and nothing else.
    again = {"atoms": ["a3.0"], "with_dependents": True}
    preview = site.ask("POST", f"{base}retry/preview/", again)[1]
    assert preview["generated"] == ["a3.0", "a4.0", "a4.1", "a5.0"]
    assert site.calls() == paid
    retried = site.ask("POST", f"{base}retry/", again)[1]
    assert {name: retried[name] for name in preview} == preview
    site.done(execution, 4)
    assert grown(paid, site.calls()) == dict.fromkeys(preview["generated"], 1)
    paid = site.calls()

    # Back to the end of wave 2 of 5: waves 3 to 5 are generated again; the mended atom keeps its code.
    rolled = site.ask("POST", f"{base}rollback/", {"wave": 2, "why": "another way"})[1]
    behind = {key for key, wave in WAVE_OF.items() if wave > 2}
    assert set(rolled["generated"]) == behind
    site.done(execution, 5)
    assert grown(paid, site.calls()) == dict.fromkeys(behind, 1)
    paid = site.calls()
    mended_code = site.get(f"{base}atoms/stubborn/")["code"]
    assert mended_code == good["code"]

    # A fork at wave 3 with another model: waves 4 and 5 are generated by it, the rest is taken over.
    status, fork, headers = site.ask(
        "POST", f"{base}fork/", {"wave": 3, "settings": {"model": "scripted-other"}}
    )
    assert (status, headers["Location"]) == (201, f"/api/v2/executions/{fork['id']}/")
    forked = site.done(fork["id"], 1)
    assert (forked["atoms_succeeded"], forked["calls_total"], forked["model"]) == (13, 3, "scripted-other")
    assert grown(paid, site.calls()) == {"a4.0": 1, "a4.1": 1, "a5.0": 1}
    assert [one["model"] for one in site.model.log()[-3:]] == ["scripted-other"] * 3
    assert history(site, fork["id"], "stubborn") == [(1, "fork", "passed", False)]

    # Everything that was replaced is still there to read.
    assert history(site, execution, "a3.0") == [
        (1, "model", "passed", True),
        (2, "model", "passed", True),
        (3, "model", "passed", False),
    ]
    assert history(site, execution, "stubborn") == [
        (1, "model", "rejected", False),
        (1, "model", "rejected", False),
        (1, "person", "rejected", False),
        (1, "person", "passed", False),
    ]
    assert history(site, execution, "a1.0") == [
        (1, "model", "rejected", False),
        (1, "model", "passed", False),
    ]
    log = site.get(f"{base}events/?limit=1000")["events"]
    assert [one["seq"] for one in log] == list(range(1, len(log) + 1))
    assert [one["type"] for one in log if one["type"].startswith("control.")] == [
        "control.review",
        "control.review",
        "control.retry",
        "control.rollback",
        "control.fork",
    ]
