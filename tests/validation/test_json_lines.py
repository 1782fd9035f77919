"""What is no atom is said to be none, whatever it holds; what is one is read as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.validation.json_lines import MAX_LINE_BYTES, BadLine, judge_lines, read_line
from executions.validation.line_reader import TooLong, Unreadable
from executions.validation.pipeline import Validator
from executions.validation.sandbox.sandbox import Sandbox
from executions.validation.verdict import Isolation

ATOM = {"id": "a", "source": "def f(x):\n    return x\n", "tests": "", "entry_point": "f"}


def line(**more: object) -> bytes:
    return json.dumps(ATOM | more).encode()


BAD = {
    b"{broken": "not JSON",
    b"": "not JSON",
    b"\xff\xfe\x00\x01": "not UTF-8",
    b'{"id": "\xed\xa0\x80"}': "not UTF-8",
    b"\0\0\0\0": "not JSON",
    b"[1]": "not a JSON object",
    b'"text"': "not a JSON object",
    b"[" * 100_000: "nested too deeply",
    b'{"id":' + b"[" * 100_000: "nested too deeply",
    b'{"id": NaN}': "NaN is no number",
    b'{"id": -Infinity}': "no number",
    b'{"id": 1e999}': "too large",
    b'{"id": ' + b"9" * 5000 + b"}": "not JSON",
    b"{}": "entry_point",
    line(id="x" * 2000): "id: has",
    line(source=None): "source or source_b64",
    line(source=3): "source: a text",
    line(tests=None): "tests: a text",
    line(tests=["x"]): "tests: a text",
    line(tests="\ud800"): "tests: holds half a surrogate pair",
    line(hidden_tests=5): "hidden_tests: a text",
    line(entry_point=None): "entry_point",
    line(entry_point=[1]): "entry_point",
    line(target_path=""): "is no path",
    line(target_path="/etc/passwd"): "leads out",
    line(target_path="a/../../b"): "leads out",
    line(target_path="a\\b.py"): "is no path",
    line(target_path="a\0.py"): "is no path",
    line(target_path="a" * 300): "too long",
    line(target_path="a/" * 800 + "b.py"): "too long",
    line(target_path="\udc80.py"): "half a surrogate pair",
    line(files=[]): "files: an object",
    line(files={"a.py": 1}): "files: an object",
    line(files={"../a.py": ""}): "leads out",
    line(files={"a.py": "\ud800"}): "files: holds half",
    line(files={"answer.py/b.py": ""}): "answer.py is a file and the folder of",
    line(files={f"{n}.py": "" for n in range(6000)}): "files: are 6000",
    line(source=None, source_b64="%%%"): "source_b64",
    line(source=None, source_b64=7): "source or source_b64",
    b" " * (MAX_LINE_BYTES + 1): "bytes; 4194304 are allowed",
}


@pytest.mark.parametrize("data", BAD, ids=lambda data: repr(data[:30]))
def test_a_line_that_is_no_atom_is_refused_with_the_reason(data: bytes) -> None:
    with pytest.raises(BadLine, match=BAD[data]):
        read_line(data)


def test_the_id_of_a_refused_atom_is_kept() -> None:
    with pytest.raises(BadLine) as caught:
        read_line(line(id=[1, None, "x"], tests=None))
    assert caught.value.identity == [1, None, "x"]


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read_line(b"\xef\xbb\xbf" + line())[0] == "a"


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    try:
        read_line(data)
    except BadLine as error:
        assert str(error)  # noqa: PT017 - whether it raises depends on the data


async def test_verdicts_on_what_was_read_come_before_the_failure_to_read_more(tmp_path: Path) -> None:
    def lines() -> Iterator[bytes | TooLong]:
        yield line(id=1)
        yield TooLong(10_000_000)
        raise Unreadable("broke off")

    validator = Validator(Sandbox.detect(data_dir=tmp_path, forced=Isolation.NONE), validators="syntax")
    said = []

    async def listen() -> None:
        async for verdict in judge_lines(lines(), validator, isolation=Isolation.NONE, jobs=4):
            said.append(json.loads(verdict))  # noqa: PERF401 - what came before the failure must be kept

    with pytest.raises(Unreadable, match="broke off"):
        await listen()
    assert [(one["id"], one["passed"]) for one in said] == [(1, True), (None, False)]
    assert "10000000 bytes" in said[1]["issues"][0]["message"]
