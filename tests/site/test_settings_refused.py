"""Settings that cannot be used end every command with status 2 and one clear message."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.site.conftest import Manage

BAD: dict[str, tuple[dict[str, str], list[str]]] = {
    "several at once": (
        {"MGE_WORKERS": "many", "MGE_DEBUG": "perhaps"},
        ["MGE_WORKERS: 'many'", "MGE_DEBUG: 'perhaps'"],
    ),
    "a placeholder for a key": (
        {"SECRET_KEY": "django-insecure-hush-hush-hush-hush-hush-1"},
        ["placeholder"],
    ),
    "a short key": ({"MGE_SECRET_KEY": "hush7"}, ["MGE_SECRET_KEY is too weak"]),
    "an unreadable secret": ({"ANTHROPIC_API_KEY_FILE": "/nowhere/at/all"}, ["cannot read /nowhere/at/all"]),
    "no address": ({"DATABASE_URL": "hush://user:hush7@host/name"}, ["DATABASE_URL"]),
    "another database": ({"DATABASE_URL": "mysql://user:hush7@host/name"}, ["postgres:// and sqlite://"]),
    "an address that is none": ({"DATABASE_URL": "hush7"}, ["DATABASE_URL"]),
    "a port that is none": ({"DATABASE_URL": "postgres://user:hush7@host:hush8/name"}, ["DATABASE_URL"]),
    "a pool": ({"DATABASE_URL": "postgres://user:hush7@host/name?pool=true"}, ["DATABASE_URL", "pool"]),
    "a host with a port": ({"MGE_HOST": "127.0.0.1:8000"}, ["MGE_HOST", "without a port"]),
    "a host that is none": ({"MGE_HOST": "300.1.1.1"}, ["MGE_HOST"]),
    "a queue that is none": ({"REDIS_URL": "http://:hush7@host/0"}, ["REDIS_URL", "redis://"]),
    "a queue without a database": ({"REDIS_URL": "redis://:hush7@host/one"}, ["REDIS_URL"]),
    "a queue at no port": ({"REDIS_URL": "redis://:hush7@host:hush8/0"}, ["REDIS_URL"]),
    "a data folder that is a file": ({"MGE_DATA_DIR": "/dev/null"}, ["MGE_DATA_DIR"]),
    "a data folder below a file": ({"MGE_DATA_DIR": "/dev/null/data"}, ["MGE_DATA_DIR"]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_setting_ends_the_command_with_a_message_and_no_secret(manage: Manage, name: str) -> None:
    environment, said = BAD[name]

    done = manage("check", **environment)

    assert done.returncode == 2, done.stderr
    assert all(words in done.stderr for words in said), done.stderr
    assert "Traceback" not in done.stderr
    assert "hush" not in done.stdout + done.stderr


def test_nothing_needs_to_be_set(manage: Manage, data_dir: Path) -> None:
    done = manage("check")

    assert done.returncode == 0, done.stderr
    assert (data_dir / "secret-key").exists()


def test_a_key_from_the_environment_is_used_and_none_is_made(manage: Manage, data_dir: Path) -> None:
    key = "Zk3vQ9-r7Lw2Xn8Tb5Yc1Hd6Jf4Gm0PsUaEi"
    code = "from django.conf import settings; print(settings.SECRET_KEY)"

    done = manage("shell", "--no-imports", "-c", code, MGE_SECRET_KEY=key, SECRET_KEY=key[::-1])

    assert done.stdout.strip() == key, done.stderr
    assert not (data_dir / "secret-key").exists()
