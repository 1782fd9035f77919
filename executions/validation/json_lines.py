"""Validation by lines: a JSON object in, a JSON verdict out, in that order (`manage.py validate_atom`)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from executions.findings import Finding, Severity
from executions.validation.candidate import Candidate
from executions.validation.pipeline import Validator
from executions.validation.verdict import Isolation, Verdict

MAX_LINE_BYTES = 4 * 1024 * 1024
_DEFAULT_PATH = "answer.py"


class BadLine(ValueError):
    """The line is no atom; says what is wrong with it."""

    def __init__(self, message: str, identity: Any = None) -> None:
        super().__init__(message)
        self.identity = identity


async def judge_lines(
    lines: Iterable[bytes], validator: Validator, *, isolation: Isolation, jobs: int
) -> AsyncIterator[str]:
    """A verdict per line, in order, each as soon as it is there, `jobs` of them in flight. Blank lines are passed over.

    A line that is no atom gets a verdict too, with the finding `bad-input`. Raises SandboxUnavailable.
    """
    in_flight: deque[asyncio.Task[str]] = deque()
    source = iter(lines)
    reading: asyncio.Task[bytes | None] | None = None
    over = False
    try:
        while True:
            if reading is None and not over and len(in_flight) < jobs:
                reading = asyncio.create_task(asyncio.to_thread(next, source, None))
            # Whichever comes first: a verdict must not wait for a line that its reader has not written yet.
            awaited: set[asyncio.Task[Any]] = {
                one for one in (reading, *list(in_flight)[:1]) if one is not None
            }
            if not awaited:
                return
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if reading is not None and reading.done():
                line, reading = reading.result(), None
                over = line is None
                if line is not None and line.strip():
                    in_flight.append(asyncio.create_task(_judged(line, validator, isolation)))
            while in_flight and in_flight[0].done():
                yield in_flight.popleft().result()
    finally:
        for task in in_flight:
            task.cancel()
        await asyncio.gather(*in_flight, return_exceptions=True)


async def _judged(line: bytes, validator: Validator, isolation: Isolation) -> str:
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


def read_line(line: bytes) -> tuple[Any, Candidate]:
    """The id (any JSON value, None where there is none) and the atom of one line. Raises BadLine."""
    if len(line) > MAX_LINE_BYTES:
        raise BadLine(f"the line has {len(line)} bytes; {MAX_LINE_BYTES} are allowed")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadLine(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadLine("not a JSON object")
    identity = value.get("id")
    try:
        return identity, _candidate(value)
    except BadLine as error:
        raise BadLine(str(error), identity) from error


def _candidate(value: Mapping[str, Any]) -> Candidate:
    entry_points = value.get("entry_point")
    if isinstance(entry_points, str):
        entry_points = [entry_points]
    if not isinstance(entry_points, list) or not all(isinstance(name, str) for name in entry_points):
        raise BadLine("entry_point: a name or a list of names is needed")
    target_path = _path(value.get("target_path", _DEFAULT_PATH))
    files = value.get("files") or {}
    if not isinstance(files, dict) or not all(isinstance(text, str) for text in files.values()):
        raise BadLine("files: an object of path and text is needed")
    return Candidate(
        source=_source(value),
        tests=_text(value, "tests"),
        entry_points=tuple(entry_points),
        target_path=target_path,
        signature=_text(value, "signature", ""),
        hidden_tests=_text(value, "hidden_tests", ""),
        files={_path(path): text for path, text in files.items()},
    )


def _source(value: Mapping[str, Any]) -> str | bytes:
    if "source" in value:
        return _text(value, "source")
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
    return text


def _path(value: Any) -> str:
    """A relative path inside the project, in one spelling."""
    if not isinstance(value, str) or not value or "\0" in value or "\\" in value:
        raise BadLine(f"{str(value)[:80]!r} is no path")
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise BadLine(f"{value[:80]!r} leads out of the project")
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
