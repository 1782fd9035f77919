"""Lines in bounded memory, from a reader that can be stopped."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.validation.line_reader import LineReader, TooLong, Unreadable

MOST = 10


@contextmanager
def written(data: bytes) -> Iterator[int]:
    """A descriptor that brings `data` and then ends."""
    reading, writing = os.pipe()
    thread = threading.Thread(target=lambda: (os.write(writing, data), os.close(writing)))
    thread.start()
    try:
        yield reading
    finally:
        thread.join()
        os.close(reading)


def read(data: bytes, most: int = MOST) -> list[bytes | TooLong]:
    with written(data) as descriptor, LineReader(descriptor, most) as lines:
        return list(lines)


@given(st.binary(max_size=200).map(lambda data: data.replace(b"x", b"\n")))
def test_lines_are_those_of_a_split_with_the_long_ones_measured(data: bytes) -> None:
    expected = data.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert read(data) == [line if len(line) <= MOST else TooLong(len(line)) for line in expected]


def test_a_line_over_many_reads_is_measured_to_its_end() -> None:
    with written(b"a\n" + b"y" * 50_000 + b"\nb") as descriptor, LineReader(descriptor, MOST) as lines:
        assert list(lines) == [b"a", TooLong(50_000), b"b"]


def test_a_line_in_two_pieces_is_one() -> None:
    reading, writing = os.pipe()
    with LineReader(reading, MOST) as lines:
        found = iter(lines)
        os.write(writing, b"one\ntw")
        assert next(found) == b"one"
        os.write(writing, b"o\n")
        assert next(found) == b"two"
    os.close(reading)
    os.close(writing)


def test_stopping_ends_a_reader_that_waits() -> None:
    reading, writing = os.pipe()
    with LineReader(reading, MOST) as lines:
        thread = threading.Thread(target=lambda: list(lines))
        thread.start()
        lines.stop()
        thread.join(20)
        assert not thread.is_alive()
    os.close(reading)
    os.close(writing)


def test_what_cannot_be_read_is_said() -> None:
    descriptor = os.open("/", os.O_RDONLY)
    with LineReader(descriptor, MOST) as lines, pytest.raises(Unreadable, match="Is a directory"):
        list(lines)
    os.close(descriptor)
