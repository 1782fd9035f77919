"""Looking at Python text without running it: does it parse, and which names does it define."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from executions.python_syntax import tree_of

MAX_CHARACTERS = 1_000_000
"""Text beyond this is not parsed: no atom is that large, and the parser's cost grows with it."""

_DEFINITION = re.compile(r"^(?:async +def|def|class) +(\w+)", re.MULTILINE)


def parse(text: str) -> ast.Module | None:
    """The syntax tree, or None where the text is no Python."""
    if len(text) > MAX_CHARACTERS:
        return None
    try:
        return tree_of(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        # ValueError: null bytes; the last two: nesting deeper than the parser goes.
        return None


@dataclass(frozen=True, slots=True)
class Outline:
    """What a piece of Python brings at its top level."""

    definitions: frozenset[str]
    """Functions and classes."""
    assigned: frozenset[str]
    """Names bound by assignment."""
    imports: bool
    calls: bool
    """It does something when run: a bare call, an assert, a loop, a `del`."""

    @property
    def names(self) -> frozenset[str]:
        return self.definitions | self.assigned

    @property
    def is_code(self) -> bool:
        """More than prose that happens to parse ("Done", "# Title")."""
        return bool(self.definitions or self.assigned or self.imports or self.calls)


def outline(tree: ast.Module) -> Outline:
    """What the module defines at its top level, `if` and `try` blocks included."""
    definitions: set[str] = set()
    assigned: set[str] = set()
    imports = calls = False
    pending: list[ast.stmt] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            definitions.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found = (part for target in targets for part in ast.walk(target))
            assigned.update(part.id for part in found if isinstance(part, ast.Name))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            imports = True
        elif isinstance(node, ast.If):
            pending += [*node.body, *node.orelse]
        elif isinstance(node, ast.Try):
            handled = [statement for handler in node.handlers for statement in handler.body]
            pending += [*node.body, *handled, *node.orelse, *node.finalbody]
        elif not isinstance(node, ast.Pass):
            calls = calls or not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call | ast.Await)
    return Outline(frozenset(definitions), frozenset(assigned), imports, calls)


def definitions_by_sight(text: str) -> frozenset[str]:
    """Functions and classes at the left margin of a text that does not parse."""
    return frozenset(_DEFINITION.findall(text))
