"""`doctor`: every setting with its source, what is wrong, and never a secret."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mge_site.env import VARIABLES
from tests.site.conftest import Manage

pytestmark = pytest.mark.needs_sandbox


def _wrong(output: str) -> list[str]:
    return re.findall(r"^  WRONG (\S+)", output, re.MULTILINE)


def test_on_a_new_machine_nothing_is_wrong(manage: Manage, data_dir: Path) -> None:
    # With a key given nothing has made the data folder before.
    done = manage("doctor", MGE_SECRET_KEY="Zk3vQ9-r7Lw2Xn8Tb5Yc1Hd6Jf4Gm0PsUaEi")

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("nothing is wrong")
    for variable in VARIABLES:
        assert re.search(rf"^  ok    {variable.name} .*\[", done.stdout, re.MULTILINE), variable.name
    assert re.search(r"^  ok    lint +ruff \d", done.stdout, re.MULTILINE)
    assert re.search(r"^  ok    types +ty \d", done.stdout, re.MULTILINE)
    assert not (data_dir / "secret-key").exists()


def test_all_that_is_wrong_is_told_and_no_secret_is_shown(manage: Manage) -> None:
    done = manage(
        "doctor",
        MGE_WORKRES="3",
        MGE_SECRET_KEY="hush-Zk3vQ9r7Lw2Xn8Tb5Yc1Hd6Jf4Gm0PsUaEi",
        ANTHROPIC_API_KEY="hush-hush-key",
        ANTHROPIC_BASE_URL="http://user:hush-password@127.0.0.1:9",
        REDIS_URL="redis://:hush-redis@127.0.0.1:9/0",
        DATABASE_URL="postgres://user:hush-database@127.0.0.1:9/none",
    )

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "hush" not in done.stdout + done.stderr
    assert {"MGE_WORKRES", "connection"} <= set(_wrong(done.stdout))
    assert "did you mean MGE_WORKERS?" in done.stdout
    assert re.search(r"^  ok    ANTHROPIC_API_KEY +set  \[environment\]", done.stdout, re.MULTILINE)
    assert "http://127.0.0.1:9" in done.stdout


def test_a_schema_that_is_behind_and_no_isolation_are_wrong(manage: Manage, data_dir: Path) -> None:
    done = manage(
        "doctor",
        DATABASE_URL=f"sqlite:///{data_dir}-other.sqlite3",
        MGE_EXECUTION="unisolated, I accept",
        PATH="/nowhere",
    )

    assert done.returncode == 1
    wrong = _wrong(done.stdout)
    assert "schema" in wrong
    assert "manage.py migrate" in done.stdout
    # Where something isolates even without bubblewrap, the permission is not made use of.
    assert ("level" in wrong) == ("unisolated: generated code runs with your rights" in done.stdout)


def test_settings_that_cannot_be_loaded_are_told_in_the_same_table(manage: Manage) -> None:
    done = manage("doctor", MGE_WORKERS="many", DATABASE_URL="postgres://hush:hush@h/d", MGE_WORKRES="1")

    assert done.returncode == 1, done.stderr
    assert set(_wrong(done.stdout)) == {"MGE_WORKERS", "MGE_WORKRES"}
    for variable in VARIABLES:
        assert re.search(rf"^  (ok   |WRONG) {variable.name} ", done.stdout, re.MULTILINE), variable.name
    assert "hush" not in done.stdout
    assert done.stdout.rstrip().endswith("2 things are wrong; nothing else can be looked at")


def test_settings_that_are_refused_as_a_whole_are_told_beside_the_table(manage: Manage) -> None:
    done = manage("doctor", DATABASE_URL="mysql://user:hush@host/name")

    assert done.returncode == 1
    assert _wrong(done.stdout) == ["settings"]
    assert "only postgres:// and sqlite://" in done.stdout
    assert "hush" not in done.stdout


def test_a_model_that_cannot_be_used_does_not_end_the_diagnosis(manage: Manage) -> None:
    done = manage("doctor", MGE_MODEL="nope")

    assert done.returncode == 1
    assert _wrong(done.stdout) == ["model"]
    assert "data folder" in done.stdout


def test_a_queue_that_does_not_answer_is_wrong(manage: Manage) -> None:
    done = manage("doctor", REDIS_URL="redis://:hush@127.0.0.1:9/0")

    assert done.returncode == 1
    assert _wrong(done.stdout) == ["queue"]
    assert "Redis at redis://127.0.0.1:9/0 does not answer" in done.stdout
    assert "hush" not in done.stdout + done.stderr
