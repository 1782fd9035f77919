"""Notes for a person who reads the answer later. They never reject, are never fed back, and are no security boundary:
what code may do is the sandbox's business.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from executions.findings import Finding, Severity

MODULES = {
    **dict.fromkeys(("ctypes", "cffi"), "native code"),
    **dict.fromkeys(("pickle", "marshal", "shelve", "dill"), "runs what it reads"),
    **dict.fromkeys(("multiprocessing", "subprocess", "pty"), "starts processes"),
    **dict.fromkeys(
        (
            *(
                "socket",
                "socketserver",
                "ssl",
                "ftplib",
                "smtplib",
                "poplib",
                "imaplib",
                "telnetlib",
                "xmlrpc",
            ),
            *("requests", "httpx", "aiohttp", "urllib3"),
        ),
        "network",
    ),
    **dict.fromkeys(("pytest", "_pytest", "unittest"), "belongs to tests"),
}
"""Modules worth a look, and why; those inside them are meant too."""
PARTS = {
    **dict.fromkeys(("urllib.request", "http.client", "http.server"), "network"),
    **dict.fromkeys(("gc", "tracemalloc"), "sees objects that are not its own"),
}
"""The same for modules of which others with the same beginning are harmless."""
CALLS = frozenset(
    {
        *("eval", "exec", "__import__"),
        *("os.system", "os.popen", "os._exit", "os.abort", "os.fork", "os.forkpty", "os.kill", "os.killpg"),
        *("os.execv", "os.execve", "os.execvp", "os.posix_spawn", "signal.raise_signal"),
        *("sys.settrace", "sys.setprofile", "sys.addaudithook", "threading.settrace", "atexit.register"),
    }
)
ENDS_THE_PROGRAM = frozenset({"sys.exit", "exit", "quit"})
FRAMES = frozenset(
    {
        *(
            "_getframe",
            "_current_frames",
            "currentframe",
            "tb_frame",
            "f_back",
            "f_globals",
            "f_locals",
            "f_builtins",
        ),
        *("gi_frame", "cr_frame", "__code__"),
    }
)
SHARED = ("sys.modules", "builtins", "__builtins__")
_INSIDE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def review_notes(tree: ast.Module) -> list[Finding]:
    """One WARNING for each use of what is listed here, at its first line."""
    notes: dict[str, Finding] = {}
    for what, rule, line in _noted(tree):
        notes.setdefault(what, Finding(Severity.WARNING, rule, f"{what}; worth a look", line))
    return sorted(notes.values(), key=lambda note: note.line or 0)


def _noted(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    for node in ast.walk(tree):
        looked_at = _LOOKS.get(type(node))
        if looked_at is not None:
            yield from looked_at(node)
    yield from _ends_at_import(tree)


def _import(node: ast.Import) -> Iterator[tuple[str, str, int]]:
    for alias in node.names:
        yield from _module(alias.name, node.lineno)


def _import_from(node: ast.ImportFrom) -> Iterator[tuple[str, str, int]]:
    if node.level:
        return
    module = node.module or ""
    yield from _module(module, node.lineno)
    for alias in node.names:
        if f"{module}.{alias.name}" in PARTS:
            yield from _module(f"{module}.{alias.name}", node.lineno)
        if f"{module}.{alias.name}" in CALLS or alias.name in FRAMES:
            yield f"uses {module}.{alias.name}", "review-call", node.lineno


def _module(name: str, line: int) -> Iterator[tuple[str, str, int]]:
    top = name.partition(".")[0]
    if top in MODULES:
        yield f"uses {top} ({MODULES[top]})", "review-import", line
    elif name in PARTS:
        yield f"uses {name} ({PARTS[name]})", "review-import", line


def _call(node: ast.Call) -> Iterator[tuple[str, str, int]]:
    called = _dotted(node.func)
    if called in CALLS:
        yield f"uses {called}", "review-call", node.lineno
    elif called in ("setattr", "delattr") and node.args and _dotted(node.args[0]) in SHARED:
        yield f"changes {_dotted(node.args[0])}", "review-shared-state", node.lineno


def _attribute(node: ast.Attribute) -> Iterator[tuple[str, str, int]]:
    if node.attr in FRAMES:
        yield f"reads {node.attr}", "review-frames", node.lineno
    if not isinstance(node.ctx, ast.Load) and _dotted(node.value) in SHARED:
        yield f"changes {_dotted(node.value)}", "review-shared-state", node.lineno


def _item(node: ast.Subscript) -> Iterator[tuple[str, str, int]]:
    if not isinstance(node.ctx, ast.Load) and _dotted(node.value) in SHARED:
        yield f"changes {_dotted(node.value)}", "review-shared-state", node.lineno


def _class(node: ast.ClassDef) -> Iterator[tuple[str, str, int]]:
    """An object that equals everything passes every test."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name in ("__eq__", "__ne__"):
            told = [
                one
                for one in item.body
                if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
            ]
            result = told[0].value if len(told) == 1 and isinstance(told[0], ast.Return) else None
        elif isinstance(item, ast.Assign) and _dotted(item.targets[0]) in ("__eq__", "__ne__"):
            result = item.value.body if isinstance(item.value, ast.Lambda) else None
        else:
            continue
        if isinstance(result, ast.Constant) and isinstance(result.value, bool):
            yield (
                f"{node.name} is equal, or unlike, whatever it is compared with",
                "review-always-equal",
                item.lineno,
            )


def _ends_at_import(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    """Only outside functions, and outside of what runs for the main program alone."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, _INSIDE) or (isinstance(node, ast.If) and _asks_for_main(node.test)):
            continue
        ends = isinstance(node, ast.Call) and _dotted(node.func) in ENDS_THE_PROGRAM
        raised = node.exc if isinstance(node, ast.Raise) else None
        raised = raised.func if isinstance(raised, ast.Call) else raised
        if ends or (isinstance(raised, ast.Name) and raised.id == "SystemExit"):
            yield "ends the program while it is imported", "review-exit", getattr(node, "lineno", 1)
        waiting.extend(ast.iter_child_nodes(node))


def _asks_for_main(test: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(test))


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return ""


_LOOKS: dict[type[ast.AST], Callable[[Any], Iterator[tuple[str, str, int]]]] = {
    ast.Import: _import,
    ast.ImportFrom: _import_from,
    ast.Call: _call,
    ast.Attribute: _attribute,
    ast.Subscript: _item,
    ast.ClassDef: _class,
}
