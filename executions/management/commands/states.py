"""Draw the state machines."""

from __future__ import annotations

import difflib
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings

from executions import states
from executions.management.command import PlainCommand
from executions.management.state_page import page

OUT_OF_DATE = 1


class Command(PlainCommand):
    help = "Draw docs/states.md from the code's own tables: print it, write it, or check that the file is up to date."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--write", action="store_true", help="write the file")
        what.add_argument(
            "--check", action="store_true", help="exit 1, with the difference, when it is out of date"
        )

    def perform(self, options: dict[str, Any]) -> int:
        file: Path = settings.BASE_DIR / "docs" / "states.md"
        drawn = page(states)
        if options["write"]:
            file.write_text(drawn, encoding="utf-8")
        elif options["check"]:
            return self._compare(file, drawn)
        else:
            self.stdout.write(drawn, ending="")
        return 0

    def _compare(self, file: Path, drawn: str) -> int:
        written = file.read_text(encoding="utf-8") if file.exists() else ""
        difference = list(
            difflib.unified_diff(
                written.splitlines(),
                drawn.splitlines(),
                "docs/states.md",
                "executions/states.py",
                lineterm="",
            )
        )
        if not difference:
            return 0
        for line in difference:
            self.stdout.write(line)
        self.stderr.write("docs/states.md is out of date; run `manage.py states --write`")
        return OUT_OF_DATE
