"""The signing key: made once, kept to oneself, never a placeholder."""

from __future__ import annotations

import secrets
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mge_site.env import BadSetting
from mge_site.secret_key import PLACEHOLDERS, SHORTEST, check_key, made_key
from tests.ground import ROOT


def test_it_is_made_once_and_only_the_owner_may_read_it(scratch: Path) -> None:
    folder = scratch / "new" / "data"

    first = made_key(folder)

    assert made_key(folder) == first
    assert len(first) >= SHORTEST
    file = folder / "secret-key"
    assert file.read_text(encoding="ascii") == first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in folder.iterdir()] == ["secret-key"]


def test_two_folders_get_two_keys(scratch: Path) -> None:
    assert made_key(scratch / "one") != made_key(scratch / "two")


def test_processes_that_start_at_once_get_the_same_key(scratch: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mge_site.secret_key import made_key;"
        " sys.stdin.read(); print(made_key(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, str(scratch / "data")]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    # They wait for the end of their input, so that all go at once.
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    keys = {process.stdout.read().strip() for process in processes if process.stdout is not None}
    for process in processes:
        assert process.wait(timeout=60) == 0
        assert process.stdout is not None
        process.stdout.close()

    assert len(keys) == 1
    assert made_key(scratch / "data") in keys


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 40])
def test_a_file_without_a_usable_key_is_named_and_not_overwritten(scratch: Path, content: bytes) -> None:
    file = scratch / "secret-key"
    file.write_bytes(content)

    with pytest.raises(BadSetting, match="secret-key holds no usable key"):
        made_key(scratch)

    assert file.read_bytes() == content


def test_a_data_folder_that_cannot_be_one_is_named(scratch: Path) -> None:
    file = scratch / "file"
    file.write_text("x", encoding="ascii")

    with pytest.raises(BadSetting, match="MGE_DATA_DIR"):
        made_key(file)
    with pytest.raises(BadSetting, match="MGE_DATA_DIR"):
        made_key(file / "below")


@pytest.mark.parametrize("word", PLACEHOLDERS)
def test_placeholders_are_refused_without_being_shown(word: str) -> None:
    key = f"{word.upper()}-{secrets.token_urlsafe(40)}"

    with pytest.raises(BadSetting) as caught:
        check_key(key, "MGE_SECRET_KEY")

    assert "MGE_SECRET_KEY looks like a placeholder" in str(caught.value)
    assert key not in str(caught.value)


@pytest.mark.parametrize("key", ["", "aB3$" * 7, "a" * 64, "ab" * 32])
def test_weak_keys_are_refused_without_being_shown(key: str) -> None:
    with pytest.raises(BadSetting) as caught:
        check_key(key, "SECRET_KEY")

    assert "too weak" in str(caught.value)
    assert not key or key not in str(caught.value)


def test_a_random_key_is_taken() -> None:
    key = secrets.token_urlsafe(64)

    assert check_key(key, "MGE_SECRET_KEY") == key
