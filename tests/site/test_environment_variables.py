"""The environment: every variable by name or by file, every mistake told, no secret ever shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mge_site.env import VARIABLES, Environment, read, unknown

BY_NAME = {variable.name: variable for variable in VARIABLES}
SECRETS = [variable.name for variable in VARIABLES if variable.secret]

GOOD: list[tuple[str, str, Any]] = [
    ("MGE_DATA_DIR", "/srv/mge", Path("/srv/mge")),
    ("MGE_DEBUG", "on", True),
    ("MGE_DEBUG", "YES", True),
    ("MGE_DEBUG", "0", False),
    ("MGE_LOG_LEVEL", "DEBUG", "DEBUG"),
    ("ANTHROPIC_BASE_URL", "http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
    ("MGE_WORKERS", "64", 64),
    ("MGE_MAX_CONCURRENCY", "1", 1),
    ("MGE_SLICE_SECONDS", "2.5", 2.5),
    ("MGE_SCRIPTED_ANSWERS", "a.json:b", (Path("a.json"), Path("b"))),
    ("MGE_EXECUTION", "unisolated, I accept", "unisolated, I accept"),
]

BAD: list[tuple[str, str, str]] = [
    ("MGE_DEBUG", "maybe", "on or off"),
    ("MGE_LOG_LEVEL", "LOUD", "one of"),
    ("ANTHROPIC_BASE_URL", "localhost:8000", "http://"),
    ("MGE_WORKERS", "0", "from 1 to 64"),
    ("MGE_WORKERS", "65", "from 1 to 64"),
    ("MGE_WORKERS", "three", "not usable"),
    ("MGE_WORKERS", "2.5", "not usable"),
    ("MGE_SLICE_SECONDS", "0", "from 1 to 3600"),
    ("MGE_SLICE_SECONDS", "nan", "from 1 to 3600"),
    ("MGE_SLICE_SECONDS", "inf", "from 1 to 3600"),
    ("MGE_SCRIPTED_NEAR_MISS_SHARE", "1.1", "from 0 to 1"),
    ("MGE_EXECUTION", "unisolated", "one of"),
    ("MGE_NODE_ID", "me", "not usable"),
]


@pytest.mark.parametrize("name", BY_NAME)
def test_nothing_set_means_the_default(name: str) -> None:
    for environ in ({}, {name: ""}):
        found = read(BY_NAME[name], environ)
        assert (found.value, found.source, found.error) == (BY_NAME[name].default, "default", "")


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_a_good_value_is_taken(name: str, text: str, value: Any) -> None:
    found = read(BY_NAME[name], {name: text})

    assert (found.value, found.source, found.error) == (value, "environment", "")


@pytest.mark.parametrize(("name", "text", "said"), BAD)
def test_a_bad_value_is_named_and_the_default_kept(name: str, text: str, said: str) -> None:
    found = read(BY_NAME[name], {name: text})

    assert found.value == BY_NAME[name].default
    assert found.error.startswith(f"{name}: '{text}'")
    assert said in found.error


CANDIDATES = (
    "1",
    "sqlite",
    "INFO",
    "all",
    "isolated",
    "localhost",
    "http://localhost:1",
    "redis://localhost",
    "6f2b6d0e-0000-7000-8000-000000000000",
)


@pytest.mark.parametrize("name", BY_NAME)
def test_every_variable_can_come_from_a_file(name: str, scratch: Path) -> None:
    text = next(one for one in CANDIDATES if not read(BY_NAME[name], {name: one}).error)
    file = scratch / "value"
    file.write_text(f"  {text}\n", encoding="utf-8")

    found = read(BY_NAME[name], {f"{name}_FILE": str(file)})

    assert (found.error, found.source) == ("", f"{name}_FILE")
    assert found.value == read(BY_NAME[name], {name: text}).value


@pytest.mark.parametrize("name", BY_NAME)
def test_a_variable_and_its_file_at_once_are_a_mistake(name: str, scratch: Path) -> None:
    file = scratch / "value"
    file.write_text("1", encoding="utf-8")

    found = read(BY_NAME[name], {name: "1", f"{name}_FILE": str(file)})

    assert found.error == f"{name} and {name}_FILE are both set; keep one"


@pytest.mark.parametrize("kind", ["missing", "folder", "not text"])
def test_a_file_that_cannot_be_read_is_named(scratch: Path, kind: str) -> None:
    file = scratch / "value"
    if kind == "folder":
        file.mkdir()
    elif kind == "not text":
        file.write_bytes(b"\xff\xfe\x00secret")

    found = read(BY_NAME["ANTHROPIC_API_KEY"], {"ANTHROPIC_API_KEY_FILE": str(file)})

    assert found.error.startswith(f"ANTHROPIC_API_KEY_FILE: cannot read {file}")
    assert found.value == ""


def test_all_mistakes_are_told_at_once() -> None:
    environment = Environment(
        {"MGE_WORKERS": "x", "MGE_DEBUG": "x", "MGE_SLICE_SECONDS": "x", "MGE_MODEL": "m"}
    )

    assert [error.partition(":")[0] for error in environment.errors()] == [
        *("MGE_DEBUG", "MGE_WORKERS", "MGE_SLICE_SECONDS")
    ]
    assert environment["MGE_MODEL"] == "m"


def test_unknown_names_are_told_with_the_nearest_known_one() -> None:
    sentences = unknown(
        {"MGE_WORKRES": "1", "MGE_QQQQQQQQ": "1", "MGE_MODEL_FILE": "x", "MGE_MODEL": "x", "PATH": "x"}
    )

    assert sentences == [
        "MGE_QQQQQQQQ is not a setting",
        "MGE_WORKRES is not a setting; did you mean MGE_WORKERS?",
    ]


def test_a_password_in_an_address_is_not_shown() -> None:
    found = read(BY_NAME["ANTHROPIC_BASE_URL"], {"ANTHROPIC_BASE_URL": "ftp://user:hush-hush-7@host/x@y"})

    assert "ftp://host/x@y" in found.error
    assert "hush" not in found.error


@pytest.mark.parametrize("name", SECRETS)
def test_no_mistake_shows_a_secret(name: str, scratch: Path) -> None:
    file = scratch / "value"
    file.write_text("hush-hush-7", encoding="utf-8")
    both = {name: "hush-hush-7", f"{name}_FILE": str(file)}

    assert "hush" not in read(BY_NAME[name], both).error


def test_what_may_hold_a_secret_is_marked_as_one() -> None:
    assert {"MGE_SECRET_KEY", "SECRET_KEY", "DATABASE_URL", "REDIS_URL", "ANTHROPIC_API_KEY"} <= set(SECRETS)
    for name in BY_NAME:
        if any(word in name for word in ("KEY", "SECRET", "PASSWORD", "TOKEN")):
            assert name in SECRETS


def test_every_variable_is_described_and_has_one_entry() -> None:
    assert len(BY_NAME) == len(VARIABLES)
    assert all(variable.description for variable in VARIABLES)
