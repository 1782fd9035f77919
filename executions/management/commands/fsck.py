"""Prove the invariants on the stored data."""

from __future__ import annotations

import json
import uuid
from argparse import ArgumentParser
from typing import Any

from executions.management.command import PlainCommand, Refused
from executions.management.database import ensure_schema
from executions.models import Execution
from executions.services.consistency import Inconsistency, check_database, check_execution
from executions.services.errors import NotFound

FOUND = 1


class Command(PlainCommand):
    help = (
        "Check that the stored data keeps the invariants: counters equal rows, events tell the rows, terminal means"
        " terminal, and so on. Reads only; work may go on meanwhile. Exit 0: all is well, 1: something was found."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "executions",
            metavar="EXECUTION",
            nargs="*",
            help="only these (default: all, and the database as a whole)",
        )
        parser.add_argument("--json", action="store_true", help="one JSON object on stdout")

    def perform(self, options: dict[str, Any]) -> int:
        ensure_schema()
        named = [_id(text) for text in options["executions"]]
        found: list[Inconsistency] = [] if named else check_database()
        checked = 0
        for one in named or Execution.objects.order_by("created_at").values_list("pk", flat=True):
            try:
                found += check_execution(one)
            except NotFound:
                continue  # pruned since the list was made
            checked += 1
        if options["json"]:
            report = {"executions": checked, "inconsistencies": [one.as_json() for one in found]}
            self.stdout.write(json.dumps(report, ensure_ascii=False, indent=1))
        else:
            for one in found:
                self.stdout.write(str(one))
            verdict = f"{len(found)} inconsistencies" if found else "clean"
            self.stdout.write(f"{checked} executions checked: {verdict}")
        return FOUND if found else 0


def _id(text: str) -> uuid.UUID:
    try:
        found = uuid.UUID(text)
    except ValueError:
        raise Refused(f"{text!r} is no execution's id") from None
    if not Execution.objects.filter(pk=found).exists():
        raise Refused(f"there is no execution {text!r}")
    return found
