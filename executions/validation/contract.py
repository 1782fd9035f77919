"""Checks an answer against its promise: the names it must bind, and the parameters they take."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from executions.findings import Finding, Severity

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    kind: str
    optional: bool

    def __str__(self) -> str:
        return self.name if self.kind == "positional or keyword" else f"{self.name} ({self.kind})"


def check_contract(file_tree: ast.Module, entry_points: tuple[str, ...], signature: str) -> list[Finding]:
    """Findings against the target file: `entry-point-missing`, `signature-mismatch`.

    Parameters are compared by name and kind, not by annotation or default; a further parameter that has a
    default is no breach, since every promised call still works. A function under decorators that the
    signature does not show is not compared: they may change what it takes.
    """
    bound = dict(bindings(file_tree.body))
    findings = [
        Finding(Severity.ERROR, "entry-point-missing", f"does not define {name} at its top level")
        for name in entry_points
        if name not in bound
    ]
    for promised in parse_signature(signature):
        answered = bound.get(promised.name)
        if answered is None:
            continue  # reported above, or a name that nobody asked for
        findings += _compare(promised, answered)
    return findings


def parse_signature(signature: str) -> list[Function | ast.ClassDef]:
    """The definitions that a signature promises; empty when it is prose."""
    text = signature.strip()
    if not text.startswith(("def ", "async def ", "class ", "@")):
        return []
    for attempt in (text, text + ": ...", text + "\n    ...", _with_bodies(text)):
        try:
            body = ast.parse(attempt).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        return [node for node in body if isinstance(node, Function | ast.ClassDef)]
    return []


def _with_bodies(text: str) -> str:
    """Several one-line heads, each given a body."""
    lines = []
    for line in text.splitlines():
        head = line.strip()
        is_head = head.startswith(("def ", "async def ", "class ")) and line[:1] not in (" ", "\t")
        lines.append(line.rstrip().rstrip(":") + ": ..." if is_head else line)
    return "\n".join(lines)


def bindings(body: list[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Names bound at the top level, the branches of if, try and with included; later ones win."""
    for node in body:
        if isinstance(node, Function | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield (alias.asname or alias.name.split(".")[0]), node
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            if isinstance(node, ast.AnnAssign) and node.value is None:
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                        yield name.id, node
        elif isinstance(node, ast.If | ast.For | ast.While):
            yield from bindings(node.body + node.orelse)
        elif isinstance(node, ast.With):
            yield from bindings(node.body)
        elif isinstance(node, ast.Try):
            yield from bindings(node.body + node.orelse + node.finalbody)
            for handler in node.handlers:
                yield from bindings(handler.body)
        elif isinstance(node, ast.stmt) and type(node).__name__ == "TypeAlias":  # `type X = …`, 3.12
            yield node.name.id, node  # type: ignore[attr-defined]


def _compare(promised: Function | ast.ClassDef, answered: ast.stmt) -> list[Finding]:
    if isinstance(promised, ast.ClassDef):
        if isinstance(answered, Function):
            return [_mismatch(f"{promised.name} must be a class, not a function", answered)]
        return _compare_classes(promised, answered) if isinstance(answered, ast.ClassDef) else []
    if isinstance(answered, ast.ClassDef):
        return [_mismatch(f"{promised.name} must be a function, not a class", answered)]
    return _compare_functions(promised, answered, promised.name) if isinstance(answered, Function) else []


def _compare_classes(promised: ast.ClassDef, answered: ast.ClassDef) -> list[Finding]:
    methods = {node.name: node for node in answered.body if isinstance(node, Function)}
    findings = []
    for node in promised.body:
        if not isinstance(node, Function):
            continue
        label = f"{promised.name}.{node.name}"
        method = methods.get(node.name)
        if method is not None:
            findings += _compare_functions(node, method, label)
        elif not answered.bases and not answered.decorator_list and not answered.keywords:
            findings.append(_mismatch(f"{label} is missing", answered))
    return findings


def _compare_functions(promised: Function, answered: Function, label: str) -> list[Finding]:
    shown = {ast.dump(decorator) for decorator in promised.decorator_list}
    if any(ast.dump(decorator) not in shown for decorator in answered.decorator_list):
        return []
    if isinstance(promised, ast.AsyncFunctionDef) != isinstance(answered, ast.AsyncFunctionDef):
        wanted = "async def" if isinstance(promised, ast.AsyncFunctionDef) else "a plain def"
        return [_mismatch(f"{label} must be {wanted}", answered)]
    wanted_parameters, given = list(_parameters(promised.args)), list(_parameters(answered.args))
    if _serves(wanted_parameters, given):
        return []
    return [
        _mismatch(f"{label} must take {_listed(wanted_parameters)}, but takes {_listed(given)}", answered)
    ]


def _serves(wanted: list[_Parameter], given: list[_Parameter]) -> bool:
    """Whether `given` takes every call that `wanted` promises."""

    def positional(parameters: list[_Parameter]) -> list[_Parameter]:
        return [p for p in parameters if p.kind.startswith("positional")]

    def others(parameters: list[_Parameter]) -> set[tuple[str, str]]:
        return {
            (p.kind, "" if p.kind.endswith("star") else p.name)  # callers never see a star's name
            for p in parameters
            if not p.kind.startswith("positional")
        }

    first, more = positional(wanted), positional(given)
    if [(p.name, p.kind) for p in first] != [(p.name, p.kind) for p in more[: len(first)]]:
        return False
    if not all(p.optional for p in more[len(first) :]):
        return False
    demanded = others([p for p in given if not p.optional])
    return others(wanted) <= others(given) and demanded <= others(wanted)


def _parameters(arguments: ast.arguments) -> Iterator[_Parameter]:
    positional = [(a, "positional only") for a in arguments.posonlyargs]
    positional += [(a, "positional or keyword") for a in arguments.args]
    first_default = len(positional) - len(arguments.defaults)
    for index, (argument, kind) in enumerate(positional):
        yield _Parameter(argument.arg, kind, index >= first_default)
    if arguments.vararg:
        yield _Parameter(arguments.vararg.arg, "star", optional=True)
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _Parameter(argument.arg, "keyword only", default is not None)
    if arguments.kwarg:
        yield _Parameter(arguments.kwarg.arg, "double star", optional=True)


def _listed(parameters: list[_Parameter]) -> str:
    return "(" + ", ".join(map(str, parameters)) + ")"


def _mismatch(message: str, node: ast.stmt) -> Finding:
    return Finding(Severity.ERROR, "signature-mismatch", message, node.lineno)
