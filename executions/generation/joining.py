"""Several Python blocks in one answer: which belong to the program, and how they become one.

Models write code in parts, write it twice (a draft, then the whole again), add an example of its use or
tests, or quote one function again to explain it. Parts are joined in order; a later block that defines all
that an earlier one does replaces it; examples, tests and quotations are left out.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from executions.generation.python_source import definitions_by_sight, outline, parse


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    tree: ast.Module | None
    definitions: frozenset[str]
    names: frozenset[str]
    is_use: bool
    """An example of use, or tests: leave it out where another part is the program."""


def join(contents: list[str]) -> tuple[str, str]:
    """The program made of the blocks (in the answer's order), and a few words on what was done."""
    parts = [_part(content) for content in contents]
    program = [part for part in parts if not part.is_use] or parts
    understood = frozenset[str]().union(*(part.names for part in program if part.tree is not None))
    if understood:
        # A piece with "..." where code should be, or a broken draft of what is there complete elsewhere.
        program = [part for part in program if part.tree is not None or not part.definitions <= understood]
    kept: list[_Part] = []
    for part in program:
        if any(_quotes(earlier, part) for earlier in kept):
            continue
        kept = [earlier for earlier in kept if not _replaces(part, earlier)]
        kept.append(part)
    if len(kept) == 1:
        return kept[0].text, f"1 of {len(contents)} blocks taken"
    return _one_text(kept), f"{len(kept)} of {len(contents)} blocks joined"


def _part(content: str) -> _Part:
    tree = parse(content)
    if tree is None:
        seen = definitions_by_sight(content)
        return _Part(content, None, seen, seen, is_use=not seen)
    found = outline(tree)
    tests_only = bool(found.definitions) and all(
        name.startswith(("test_", "Test")) for name in found.definitions
    )
    shows_use = not found.definitions and (found.calls or not (found.names or found.imports))
    return _Part(content, tree, found.definitions, found.names, is_use=tests_only or shows_use)


def _replaces(later: _Part, earlier: _Part) -> bool:
    """A rewrite: all that the earlier part names is named again."""
    return bool(earlier.names) and earlier.names <= later.names


def _quotes(earlier: _Part, later: _Part) -> bool:
    """The later part only repeats definitions of the earlier one, word for word."""
    if earlier.tree is None or later.tree is None or not later.definitions:
        return False
    known = {ast.dump(node) for node in earlier.tree.body}
    return all(
        ast.dump(node) in known or isinstance(node, ast.Import | ast.ImportFrom) for node in later.tree.body
    )


def _one_text(parts: list[_Part]) -> str:
    """The parts one after another; a definition that comes again later takes the place of the earlier one."""
    text = parts[0].text.strip("\n")
    for part in parts[1:]:
        text = _merged(text, part)
    return text


def _merged(text: str, part: _Part) -> str:
    base = parse(text)
    if base is None or part.tree is None:
        return f"{text}\n\n\n{part.text.strip(chr(10))}"
    lines, added = text.split("\n"), part.text.split("\n")
    anew = {node.name: node for node in part.tree.body if isinstance(node, _DEFINITIONS)}
    taken: set[int] = set()
    # From the bottom up, so that the line numbers above stay true.
    for node in reversed(base.body):
        if isinstance(node, _DEFINITIONS) and node.name in anew:
            first, end = _span(anew[node.name])
            old_first, old_end = _span(node)
            lines[old_first:old_end] = added[first:end]
            taken.update(range(first, end))
    future: list[str] = []
    for node in part.tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            first, end = _span(node)
            future += added[first:end]
            taken.update(range(first, end))
    rest = "\n".join(line for number, line in enumerate(added) if number not in taken).strip("\n")
    if future:
        # Only the docstring may stand before it.
        at = _span(base.body[0])[1] if ast.get_docstring(base, clean=False) is not None else 0
        lines[at:at] = [line for line in future if line not in lines]
    joined = "\n".join(lines).rstrip("\n")
    return f"{joined}\n\n\n{rest}" if rest else joined


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _span(node: ast.stmt) -> tuple[int, int]:
    """First line (from 0) and the line after the last, decorators included."""
    first = node.lineno
    if isinstance(node, _DEFINITIONS):
        first = min([first, *(decorator.lineno for decorator in node.decorator_list)])
    return first - 1, node.end_lineno or node.lineno
