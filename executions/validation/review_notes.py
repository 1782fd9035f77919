"""Notes for a person who reads the answer later. They never reject, are never fed back, and are no security boundary:
what code may do is the sandbox's business."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from executions.findings import Finding, Severity

MODULES = frozenset({"ctypes", "marshal", "multiprocessing", "pickle", "socket", "subprocess"})
CALLS = frozenset({"eval", "exec", "__import__", "os.system", "os.popen", "os._exit", "sys.exit"})


def review_notes(tree: ast.Module) -> list[Finding]:
    """One WARNING for each module or call of the lists above that the answer uses, at its first line."""
    notes: dict[str, Finding] = {}
    for name, rule, line in _uses(tree):
        notes.setdefault(name, Finding(Severity.WARNING, rule, f"uses {name}; worth a look", line))
    return sorted(notes.values(), key=lambda note: note.line or 0)


def _uses(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""] if not node.level else []
        elif isinstance(node, ast.Call):
            called = _dotted(node.func)
            if called in CALLS:
                yield called, "review-call", node.lineno
            continue
        else:
            continue
        for name in names:
            if name.partition(".")[0] in MODULES:
                yield name.partition(".")[0], "review-import", node.lineno


def _dotted(function: ast.expr) -> str:
    if isinstance(function, ast.Name):
        return function.id
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        return f"{function.value.id}.{function.attr}"
    return ""
