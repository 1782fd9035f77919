"""Finds a line of the assembled target file again in the answer that was put into it."""

from __future__ import annotations

import ast


def answer_lines(file_tree: ast.Module, answer_tree: ast.Module) -> dict[int, int]:
    """File line → answer line, for the top-level statements that both hold; equal texts map onto themselves.

    Assembly moves whole statements and merges imports, so a statement is looked up by its syntax tree.
    """
    places: dict[str, ast.stmt] = {}
    for node in answer_tree.body:
        if (written := _written(node)) is not None:
            places.setdefault(written, node)
    lines: dict[int, int] = {}
    for node in file_tree.body:
        original = places.get(_written(node) or "")
        if original is None:
            continue
        first, last = _first_line(node), node.end_lineno or node.lineno
        shift = _first_line(original) - first
        # Assembly keeps what stands inside a statement as it is, so one shift serves all of its lines.
        lines |= {line: line + shift for line in range(first, last + 1)}
    return lines


def _written(node: ast.stmt) -> str | None:
    try:
        return ast.dump(node)
    except RecursionError:
        return None  # deeper than Python follows it: its lines are told by no number


def _first_line(node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(int(decorator.lineno) for decorator in decorators)])
