"""Check masterplan files without storing them."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from executions.languages import not_tested, runs_tests
from executions.management.command import PlainCommand
from executions.planning.format import load_file
from executions.planning.graph import build_graph
from executions.services.masterplans import check_defaults


class Command(PlainCommand):
    help = "Say what is wrong with masterplan files, or what they hold; stores nothing, calls no model."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", metavar="FILE", nargs="+", type=Path)

    def perform(self, options: dict[str, Any]) -> None:
        for file in options["files"]:
            plans = load_file(file)
            check_defaults(plans)
            for plan in plans:
                graph = build_graph({atom.key: atom.depends_on for atom in plan.atoms})
                sizes = ", ".join(str(len(wave)) for wave in graph.waves) or "none"
                untested = sum(
                    1
                    for atom in plan.atoms
                    if runs_tests(atom.language) and not atom.tests and not atom.hidden_tests
                )
                self.stdout.write(
                    f"{plan.name}: {len(plan.atoms)} atoms in {len(graph.waves)} waves ({sizes})"
                )
                if untested:
                    have = "1 atom has" if untested == 1 else f"{untested} atoms have"
                    self.stdout.write(
                        f"  {have} no tests: accepted as `static` unless a setting says otherwise"
                    )
                for sentence in not_tested(Counter(atom.language for atom in plan.atoms)):
                    self.stdout.write(f"  {sentence}")
                for warning in plan.warnings:
                    self.stderr.write(f"  warning: {warning.place}: {warning.message}")
