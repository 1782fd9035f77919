"""`doctor`: every setting with its source, what is wrong, and never a secret."""

from __future__ import annotations

import re

import pytest

from mge_site.env import VARIABLES
from tests.site.conftest import Manage

pytestmark = pytest.mark.needs_sandbox


def _wrong(output: str) -> list[str]:
    return re.findall(r"^  WRONG (\S+)", output, re.MULTILINE)


def test_on_a_new_machine_nothing_is_wrong(manage: Manage) -> None:
    done = manage("doctor")

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("nothing is wrong")
    for variable in VARIABLES:
        assert re.search(rf"^  ok    {variable.name} .*\[", done.stdout, re.MULTILINE), variable.name


def test_a_given_key_changes_nothing_about_that(manage: Manage) -> None:
    done = manage("doctor", MGE_SECRET_KEY="Zk3vQ9-r7Lw2Xn8Tb5Yc1Hd6Jf4Gm0PsUaEi")

    assert done.returncode == 0, done.stdout + done.stderr


def test_unknown_names_are_wrong_and_get_a_suggestion(manage: Manage) -> None:
    done = manage("doctor", MGE_WORKRES="3")

    assert done.returncode == 1
    assert _wrong(done.stdout) == ["MGE_WORKRES"]
    assert "did you mean MGE_WORKERS?" in done.stdout
    assert "1 things are wrong" in done.stdout


def test_no_secret_is_shown(manage: Manage) -> None:
    done = manage(
        "doctor",
        MGE_SECRET_KEY="hush-Zk3vQ9r7Lw2Xn8Tb5Yc1Hd6Jf4Gm0PsUaEi",
        ANTHROPIC_API_KEY="hush-hush-key",
        ANTHROPIC_BASE_URL="http://user:hush-password@127.0.0.1:9",
        REDIS_URL="redis://:hush-redis@127.0.0.1:9/0",
        DATABASE_URL="postgres://user:hush-database@127.0.0.1:9/none",
    )

    assert "hush" not in done.stdout + done.stderr
    assert re.search(r"^  ok    ANTHROPIC_API_KEY +set  \[environment\]", done.stdout, re.MULTILINE)
    assert "127.0.0.1:9" in done.stdout


def test_a_database_that_does_not_answer_is_wrong(manage: Manage) -> None:
    done = manage("doctor", DATABASE_URL="postgres://user@127.0.0.1:9/none")

    assert done.returncode == 1
    assert "connection" in _wrong(done.stdout)
    assert "Traceback" not in done.stderr


def test_a_schema_that_is_behind_is_wrong(manage: Manage, data_dir: object) -> None:
    done = manage("doctor", DATABASE_URL=f"sqlite:///{data_dir}-other.sqlite3")

    assert done.returncode == 1
    assert "schema" in _wrong(done.stdout)
    assert "manage.py migrate" in done.stdout


def test_running_generated_code_without_isolation_is_wrong(manage: Manage) -> None:
    done = manage("doctor", MGE_EXECUTION="unisolated, I accept", PATH="/nowhere")

    if "unisolated: generated code runs with your rights" in done.stdout:
        assert done.returncode == 1
        assert "level" in _wrong(done.stdout)
    else:
        # Something isolates here even without bubblewrap: the permission is not made use of.
        assert "level" not in _wrong(done.stdout)
