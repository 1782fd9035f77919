"""The suite's ground, loaded as a plugin before Django reads its settings (`-p tests.ground` in pyproject.toml).

Reads what the suite itself is told by the environment, then cleans it: nothing of the caller's endpoint, keys, database or
data folder may reach a test.
"""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"
ON_POSTGRES = os.environ.get("MGE_TEST_ENGINE") == "postgres"
SERVER_URL = os.environ.get("MGE_TEST_DATABASE_URL", "")
REQUIRED = {word.strip() for word in os.environ.get("MGE_REQUIRE", "").split(",") if word.strip()}
PROCESS = os.getpid()
SCRATCH = Path(tempfile.mkdtemp(prefix="mge-tests-"))
"""This process's own; removed at its end."""


def _clean_environment() -> None:
    for name in list(os.environ):
        if name == "MGE_REQUIRE" or name.startswith("MGE_TEST_"):
            continue  # the suite's own; its parallel processes read them again
        if name.startswith(("ANTHROPIC_", "MGE_")) or name in {"DATABASE_URL", "REDIS_URL", "SECRET_KEY"}:
            del os.environ[name]
    os.environ["MGE_DATA_DIR"] = str(SCRATCH / "data")
    os.environ["MGE_SCRIPTED_LATENCY"] = "0"
    if ON_POSTGRES:
        os.environ["DATABASE_URL"] = SERVER_URL


def _ctrl_c_works() -> None:
    """A suite in the background of a shell is started deaf to it, and so would be every command that a test starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


_clean_environment()
_ctrl_c_works()
