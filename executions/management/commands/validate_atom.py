"""Judge single answers: JSON lines in, JSON verdicts out. Touches no database and calls no model."""

from __future__ import annotations

import asyncio
import os
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from django.core.management.base import CommandParser

from executions.engine.runner_resources import sandbox
from executions.management.command import PlainCommand, Refused
from executions.validation.json_lines import judge_lines
from executions.validation.pipeline import SandboxUnavailable, Validator
from executions.validation.verdict import Isolation

MOST_JOBS = 256


def _jobs(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_JOBS:
        raise ArgumentTypeError(f"must be from 1 to {MOST_JOBS}, not {number}")
    return number


class Command(PlainCommand):
    help = (
        "Reads one atom per line, a JSON object with id, source (or source_b64), tests, entry_point and, where wanted, "
        "hidden_tests, target_path and files, and prints one verdict per line, in order. Exit 0 when every line was "
        "judged, whatever the verdicts; 2 when the file cannot be read or nothing isolates generated code."
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
                lines = (
                    sys.stdin.buffer
                    if options["jsonl"] == "-"
                    else stack.enter_context(open(options["jsonl"], "rb"))
                )
            except OSError as error:
                raise Refused(f"{options['jsonl']}: {error.strerror}") from error
            try:
                asyncio.run(self._judge(lines, Validator(found, max_parallel=jobs), found.isolation, jobs))
            except BrokenPipeError:
                # Whoever read our verdicts has seen enough. What is left in the buffer must not be written at exit.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            except SandboxUnavailable as error:
                raise Refused(f"{error}; `manage.py doctor` says more") from error
        return None

    async def _judge(
        self, lines: Iterable[bytes], validator: Validator, isolation: Isolation, jobs: int
    ) -> None:
        async for verdict in judge_lines(lines, validator, isolation=isolation, jobs=jobs):
            self.stdout.write(verdict)
            self.stdout.flush()
