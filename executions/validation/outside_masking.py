"""Takes the expected values out of a test module before it goes into the sandbox. Pure.

A comparison with a literal is decided outside: inside, a name stands where the literal stood, the test process
reports the value it got (`mge_inside.values`), and `outside_judgement` compares. So whoever forges reports in the test
process has to know the answer, and who knows it need not forge. What is told apart only by truth (`assert x`,
`assertTrue`) loses its polarity in the same way.

Replaced are comparisons whose failure ends the test and nothing else: those at whose failure somebody could catch the
AssertionError (in `try`, in most `with` blocks, in functions that are handed to others) stay as they are, and are
decided inside. Lines keep their numbers.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

from executions.validation.expected_tests import ExpectedTests, Function, expected_tests
from executions.validation.outside import Comparison, Outside, one_newline
from executions.validation.outside_flow import (
    catches_nothing,
    comes_to_its_end,
    open_functions,
    test_bodies,
    unconditional,
)
from executions.validation.outside_literals import NotLiteral, literal_value

PREFIX = "_mge_"
_UNTOUCHABLE = ("xfail", "expectedFailure", PREFIX)
_CHANGED_ASSERTS = {"addTypeEqualityFunc", "failureException", "_formatMessage", "_baseAssertEqual"}
_OF_UNITTEST = {
    "assertEqual": "eq",
    "assertEquals": "eq",
    "assertListEqual": "",  # also demand a type, so they stay inside
    "assertIs": "is",
    "assertTrue": "truth",
    "assertFalse": "truth",
    "assertIsNone": "none",
    "assertIsNotNone": "none",
}
_Call = ast.Call
_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)


@lru_cache(maxsize=256)
def prepared(tests: str) -> tuple[ExpectedTests, Outside]:
    """What a module holds, and the module as it goes in; kept, since an atom is often answered more than once.

    Raises UnreadableTests.
    """
    expected = expected_tests(tests)
    outside = outside_of(tests, expected)
    return replace(expected, bodies={}, tree=ast.Module([], [])), outside  # trees are large


def outside_of(tests: str, expected: ExpectedTests) -> Outside:
    """`tests` without the literals that can be compared outside; `expected` was read from the same text."""
    text = one_newline(tests)
    if any(word in text for word in _UNTOUCHABLE):
        return Outside(text=text, original=text)
    masking = _Masking(text, expected)
    masked = masking.masked()
    try:
        ast.parse(masked)
    except (SyntaxError, ValueError):  # pragma: no cover - a safety net: never seen
        return Outside(text=text, original=text)
    return Outside(masked, text, masking.comparisons, *masking.required())


class _Masking:
    def __init__(self, text: str, expected: ExpectedTests) -> None:
        tree = expected.tree
        self.comparisons: dict[str, Comparison] = {}
        self._edits: list[tuple[int, int, bytes]] = []
        self._bytes = text.encode()
        self._starts = [0]
        for line in self._bytes.split(b"\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)
        self._by_statement: dict[ast.stmt, list[str]] = {}
        self._rebound = _bound_names(tree)
        self._own_asserts = _changes_asserts(tree)
        self._functions = open_functions(tree, expected)
        self._tests = test_bodies(tree, expected, self._functions)

    def masked(self) -> str:
        for function in self._functions.values():
            self._walk(function.body, receiver="")
        seen: set[ast.AST] = set(self._functions.values())
        for body in self._tests.values():
            if body.function not in seen:
                seen.add(body.function)
                if body.open:
                    self._walk(body.function.body, receiver="" if self._own_asserts else body.receiver)
        data = self._bytes
        for start, end, new in sorted(self._edits, reverse=True):
            data = data[:start] + new + data[end:]
        return data.decode()

    def required(self) -> tuple[dict[str, frozenset[str]], dict[str, frozenset[int]]]:
        """Names of comparisons, and lines."""
        names: dict[str, frozenset[str]] = {}
        lines: dict[str, frozenset[int]] = {}
        for test, body in self._tests.items():
            statements = unconditional(body.function, self._functions) if body.open else []
            names[test] = frozenset(
                name for statement in statements for name in self._by_statement.get(statement, ())
            )
            ends = {-body.function.lineno} if body.open and comes_to_its_end(body.function) else set()
            lines[test] = frozenset(ends | {one.lineno for one in statements if _asserts(one)})
        return names, lines

    def _walk(self, body: list[ast.stmt], receiver: str) -> None:
        for node in body:
            if isinstance(node, ast.Assert):
                self._assert(node)
            elif isinstance(node, ast.Expr) and isinstance(node.value, _Call) and receiver:
                self._call(node, node.value, receiver)
            elif isinstance(node, ast.If | ast.For | ast.While):
                self._walk(node.body, receiver)
                self._walk(node.orelse, receiver)
            elif isinstance(node, ast.With) and catches_nothing(node):
                self._walk(node.body, receiver)

    def _assert(self, node: ast.Assert) -> None:
        if _runs_on(node):
            return
        test, before = node.test, len(self._edits)
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
            for part in test.values:
                self._compare(node, part)
        elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            if not _decided_inside(test.operand):
                self._truth(node, test.operand, expected=False)
        elif isinstance(test, ast.Compare):
            self._compare(node, test)
        elif not _decided_inside(test):
            self._truth(node, test, expected=True)
        if node.msg is not None and len(self._edits) > before:
            self._replace(node.msg, "None")

    def _compare(self, node: ast.Assert, test: ast.expr) -> None:
        if not isinstance(test, ast.Compare) or len(test.ops) != 1:
            return
        means = {ast.Eq: "eq", ast.Is: "is"}.get(type(test.ops[0]), "")
        sides = (test.left, test.comparators[0])
        for literal, other, first in ((sides[1], sides[0], False), (sides[0], sides[1], True)):
            value = self._literal(literal, means)
            if value is not _NOTHING and self._literal(other, means) is _NOTHING:
                name = self._add(node, means, value, test, literal_first=first, message=node.msg)
                self._replace(literal, name)
                return

    def _truth(self, node: ast.Assert, operand: ast.expr, *, expected: bool) -> None:
        name = self._add(node, "truth", expected, node.test, message=node.msg)
        start, end = self._range(operand)
        if operand is not node.test:
            negation = self._range(node.test)[0]
            self._edits.append((negation, negation + len(b"not"), f"({name})==".encode()))
            self._edits.append((start, start, b"("))
        else:
            self._edits.append((start, start, f"({name})==(".encode()))
        self._edits.append((end, end, b")"))

    def _call(self, node: ast.Expr, call: _Call, receiver: str) -> None:
        function = call.func
        if (
            not isinstance(function, ast.Attribute)
            or not isinstance(function.value, ast.Name)
            or function.value.id != receiver
            or _runs_on(node)
        ):
            return
        method, means = function.attr, _OF_UNITTEST.get(function.attr, "")
        operands = 2 if means in ("eq", "is") else 1
        message = _message_of(call, operands)
        if not means or message is _NOTHING:
            return
        if operands == 1:
            wanted = method in ("assertTrue", "assertIsNone")
            name = self._add(node, means, wanted, call, method=method, message=message)
            end = self._range(function)[1]
            self._edits.append((end - len(method.encode()), end, name.encode()))
        else:
            first, second = call.args[:2]
            values = [self._literal(side, means) for side in (first, second)]
            if (values[0] is _NOTHING) is (values[1] is _NOTHING):
                return
            is_first = values[1] is _NOTHING
            literal, value = (first, values[0]) if is_first else (second, values[1])
            name = self._add(node, means, value, call, method=method, literal_first=is_first, message=message)
            self._replace(literal, name)
        if isinstance(message, ast.expr):
            self._replace(message, "None")

    def _literal(self, node: ast.expr, means: str) -> Any:
        if not means:
            return _NOTHING
        try:
            value = literal_value(node, self._rebound)
        except NotLiteral:
            return _NOTHING
        if means == "is" and not (value is None or type(value) is bool):
            return _NOTHING
        return value

    def _add(
        self,
        statement: ast.stmt,
        means: str,
        expected: Any,
        shown: ast.expr,
        *,
        method: str = "",
        literal_first: bool = False,
        message: Any = None,
    ) -> str:
        name = f"{PREFIX}{means}_{len(self.comparisons)}"
        said = ""
        if isinstance(message, ast.Constant) and isinstance(message.value, str):
            said = message.value
        elif isinstance(message, ast.expr):
            said = self._segment(message)
        self.comparisons[name] = Comparison(
            name,
            means,
            expected,
            self._segment(shown),
            method,
            literal_first,
            said,
            line=shown.lineno,
        )
        self._by_statement.setdefault(statement, []).append(name)
        return name

    def _replace(self, node: ast.expr, by: str) -> None:
        """In parentheses, which keeps it apart from what stands beside it and lets the line breaks stay."""
        start, end = self._range(node)
        breaks = b"\n" * self._bytes.count(b"\n", start, end)
        self._edits.append((start, end, f"({by}".encode() + breaks + b")"))

    def _range(self, node: ast.expr) -> tuple[int, int]:
        last_line, last_column = node.end_lineno or 0, node.end_col_offset or 0
        return self._starts[node.lineno - 1] + node.col_offset, self._starts[last_line - 1] + last_column

    def _segment(self, node: ast.expr) -> str:
        start, end = self._range(node)
        return b" ".join(self._bytes[start:end].split()).decode()


_NOTHING: Any = object()


def _message_of(call: _Call, operands: int) -> Any:
    """The message's expression, None without one; `_NOTHING` for a call that is put together in another way."""
    if any(isinstance(argument, ast.Starred) for argument in call.args):
        return _NOTHING
    extra = call.args[operands:]
    named = call.keywords
    if len(call.args) < operands or len(extra) + len(named) > 1:
        return _NOTHING
    if named:
        return named[0].value if named[0].arg == "msg" else _NOTHING
    return extra[0] if extra else None


