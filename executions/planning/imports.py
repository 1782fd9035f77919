"""The imports of several sources merged into one block: each thing once, `__future__` first."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from executions.planning.source_parts import OwnModule

MAX_LINE_LENGTH = 100
Alias = tuple[str, str | None]


@dataclass(slots=True)
class _Statement:
    """One import statement of the merged block."""

    prefix: str
    """What stands before the names: `import ` or `from module import `."""
    text: str
    names: list[Alias]
    comments: list[str]
    as_written: bool = True

    def lines(self) -> list[str]:
        if self.as_written:
            return [*self.comments, self.text]
        names = [f"{name} as {alias}" if alias else name for name, alias in self.names]
        line = self.prefix + ", ".join(names)
        if len(line) <= MAX_LINE_LENGTH or self.prefix == "import ":
            return [*self.comments, line]
        return [*self.comments, f"{self.prefix}(", *(f"    {name}," for name in names), ")"]


@dataclass(slots=True)
class MergedImports:
    """Takes import statements one by one, and keeps of each what is new."""

    own: OwnModule
    _statements: list[_Statement] = field(default_factory=list)
    _seen: set[tuple[str, Alias]] = field(default_factory=set)
    _future: set[str] = field(default_factory=set)

    def add(self, statement: ast.Import | ast.ImportFrom, text: str, comments: list[str]) -> None:
        """Merge a statement that does not import from the shared file itself."""
        names: list[Alias] = [(alias.name, alias.asname) for alias in statement.names]
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            self._future.update(name for name, _ in names)
            self.note(comments)
            return
        prefix = "import "
        if isinstance(statement, ast.ImportFrom):
            prefix = f"from {'.' * statement.level}{statement.module or ''} import "
        identity = self.own.imported(statement) if isinstance(statement, ast.ImportFrom) else ""
        new = [name for name in dict.fromkeys(names) if (identity, name) not in self._seen]
        self._seen.update((identity, name) for name in new)
        if not new:
            self.note(comments)
            return
        earlier = next((known for known in self._statements if known.prefix == prefix != "import "), None)
        if (
            earlier
            and "#" not in earlier.text + text
            and new != [("*", None)]
            and ("*", None) not in earlier.names
        ):
            earlier.names.extend(new)
            earlier.as_written = False
            self.note(comments)
        else:
            self._statements.append(_Statement(prefix, text, new, comments, as_written=new == names))

    def note(self, comments: list[str]) -> None:
        """Keep the comments above a statement that is gone itself, unless they are there already."""
        known = {line.strip() for statement in self._statements for line in statement.comments}
        fresh = [line for line in comments if line.strip() not in known]
        if fresh:
            self._statements.append(_Statement("", "", [], fresh))

    def future_lines(self) -> list[str]:
        """The line that must stand before all other statements, if any part needs it."""
        return [f"from __future__ import {', '.join(sorted(self._future))}"] if self._future else []

    def lines(self) -> list[str]:
        """The block of all other imports, in the order in which they first came."""
        return [line for statement in self._statements for line in statement.lines() if line]
