"""What is no text, or reads differently from how it runs, goes no further."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.findings import Finding, Severity
from executions.validation.text_gate import MAX_SOURCE_BYTES, read_text


@pytest.mark.parametrize(
    ("source", "rule", "line"),
    [
        (b"x = 1\ny = '\xff'\n", "text-encoding", 2),
        (b"\xff\xfe\x00def", "text-encoding", 1),
        ("x = 1\0", "text-nul", 1),
        ("x = 1\ny = '\u202e'\n", "text-bidi", 2),
        ("x = '\u2066'", "text-bidi", 1),
        ("x = '\ud800'", "text-surrogate", 1),
        ("x" * (MAX_SOURCE_BYTES + 1), "text-too-large", None),
        (b"\xff" * (MAX_SOURCE_BYTES + 1), "text-too-large", None),
        ("é" * (MAX_SOURCE_BYTES // 2 + 1), "text-too-large", None),
        ("#!/bin/sh\n# -*- coding: utf-7 -*-\n", "text-encoding", 2),
    ],
)
def test_it_rejects_what_is_no_plain_text(source: str | bytes, rule: str, line: int | None) -> None:
    found = read_text(source)
    assert isinstance(found, Finding)
    assert (found.severity, found.rule, found.line) == (Severity.CRITICAL, rule, line)


@pytest.mark.parametrize(
    "source",
    ["", "x = 'Grüße, 世界 🎉'\n", "# -*- coding: utf-8 -*-\nx = 1\n", "x" * MAX_SOURCE_BYTES, "\ufeffx = 1"],
)
def test_it_lets_every_plain_text_through(source: str) -> None:
    assert read_text(source) == source.removeprefix("\ufeff")
    assert read_text(source.encode()) == source.removeprefix("\ufeff")


@given(st.binary(max_size=200))
def test_bytes_come_back_as_their_text_or_are_rejected(data: bytes) -> None:
    found = read_text(data)
    assert isinstance(found, Finding) or found.encode() == data.removeprefix("\ufeff".encode())
