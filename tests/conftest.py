"""What the tests need and this machine may lack: listed as NOT RUN at the end, or a failure where MGE_REQUIRE names it."""

from __future__ import annotations

import os
import shutil
import socket
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from chaos.private_services import Missing, postgres_binaries
from tests.ground import ON_POSTGRES, PROCESS, REQUIRED, SCRATCH, SERVER_URL, SHARED_DATA


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
def _without_initdb() -> str:
    try:
        postgres_binaries()
    except Missing as missing:
        return str(missing)
    return ""


@lru_cache(maxsize=1)
def _isolation() -> str:
    from executions.validation.sandbox.sandbox import Sandbox

    return Sandbox.detect(data_dir=SCRATCH / "data").isolation.value


def _missing(name: str) -> str:
    """Why tests marked `needs_<name>` cannot run here; empty when they can."""
    match name:
        case "postgres":
            return "" if _postgres_answers() else "no PostgreSQL server answers at MGE_TEST_DATABASE_URL"
        case "initdb":
            return _without_initdb()
        case "redis":
            return "" if shutil.which("redis-server") else "redis-server is not installed"
        case "bubblewrap":
            return "" if shutil.which("bwrap") else "bubblewrap is not installed"
        case "sandbox":
            return "" if _isolation() != "none" else "generated code cannot be isolated here"
        case "data":
            return "" if SHARED_DATA.is_dir() else "the shared masterplans are not beside the checkout"
        case "browser":
            return "" if shutil.which("chromium") else "chromium is not installed"
        case "promtool":
            return (
                "" if shutil.which("promtool") else "promtool is not installed (Debian: package prometheus)"
            )
    return f"nothing is known of {name!r}"


NOT_RUN = "NOT RUN: "


def pytest_configure(config: pytest.Config) -> None:
    if ON_POSTGRES and not _postgres_answers():
        raise pytest.UsageError(
            "the suite is to run on PostgreSQL, and no server answers at MGE_TEST_DATABASE_URL"
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With MGE_TEST_SLOW=split a slow test is run on one database only; otherwise every test is run."""
    if os.environ.get("MGE_TEST_SLOW") != "split":
        return
    here = "postgres" if ON_POSTGRES else "sqlite"
    elsewhere = [item for item in items if _slow_on(item) not in ("", here)]
    if elsewhere:
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [item for item in items if _slow_on(item) in ("", here)]


def _slow_on(item: pytest.Item) -> str:
    """The database on which a slow test is run; empty for all others."""
    marker = item.get_closest_marker("slow")
    return "" if marker is None else str(marker.kwargs.get("on", "sqlite"))


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
    if os.getpid() == PROCESS:  # not a fork of a test that ends as we do
        shutil.rmtree(SCRATCH, ignore_errors=True)


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """An empty folder that is gone after the test."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)
