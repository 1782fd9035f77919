"""What the documents point to is there: tests, make targets, pages, commands."""

from __future__ import annotations

import re

import pytest
from django.core.management import get_commands

from tests.ground import ROOT

PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "SECURITY.md"]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("name", NAMES)
def test_tests_that_a_page_names_exist(name: str) -> None:
    named = set(re.findall(r"`((?:tests|benchmarks|executions|chaos)/[\w/.]+)`", _text(name)))

    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", NAMES)
def test_make_targets_that_a_page_names_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    assert set(re.findall(r"`make ([a-z-]+)", _text(name))) <= targets


@pytest.mark.parametrize("name", NAMES)
def test_commands_that_a_page_names_exist(name: str) -> None:
    named = set(re.findall(r"manage\.py ([a-z_]+)", _text(name)))

    assert named <= set(get_commands())


@pytest.mark.parametrize("name", NAMES)
def test_links_to_files_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", _text(name))

    assert [one for one in links if not (ROOT / name).parent.joinpath(one).exists()] == []


def test_every_promise_names_its_tests() -> None:
    rows = [
        line for line in _text("docs/guarantees.md").splitlines() if line.startswith("| ") and "**" in line
    ]

    assert len(rows) > 10
    for row in rows:
        assert re.search(r"`(tests/\w+/\w+\.py|make [a-z-]+)`", row.strip(" |").rpartition(" | ")[2]), row


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")
