"""What a JavaScript or TypeScript text says: whether it parses, and what it binds at its top level.

Also a program of its own (`python -I tree.py KIND`, text on stdin, JSON on stdout): a text that is large enough to hurt the
parser, which is C, is looked at by a child. So it imports nothing of ours.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache

from tree_sitter import Language, Node, Parser

DECLARATIONS = frozenset(
    {
        "function_declaration",
        "generator_function_declaration",
        "class_declaration",
        "abstract_class_declaration",
        "interface_declaration",
        "type_alias_declaration",
        "enum_declaration",
        "internal_module",
    }
)
EXPORTS = frozenset({"exports", "module.exports"})


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to say of a text."""

    error: str
    """What is wrong with its syntax; empty: nothing."""
    line: int
    """Where, from 1; 0: nowhere."""
    bound: tuple[str, ...]
    """Names bound or exported at the top level, `default` for a default export."""
    foreign: tuple[tuple[str, int], ...]
    """Names that are not plain ASCII, with their lines."""


def look_at(kind: str, text: str) -> Seen:
    """`kind`: javascript, typescript or tsx."""
    root = Parser(_grammar(kind)).parse(text.encode()).root_node
    if root.has_error:
        return Seen(*_first_error(root), bound=(), foreign=())
    foreign = () if text.isascii() else tuple(_foreign(root))
    return Seen("", 0, tuple(dict.fromkeys(_bound(root))), foreign)


@cache
def _grammar(kind: str) -> Language:
    if kind == "javascript":
        import tree_sitter_javascript

        return Language(tree_sitter_javascript.language())
    import tree_sitter_typescript

    if kind == "tsx":
        return Language(tree_sitter_typescript.language_tsx())
    return Language(tree_sitter_typescript.language_typescript())


def _first_error(root: Node) -> tuple[str, int]:
    """Of the first node that is wrong, in the order of the text; without recursion, which a deep tree would break."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        line = node.start_point[0] + 1
        if node.is_missing:
            return f"{node.type} is missing", line
        if node.is_error:
            shown = (node.text or b"").decode(errors="replace").strip().split("\n")[0][:120]
            return (f"cannot be read from here on: {shown}" if shown else "cannot be read from here on"), line
        waiting.extend(child for child in reversed(node.children) if child.has_error or child.is_missing)
    return "cannot be read", root.start_point[0] + 1


def _bound(root: Node) -> Iterator[str]:
    for statement in root.named_children:
        match statement.type:
            case "export_statement":
                yield from _exported(statement)
            case "expression_statement":
                yield from _by_expression(statement)
            case "import_statement":
                yield from (
                    _text(found.child_by_field_name("alias") or found.child_by_field_name("name"))
                    for found in _inside(statement, "import_specifier")
                )
            case _:
                yield from _declared(statement)


def _declared(node: Node) -> Iterator[str]:
    if node.type in DECLARATIONS:
        yield _text(node.child_by_field_name("name"))
    elif node.type in ("lexical_declaration", "variable_declaration"):
        for declarator in node.named_children:
            name = declarator.child_by_field_name("name")
            if name is not None:
                yield from _pattern(name)
    elif node.type == "ambient_declaration":  # declare const x: number
        for inner in node.named_children:
            yield from _declared(inner)


def _pattern(node: Node) -> Iterator[str]:
    """Names that a pattern such as `{a, b: [c = 1]}` binds."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        match found.type:
            case "identifier" | "shorthand_property_identifier_pattern":
                yield _text(found)
            case "pair_pattern":
                waiting.extend(one for one in (found.child_by_field_name("value"),) if one is not None)
            case "assignment_pattern" | "object_assignment_pattern":
                waiting.extend(one for one in (found.child_by_field_name("left"),) if one is not None)
            case _:
                waiting.extend(found.named_children)


def _exported(node: Node) -> Iterator[str]:
    declaration = node.child_by_field_name("declaration")
    if declaration is not None:
        yield from _declared(declaration)
    if any(child.type == "default" for child in node.children):
        yield "default"
    for specifier in _inside(node, "export_specifier"):
        yield _text(specifier.child_by_field_name("alias") or specifier.child_by_field_name("name"))


def _by_expression(statement: Node) -> Iterator[str]:
    """`exports.f = …`, `module.exports.f = …`, `module.exports = {f, g: …}`; a TypeScript namespace."""
    for node in statement.named_children:
        if node.type == "internal_module":
            yield _text(node.child_by_field_name("name"))
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        if node.type != "assignment_expression" or left is None or right is None:
            continue
        if _text(left) in EXPORTS and right.type == "object":
            for member in right.named_children:
                if member.type == "shorthand_property_identifier":
                    yield _text(member)
                else:
                    yield _text(member.child_by_field_name("key") or member.child_by_field_name("name"))
        elif left.type == "member_expression" and _text(left.child_by_field_name("object")) in EXPORTS:
            yield _text(left.child_by_field_name("property"))


def _foreign(root: Node) -> Iterator[tuple[str, int]]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.type.endswith("identifier") or node.type == "shorthand_property_identifier_pattern":
            if not (name := _text(node)).isascii():
                yield name, node.start_point[0] + 1
        else:
            waiting.extend(reversed(node.named_children))


def _inside(node: Node, kind: str) -> Iterator[Node]:
    waiting = [node]
    while waiting:
        found = waiting.pop()
        if found.type == kind:
            yield found
        else:
            waiting.extend(reversed(found.named_children))


def _text(node: Node | None) -> str:
    return "" if node is None or node.text is None else node.text.decode(errors="replace")


if __name__ == "__main__":
    json.dump(asdict(look_at(sys.argv[1], sys.stdin.buffer.read().decode())), sys.stdout)
