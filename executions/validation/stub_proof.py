"""Which tests must fail on a stub, read from their text: then the stub need not be run. Pure.

A test proves something when it calls one of the answer's functions by the name that it imported it by, at a place that
it cannot come past: on a stub that call raises. Whatever could make the name mean something else is no proof.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Collection, Iterator
from functools import lru_cache

from executions.validation.outside_flow import own_nodes

# By these a name could come to mean something else without being bound in the text.
_TURNING = frozenset(
    (
        "eval", "exec", "globals", "importlib", "locals", "mock", "monkeypatch", "patch", "reload", "setattr", "sys", "vars",
        "__import__",
    )
)  # fmt: skip
_Test = ast.FunctionDef


def own_functions(file_tree: ast.Module, answer_tree: ast.Module) -> frozenset[str]:
    """Names that a stub binds to functions which raise: those of the answer, bound once in the whole file."""
    own = {node.name for node in answer_tree.body if isinstance(node, ast.FunctionDef)}
    bound = [name for node in ast.walk(file_tree) for name in _bound_by(node)]
    return frozenset(name for name in own if bound.count(name) == 1)


def all_fail_on_a_stub(
    tests: str, expected: Collection[str], target_path: str, functions: frozenset[str]
) -> bool:
    """Whether each of the `expected` tests calls one of `functions` of the target file for certain.

    False when it cannot be told; then only running the stub shows it.
    """
    return bool(functions) and bool(expected) and _all_fail(tests, tuple(expected), target_path, functions)


@lru_cache(maxsize=512)
def _all_fail(tests: str, expected: tuple[str, ...], target_path: str, functions: frozenset[str]) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(tests)
    names = _imported(tree, target_path.removesuffix(".py").replace("/", "."), functions)
    if not names or any(map(_may_turn, ast.walk(tree))):
        return False
    found = dict(_tests(tree))
    return all(test in found and _calls(found[test], names) for test in expected)


def _may_turn(node: ast.AST) -> bool:
    """Whether it could give a name another meaning, or a failed test another outcome."""
    if isinstance(node, ast.Name):
        return node.id in _TURNING or node.id == "pytestmark"
    if isinstance(node, ast.arg):
        return node.arg in _TURNING
    return isinstance(node, ast.alias) and (node.name == "*" or node.name.rpartition(".")[2] in _TURNING)


def _imported(tree: ast.Module, module: str, functions: frozenset[str]) -> frozenset[str]:
    """Names of the test module that mean one of the functions, whatever line one looks at."""
    names = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == module and not node.level
        for alias in node.names
        if alias.name in functions
    }
    bound = [name for node in ast.walk(tree) for name in _bound_by(node)]
    return frozenset(name for name in names if bound.count(name) == 1)


def _bound_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name.partition(".")[0]
    elif isinstance(node, ast.Global | ast.Nonlocal):
        yield from node.names
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest


def _tests(tree: ast.Module) -> Iterator[tuple[str, _Test]]:
    """What is decorated or asynchronous may be called in another way, or not at all."""
    for node in tree.body:
        if isinstance(node, _Test) and not node.decorator_list:
            yield node.name, node
        elif isinstance(node, ast.ClassDef) and not node.decorator_list:
            for item in node.body:
                if isinstance(item, _Test) and not item.decorator_list:
                    yield f"{node.name}::{item.name}", item


def _calls(test: _Test, names: frozenset[str]) -> bool:
    """Whether running it comes to a call of one of the names."""
    if any(
        isinstance(node, ast.Yield | ast.YieldFrom)
        for statement in test.body
        for node in own_nodes(statement)
    ):
        return False
    for statement in test.body:
        if any(_certain(part, names) for part in _first_evaluated(statement)):
            return True
        if any(isinstance(node, ast.Return | ast.Raise) for node in own_nodes(statement)):
            return False
    return False


def _first_evaluated(statement: ast.stmt) -> list[ast.expr]:
    """What of a statement is evaluated whatever happens."""
    if isinstance(statement, ast.Assert | ast.If | ast.While):
        return [statement.test]
    if isinstance(statement, ast.For):
        return [statement.iter]
    if isinstance(statement, ast.With):
        return [statement.items[0].context_expr]
    if (
        isinstance(statement, ast.Expr | ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Return)
        and statement.value
    ):
        return [statement.value]
    return []


def _certain(node: ast.AST, names: frozenset[str]) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
        return True
    parts: list[ast.AST]
    if isinstance(node, ast.BoolOp):
        parts = [node.values[0]]
    elif isinstance(node, ast.IfExp):
        parts = [node.test]
    elif isinstance(node, ast.Compare):
        parts = [node.left, node.comparators[0]]
    elif isinstance(node, ast.Lambda):
        parts = []
    elif isinstance(node, ast.GeneratorExp | ast.ListComp | ast.SetComp | ast.DictComp):
        parts = [node.generators[0].iter]
    else:
        parts = list(ast.iter_child_nodes(node))
    return any(_certain(part, names) for part in parts)
