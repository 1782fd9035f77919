"""Validation by lines: a JSON object in, a JSON verdict out, in that order (`manage.py validate_atom`)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping
from math import isinf
from pathlib import PurePosixPath
from typing import Any

from executions.findings import Finding, Severity
from executions.validation.candidate import Candidate
from executions.validation.line_reader import TooLong
from executions.validation.pipeline import Validator
from executions.validation.verdict import Isolation, Verdict

MAX_LINE_BYTES = 4 * 1024 * 1024
_DEFAULT_PATH = "answer.py"
_MAX_FILES = 5000
_MAX_PATH, _MAX_NAME = 1000, 200
"""Characters and bytes; file systems end at 4096 and 255, and the project's own folders come before."""
_MAX_ID = 1000
"""Characters of the id as JSON; it comes back in every verdict."""


class BadLine(ValueError):
    """The line is no atom; says what is wrong with it."""

    def __init__(self, message: str, identity: Any = None) -> None:
        super().__init__(message)
        self.identity = identity


async def judge_lines(
    lines: Iterable[bytes | TooLong], validator: Validator, *, isolation: Isolation, jobs: int
) -> AsyncGenerator[str, None]:
    """A verdict per line, in order, each as soon as it is there, `jobs` of them in flight. Blank lines are passed over.

    A line that is no atom gets a verdict too, with the finding `bad-input`. Raises SandboxUnavailable, and what the
    reading of `lines` raises, after the verdicts on all lines before.
    """
    in_flight: deque[asyncio.Task[str]] = deque()
    source = iter(lines)
    reading: asyncio.Task[bytes | TooLong | None] | None = None
    over, failure = False, None
    try:
        while True:
            if reading is None and not over and len(in_flight) < jobs:
                reading = asyncio.create_task(asyncio.to_thread(next, source, None))
            # Whichever comes first: a verdict must not wait for a line that its reader has not written yet.
            awaited: set[asyncio.Task[Any]] = {
                one for one in (reading, *list(in_flight)[:1]) if one is not None
            }
            if not awaited:
                if failure is not None:
                    raise failure
                return
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if reading is not None and reading.done():
                failure = reading.exception()
                line = None if failure else reading.result()
                over, reading = line is None, None
                if isinstance(line, TooLong) or (line is not None and line.strip()):
                    in_flight.append(asyncio.create_task(_judged(line, validator, isolation)))
            while in_flight and in_flight[0].done():
                yield in_flight.popleft().result()
    finally:
        for task in in_flight:
            task.cancel()
        await asyncio.gather(*in_flight, return_exceptions=True)


async def _judged(line: bytes | TooLong, validator: Validator, isolation: Isolation) -> str:
    try:
        identity, candidate = read_line(line)
    except BadLine as error:
        finding = Finding(Severity.CRITICAL, "bad-input", str(error))
        verdict = Verdict(
            passed=False,
            executed=False,
            isolation=isolation,
            findings=(finding,),
            tests_passed=(),
            tests_total=0,
            duration_ms=0.0,
            cpu_ms=0.0,
            assurance="",
        )
        return _written(error.identity, verdict)
    return _written(identity, await validator.validate(candidate))


def read_line(line: bytes | TooLong) -> tuple[Any, Candidate]:
    """The id (any JSON value, None where there is none) and the atom of one line. Raises BadLine."""
    size = line.size if isinstance(line, TooLong) else len(line)
    if isinstance(line, TooLong) or size > MAX_LINE_BYTES:
        raise BadLine(f"the line has {size} bytes; {MAX_LINE_BYTES} are allowed")
    try:
        # json.loads would guess an encoding, let half a surrogate pair through, and know NaN.
        value = json.loads(line.decode("utf-8-sig"), parse_float=_number, parse_constant=_number)
    except UnicodeDecodeError as error:
        raise BadLine(f"not UTF-8: {error.reason} at byte {error.start + 1}") from error
    except ValueError as error:
        raise BadLine(f"not JSON: {error}") from error
    except RecursionError as error:
        raise BadLine("not JSON: nested too deeply") from error
    if not isinstance(value, dict):
        raise BadLine("not a JSON object")
    identity = _identity(value.get("id"))
    try:
        return identity, _candidate(value)
    except BadLine as error:
        raise BadLine(str(error), identity) from error