def _asserts(node: ast.stmt) -> bool:
    """The same as the rewriter inside takes for an assert."""
    if isinstance(node, ast.Expr) and isinstance(node.value, _Call):
        return isinstance(node.value.func, ast.Attribute) and node.value.func.attr.startswith("assert")
    return isinstance(node, ast.Assert)


def _decided_inside(operand: ast.expr) -> bool:
    """Comparisons tell both their sides only inside; a constant needs no deciding."""
    return isinstance(operand, ast.Compare | ast.BoolOp | ast.Constant | ast.Tuple) or (
        isinstance(operand, ast.UnaryOp) and isinstance(operand.op, ast.Not)
    )


def _runs_on(node: ast.stmt) -> bool:
    """Whether the statement does what a missing message or another spelling would change."""
    return any(
        isinstance(inner, ast.NamedExpr | ast.Yield | ast.YieldFrom | ast.Await) for inner in ast.walk(node)
    )


def _bound_names(tree: ast.Module) -> frozenset[str]:
    return frozenset(_bindings(tree))


def _bindings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, _NAMED) and node.name:
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                # `from x import *` may bind anything; the literals' own calls are then not believed.
                yield from ("dict", "float", "frozenset", "list", "set", "tuple") if alias.name == "*" else ()
                yield alias.asname or alias.name.split(".")[0]


def _changes_asserts(tree: ast.Module) -> bool:
    """Whether the tests give unittest's own methods another meaning."""
    for node in ast.walk(tree):
        if isinstance(node, Function) and (node.name in _OF_UNITTEST or node.name in _CHANGED_ASSERTS):
            return True
        if isinstance(node, ast.Attribute) and (
            node.attr in _CHANGED_ASSERTS
            or (node.attr in _OF_UNITTEST and not isinstance(node.ctx, ast.Load))
        ):
            return True
        if isinstance(node, ast.Name) and node.id in (*_CHANGED_ASSERTS, *_OF_UNITTEST):
            return True
    return False
