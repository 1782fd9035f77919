"""Measurements on one database after the other, each in a process of its own: which one it is, is decided at import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ENGINES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
POSTGRES = "postgres://postgres@127.0.0.1:5432/postgres"
"""Where MGE_TEST_DATABASE_URL names no other."""


def found_on(engine: str, module: str, arguments: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The JSON objects that `python -m module arguments…` prints, one a line, as they come.

    Raises SystemExit when it fails; it has said why on stderr.
    """
    environment = {name: value for name, value in os.environ.items() if name != "MGE_TEST_ENGINE"}
    if engine == "postgres":
        environment["MGE_TEST_ENGINE"] = engine
        environment.setdefault("MGE_TEST_DATABASE_URL", POSTGRES)
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise RuntimeError("no pipe")
        try:
            for line in process.stdout:
                yield json.loads(line)
        except BaseException:
            # Told to stop, or nobody wants more: it takes its site along.
            process.terminate()
            raise
    if process.returncode:
        raise SystemExit(f"{ENGINES[engine]}: the measurement failed, see above")
