"""The scripted model as a process of the harness: it outlives every fault and counts what it was asked."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.private_services import ends_with_us
from chaos.waiting import wait_for


@dataclass(frozen=True, slots=True)
class Counts:
    """What the scripted model has counted so far."""

    calls: int
    in_flight: int
    max_in_flight: int
    complete: int
    """Whole answers given."""
    per_atom: dict[str, int]
    """Ended calls by the atom's key."""


class ModelProcess:
    """`with ModelProcess(…) as model:`; ends with the block."""

    def __init__(self, python: Path, root: Path, folder: Path, arguments: Sequence[object]) -> None:
        """`folder` gets its port and its log of requests."""
        folder.mkdir(parents=True, exist_ok=True)
        self._port_file = folder / "port.json"
        command = [str(python), str(root / "manage.py"), "scripted_model", "--port", "0"]
        command += ["--port-file", str(self._port_file), "--log", str(folder / "requests.jsonl")]
        with (folder / "output.txt").open("wb") as sink:
            self._process = subprocess.Popen(
                [*command, *(str(one) for one in arguments)],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                cwd=root,
                start_new_session=True,
                preexec_fn=ends_with_us(),
            )
        self._output = folder / "output.txt"
        self._port = 0
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> ModelProcess:
        wait_for(self._listens, "the scripted model listens", seconds=60)
        self._port = json.loads(self._port_file.read_text(encoding="utf-8"))["port"]
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()
        self._process.kill()
        self._process.wait()

    def _listens(self) -> bool:
        if self._process.poll() is not None:
            said = self._output.read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"the scripted model ended: {said.strip()[-500:]}")
        return self._port_file.exists()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def counts(self) -> Counts:
        found = self._get("/stats")
        return Counts(
            found["calls"],
            found["in_flight"],
            found["max_in_flight"],
            found["complete_answers"],
            found["calls_per_atom"],
        )

    def expected_attempts(self) -> dict[str, dict[str, int]]:
        """By plan and atom: how many attempts each needs without any fault."""
        plans: dict[str, dict[str, int]] = self._get("/script")["plans"]
        return plans

    def _get(self, path: str) -> Any:
        """Over one connection that is kept: moments are caught by asking every few milliseconds."""
        for again in (False, True):
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            try:
                self._connection.request("GET", path)
                return json.loads(self._connection.getresponse().read())
            except (http.client.HTTPException, ConnectionError):
                self._connection.close()
                self._connection = None
                if again:
                    raise
        return None
