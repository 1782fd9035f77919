"""The suite's ground: a data folder of its own, no endpoint from outside, and a list of what could not run here."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"
ON_POSTGRES = os.environ.get("MGE_TEST_ENGINE") == "postgres"
SERVER_URL = os.environ.get("MGE_TEST_DATABASE_URL", "")
REQUIRED = {word.strip() for word in os.environ.get("MGE_REQUIRE", "").split(",") if word.strip()}
_SCRATCH = Path(tempfile.mkdtemp(prefix="mge-tests-"))


def _clean_environment() -> None:
    """Before Django reads its settings: nothing of the caller's endpoint, keys or database may reach a test."""
    for name in list(os.environ):
        if name.startswith(("ANTHROPIC_", "MGE_")) or name in {"DATABASE_URL", "REDIS_URL", "SECRET_KEY"}:
            del os.environ[name]
    os.environ["MGE_DATA_DIR"] = str(_SCRATCH / "data")
    os.environ["MGE_SCRIPTED_LATENCY"] = "0"
    if ON_POSTGRES:
        os.environ["DATABASE_URL"] = SERVER_URL


_clean_environment()


@lru_cache(maxsize=1)
def _postgres_answers() -> bool:
    if not SERVER_URL:
        return False
    parts = urlsplit(SERVER_URL)
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 5432), timeout=3):
            return True
    except OSError:
        return False


@lru_cache(maxsize=1)
def _isolation() -> str:
    from executions.validation.sandbox.sandbox import Sandbox

    return Sandbox.detect(data_dir=_SCRATCH / "data").isolation.value


def _missing(name: str) -> str:
    """Why tests marked `needs_<name>` cannot run here; empty when they can."""
    match name:
        case "postgres":
            return "" if _postgres_answers() else "no PostgreSQL server answers at MGE_TEST_DATABASE_URL"
        case "bubblewrap":
            return "" if shutil.which("bwrap") else "bubblewrap is not installed"
        case "sandbox":
            return "" if _isolation() != "none" else "generated code cannot be isolated here"
        case "data":
            return "" if SHARED_DATA.is_dir() else "the shared masterplans are not beside the checkout"
        case "browser":
            return "" if shutil.which("chromium") else "chromium is not installed"
    return f"nothing is known of {name!r}"


_not_run: dict[str, int] = {}


def pytest_configure(config: pytest.Config) -> None:
    if ON_POSTGRES and not _postgres_answers():
        raise pytest.UsageError(
            "the suite is to run on PostgreSQL, and no server answers at MGE_TEST_DATABASE_URL"
        )


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers():
        name = marker.name.removeprefix("needs_")
        reason = _missing(name) if marker.name.startswith("needs_") else ""
        if not reason:
            continue
        if name in REQUIRED:
            pytest.fail(f"MGE_REQUIRE names {name}, but {reason}")
        _not_run[reason] = _not_run.get(reason, 0) + 1
        pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reason, count in sorted(_not_run.items()):
        terminalreporter.write_line(f"NOT RUN: {count} tests: {reason}", yellow=True)


def pytest_unconfigure() -> None:
    shutil.rmtree(_SCRATCH, ignore_errors=True)


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """An empty folder that is gone after the test."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)
