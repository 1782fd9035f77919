"""Makes a failed assert tell both its sides, and a passed one prove that equal means equal.

Tests are rewritten as syntax trees before they are compiled. Only the C module `_ast` is used: importing
`ast` costs more than the whole rewriting. Names starting with `@` cannot clash with any name of the test.
"""

from __future__ import annotations

import _ast
import os

TYPE_CHECKING = False  # known to type checkers; importing typing costs each run milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_ONLY_AST = 0x0400  # ast.PyCF_ONLY_AST
_KEEPER = "@mge"
_SIGNS = {
    "Eq": "==", "NotEq": "!=", "Lt": "<", "LtE": "<=", "Gt": ">", "GtE": ">=",
    "Is": "is", "IsNot": "is not", "In": "in", "NotIn": "not in",
}  # fmt: skip
_MAX_SHOWN = 300
_MAX_ITEMS_PROBED = 50
# Taken now: an answer may replace what the builtins module holds later.
_AssertionError, _BaseException = AssertionError, BaseException
_PLAIN = (int, float, bool, str, bytes, complex, type(None), type, range)


def shown(value: Any) -> str:
    """`repr`, cut and never raising."""
    try:
        text = repr(value)
    except _BaseException as error:
        text = f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


class Keeper:
    """What rewritten asserts call. One per run."""

    def __init__(self, tests_path: str, tests_text: str, on_trick: Callable[[], None]) -> None:
        self._tests_path = tests_path
        self._any_is_the_tests_own = "ANY" in tests_text
        self._on_trick = on_trick
        self._told: list[AssertionError] = []

    def compared(self, text: str, sign: str, left: Any, right: Any, message: Any = None) -> AssertionError:
        if sign == "==":
            told = f"got {shown(left)}, expected {shown(right)}"
        else:
            told = f"left is {shown(left)}, right is {shown(right)}"
        return self._failed(text, told, message)

    def untrue(self, text: str, value: Any, message: Any = None) -> AssertionError:
        return self._failed(text, f"got {shown(value)}", message)

    def _failed(self, text: str, told: str, message: Any) -> AssertionError:
        said = (
            ""
            if message is None
            else f" ({shown(message) if not isinstance(message, str) else message[:_MAX_SHOWN]})"
        )
        error = _AssertionError(f"assert {text}: {told}{said}")
        self._told.append(error)
        return error

    def told(self, error: BaseException) -> bool:
        """Whether `error` is one of ours, which says everything already."""
        return any(error is one for one in self._told)

    def equal(self, left: Any, right: Any) -> None:
        """After `left == right` held: an object that equals everything has proved nothing."""
        for value, other in ((left, right), (right, left)):
            for item in _items(value):
                if self._equals_everything(item, other):
                    self._on_trick()

    def _equals_everything(self, value: Any, other: Any) -> bool:
        kind = type(value)
        if kind in _PLAIN or kind in (list, tuple, dict, set, frozenset):
            return False
        code = getattr(kind.__eq__, "__code__", None)
        if code is not None and code.co_filename == self._tests_path:
            return False  # the tests' own matcher
        if self._any_is_the_tests_own and kind.__module__ == "unittest.mock":
            return False
        return any(
            strangers and all(_says_equal(value, stranger) for stranger in strangers)
            for strangers in ([_Stranger(), object()], _others_like(other))
        )


def _items(value: Any) -> list[Any]:
    if type(value) in (list, tuple, set, frozenset):
        return [value, *list(value)[:_MAX_ITEMS_PROBED]]
    if type(value) is dict:
        return [value, *list(value.values())[:_MAX_ITEMS_PROBED]]
    return [value]


class _Stranger:
    """Equal to nothing but itself."""


def _others_like(other: Any) -> list[Any]:
    """Values of the type of `other` that nothing equal to it can be equal to as well."""
    if type(other) in (int, float):
        return [other + 7919, other - 104729]
    if type(other) is str:
        return [other + "\0another", "another\0" + other]
    if type(other) in (list, tuple):
        more = type(other)([_Stranger()])
        return [other + more, more + other]
    return []


def _says_equal(value: Any, stranger: Any) -> bool:
    try:
        return bool(value == stranger)
    except _BaseException:
        return False


def compile_tests(text: str, path: str) -> Any:
    """The test module's code, its asserts rewritten. Raises SyntaxError like compile."""
    tree = compile(text, path, "exec", _ONLY_AST, dont_inherit=True)
    _Rewriter(text).rewrite_below(tree)
    return compile(tree, path, "exec", dont_inherit=True)


