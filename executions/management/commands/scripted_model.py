"""`manage.py scripted_model`: a stand-in for a model, at the wire. Never touches the database."""

from __future__ import annotations

import asyncio
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from executions.scripted_model.answers import AnswersError
from executions.scripted_model.faults import USUAL, Fault
from executions.scripted_model.serving import ServerSettings, serve


class Command(BaseCommand):
    help = "Serves /v1/messages with the answers of plan files; needs no database, no key and no network."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        paths: dict[str, Any] = {"type": Path, "nargs": "+", "action": "extend", "default": []}
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
        parser.add_argument("--answers", metavar="FILE|DIR", help="plans with reference solutions", **paths)
        parser.add_argument("--near-misses", metavar="FILE", help="wrong answers to give first", **paths)
        parser.add_argument("--near-miss-share", type=_share, default=0.4, help="of the atoms that have any")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--latency", default="0", help="seconds, or lognormal:MEDIAN,SIGMA")
        parser.add_argument("--fault-share", type=_share, default=0.0, help="of the requests")
        parser.add_argument("--faults", type=_faults, default=USUAL, metavar="KIND,…", help=", ".join(Fault))
        parser.add_argument("--retry-after", type=float, default=1.0, help="seconds, for rate_limit_after")
        parser.add_argument("--slow", type=float, default=2.0, help="seconds that a slow answer takes longer")
        parser.add_argument("--refuse-temperature", action="store_true", help="400, as current models do")
        parser.add_argument("--log", type=Path, metavar="FILE", help="append every call as a line of JSON")
        parser.add_argument("--port-file", type=Path, metavar="FILE", help='gets {"port", "pid"}')
        parser.add_argument("--watch-pid", type=int, metavar="PID", help="end when this process has ended")
        parser.add_argument("--data-dir", type=Path, metavar="DIR", help="heed the plans made known there")

    def handle(self, **options: Any) -> None:
        settings = ServerSettings(
            answers=tuple(options["answers"]),
            near_misses=tuple(options["near_misses"]),
            near_miss_share=options["near_miss_share"],
            seed=options["seed"],
            latency=options["latency"],
            fault_share=options["fault_share"],
            faults=options["faults"],
            retry_after=options["retry_after"],
            slow_seconds=options["slow"],
            refuse_temperature=options["refuse_temperature"],
            log_file=options["log"],
            host=options["host"],
            port=options["port"],
            port_file=options["port_file"],
            watch_pid=options["watch_pid"],
            data_dir=options["data_dir"],
        )
        try:
            asyncio.run(serve(settings, announce=self._announce, complain=self.stderr.write))
        except (AnswersError, ValueError, OSError) as error:
            raise CommandError(str(error), returncode=2) from error

    def _announce(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise ArgumentTypeError("must be from 0 to 1")
    return value


def _faults(text: str) -> tuple[Fault, ...]:
    try:
        return tuple(Fault(word.strip()) for word in text.split(","))
    except ValueError as error:
        raise ArgumentTypeError(f"{error}; there are {', '.join(Fault)}") from error
