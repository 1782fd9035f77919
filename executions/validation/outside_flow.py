"""Which statements of a test module end their test when they fail, and which are reached in every passed test. Pure.

Careful on one side only: what is not understood is left to the comparison inside.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from executions.validation.expected_tests import ExpectedTests, Function

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_HARMLESS_DECORATORS = ("pytest.mark.", "patch", "mock.patch", "unittest.mock.patch")


@dataclass(frozen=True, slots=True)
class TestBody:
    """The function behind one expected test."""

    function: ast.FunctionDef | ast.AsyncFunctionDef
    receiver: str
    """`self` of a unittest class all of whose bases are known; "" otherwise."""
    open: bool
    """Whether the runner alone calls it, so that an AssertionError in it ends the test."""


def open_functions(tree: ast.Module, expected: ExpectedTests) -> dict[str, ast.FunctionDef]:
    """Module-level functions whose failure fails the test that runs: tests, and what they call by plain name.

    None that is handed around, decorated in an unknown way, or called where somebody could catch what it raises.
    """
    bound = Counter(_bound_at_top(tree))
    found = {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and bound[node.name] == 1 and not _is_special(node)
    }
    methods = [body.function for body in _methods(tree, expected).values() if body.open]
    while True:
        called = {name for caller in (*found.values(), *methods) for name in _plain_calls(caller.body)}
        elsewhere = {
            node.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and node.id in found and node not in called
        }
        wanted = {node.id for node in called} | set(expected.ids)
        kept = {name: node for name, node in found.items() if name in wanted - elsewhere}
        if len(kept) == len(found):
            return kept
        found = kept


def test_bodies(
    tree: ast.Module, expected: ExpectedTests, functions: Mapping[str, ast.FunctionDef]
) -> dict[str, TestBody]:
    """The function of every expected test, by the test's id; `functions` are the open ones."""
    found = {
        test: TestBody(body, "", functions.get(test) is body)
        for test, body in expected.bodies.items()
        if "::" not in test
    }
    return found | _methods(tree, expected)


def _methods(tree: ast.Module, expected: ExpectedTests) -> dict[str, TestBody]:
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    bound = Counter(_bound_at_top(tree))
    decorated = {node.name for node in tree.body if isinstance(node, ast.ClassDef) and node.decorator_list}
    found = {}
    for kind, owner, name in expected.plan:
        if not owner:
            continue
        function = expected.bodies[f"{owner}::{name}"]
        receiver = function.args.args[0].arg if kind == "unittest" and function.args.args else ""
        if owner not in expected.known_classes or (receiver and _stores(function, receiver)):
            receiver = ""
        is_open = (
            isinstance(function, ast.FunctionDef)
            and not _is_special(function)
            and name not in attributes  # `super().test_x()` may stand anywhere
            and owner not in decorated
            and bound[owner] == 1
        )
        found[f"{owner}::{name}"] = TestBody(function, receiver, is_open)
    return found


def unconditional(
    function: ast.FunctionDef | ast.AsyncFunctionDef, functions: Mapping[str, ast.FunctionDef]
) -> list[ast.stmt]:
    """The statements that have run whenever `function` has returned, those of functions it calls included."""
    return list(_unconditional(function, functions, frozenset()))


def _unconditional(
    function: ast.FunctionDef | ast.AsyncFunctionDef,
    functions: Mapping[str, ast.FunctionDef],
    above: frozenset[str],
) -> Iterator[ast.stmt]:
    local = set(_local_names(function))
    for node in function.body:
        if any(isinstance(inner, ast.Return) for inner in own_nodes(node)):
            return
        yield node
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            called = node.value.func
            if isinstance(called, ast.Name) and called.id not in local | above and called.id in functions:
                yield from _unconditional(functions[called.id], functions, above | {called.id})


def comes_to_its_end(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether only an exception keeps it from its last statement."""
    return not any(isinstance(inner, ast.Return) for node in function.body for inner in own_nodes(node))


def catches_nothing(node: ast.With) -> bool:
    """Whether an AssertionError that leaves the block fails the test: so it is in `with self.subTest(...)`."""
    return all(
        isinstance(item.context_expr, ast.Call)
        and isinstance(item.context_expr.func, ast.Attribute)
        and item.context_expr.func.attr == "subTest"
        for item in node.items
    )


def _is_special(node: ast.FunctionDef) -> bool:
    """A generator, or under a decorator that may do anything with what it raises."""
    if any(isinstance(inner, ast.Yield | ast.YieldFrom) for item in node.body for inner in own_nodes(item)):
        return True
    return any(not _is_harmless(decorator) for decorator in node.decorator_list)


def _is_harmless(decorator: ast.expr) -> bool:
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(function).startswith(_HARMLESS_DECORATORS)


def _bound_at_top(tree: ast.Module) -> Iterator[str]:
    """Names that the module binds, once for each time; those that functions declare `global` as well."""
    for node in tree.body:
        for inner in own_nodes(node):
            if isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Load):
                yield inner.id
            elif isinstance(inner, Function | ast.ClassDef):
                yield inner.name
            elif isinstance(inner, ast.Import | ast.ImportFrom):
                for alias in inner.names:
                    yield alias.asname or alias.name.split(".")[0]
    for below in ast.walk(tree):
        if isinstance(below, ast.Global):
            yield from below.names


def _plain_calls(body: list[ast.stmt]) -> Iterator[ast.Name]:
    """Names called where nothing catches what the call raises."""
    for node in body:
        if isinstance(node, ast.With) and catches_nothing(node):
            yield from _plain_calls(node.body)
        elif isinstance(node, ast.If | ast.For | ast.While):
            yield from _plain_calls(node.body)
            yield from _plain_calls(node.orelse)
        elif (
            isinstance(node, ast.Expr | ast.Assign)
            and isinstance(node.value, ast.Call)
            and isinstance(node.value.func, ast.Name)
        ):
            yield node.value.func


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """`node` and what is below it, without the insides of functions and classes."""
    pending: list[ast.AST] = [node]
    while pending:
        inner = pending.pop()
        yield inner
        if not isinstance(inner, _SCOPES):
            pending.extend(ast.iter_child_nodes(inner))


def _local_names(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, Function | ast.ClassDef) and node is not function:
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name.split(".")[0]


def _stores(function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load)
        for node in ast.walk(function)
    )
