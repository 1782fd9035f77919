"""Code as HTML lines with class names from Pygments. `_safe_line` is the only `mark_safe` of the pages."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from pygments.lexer import Lexer  # type: ignore[import-untyped]
from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]
from pygments.token import STANDARD_TYPES, Token, _TokenType  # type: ignore[import-untyped]
from pygments.util import ClassNotFound  # type: ignore[import-untyped]

from executions.dashboard.visible_text import code_point, name_of, pieces

MAX_HIGHLIGHTED = 200_000
"""Characters; longer code is shown without colours."""
MAX_LINES = 5_000
"""Lines of one code that a page shows."""
MAX_LINE_LENGTH = 2_000
"""Characters of one line that a page shows."""
MAX_COMPARED_LINES = 3_000
"""Lines of each side of a comparison; difflib needs quadratic time at worst."""
TIME_LIMIT_S = 0.5
"""For one code; what the lexer has not reached by then stays without colours."""
CONTEXT = 3
"""Unchanged lines around a change."""
LANGUAGES = frozenset(
    {
        "bash",
        "c",
        "c#",
        "c++",
        "cpp",
        "css",
        "go",
        "html",
        "java",
        "javascript",
        "json",
        "kotlin",
        "php",
        "python",
        "ruby",
    }
    | {"rust", "scala", "shell", "sql", "swift", "toml", "typescript", "yaml"}
)
"""What is given colours: a plan may name any language, and Pygments holds lexers that hostile text can stall."""

Piece = tuple[_TokenType, str]


@dataclass(frozen=True, slots=True)
class CodeLine:
    number: int
    html: SafeString


@dataclass(frozen=True, slots=True)
class Code:
    """Code ready to be shown."""

    lines: tuple[CodeLine, ...]
    left_out: int
    """Lines beyond what a page shows."""
    highlighted: bool


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line of a unified comparison."""

    sign: str
    """`+`, `-`, or a space."""
    before: int | None
    after: int | None
    html: SafeString


@dataclass(frozen=True, slots=True)
class Hunk:
    """Changes that lie together, with the lines around them."""

    heading: str
    lines: tuple[DiffLine, ...]


@dataclass(frozen=True, slots=True)
class Diff:
    """What changed from one code to the next."""

    hunks: tuple[Hunk, ...]
    added: int
    removed: int
    too_large: bool = False


def highlight(code: str, language: str = "python") -> Code:
    """`code` in lines of HTML that hold nothing but escaped text in spans."""
    lines = _lines(code)
    shown = lines[:MAX_LINES]
    lexer = _lexer(language) if len(code) <= MAX_HIGHLIGHTED else None
    text = "\n".join(line[:MAX_LINE_LENGTH] for line in shown)
    rows = _plain_rows(text) if lexer is None else _rows(lexer, text)
    cut = [len(line) > MAX_LINE_LENGTH for line in shown]
    html = tuple(
        CodeLine(number, _safe_line(row, cut=cut[number - 1]))
        for number, row in enumerate(rows, start=1)
        if number <= len(shown)
    )
    return Code(html, len(lines) - len(shown), lexer is not None)


def compare(before: str, after: str, language: str = "python") -> Diff:
    """A unified comparison, line by line, highlighted as each side by itself is."""
    old, new = _lines(before), _lines(after)
    if max(len(old), len(new)) > MAX_COMPARED_LINES or max(len(before), len(after)) > MAX_HIGHLIGHTED:
        return Diff((), 0, 0, too_large=True)
    old_html = [line.html for line in highlight("\n".join(old) + "\n", language).lines]
    new_html = [line.html for line in highlight("\n".join(new) + "\n", language).lines]
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    hunks: list[Hunk] = []
    added = removed = 0
    for group in matcher.get_grouped_opcodes(CONTEXT):
        lines: list[DiffLine] = []
        for tag, low, high, new_low, new_high in group:
            if tag == "equal":
                lines += [
                    DiffLine(" ", low + step + 1, new_low + step + 1, new_html[new_low + step])
                    for step in range(high - low)
                ]
                continue
            lines += [DiffLine("-", place + 1, None, old_html[place]) for place in range(low, high)]
            lines += [DiffLine("+", None, place + 1, new_html[place]) for place in range(new_low, new_high)]
            removed += high - low
            added += new_high - new_low
        first, last = group[0], group[-1]
        heading = f"@@ -{first[1] + 1},{last[2] - first[1]} +{first[3] + 1},{last[4] - first[3]} @@"
        hunks.append(Hunk(heading, tuple(lines)))
    return Diff(tuple(hunks), added, removed)


def _lines(code: str) -> list[str]:
    """Split at line feeds only, as validators count lines; the last line needs none."""
    lines = code.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _lexer(language: str) -> Lexer | None:
    if language.lower() not in LANGUAGES:
        return None
    try:
        # Nothing stripped and nothing added: a line of the answer stays the line that an issue names.
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def _plain_rows(text: str) -> Iterator[list[Piece]]:
    for line in text.split("\n"):
        yield [(Token.Text, line)]


def _rows(lexer: Lexer, text: str) -> Iterator[list[Piece]]:
    """Pieces of each line, as the lexer goes. Not `get_tokens`: it rewrites line ends and drops a byte order mark."""
    deadline = time.monotonic() + TIME_LIMIT_S
    row: list[Piece] = []
    reached = 0
    for start, kind, value in lexer.get_tokens_unprocessed(text):
        head, *rest = value.split("\n")
        row.append((kind, head))
        for part in rest:
            yield row
            row = [(kind, part)]
        reached = start + len(value)
        if time.monotonic() > deadline:
            break
    for number, line in enumerate(text[reached:].split("\n")):
        if number:
            yield row
            row = []
        row.append((Token.Text, line))
    yield row


def _safe_line(row: Sequence[Piece], *, cut: bool) -> SafeString:
    """The one place where text becomes HTML: every character is escaped, every class name comes from Pygments' table."""
    html: list[str] = []
    for kind, text in row:
        if not text:
            continue
        shown = "".join(
            escape(plain)
            + (
                f'<span class="suspect" title="{escape(name_of(suspect))}">{code_point(suspect)}</span>'
                if suspect
                else ""
            )
            for plain, suspect in pieces(text)
        )
        css_class = STANDARD_TYPES.get(kind, "")
        html.append(f'<span class="{css_class}">{shown}</span>' if css_class else shown)
    if cut:
        html.append('<span class="suspect">line cut here</span>')
    return mark_safe("".join(html))  # noqa: S308  escaped piece by piece above