def _number(text: str) -> float:
    """A number that can be written as JSON again. Raises ValueError."""
    if text in ("NaN", "Infinity", "-Infinity"):
        raise ValueError(f"{text} is no number")
    number = float(text)
    if isinf(number):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def _identity(value: Any) -> Any:
    try:
        size = len(json.dumps(value))
    except RecursionError as error:
        raise BadLine("id: is nested too deeply") from error
    if size > _MAX_ID:
        raise BadLine(f"id: has {size} characters; {_MAX_ID} are allowed")
    return value


def _candidate(value: Mapping[str, Any]) -> Candidate:
    entry_points = value.get("entry_point")
    if isinstance(entry_points, str):
        entry_points = [entry_points]
    if not isinstance(entry_points, list) or not all(isinstance(name, str) for name in entry_points):
        raise BadLine("entry_point: a name or a list of names is needed")
    target_path = _path(value.get("target_path", _DEFAULT_PATH))
    files = value.get("files")
    files = {} if files is None else files
    if not isinstance(files, dict) or not all(isinstance(text, str) for text in files.values()):
        raise BadLine("files: an object of path and text is needed")
    if len(files) > _MAX_FILES:
        raise BadLine(f"files: are {len(files)}; {_MAX_FILES} are allowed")
    files = {_path(path): _characters("files", text) for path, text in files.items()}
    _fit_together({*files, target_path})
    return Candidate(
        source=_source(value),
        tests=_text(value, "tests"),
        entry_points=tuple(entry_points),
        target_path=target_path,
        signature=_text(value, "signature", ""),
        hidden_tests=_text(value, "hidden_tests", ""),
        language=_text(value, "language", "python"),
        files=files,
    )


def _source(value: Mapping[str, Any]) -> str | bytes:
    if value.get("source") is not None:
        source = value["source"]
        if not isinstance(source, str):
            raise BadLine("source: a text is needed")
        return source  # whatever characters it holds, the text gate judges them
    encoded = value.get("source_b64")
    if not isinstance(encoded, str):
        raise BadLine("source or source_b64 is needed, as text")
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadLine(f"source_b64: {error}") from error


def _text(value: Mapping[str, Any], key: str, default: str | None = None) -> str:
    text = value.get(key, default)
    if text is None and default is not None:
        return default
    if not isinstance(text, str):
        raise BadLine(f"{key}: a text is needed")
    return _characters(key, text)


def _characters(key: str, text: str) -> str:
    """`text`, when it can be stored in a file."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadLine(f"{key}: holds half a surrogate pair at character {error.start + 1}") from error
    return text


def _fit_together(paths: set[str]) -> None:
    """No file may be the folder of another."""
    for path in paths:
        for folder in PurePosixPath(path).parents:
            if str(folder) in paths:
                raise BadLine(f"{folder} is a file and the folder of {path[:80]}")


def _path(value: Any) -> str:
    """A relative path inside the project, in one spelling."""
    if not isinstance(value, str) or not value or "\0" in value or "\\" in value:
        raise BadLine(f"{str(value)[:80]!r} is no path")
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise BadLine(f"{value[:80]!r} leads out of the project")
    _characters("a path", value)
    if len(value) > _MAX_PATH or any(len(part.encode()) > _MAX_NAME for part in path.parts):
        raise BadLine(f"{value[:80]!r}… is too long for a path")
    return str(path)


def _written(identity: Any, verdict: Verdict) -> str:
    issues = [
        {"severity": f.severity.value, "rule": f.rule, "message": f.message, "line": f.line}
        for f in verdict.findings
    ]
    return json.dumps(
        {
            "id": identity,
            "passed": verdict.passed,
            "executed": verdict.executed,
            "isolation": verdict.isolation.value,
            "issues": issues,
            "duration_ms": round(verdict.duration_ms, 1),
            "cpu_ms": round(verdict.cpu_ms, 1),
        }
    )
