"""Several atoms' sources that share a target file, put together to that one file.

Validation and export use the same function, so what was tested is what people get. Source is moved, never
rewritten: comments and formatting stay, but for imports that are merged with others.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from executions.planning.imports import MergedImports
from executions.planning.places import quoted
from executions.planning.source_parts import DEFINITION, Bindings, OwnModule, Part, Piece

MAX_BLANK_LINES = 2
MAX_LINE_LENGTH = 100
UNPARSED = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What Python's parser raises: for bad syntax, NUL characters, and the last two for too deep nesting."""


class AssemblyConflict(ValueError):
    """Sources that cannot share a file; the message is fit to be shown to the author of the later one."""

    names: tuple[str, ...]
    """Top-level names that two of them want; empty when something else is wrong."""

    def __init__(self, message: str, names: Sequence[str] = ()) -> None:
        self.names = tuple(names)
        super().__init__(message)


def own_definitions(source: str) -> tuple[str, ...]:
    """Names that a source defines (not imports) at its top level, in order.

    Raises SyntaxError, or ValueError for a NUL character, when it does not parse.
    """
    bindings = Part.of("", source).bindings(OwnModule.of(None))
    return tuple(name for name, origins in bindings.items() if DEFINITION in origins)


def assemble(parts: Sequence[tuple[str, str]], *, target_path: str | None = None) -> str:
    """One file out of (atom key, source) parts in dependency order. A single part stays as it is.

    With `target_path` a later part may import names of an earlier one from the file they share; such an
    import is dropped. Raises AssemblyConflict when two parts bind the same top-level name to different
    things, when a part does not parse, or when it imports from the shared file what no earlier part defines.
    """
    if len(parts) == 1:
        return parts[0][1]
    own = OwnModule.of(target_path)
    file = _File(own)
    for key, source in parts:
        try:
            part = Part.of(key, source)
        except UNPARSED as error:
            reason = str(error) or "it is nested too deeply"
            raise AssemblyConflict(f"the source of {quoted(key)} does not parse: {reason}") from None
        file.add(part)
    text = file.text()
    try:
        ast.parse(text)
    except UNPARSED as error:
        raise AssemblyConflict(f"the sources cannot be put together: {error}") from None
    return text


