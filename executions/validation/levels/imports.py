"""The tests that import each module of a project, written by us and run like any other tests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from executions.findings import Finding

_TEST = re.compile(r"\btest_import_(\d+)\b")


@dataclass(frozen=True, slots=True)
class ImportSuite:
    """One test for each module; `modules` in the order in which they are imported."""

    modules: tuple[str, ...]

    @property
    def text(self) -> str:
        tests = [
            f"def test_import_{number}():\n    importlib.import_module({module!r})\n"
            for number, module in enumerate(self.modules)
        ]
        return "\n\n".join(["import importlib\n", *tests])

    def told(self, finding: Finding) -> Finding:
        """The finding in the words of the project: modules instead of our tests."""
        return replace(finding, message=_TEST.sub(self._named, finding.message))

    def _named(self, match: re.Match[str]) -> str:
        number = int(match[1])
        return f"import {self.modules[number]}" if number < len(self.modules) else match[0]


def module_of(path: str) -> str | None:
    """The name under which a file of the project is imported; None where it is no Python module."""
    if not path.endswith(".py"):
        return None
    steps = path.removesuffix(".py").split("/")
    if steps[-1] == "__init__":
        steps.pop()
    return ".".join(steps) or None


def modules_of(paths: Sequence[str]) -> tuple[str, ...]:
    """The modules of these files, each once, in their order."""
    return tuple(dict.fromkeys(module for path in paths if (module := module_of(path)) is not None))
