"""A scripted model of a test's own, as a process, asked about what it saw."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent


class ScriptedServer:
    """`with ScriptedServer("--answers", file, …) as server:`; ends with the block."""

    def __init__(self, *arguments: object) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mge-scripted-")
        self._port_file = Path(self._folder.name) / "port.json"
        command = [sys.executable, str(ROOT / "manage.py"), "scripted_model", "--port", "0"]
        command += ["--port-file", str(self._port_file), *(str(one) for one in arguments)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=self._folder.name
        )
        self.url = ""

    def __enter__(self) -> Self:
        deadline = time.monotonic() + 60
        while not self._port_file.exists():
            if self._process.poll() is not None:
                raise AssertionError(
                    f"the scripted model ended: {self._process.stderr.read() if self._process.stderr else ''!r}"
                )
            if time.monotonic() > deadline:
                raise AssertionError("the scripted model did not start")
            time.sleep(0.02)
        self.url = f"http://127.0.0.1:{json.loads(self._port_file.read_text(encoding='utf-8'))['port']}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:  # noqa: S310  our own loopback server
            return json.load(answer)

    def stats(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get("/stats")
        return found

    def script(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get("/script")
        return found

    def log(self) -> list[dict[str, Any]]:
        found = self.get("/log")
        entries: list[dict[str, Any]] = found["requests"] if isinstance(found, dict) else found
        return entries
