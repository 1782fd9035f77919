"""Commands as processes, in data folders of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ground import ROOT

Manage = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def data_dir(scratch: Path) -> Path:
    """A data folder that does not exist yet."""
    return scratch / "data"


@pytest.fixture
def manage(data_dir: Path) -> Manage:
    """Run a command to its end with nothing set but the data folder and what is given."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        mine = ("MGE_", "ANTHROPIC_")
        plain = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
        for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE"):
            plain.pop(name, None)
        return subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *(str(one) for one in arguments)],
            cwd=ROOT,
            env={**plain, "MGE_DATA_DIR": str(data_dir), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run
