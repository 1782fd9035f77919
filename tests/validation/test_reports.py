"""Only the runner's own lines count; anything else voids the whole report."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.validation.sandbox.mge_inside.channel import Channel
from executions.validation.sandbox.reports import read_report

NONCE = "0123456789abcdef"


def written(*tests: str, finish: bool = True) -> bytes:
    reading, writing = os.pipe()
    channel = Channel(writing, NONCE)
    for test in tests:
        channel.say("result", test=test, outcome="passed")
    if finish:
        channel.finish()
    else:
        os.close(writing)
    data = os.read(reading, 1 << 20)
    os.close(reading)
    return data


def test_a_whole_report_is_read_back() -> None:
    report = read_report(written("test_a", "test_b"), NONCE)
    assert [line.test for line in report.lines] == ["test_a", "test_b"]
    assert report.finished
    assert not report.voided


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_any_name_survives_the_channel(name: str) -> None:
    report = read_report(written(name), NONCE)
    assert [line.test for line in report.lines] == [name]
    assert not report.voided


def test_a_report_without_epilogue_is_not_finished() -> None:
    report = read_report(written("test_a", finish=False), NONCE)
    assert not report.finished
    assert not report.voided


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"x",
        lambda data: data + data,
        lambda data: b"{}\n" + data,
        lambda data: data.replace(NONCE.encode(), b"f" * 16, 1),
        lambda data: data.split(b"\n", 1)[1],
        lambda data: data.replace(b'"line":0', b'"line":true', 1),
        lambda data: data.replace(b'"line":0', b'"line":0,"more":1', 1),
        lambda data: data.replace(b'"kind":"result"', b'"kind":"verdict"', 1),
        lambda data: NONCE.encode() + b" " + b"[" * 100_000 + b"\n" + data,
    ],
    ids=[
        "tail",
        "twice",
        "foreign line",
        "wrong nonce",
        "line missing",
        "wrong type",
        "more fields",
        "kind",
        "deep",
    ],
)
def test_a_forged_line_voids_the_report(change: object) -> None:
    assert callable(change)
    assert read_report(change(written("test_a", "test_b")), NONCE).voided


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_fail(data: bytes) -> None:
    report = read_report(data, NONCE)
    assert not report.lines
