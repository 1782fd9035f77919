#!/usr/bin/env python3
"""Drive a masterplan by REST alone, with nothing but the standard library.

    python examples/rest_client.py http://127.0.0.1:8000 mge_… examples/ledgerly.yaml --zip ledgerly.zip

stores the plan, starts it, shows how far it is, pauses once and resumes, and brings the project home. A token is made by
`manage.py token create USERNAME`. Exit status: 0 all atoms succeeded, 1 some did not, 2 the site refused something.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

ENDED = {"completed", "failed", "cancelled"}
TRIES = 5
"""How often a request is sent while the connection breaks."""


class Refused(Exception):
    """The site answered with an error."""


class Site:
    """The REST interface of one site, as one user."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        kind: str = "application/json",
        key: str | None = None,
    ) -> bytes:
        """The body of the answer. A throttled request is made again when the site says so.

        With an idempotency key it acts once, however often it is sent: then also when the connection broke.
        """
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind}
        if key is not None:
            headers["Idempotency-Key"] = key
        broken = 0
        while True:
            request = urllib.request.Request(self._url + path, body, headers, method=method)  # noqa: S310
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                    content: bytes = answer.read()
                    return content
            except urllib.error.HTTPError as error:
                if error.code != 429:
                    raise Refused(f"{method} {path}: {error.code} {_why(error.read())}") from None
                time.sleep(float(error.headers["Retry-After"]))
            except OSError:
                broken += 1
                if key is None or broken == TRIES:
                    raise
                time.sleep(broken)

    def get(self, path: str) -> Any:
        return json.loads(self.ask("GET", path))

    def post(self, path: str, **body: Any) -> Any:
        return json.loads(self.ask("POST", path, json.dumps(body).encode(), key=str(uuid.uuid4())))

    def store(self, file: Path) -> Any:
        kind = "application/yaml" if file.suffix in {".yaml", ".yml"} else "application/json"
        stored = json.loads(self.ask("POST", "/api/v2/masterplans/", file.read_bytes(), kind))
        if "masterplans" in stored:
            raise Refused(f"{file} holds {len(stored['masterplans'])} masterplans; this example drives one")
        return stored


def _why(body: bytes) -> str:
    try:
        answer = json.loads(body)
    except ValueError:
        return body[:200].decode(errors="replace")
    lines = [f"\n  {one['place']}: {one['message']}" for one in answer.get("problems", [])]
    return str(answer.get("detail", "")) + "".join(lines)


def drive(site: Site, file: Path, archive: Path, *, confirm_cost: bool) -> bool:
    """From the plan's file to the zip archive of its project. Whether every atom succeeded."""
    masterplan = site.store(file)
    say(
        f"masterplan {masterplan['id']}: {masterplan['atoms_total']} atoms in {masterplan['waves_total']} waves"
    )
    started = site.post("/api/v2/execution/start", masterplan_id=masterplan["id"], confirm_cost=confirm_cost)
    execution = f"/api/v2/execution/{started['execution_id']}"
    say(f"execution {started['execution_id']}: {started['message']}")
    paused = False
    while True:
        progress = site.get(f"{execution}/progress")
        say(
            f"{progress['state']}: wave {progress['current_wave']} of {progress['total_waves']},"
            f" {progress['atoms_completed']} of {progress['atoms_total']} atoms ({progress['completion_percent']:.0f} %)"
        )
        if progress["status"] in ENDED:
            break
        if not paused and progress["atoms_completed"] * 3 >= progress["atoms_total"]:
            pause_and_resume(site, execution)
            paused = True
        time.sleep(0.5)
    archive.write_bytes(site.ask("GET", f"/api/v2/executions/{started['execution_id']}/export/"))
    metrics = site.get(f"{execution}/metrics")
    say(
        f"{metrics['status']}: precision {metrics['precision_percent']:.1f} %, {metrics['total_cost_usd']:.4f} USD,"
        f" {metrics['total_time_seconds']:.1f} s; the project is in {archive}"
    )
    return bool(metrics["atoms_succeeded"] == metrics["atoms_total"])


def pause_and_resume(site: Site, execution: str) -> None:
    """Pause, see that nothing moves once it is paused, and go on."""
    say(site.post(f"{execution}/pause")["message"])
    while (state := site.get(execution)["state"]) == "pausing":
        time.sleep(0.2)
    if state in ENDED:
        return
    before = site.get(f"{execution}/progress")
    time.sleep(1)
    after = site.get(f"{execution}/progress")
    say(f"{state}: {before['atoms_completed']} atoms had ended, a second later {after['atoms_completed']}")
    say(site.post(f"{execution}/resume")["message"])


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description="Drive a masterplan by REST alone.")
    parser.add_argument("url", metavar="URL", help="of the site, e.g. http://127.0.0.1:8000")
    parser.add_argument("token", metavar="TOKEN", help="from `manage.py token create USERNAME`")
    parser.add_argument("plan", metavar="FILE", type=Path, help="a masterplan, JSON or YAML")
    parser.add_argument(
        "--zip", metavar="FILE", type=Path, default=Path("project.zip"), help="where the project goes"
    )
    parser.add_argument(
        "--confirm-cost", action="store_true", help="agree to pay for a model that has a price"
    )
    arguments = parser.parse_args()
    try:
        whole = drive(
            Site(arguments.url, arguments.token),
            arguments.plan,
            arguments.zip,
            confirm_cost=arguments.confirm_cost,
        )
    except (Refused, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
