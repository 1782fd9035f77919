"""Judge single answers: JSON lines in, JSON verdicts out. Touches no database and calls no model."""

from __future__ import annotations

import asyncio
import os
import sys
from argparse import ArgumentTypeError
from contextlib import ExitStack, aclosing
from typing import Any

from django.core.management.base import CommandParser

from executions.engine.runner_resources import sandbox
from executions.management.command import PlainCommand, Refused
from executions.validation.json_lines import MAX_LINE_BYTES, judge_lines
from executions.validation.line_reader import LineReader, Unreadable
from executions.validation.pipeline import SandboxUnavailable, Validator
from executions.validation.verdict import Isolation

MOST_JOBS = 256


def _jobs(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_JOBS:
        raise ArgumentTypeError(f"must be from 1 to {MOST_JOBS}, not {number}")
    return number


def _stdin() -> int:
    if sys.stdin is None:
        raise Refused("-: stdin is closed")
    return sys.stdin.fileno()


class Command(PlainCommand):
    help = (
        "Reads one atom per line, a JSON object with id, source (or source_b64), tests, entry_point and, where wanted, "
        "hidden_tests, target_path and files, and prints one verdict per line, in order. A line that is no atom gets a "
        "verdict with the rule bad-input, and the rest goes on. Exit status: 0 every line has its verdict, whatever it "
        "says, or the reader of our output has seen enough; 2 bad arguments, the file cannot be read, or nothing here "
        "isolates generated code; 3 interrupted."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--jsonl", required=True, metavar="FILE|-", help="one atom per line; - reads stdin"
        )
        parser.add_argument(
            "--jobs", type=_jobs, default=os.cpu_count() or 1, help="atoms in flight (default: processors)"
        )

    def perform(self, options: dict[str, Any]) -> int | None:
        found = sandbox()
        if found.isolation is Isolation.NONE:
            raise Refused(
                "nothing here isolates generated code; `make system-packages` installs bubblewrap, "
                "`manage.py doctor` shows what was tried"
            )
        jobs: int = options["jobs"]
        with ExitStack() as stack:
            try:
                descriptor = _stdin() if options["jsonl"] == "-" else os.open(options["jsonl"], os.O_RDONLY)
            except OSError as error:
                raise Refused(f"{options['jsonl']}: {error.strerror}") from error
            if options["jsonl"] != "-":
                stack.callback(os.close, descriptor)
            lines = stack.enter_context(LineReader(descriptor, MAX_LINE_BYTES))
            try:
                asyncio.run(self._judge(lines, Validator(found, max_parallel=jobs), found.isolation, jobs))
            except Unreadable as error:
                raise Refused(f"{options['jsonl']}: {error}") from error
            except BrokenPipeError:
                # Whoever read our verdicts has seen enough. What is left in the buffer must not be written at exit.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            except SandboxUnavailable as error:
                raise Refused(f"{error}; `manage.py doctor` says more") from error
        return None

    async def _judge(self, lines: LineReader, validator: Validator, isolation: Isolation, jobs: int) -> None:
        try:
            async with aclosing(judge_lines(lines, validator, isolation=isolation, jobs=jobs)) as verdicts:
                async for verdict in verdicts:
                    self.stdout.write(verdict)
                    self.stdout.flush()
        finally:
            lines.stop()  # a thread of the loop may be waiting for a line that nobody wants any more
