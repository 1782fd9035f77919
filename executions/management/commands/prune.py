"""Remove executions that ended long ago."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from executions.management.command import PlainCommand, Refused
from executions.management.database import ensure_schema
from executions.services.prune import OldExecution, plan_prune, prune_execution, prune_leftovers

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LONGEST = timedelta(days=365 * 100)


class Command(PlainCommand):
    help = (
        "Remove executions that ended longer ago than that, whole, oldest first, and what else is kept for a while only."
        " Executions from which another one was forked that stays are kept. Running and paused ones are never touched."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--older-than", required=True, metavar="AGE", help="a number with its unit, s, m, h, d or w: 90d"
        )
        parser.add_argument("--dry-run", action="store_true", help="only say what would go")
        parser.add_argument(
            "--cache", action="store_true", help="also answers of the cache that were not used for that long"
        )

    def perform(self, options: dict[str, Any]) -> None:
        age = duration(options["older_than"])
        dry_run: bool = options["dry_run"]
        ensure_schema()
        plan = plan_prune(age)
        gone: list[OldExecution] = []
        for one in plan.executions:
            if dry_run or prune_execution(one.id, ended_before=plan.ended_before):
                gone.append(one)
                self.stdout.write(f"{'would go' if dry_run else 'gone'}  {_line(one)}")
        for one, forks in plan.kept:
            self.stdout.write(f"kept  {_line(one)}: forked as {', '.join(map(str, forks))}")
        leftovers = prune_leftovers(age, answers=options["cache"], dry_run=dry_run)
        self.stdout.write(
            f"{'would remove' if dry_run else 'removed'} {len(gone)} executions"
            f" ({sum(one.atoms for one in gone)} atoms, {sum(one.events for one in gone)} events),"
            f" kept {len(plan.kept)} for their forks; "
            + ", ".join(f"{name}: {count}" for name, count in leftovers.items())
        )


def duration(text: str) -> timedelta:
    """The time that e.g. `90d` stands for. Raises Refused."""
    match = re.fullmatch(r"([0-9]{1,9})([smhdw])", text)
    if match is None:
        raise Refused(f"--older-than: {text!r} is no number with a unit of {', '.join(UNITS)}, such as 90d")
    found = timedelta(**{UNITS[match[2]]: int(match[1])})
    if found > LONGEST:
        raise Refused(f"--older-than: {text!r} is longer than 100 years")
    return found


def _line(one: OldExecution) -> str:
    return f"{one.id}  {one.masterplan}  {one.status} {one.ended_at:%Y-%m-%d %H:%M}  {one.atoms} atoms"
