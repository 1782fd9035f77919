"""A Python source cut into its top-level statements and the comments between, and the names it binds."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

CODING_COOKIE = re.compile(r"^[ \t\f]*#.*?coding[:=][ \t]*[-\w.]+")
Origin = tuple[str, ...]
"""What a name is bound to: () for a definition, else the module and name that an import takes it from."""
Bindings = dict[str, set[Origin]]
DEFINITION: Origin = ()


@dataclass(frozen=True, slots=True)
class OwnModule:
    """The module that a target file is, so that imports from itself can be told."""

    name: str | None
    package: str

    @classmethod
    def of(cls, target_path: str | None) -> OwnModule:
        """None, for a file whose path is not known, is a module that nothing imports from."""
        if target_path is None:
            return cls(None, "")
        name = target_path.removesuffix(".py").replace("/", ".")
        if name.endswith(".__init__"):
            name = name.removesuffix(".__init__")
            return cls(name, name)
        return cls(name, name.rpartition(".")[0])

    def imported(self, statement: ast.ImportFrom) -> str:
        """Absolute name of the module that a from-import names; with its dots where it cannot be known."""
        module = statement.module or ""
        if not statement.level:
            return module
        package = self.package.split(".") if self.package else []
        if self.name is None or statement.level > len(package):
            return "." * statement.level + module
        return ".".join([*package[: len(package) - statement.level + 1], *([module] if module else [])])


@dataclass(frozen=True, slots=True)
class Piece:
    """A top-level statement as it is written, with what stands before it."""

    statement: ast.stmt
    text: str
    """The statement's lines, a comment at their end included."""
    gap: tuple[str, ...]
    """Comment and blank lines between the statement before and this one."""

    def split_gap(self) -> tuple[list[str], list[str]]:
        """The gap without, and only, the comment lines that stand directly above the statement."""
        count = 0
        while count < len(self.gap) and self.gap[-1 - count].strip():
            count += 1
        cut = len(self.gap) - count
        return list(self.gap[:cut]), list(self.gap[cut:])

    def is_main_block(self) -> bool:
        """Whether this is `if __name__ == "__main__":`."""
        statement = self.statement
        if not (isinstance(statement, ast.If) and isinstance(statement.test, ast.Compare)):
            return False
        sides = [statement.test.left, *statement.test.comparators]
        names = {side.id for side in sides if isinstance(side, ast.Name)}
        values = {side.value for side in sides if isinstance(side, ast.Constant)}
        return names == {"__name__"} and values == {"__main__"}

    def exports(self) -> ast.expr | None:
        """What the statement assigns or adds to `__all__`, if it does."""
        statement = self.statement
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
            targets = [statement.target]
        else:
            return None
        is_all = any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets)
        return statement.value if is_all else None


@dataclass(frozen=True, slots=True)
class Part:
    """One atom's source, cut."""

    key: str
    module: ast.Module
    docstring: str | None
    shebang: str
    pieces: tuple[Piece, ...]
    tail: tuple[str, ...]
    """Comment and blank lines after the last statement."""

    @classmethod
    def of(cls, key: str, source: str) -> Part:
        """Cut a source. Raises SyntaxError or ValueError when it does not parse."""
        text = source.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        module = ast.parse(text)
        lines = text.split("\n")
        shebang = lines[0] if lines[0].startswith("#!") else ""
        for number in range(min(2, len(lines))):
            if (number == 0 and shebang) or CODING_COOKIE.match(lines[number]):
                lines[number] = ""
        pieces: list[Piece] = []
        done = 0
        for group in _sharing_lines(module.body):
            start, end = _first_line(group[0]) - 1, _last_line(group[-1])
            gap = tuple(lines[done:start])
            for statement, piece in zip(group, _texts(group, lines[start:end]), strict=True):
                pieces.append(Piece(statement, piece, gap))
                gap = ()
            done = end
        return cls(key, module, ast.get_docstring(module), shebang, tuple(pieces), tuple(lines[done:]))

    def bindings(self, own: OwnModule) -> Bindings:
        """Names bound at the top level, main blocks left out, and to what."""
        found: Bindings = {}
        for piece in self.pieces:
            if not piece.is_main_block():
                for name, origin in _bound([piece.statement], own):
                    found.setdefault(name, set()).add(origin)
        return found


