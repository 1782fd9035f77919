"""List executions."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from typing import Any

from executions.management.command import PlainCommand
from executions.management.database import ensure_schema
from executions.models import Execution
from executions.services.explain import why_waiting
from executions.states import EXECUTION_ENDED

RECENT = timedelta(days=1)
"""Ended ones are listed this long after their end."""


class Command(PlainCommand):
    help = (
        "List executions, newest first: id, masterplan, state, atoms succeeded of all, age. Those that have not ended, and"
        " those that ended within a day; with --all, every one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--all", action="store_true", help="also those that ended long ago")
        parser.add_argument("--json", action="store_true", help="print a JSON object a line")

    def perform(self, options: dict[str, Any]) -> None:
        ensure_schema()
        now = datetime.now(UTC)
        rows = Execution.objects.select_related("masterplan", "owner").order_by("-created_at", "-pk")
        if not options["all"]:
            rows = rows.exclude(status__in=sorted(EXECUTION_ENDED), ended_at__lt=now - RECENT)
        found = False
        for execution in rows.iterator(chunk_size=500):
            found = True
            self.stdout.write(_json(execution) if options["json"] else _line(execution, now))
        if not found and not options["json"]:
            self.stderr.write(
                "no execution" if options["all"] else "no execution of the last day; --all lists every one"
            )


def _line(execution: Execution, now: datetime) -> str:
    atoms = f"{execution.atoms_succeeded}/{execution.atoms_total}"
    bad = f" ({execution.atoms_unsuccessful} did not)" if execution.atoms_unsuccessful else ""
    waits = why_waiting(execution)
    name = f"{execution.masterplan.name} v{execution.masterplan.version}"
    line = f"{execution.id}  {execution.status:<10} {atoms:>11}{bad}  {_age(now - execution.created_at):>8}  {name}"
    return f"{line}  [{waits}]" if waits else line


def _json(execution: Execution) -> str:
    return json.dumps(
        {
            "id": str(execution.id),
            "masterplan": execution.masterplan.name,
            "version": execution.masterplan.version,
            "owner": None if execution.owner is None else execution.owner.get_username(),
            "status": execution.status,
            "waits_for": why_waiting(execution),
            "atoms_total": execution.atoms_total,
            "atoms_succeeded": execution.atoms_succeeded,
            "atoms_failed": execution.atoms_unsuccessful,
            "run_number": execution.run_number,
            "forked_from": None if execution.forked_from_id is None else str(execution.forked_from_id),
            "created_at": execution.created_at.isoformat().replace("+00:00", "Z"),
        },
        ensure_ascii=False,
    )


def _age(span: timedelta) -> str:
    """`40 s`, `12 min`, `3 h`, `5 d`."""
    seconds = max(0, int(span.total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size or (size > 60 and seconds >= size):
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
