"""Syntax trees of Python texts, made once for all who look at the same text one after the other.

An answer is parsed to find its code, and again to judge it: that was a fiftieth of what an atom costs.
"""

from __future__ import annotations

import ast
import warnings
from functools import lru_cache

SMALL = 16 * 1024
"""Characters of a text whose tree is kept. A tree takes a hundred times the room of its text."""
_KEPT = 16


def tree_of(text: str) -> ast.Module:
    """The syntax tree, for reading only: others hold the same one.

    Raises what `ast.parse` raises: SyntaxError, ValueError, RecursionError, MemoryError.
    """
    return _kept(text) if len(text) <= SMALL else _parsed(text)


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        # An odd escape in a string is for the linter to report, not a reason to call it no Python.
        warnings.simplefilter("ignore")
        return ast.parse(text)


_kept = lru_cache(maxsize=_KEPT)(_parsed)