def _first_line(statement: ast.stmt) -> int:
    """Line where a statement begins; ast leaves decorators out of it."""
    decorators: Sequence[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])


def _last_line(statement: ast.stmt) -> int:
    return statement.end_lineno or statement.lineno


def _sharing_lines(statements: Iterable[ast.stmt]) -> Iterator[list[ast.stmt]]:
    """Runs of statements in which each begins on the line where the one before ends (`a = 1; b = 2`)."""
    group: list[ast.stmt] = []
    for statement in statements:
        if group and _first_line(statement) > _last_line(group[-1]):
            yield group
            group = []
        group.append(statement)
    if group:
        yield group


def _texts(group: Sequence[ast.stmt], lines: Sequence[str]) -> Iterator[str]:
    """Each statement of a run on lines of its own; what stands behind the last one stays with it."""
    if len(group) == 1:
        yield "\n".join(lines)
        return
    offsets = [0]
    raw = [line.encode() for line in lines]
    for line in raw:
        offsets.append(offsets[-1] + len(line) + 1)
    joined = b"\n".join(raw)
    first = _first_line(group[0])
    for number, statement in enumerate(group):
        start = offsets[statement.lineno - first] + statement.col_offset
        end = offsets[_last_line(statement) - first] + (statement.end_col_offset or 0)
        yield joined[start : len(joined) if number == len(group) - 1 else end].decode()


def _bound(statements: Iterable[ast.stmt], own: OwnModule) -> Iterator[tuple[str, Origin]]:
    """Names that statements bind in the scope they stand in, blocks inside them included."""
    for statement in statements:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield statement.name, DEFINITION
            case ast.Import():
                for alias in statement.names:
                    top = alias.name.partition(".")[0]
                    yield alias.asname or top, ("module", alias.name if alias.asname else top)
            case ast.ImportFrom(module="__future__"):
                pass
            case ast.ImportFrom():
                module = own.imported(statement)
                for alias in statement.names:
                    if alias.name != "*":
                        yield alias.asname or alias.name, ("from", module, alias.name)
            case ast.Assign():
                for target in statement.targets:
                    yield from _targets(target)
            case ast.AnnAssign():
                yield from _targets(statement.target)
            case ast.For() | ast.AsyncFor():
                yield from _targets(statement.target)
            case ast.With() | ast.AsyncWith():
                for item in statement.items:
                    if item.optional_vars is not None:
                        yield from _targets(item.optional_vars)
            case ast.Match():
                for case in statement.cases:
                    yield from _captures(case.pattern)
                    yield from _bound(case.body, own)
            case ast.Try() | ast.TryStar():
                for handler in statement.handlers:
                    yield from _bound(handler.body, own)
            case _ if isinstance(alias_name := getattr(statement, "name", None), ast.Name):
                # `type X = …`, which Python 3.11 does not know yet
                yield from _targets(alias_name)
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for block in ("body", "orelse", "finalbody"):
                yield from _bound(getattr(statement, block, []), own)


def _targets(target: ast.expr) -> Iterator[tuple[str, Origin]]:
    """`_` and `__all__` belong to nobody: the one is thrown away, the other merged."""
    match target:
        case ast.Name(id=name):
            if name not in ("_", "__all__"):
                yield name, DEFINITION
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            for element in elements:
                yield from _targets(element)
        case ast.Starred(value=value):
            yield from _targets(value)


def _captures(pattern: ast.pattern) -> Iterator[tuple[str, Origin]]:
    for node in ast.walk(pattern):
        name = (
            getattr(node, "rest", None) if isinstance(node, ast.MatchMapping) else getattr(node, "name", None)
        )
        if isinstance(name, str):
            yield name, DEFINITION