class _File:
    """The file while parts are being added to it."""

    def __init__(self, own: OwnModule) -> None:
        self.own = own
        self.imports = MergedImports(own)
        self.bound: dict[str, tuple[str, Bindings]] = {}
        self.shebang = ""
        self.docstring: list[str] = []
        self.docstrings: set[str] = set()
        self.exports: list[str] = []
        self.any_exports = False
        self.bodies: list[list[str]] = []
        self.main_blocks: list[list[str]] = []

    def add(self, part: Part) -> None:
        bindings = part.bindings(self.own)
        self._refuse_conflicts(part.key, bindings)
        body = _Body()
        exported: list[str] | None = None
        for number, piece in enumerate(part.pieces):
            values = piece.exports()
            if number == 0 and part.docstring is not None:
                self._add_docstring(part.docstring, piece, body)
            elif isinstance(piece.statement, ast.Import | ast.ImportFrom) and self._may_move(piece, bindings):
                self._add_import(part.key, piece, body, bindings)
            elif values is not None:
                exported = [*(exported or []), *_literal_names(values, part.key)]
                body.put(piece.gap)
            elif piece.is_main_block():
                rest, above = piece.split_gap()
                body.put(rest)
                self.main_blocks.append([*above, *piece.text.split("\n")])
            else:
                body.put(piece.gap, piece.text)
        body.put(part.tail)
        self.bodies.append(body.lines)
        self.shebang = self.shebang or part.shebang
        if exported is None:
            # A star import would take these; a sibling's __all__ must not hide them.
            defined = [name for name, origins in bindings.items() if DEFINITION in origins]
            self.exports.extend(name for name in defined if not name.startswith("_"))
        else:
            self.any_exports = True
            self.exports.extend(exported)
        for name in bindings:
            self.bound.setdefault(name, (part.key, bindings))

    def _refuse_conflicts(self, key: str, bindings: Bindings) -> None:
        taken: dict[str, str] = {}
        for name, origins in bindings.items():
            if name in self.bound:
                owner, theirs = self.bound[name]
                from_here = origins <= {("from", self.own.name or "", name)} and DEFINITION in theirs[name]
                same_import = origins == theirs[name] and DEFINITION not in origins
                if not (from_here or same_import):
                    taken[name] = owner
        if taken:
            owners = "; ".join(f"{name} is already bound by {quoted(owner)}" for name, owner in taken.items())
            raise AssemblyConflict(
                f"{quoted(key)} shares its file with other atoms and binds names of theirs: {owners}. "
                "Every top-level name of a file may be bound by one atom only.",
                tuple(taken),
            )

    def _may_move(self, piece: Piece, bindings: Bindings) -> bool:
        """An import whose name the same part also defines stays where it is: the order decides who wins."""
        names = getattr(piece.statement, "names", [])
        bound = {alias.asname or alias.name.partition(".")[0] for alias in names}
        return not any(DEFINITION in bindings.get(name, set()) for name in bound)

    def _add_docstring(self, docstring: str, piece: Piece, body: _Body) -> None:
        """The first docstring is the file's; later ones become comments, unless they repeat one."""
        if not self.docstrings:
            self.docstring = [*piece.gap, *piece.text.split("\n")]
        else:
            body.put(piece.gap)
            if docstring not in self.docstrings:
                body.put([f"# {_printable(line)}".rstrip() for line in docstring.splitlines()])
        self.docstrings.add(docstring)

    def _add_import(self, key: str, piece: Piece, body: _Body, bindings: Bindings) -> None:
        statement, text = piece.statement, piece.text
        rest, above = piece.split_gap()
        body.put(rest)
        if isinstance(statement, ast.ImportFrom) and self.own.imported(statement) == self.own.name:
            others = [alias for alias in statement.names if not self._is_here(key, alias)]
            for alias in statement.names:
                if alias not in others and alias.asname not in (None, alias.name):
                    body.put((), f"{alias.asname} = {alias.name}")
                    bindings[str(alias.asname)] = {DEFINITION}
            if not others:
                self.imports.note(above)
                return
            if len(others) < len(statement.names):
                statement = ast.ImportFrom(statement.module, others, statement.level)
                text = ast.unparse(statement)
        if isinstance(statement, ast.Import | ast.ImportFrom):
            self.imports.add(statement, text, above)

    def _is_here(self, key: str, alias: ast.alias) -> bool:
        """Whether a name that is imported from this very file is bound by a part before."""
        if alias.name == "*" or alias.name in self.bound:
            return True
        if self.own.name == self.own.package:
            return False  # An __init__.py: it may be a module of the package.
        raise AssemblyConflict(
            f"{quoted(key)} imports {alias.name} from the file that it is part of, "
            "but no atom that it depends on defines it there"
        )

    def text(self) -> str:
        head = [[self.shebang]] if self.shebang else []
        head += [_trimmed(self.docstring), self.imports.future_lines(), self.imports.lines()]
        if self.any_exports:
            head.append(_all_of(self.exports))
        blocks = ["\n\n".join("\n".join(lines) for lines in head if lines)]
        blocks += ["\n".join(_trimmed(lines)) for lines in (*self.bodies, *self.main_blocks)]
        return "\n\n\n".join(block for block in blocks if block) + "\n"


class _Body:
    """What stays of a part at its own place. Gaps that have grown together do not add up."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def put(self, gap: Sequence[str], text: str = "") -> None:
        for line in gap:
            if line.strip():
                self.lines.append(line)
            elif any(self.lines[-MAX_BLANK_LINES:]):
                self.lines.append("")
        if text:
            self.lines.extend(text.split("\n"))


def _trimmed(lines: Sequence[str]) -> list[str]:
    """Without the blank lines at both ends."""
    full = [number for number, line in enumerate(lines) if line.strip()]
    return list(lines[full[0] : full[-1] + 1]) if full else []


def _all_of(names: Sequence[str]) -> list[str]:
    quotes = [f'"{name}"' for name in dict.fromkeys(names)]
    line = f"__all__ = [{', '.join(quotes)}]"
    if len(line) <= MAX_LINE_LENGTH:
        return [line]
    return ["__all__ = [", *(f"    {name}," for name in quotes), "]"]


def _literal_names(value: ast.expr, key: str) -> list[str]:
    names = [
        element.value
        for element in (value.elts if isinstance(value, ast.List | ast.Tuple) else [value])
        if isinstance(element, ast.Constant)
        and isinstance(element.value, str)
        and element.value.isidentifier()
    ]
    if not isinstance(value, ast.List | ast.Tuple) or len(names) != len(value.elts):
        raise AssemblyConflict(
            f"the __all__ of {quoted(key)} must be a plain list of names: it is merged with others"
        )
    return names


def _printable(line: str) -> str:
    return "".join(character if character.isprintable() else " " for character in line)
