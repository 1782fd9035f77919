"""Print an execution's history."""

from __future__ import annotations

import json
import uuid
from argparse import ArgumentParser
from typing import Any

from executions.management.command import PlainCommand, Refused
from executions.management.database import ensure_schema
from executions.models import Event, Execution
from executions.services.reports import event_json


class Command(PlainCommand):
    help = "Print the event log of an execution as JSON lines, in order."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("execution", metavar="EXECUTION")
        parser.add_argument("--after", type=int, default=0, metavar="N", help="only events numbered above N")
        parser.add_argument(
            "--json", action="store_true", help="JSON lines (also the default when not on a terminal)"
        )

    def perform(self, options: dict[str, Any]) -> None:
        ensure_schema()
        execution: str = options["execution"]
        try:
            found = Execution.objects.get(pk=uuid.UUID(execution))
        except (ValueError, Execution.DoesNotExist):
            raise Refused(f"there is no execution {execution!r}") from None
        plain = self.stdout.isatty() and not options["json"]
        for event in (
            Event.objects.filter(execution=found, seq__gt=options["after"])
            .order_by("seq")
            .iterator(chunk_size=1000)
        ):
            self.stdout.write(_line(event) if plain else _json(event))


def _json(event: Event) -> str:
    return json.dumps(event_json(event), ensure_ascii=False, separators=(",", ":"))


def _line(event: Event) -> str:
    place = " ".join(
        part
        for part in (
            f"wave {event.wave}" if event.wave else "",
            event.atom,
            f"#{event.attempt}" if event.attempt else "",
        )
        if part
    )
    data = " ".join(f"{name}={value}" for name, value in event.data.items() if value not in (None, ""))
    return f"{event.seq:>6} {event.at:%H:%M:%S} {event.type:<20} {place} {data}".rstrip()
