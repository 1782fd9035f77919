"""How much a checker's remark weighs. Only what cannot be wrong about working code rejects; style is never asked about."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from executions.findings import Finding, Severity
from executions.validation.static.piece import Piece, Remark, Remarks, Unavailable

UNDEFINED = "F821"
ALWAYS_RAISES = frozenset({"F505", "F506", "F507", "F509", "F521", "F524", "F525"})
"""A format and what is put into it do not fit, both being literal: running the line raises."""
FOR_THE_RECORD = frozenset({"F401", "F504", "F522", "F523", "F841", "F842"})
"""Left over, and harmless."""
MOST_FINDINGS = 20
LONGEST_MESSAGE = 400

Place = tuple[int, int]
"""Line and column of a name, in characters, both from 1."""

_MAKES_NAMES = frozenset(
    {
        "globals",
        "vars",
        "locals",
        "exec",
        "eval",
        "setattr",
        "builtins",
        "__builtins__",
        "__dict__",
        "modules",
        "NameError",
        "_convert_",  # an enum's members become names of the module
        "global_enum",
    }
)
"""Where one of these is used, names may come to be that no reader of the text can see."""
_DEPENDS_ON_PLACE = frozenset(
    {"TYPE_CHECKING", "version_info", "version", "hexversion", "platform", "PY2", "PY3"}
)
_LINE_END = re.compile(r"\r\n|\r|\n")


def lint_findings(remarks: Remarks, piece: Piece, line_of: Callable[[int], int | None]) -> list[Finding]:
    """What ruff says of a piece. `line_of` turns a line of the file into the answer's; None: it is not the answer's."""
    if isinstance(remarks, Unavailable):
        return [_unavailable("lint", remarks)]
    may_reject = any(remark.rule == UNDEFINED or remark.rule in ALWAYS_RAISES for remark in remarks)
    certain = _certain_places(piece) if may_reject else _Certain()
    return _told("lint", [(_weight(remark, certain), remark) for remark in remarks], line_of)


def _weight(remark: Remark, certain: _Certain) -> Severity:
    place = (remark.line, remark.column)
    if remark.rule == UNDEFINED and place in certain.names:
        return Severity.ERROR
    if remark.rule in ALWAYS_RAISES and place in certain.operations:
        return Severity.ERROR
    return Severity.INFO if remark.rule in FOR_THE_RECORD else Severity.WARNING


def type_findings(remarks: Remarks, line_of: Callable[[int], int | None]) -> list[Finding]:
    """What ty says of a piece: worth a look, never more. An annotation may be wrong about code that works."""
    if isinstance(remarks, Unavailable):
        return [_unavailable("types", remarks)]
    return _told("types", [(Severity.WARNING, remark) for remark in remarks], line_of)


def _unavailable(layer: str, remarks: Unavailable) -> Finding:
    return Finding(
        Severity.WARNING, f"{layer}-unavailable", f"this check could not be made: {remarks.reason}"
    )


def _told(
    layer: str, weighed: Iterable[tuple[Severity, Remark]], line_of: Callable[[int], int | None]
) -> list[Finding]:
    """What rejects is told each time, of the rest each rule once, with how often more."""
    errors: dict[tuple[str, str], Finding] = {}
    notes: dict[str, tuple[Finding, int]] = {}
    for severity, remark in weighed:
        line = line_of(remark.line)
        if line is None:
            continue  # in another atom's part of the file
        finding = Finding(severity, f"{layer}-{remark.rule}", remark.message[:LONGEST_MESSAGE], line)
        if severity.blocks:
            errors.setdefault((remark.rule, remark.message), finding)
        elif remark.rule in notes:
            first, more = notes[remark.rule]
            notes[remark.rule] = (first, more + 1)
        else:
            notes[remark.rule] = (finding, 0)
    told = [
        Finding(
            one.severity,
            one.rule,
            f"{one.message} (and {more} more)" if more else one.message,
            one.line,
        )
        for one, more in notes.values()
    ]
    return [*errors.values(), *told][:MOST_FINDINGS]


@dataclass(frozen=True, slots=True)
class _Certain:
    names: set[Place] = field(default_factory=set)
    """Uses of names that are looked up whenever their line is run."""
    operations: set[Place] = field(default_factory=set)
    """Expressions that are evaluated whenever their line is run, by where they begin."""


def _certain_places(piece: Piece) -> _Certain:
    """Where a remark cannot be wrong about working code: not in annotations, not under a `try` that may be there for just
    this, not under a test of version or platform. Names are certain only in modules that make none by other ways than
    those one can read.
    """
    certain = _Certain()
    lines = None if piece.text.isascii() else _LINE_END.split(piece.text)
    dynamic = any(_makes_names(node) for node in ast.walk(piece.tree))
    module_names = _bound(piece.tree.body, into_functions=False)
    for statement in piece.tree.body:
        # A name that is bound further down, or deleted, in the same statement: whether it is there is a question of time.
        known = module_names | _bound([statement], into_functions=True)
        for node in _evaluated(statement):
            if isinstance(node, ast.Name):
                if isinstance(node.ctx, ast.Load) and not dynamic and node.id not in known:
                    certain.names.add(_place_of(node, lines))
            elif isinstance(node, ast.BinOp | ast.Call):
                certain.operations.add(_place_of(node, lines))
    return certain


def _evaluated(statement: ast.stmt) -> Iterator[ast.AST]:
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        yield node
        uncertain = _uncertain_parts(node)
        for name, value in ast.iter_fields(node):
            if name not in uncertain:
                waiting += [
                    one for one in (value if isinstance(value, list) else [value]) if isinstance(one, ast.AST)
                ]


def _bound(statements: Iterable[ast.stmt], *, into_functions: bool) -> set[str]:
    """Names that are bound or deleted anywhere in the statements, and those that Python gives a module."""
    names = {"__path__", "__file__", "__spec__", "__loader__", "__package__", "__cached__", "__class__"}
    waiting: list[ast.AST] = list(statements)
    while waiting:
        node = waiting.pop()
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
                names.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
                if not into_functions:
                    continue
            case ast.alias(name=name, asname=other):
                names.add(other or name.partition(".")[0])
            case (
                ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
            ):
                names.add(name)
            case ast.Global(names=several) | ast.Nonlocal(names=several):
                names.update(several)
        waiting.extend(ast.iter_child_nodes(node))
    return names


def _place_of(node: ast.expr, lines: list[str] | None) -> Place:
    """ast counts columns in bytes, ruff in characters."""
    before = node.col_offset
    if lines is not None:
        before = len(lines[node.lineno - 1].encode()[:before].decode(errors="replace"))
    return node.lineno, before + 1


def _uncertain_parts(node: ast.AST) -> tuple[str, ...]:
    """The fields of a node in which an undefined name or a wrong format may be of no consequence."""
    match node:
        case ast.arg() | ast.AnnAssign():
            return ("annotation",)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return ("returns", "type_params")
        case ast.ClassDef():
            return ("type_params",)
        case ast.Try() | ast.TryStar():
            return ("body",)
        case ast.If() | ast.IfExp() | ast.While() if _depends_on_place(node.test):
            return ("body", "orelse")
        case ast.BoolOp() if any(map(_depends_on_place, node.values)):
            return ("values",)
        case ast.With() | ast.AsyncWith() if any(_suppresses(item.context_expr) for item in node.items):
            return ("body",)
    # `type X = …` (3.12) is evaluated when somebody asks for its value.
    return ("value",) if type(node).__name__ == "TypeAlias" else ()


def _depends_on_place(test: ast.expr) -> bool:
    return any(
        (isinstance(node, ast.Name) and node.id in _DEPENDS_ON_PLACE)
        or (isinstance(node, ast.Attribute) and node.attr in _DEPENDS_ON_PLACE)
        for node in ast.walk(test)
    )


def _suppresses(manager: ast.expr) -> bool:
    function = manager.func if isinstance(manager, ast.Call) else manager
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("suppress", "raises", "assertRaises")


def _makes_names(node: ast.AST) -> bool:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in _MAKES_NAMES
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return any(alias.name == "*" or alias.name in _MAKES_NAMES for alias in names)
    return False
