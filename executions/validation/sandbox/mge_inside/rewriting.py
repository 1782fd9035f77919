"""Rewrites test modules, so that each of their asserts and comparisons is a call of the keeper (`assertions`).

Tests are rewritten as syntax trees before they are compiled. Only the C module `_ast` is used: importing
`ast` costs more than the whole rewriting. Names starting with `@` cannot clash with any name of the test.
"""

from __future__ import annotations

import _ast

TYPE_CHECKING = False  # known to type checkers; importing typing costs each run milliseconds
if TYPE_CHECKING:
    from typing import Any

KEEPER = "@mge"
_ONLY_AST = 0x0400  # ast.PyCF_ONLY_AST
_OUTSIDE = "_mge_"
_ASSERTING = (_OUTSIDE, "assert")
_TRUTHS = (
    _ast.Assert, _ast.If, _ast.While, _ast.IfExp, _ast.BoolOp, _ast.UnaryOp, _ast.GeneratorExp, _ast.comprehension,
)  # fmt: skip
_FUNCTIONS = (_ast.FunctionDef, _ast.AsyncFunctionDef)
_SIGNS = {
    "Eq": "==", "NotEq": "!=", "Lt": "<", "LtE": "<=", "Gt": ">", "GtE": ">=",
    "Is": "is", "IsNot": "is not", "In": "in", "NotIn": "not in",
}  # fmt: skip
_ASKED = {_ast.Eq: "equals", _ast.NotEq: "differs"}
_PROVED = {_ast.Lt: "less", _ast.Gt: "greater", _ast.In: "holds"}
_MAX_SHOWN = 300


def compile_tests(text: str, path: str) -> Any:
    """The test module's code, its asserts rewritten. Raises SyntaxError like compile."""
    tree = compile(text, path, "exec", _ONLY_AST, dont_inherit=True)
    _Rewriter(text).rewrite_below(tree)
    return compile(tree, path, "exec", dont_inherit=True)