def globals_for(keeper: Keeper) -> dict[str, Any]:
    return {_KEEPER: keeper}


class _Rewriter:
    def __init__(self, text: str) -> None:
        self._lines = text.encode().split(b"\n")

    def rewrite_below(self, root: Any) -> None:
        """Every assert below `root`, in place; iterative, since tests may be deep."""
        pending = [root]
        while pending:
            node = pending.pop()
            for field in node._fields:
                value = getattr(node, field, None)
                if isinstance(value, list):
                    if any(isinstance(item, _ast.Assert) for item in value):
                        value[:] = [new for item in value for new in self._statement(item)]
                    pending.extend(item for item in value if isinstance(item, _ast.AST))
                elif isinstance(value, _ast.stmt | _ast.ExceptHandler | _ast.mod):
                    pending.append(value)

    def _statement(self, node: Any) -> list[Any]:
        return self._assert(node.test, node) if isinstance(node, _ast.Assert) else [node]

    def _assert(self, test: Any, origin: Any) -> list[Any]:
        if isinstance(test, _ast.BoolOp) and isinstance(test.op, _ast.And):
            return [new for part in test.values for new in self._assert(part, origin)]
        text = self._segment(test)
        make = _Maker(origin)
        if isinstance(test, _ast.Compare) and len(test.ops) == 1:
            sign = _SIGNS[type(test.ops[0]).__name__]
            left, right = make.load("@left"), make.load("@right")
            failed = make.raised(
                "compared", [make.constant(text), make.constant(sign), left, right], origin.msg
            )
            passed = [make.called("equal", [left, right])] if sign == "==" else [make.at(_ast.Pass())]
            return [
                make.stored("@left", test.left),
                make.stored("@right", test.comparators[0]),
                make.branch(make.at(_ast.Compare(left, test.ops, [right])), passed, [failed]),
                # Else the last compared value would live on until the test returns.
                make.stored("@left", make.constant(None)),
                make.stored("@right", make.constant(None)),
            ]
        negated = isinstance(test, _ast.UnaryOp) and isinstance(test.op, _ast.Not)
        value = make.load("@left")
        failed = make.raised("untrue", [make.constant(text), value], origin.msg)
        nothing = [make.at(_ast.Pass())]
        branches = ([failed], nothing) if negated else (nothing, [failed])
        return [
            make.stored("@left", test.operand if negated else test),
            make.branch(value, *branches),
            make.stored("@left", make.constant(None)),
        ]

    def _segment(self, node: Any) -> str:
        lines = self._lines[node.lineno - 1 : node.end_lineno]
        lines[-1] = lines[-1][: node.end_col_offset]
        lines[0] = lines[0][node.col_offset :]
        text = b" ".join(b" ".join(lines).split()).decode(errors="replace")
        return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


class _Maker:
    """Builds nodes that all stand where the assert stood."""

    def __init__(self, origin: Any) -> None:
        self._place = {
            "lineno": origin.lineno,
            "col_offset": origin.col_offset,
            "end_lineno": origin.end_lineno,
            "end_col_offset": origin.end_col_offset,
        }

    def at(self, node: Any) -> Any:
        for name, value in self._place.items():
            setattr(node, name, value)
        return node

    def load(self, name: str) -> Any:
        return self.at(_ast.Name(name, _ast.Load()))

    def constant(self, value: Any) -> Any:
        return self.at(_ast.Constant(value))

    def stored(self, name: str, value: Any) -> Any:
        return self.at(_ast.Assign([self.at(_ast.Name(name, _ast.Store()))], value))

    def branch(self, test: Any, body: list[Any], orelse: list[Any]) -> Any:
        return self.at(_ast.If(test, body, orelse))

    def called(self, method: str, arguments: list[Any]) -> Any:
        return self.at(_ast.Expr(self._call(method, arguments)))

    def raised(self, method: str, arguments: list[Any], message: Any) -> Any:
        return self.at(_ast.Raise(self._call(method, [*arguments, message] if message else arguments), None))

    def _call(self, method: str, arguments: list[Any]) -> Any:
        function = self.at(_ast.Attribute(self.load(_KEEPER), method, _ast.Load()))
        return self.at(_ast.Call(function, arguments, []))


def last_line_in(error: BaseException, path: str) -> int:
    """The line of the file `path` that `error` passed last on its way; 0 for none."""
    line = 0
    step = error.__traceback__
    while step is not None:
        if os.path.abspath(step.tb_frame.f_code.co_filename) == path:
            line = step.tb_lineno
        step = step.tb_next
    return line
