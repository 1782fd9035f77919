"""Reads from a test module's text which tests it holds, so that the sandbox has nothing to say about it."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Function = ast.FunctionDef | ast.AsyncFunctionDef

_UNITTEST_BASES = {"TestCase", "IsolatedAsyncioTestCase"}
_XUNIT_HOOKS = ("setup", "teardown", "setUp", "tearDown", "pytest", "load_tests")


@dataclass(frozen=True, slots=True)
class ExpectedTests:
    """What must be reported, and by which of the two runners."""

    ids: tuple[str, ...]
    """`test_x`, `TestClass::test_y`; a parametrized test counts once, whatever its parameters."""
    runner: Literal["own", "pytest"]
    """pytest costs twenty times as much, so it runs only what the own runner does not understand."""
    plan: tuple[tuple[str, str, str], ...]
    """For the own runner, in order: (kind, class or "", function); kind is function, unittest or plain."""
    bodies: Mapping[str, Function] = field(default_factory=dict, repr=False, compare=False)
    """The function behind each id."""
    known_classes: frozenset[str] = frozenset()
    """Test classes all of whose bases are in the module or unittest's own."""
    tree: ast.Module = field(default_factory=lambda: ast.Module([], []), repr=False, compare=False)
    """The module that `bodies` are parts of."""


class UnreadableTests(ValueError):
    """The test module itself does not parse; the masterplan is at fault, not the answer."""


def expected_tests(text: str) -> ExpectedTests:
    """The tests of one module, found as pytest would find them.

    Only what stands at the top level counts as expected. Whatever could add tests at run time (branches, star
    imports, hooks, fixtures, imported base classes) hands the module to pytest. Raises UnreadableTests.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnreadableTests(f"the tests do not parse: {error}") from error
    return _Reading(tree).result()


class _Reading:
    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        self.needs_pytest = _mentions_pytest(tree)
        self.plan: dict[str, tuple[str, str, str]] = {}
        self.bodies: dict[str, Function] = {}
        self.known: set[str] = set()

    def result(self) -> ExpectedTests:
        for node in self.tree.body:
            if isinstance(node, Function):
                self._function(node)
            elif isinstance(node, ast.ClassDef):
                self._class(node)
            elif not isinstance(node, ast.Import | ast.Expr | ast.Assert | ast.Pass):
                self._other(node)
        runner: Literal["own", "pytest"] = "pytest" if self.needs_pytest else "own"
        return ExpectedTests(
            tuple(self.plan),
            runner,
            tuple(self.plan.values()),
            self.bodies,
            frozenset(self.known),
            self.tree,
        )

    def _function(self, node: Function) -> None:
        if node.name.startswith(_XUNIT_HOOKS):
            self.needs_pytest = True
        elif node.name.startswith("test"):
            self._expect("function", "", node.name, node)
            if isinstance(node, ast.AsyncFunctionDef) or _takes_anything(node, receiver=False):
                self.needs_pytest = True

    def _class(self, node: ast.ClassDef) -> None:
        is_unittest, bases_known = self._bases(node, frozenset())
        if bases_known:
            self.known.add(node.name)
        methods = self._methods(node, frozenset())
        tests = [name for name in methods if name.startswith("test")]
        if is_unittest:
            for name in sorted(tests):  # unittest's own order
                self._expect("unittest", node.name, name, methods[name])
            self.needs_pytest |= not bases_known
        elif node.name.startswith("Test"):
            if "__init__" in methods or "__new__" in methods:
                self.needs_pytest = True  # pytest skips such a class, with a warning
                return
            for name in tests:
                self._expect("plain", node.name, name, methods[name])
            hooks = any(name.startswith(_XUNIT_HOOKS) for name in methods)
            fixtures = any(_takes_anything(methods[name], receiver=True) for name in tests)
            nested = any(isinstance(item, ast.ClassDef) for item in node.body)
            self.needs_pytest |= hooks or fixtures or nested or not bases_known or bool(node.decorator_list)
        elif tests and not bases_known:
            self.needs_pytest = True  # a base from elsewhere may make it a TestCase

    def _bases(self, node: ast.ClassDef, seen: frozenset[str]) -> tuple[bool, bool]:
        """(derives from unittest's TestCase, every base is known)."""
        is_unittest, known = False, True
        for base in node.bases:
            name = (
                base.attr
                if isinstance(base, ast.Attribute)
                else base.id
                if isinstance(base, ast.Name)
                else ""
            )
            if name in self.classes and name not in seen and name != node.name:
                inner_unittest, inner_known = self._bases(self.classes[name], seen | {node.name})
                is_unittest, known = is_unittest or inner_unittest, known and inner_known
            elif name in _UNITTEST_BASES:
                is_unittest = True
            elif name != "object":
                known = False
        return is_unittest, known

    def _methods(self, node: ast.ClassDef, seen: frozenset[str]) -> dict[str, Function]:
        methods: dict[str, Function] = {}
        for base in reversed(node.bases):
            if isinstance(base, ast.Name) and base.id in self.classes and base.id not in seen | {node.name}:
                methods |= self._methods(self.classes[base.id], seen | {node.name})
        for item in node.body:
            if isinstance(item, Function):
                methods[item.name] = item
            elif isinstance(item, ast.If | ast.For | ast.While | ast.Try | ast.With) or _assigns_test(item):
                self.needs_pytest = True
        return methods

    def _other(self, node: ast.stmt) -> None:
        """Statements that may bind tests without a `def` at the top level."""
        if isinstance(node, ast.ImportFrom):
            if node.module == "unittest":
                return
            names = [alias.asname or alias.name for alias in node.names]
            self.needs_pytest |= any(name == "*" or name.startswith(("test", "Test")) for name in names)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            self.needs_pytest |= _assigns_test(node)
        else:
            hidden = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
            self.needs_pytest |= any(isinstance(inner, hidden) for inner in ast.walk(node))

    def _expect(self, kind: str, owner: str, name: str, body: Function) -> None:
        test = f"{owner}::{name}" if owner else name
        self.plan[test] = (kind, owner, name)
        self.bodies[test] = body


def _mentions_pytest(tree: ast.Module) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(
            a.name.split(".")[0] in ("pytest", "_pytest") for a in node.names
        ):
            return True
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("pytest", "_pytest"):
            return True
        if isinstance(node, ast.Name) and node.id in ("globals", "vars", "exec", "setattr"):
            return True  # may make tests by hand
    return False


def _takes_anything(node: Function, *, receiver: bool) -> bool:
    arguments = node.args
    static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list)
    positional = len(arguments.posonlyargs) + len(arguments.args) - (1 if receiver and not static else 0)
    return positional > 0 or bool(arguments.vararg or arguments.kwonlyargs or arguments.kwarg)


def _assigns_test(node: ast.stmt) -> bool:
    if not isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return False
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = [inner.id for target in targets for inner in ast.walk(target) if isinstance(inner, ast.Name)]
    return any(name.startswith(("test", "Test", "pytest", "__test__")) for name in names)
