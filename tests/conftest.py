"""The suite's ground: a data folder of its own, no endpoint from outside, and a list of what could not run here."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.ground import ON_POSTGRES, REQUIRED, SERVER_URL, SHARED_DATA

_SCRATCH = Path(tempfile.mkdtemp(prefix="mge-tests-"))


def _clean_environment() -> None:
    """Before Django reads its settings: nothing of the caller's endpoint, keys or database may reach a test."""
    for name in list(os.environ):
        if name == "MGE_REQUIRE" or name.startswith("MGE_TEST_"):
            continue  # the suite's own; its parallel processes read them again
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
        case "promtool":
            return "" if shutil.which("promtool") else "promtool is not installed (Debian: package prometheus)"
    return f"nothing is known of {name!r}"


NOT_RUN = "NOT RUN: "


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
        pytest.skip(NOT_RUN + reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", [])]
    reasons = Counter(text.partition(NOT_RUN)[2] for text in skipped if NOT_RUN in text)
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{NOT_RUN}{count} tests: {reason}", yellow=True)


def pytest_unconfigure() -> None:
    shutil.rmtree(_SCRATCH, ignore_errors=True)


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """An empty folder that is gone after the test."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)
