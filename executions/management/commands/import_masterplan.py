"""Store masterplans from files."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model

from executions.management.command import PlainCommand, Refused
from executions.management.database import ensure_schema
from executions.planning.format import load_file
from executions.services.masterplans import check_defaults, store_masterplans


class Command(PlainCommand):
    help = "Store the masterplans of one or more files; prints an id a line. Bad input: every problem, exit 2, nothing stored."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", metavar="FILE", nargs="+", type=Path)
        parser.add_argument(
            "--owner", metavar="USERNAME", help="who will own the plans (default: nobody, staff see them)"
        )

    def perform(self, options: dict[str, Any]) -> None:
        files: list[Path] = options["files"]
        owner: str | None = options["owner"]
        plans = [plan for file in files for plan in load_file(file)]
        for plan in plans:
            for warning in plan.warnings:
                self.stderr.write(f"warning: {warning.place}: {warning.message}")
        check_defaults(plans)
        ensure_schema()
        user = None
        if owner is not None:
            user = get_user_model().objects.filter(username=owner).first()
            if user is None:
                raise Refused(f"--owner: there is no user {owner!r}")
        for masterplan in store_masterplans(plans, owner=user):
            self.stdout.write(str(masterplan.id))
