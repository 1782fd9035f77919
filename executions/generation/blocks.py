"""The code blocks of an answer, found as CommonMark finds them and mended where it cuts code short."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_WORD = re.compile(r"[\s{.]*([\w+#.-]*)")
_FENCE = re.compile(r"`{3,}|~{3,}")
_PLAIN_INFO = re.compile(r"[\w+#.-]*[ \t]*")
MAX_MENDS = 60
"""Tries to put cut blocks of one answer together; an answer made of fences must not cost more than that."""


@dataclass(frozen=True, slots=True)
class Block:
    """One code block."""

    word: str
    """The language word of its fence in lower case, '' where there is none."""
    content: str
    first_line: int
    """Line of the answer (from 0) where the block begins, its opening fence included."""
    end_line: int
    """The line after its last one."""
    fenced: bool
    """False for a block that is only indented."""
    closed: bool
    """False where the answer ends before the fence does."""
    mended: bool = False
    """It was cut at a fence inside a string and has been put together again."""


def blocks_of(text: str, *, complete: Callable[[Block], bool]) -> list[Block]:
    """The code blocks of `text` (LF line ends), in order, nested ones in lists and quotes included.

    A docstring may hold a line of three backticks, which ends the fence by CommonMark. So a fenced block
    that is not `complete` is tried again up to each later closing fence and the first that makes it
    complete is taken.
    """
    plain = _only_block(text)
    if plain is not None and complete(plain):
        return [plain]
    return _by_markdown(text, complete)


def _only_block(text: str) -> Block | None:
    """The block of an answer that is as it was asked for: one fence at the margin, before and behind it nothing but lines that
    begin with a letter. None: it may be another. There is nothing CommonMark could see otherwise, and its parser takes
    a fifth of the time that everything else takes which is done with such an answer.
    """
    start = 0 if text.startswith("```") else text.find("\n```") + 1
    opened = text.find("\n", start)
    if not text.startswith("```", start) or opened < 0 or "\0" in text:
        return None
    # The first three backticks behind it: inside a line, or with a word behind them, they would not close it.
    closing = text.find("```", opened)
    if closing < 0 or text[closing - 1] != "\n":
        return None
    end = text.find("\n", closing)
    end = len(text) if end < 0 else end
    info = text[start + 3 : opened]
    if text[closing:end].rstrip(" \t") != "```" or not _PLAIN_INFO.fullmatch(info):
        return None
    prose = (*text[:start].split("\n"), *text[end:].split("\n"))
    if not all(not line or (line[0].isascii() and line[0].isalpha()) for line in prose):
        return None
    content = text[opened + 1 : closing]
    first = text.count("\n", 0, start)
    return Block(
        word=_language_word(info),
        content=content,
        first_line=first,
        end_line=first + content.count("\n") + 2,
        fenced=True,
        closed=True,
    )


def _by_markdown(text: str, complete: Callable[[Block], bool]) -> list[Block]:
    lines = text.split("\n")
    found: list[Block] = []
    tries = [MAX_MENDS]
    for token in _markdown().parse(text):
        if token.type not in ("fence", "code_block") or token.map is None:
            continue
        first, end = token.map
        if found and first < found[-1].end_line:
            continue
        fenced = token.type == "fence"
        closed = not fenced or (end - first > 1 and _closes(lines[end - 1], token.markup))
        word = _language_word(token.info) if fenced else ""
        block = Block(word, token.content, first, end, fenced, closed)
        if fenced and not complete(block):
            block = _mended(block, token.markup, lines, complete, tries)
        found.append(block)
    return found


def _mended(
    block: Block, markup: str, lines: list[str], complete: Callable[[Block], bool], tries: list[int]
) -> Block:
    margin = _margin(lines[block.first_line])
    if margin is None:
        return block
    body = [_without_margin(line, margin) for line in lines[block.first_line + 1 :]]
    for offset in range(block.end_line - block.first_line - 1, len(body) + 1):
        at_end = offset == len(body)
        if not at_end and not _closes(body[offset], markup):
            continue
        end_line = min(block.first_line + offset + 2, len(lines))
        content = "\n".join(body[:offset]) + "\n"
        longer = replace(block, content=content, end_line=end_line, closed=not at_end, mended=True)
        if tries[0] <= 0:
            break
        tries[0] -= 1
        if complete(longer):
            return longer
    return block


def _margin(opening: str) -> int | None:
    """Columns before the opening fence; None within a quote, whose marks stand on each line."""
    found = _FENCE.search(opening)
    return None if found is None or opening.lstrip().startswith(">") else found.start()


def _closes(line: str, markup: str) -> bool:
    """Whether the line is a closing fence for an opening one of `markup`."""
    stripped = line.strip().lstrip("> ")
    return len(stripped) >= len(markup) and set(stripped) == {markup[0]}


def _without_margin(line: str, margin: int) -> str:
    blank = len(line) - len(line.lstrip(" "))
    return line[min(margin, blank) :]


def _language_word(info: str) -> str:
    """The word of `python`, `Python title="x.py"`, `{.python .lines}`, `py:app.py`, `python,linenos`."""
    match = _WORD.match(info)
    return match.group(1).lower() if match else ""


@cache
def _markdown() -> MarkdownIt:
    # Imported late: only processes that read answers need it.
    from markdown_it import MarkdownIt

    # Without HTML blocks, because "<answer>" on the line before a fence would swallow it; without inline
    # parsing, because only blocks are looked at.
    return MarkdownIt("commonmark").disable(["html_block", "inline"])