class _Rewriter:
    def __init__(self, text: str) -> None:
        self._lines = text.encode().split(b"\n")
        self._compared = {
            number
            for number, line in enumerate(self._lines, start=1)
            if line.count(b"==") + line.count(b"!=") > _decided_outside_in(line)
        }

    def rewrite_below(self, root: Any) -> None:
        """Every assert below `root`, in place; iterative, since tests may be deep."""
        pending = [root]
        while pending:
            node = pending.pop()
            expressions = self._holds_comparisons(node)
            for field in node._fields:
                value = getattr(node, field, None)
                if expressions and isinstance(value, _ast.Compare):
                    value = _compared_by_us(value, truth=_asks_for_truth(node))
                    setattr(node, field, value)
                if isinstance(value, list):
                    if any(isinstance(item, _ast.Assert | _ast.Expr) for item in value):
                        value[:] = [new for item in value for new in self._statement(item)]
                    if isinstance(node, _FUNCTIONS) and field == "body" and node.name.startswith("test"):
                        value.append(_Maker(node).held(-node.lineno))
                    if expressions:
                        truth = _asks_for_truth(node)
                        value[:] = [_compared_by_us(item, truth=truth) for item in value]
                    pending.extend(item for item in value if isinstance(item, _ast.AST))
                elif isinstance(value, _ast.AST) and (expressions or not isinstance(value, _ast.expr)):
                    pending.append(value)

    def _holds_comparisons(self, node: Any) -> bool:
        """Whether it is worth looking into: most lines have no more of them than what is decided outside."""
        first = getattr(node, "lineno", None)
        if first is None:
            return isinstance(node, _ast.comprehension | _ast.keyword | _ast.arguments | _ast.withitem)
        return not self._compared.isdisjoint(range(first, (node.end_lineno or first) + 1))

    def _statement(self, node: Any) -> list[Any]:
        if isinstance(node, _ast.Assert):
            return [*self._assert(node.test, node), _Maker(node).held(node.lineno)]
        if isinstance(node, _ast.Expr) and isinstance(node.value, _ast.Call):
            function = node.value.func
            if isinstance(function, _ast.Attribute) and function.attr.startswith(_ASSERTING):
                return [_decided_outside(node, function.attr), _Maker(node).held(node.lineno)]
        return [node]

    def _assert(self, test: Any, origin: Any) -> list[Any]:
        if isinstance(test, _ast.BoolOp) and isinstance(test.op, _ast.And):
            return [new for part in test.values for new in self._assert(part, origin)]
        if isinstance(test, _ast.Compare):
            outside = _compared(test.left, test.comparators[0], origin)
            if outside is not None:
                return [outside]
        text = self._segment(test)
        make = _Maker(origin)
        if isinstance(test, _ast.Compare) and len(test.ops) == 1:
            sign = _SIGNS[type(test.ops[0]).__name__]
            left, right = make.load("@left"), make.load("@right")
            failed = make.raised(
                "compared", [make.constant(text), make.constant(sign), left, right], origin.msg
            )
            compared = _compared_by_us(make.at(_ast.Compare(left, test.ops, [right])))
            return [
                make.stored("@left", test.left),
                make.stored("@right", test.comparators[0]),
                make.branch(compared, [make.at(_ast.Pass())], [failed]),
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


def _decided_outside_in(line: bytes) -> int:
    """How many `==` of a line stand before or behind a name for a literal."""
    if not line.lstrip().startswith(b"assert"):
        return 0
    return line.count(b"_mge_eq_") + line.count(b"_mge_truth_")


def _decided_outside(statement: Any, method: str) -> Any:
    """`self.assertEqual(x, _mge_…)` and `self._mge_…(x)` as reports; the statement itself if it is neither."""
    arguments = statement.value.args
    if method.startswith(_OUTSIDE):
        return _reported(method, arguments[0], statement)
    if len(arguments) < 2:
        return statement
    return _compared(arguments[0], arguments[1], statement) or statement


def _compared(left: Any, right: Any, origin: Any) -> Any:
    """The report of whichever side is a value, if the other is a name that stands for a literal."""
    for name, value in ((right, left), (left, right)):
        if isinstance(name, _ast.Name) and name.id.startswith(_OUTSIDE):
            return _reported(name.id, value, origin)
    return None


def _asks_for_truth(node: Any) -> bool:
    """Whether of what stands in `node` only the truth matters."""
    if isinstance(node, _ast.Call):
        return isinstance(node.func, _ast.Attribute) and node.func.attr.startswith(_ASSERTING)
    return isinstance(node, _TRUTHS)


def _compared_by_us(node: Any, *, truth: bool = True) -> Any:
    """A call that compares as `==`, `!=`, `<`, `>` and `in` do; anything else as it is."""
    if not isinstance(node, _ast.Compare) or len(node.ops) != 1:
        return node
    kind, make = type(node.ops[0]), _Maker(node)
    if kind in _ASKED:
        return make.call(_ASKED[kind], [node.left, node.comparators[0], make.constant(truth)])
    if kind in _PROVED:
        return make.call(_PROVED[kind], [node.left, node.comparators[0]])
    return node


def _reported(name: str, value: Any, origin: Any) -> Any:
    make = _Maker(origin)
    if isinstance(value, _ast.Compare) and type(value.ops[0]) in _PROVED:
        value = _compared_by_us(value)
    return make.called("value", [make.constant(name), value])


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
        return self.at(_ast.Expr(self.call(method, arguments)))

    def held(self, line: int) -> Any:
        return self.called("held", [self.constant(line)])

    def raised(self, method: str, arguments: list[Any], message: Any) -> Any:
        return self.at(_ast.Raise(self.call(method, [*arguments, message] if message else arguments), None))

    def call(self, method: str, arguments: list[Any]) -> Any:
        function = self.at(_ast.Attribute(self.load(KEEPER), method, _ast.Load()))
        return self.at(_ast.Call(function, arguments, []))
