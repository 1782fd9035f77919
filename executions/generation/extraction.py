"""Reading the code out of an answer, however the model wrapped it.

The choice, in order: blocks marked with the language, unmarked blocks that parse, indented blocks, the
whole text, the part of the text that is code. Marked blocks of other languages and interpreter sessions
(`>>>`) are never taken for the answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from executions.generation.blocks import Block, blocks_of
from executions.generation.joining import join
from executions.generation.python_source import outline, parse

_PYTHON = re.compile(r"(i|c)?py(thon)?[\d.]*(-code)?")
_UNMARKED = frozenset({"", "text", "txt", "plaintext", "plain", "code"})
_OTHER_NAMES = {
    "javascript": {"js", "jsx", "mjs", "cjs", "node", "ecmascript"},
    "typescript": {"ts", "tsx", "mts", "cts"},
    "rust": {"rs"},
    "c++": {"cpp", "cxx", "cc"},
    "c#": {"csharp", "cs"},
    "go": {"golang"},
    "ruby": {"rb"},
    "bash": {"sh", "shell", "zsh"},
    "kotlin": {"kt"},
}
_CODE_BEGINS = re.compile(r"(from +[\w.]+ +import\b|import +\w|def +\w|async +def +\w|class +\w|@\w|\"\"\")")
_THOUGHT = re.compile(r"\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
MAX_GUESSES = 60
"""Cuts of unfenced text that are tried before giving up."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """The code of an answer."""

    code: str
    """The whole content for the target file; ends with one line end."""
    blocks: int
    """Code blocks seen in the answer, whether taken or not; 0 where it had none."""
    note: str
    """How the code was found when that was not plain, else ''."""


class NoCode(ValueError):
    """The answer holds no code that could be meant; the message says what it holds."""


def extract(text: str, *, language: str = "python") -> Extracted:
    """The code meant by an answer. Raises `NoCode`.

    Code that does not parse is still returned when its block says what it is: judging it is for the
    validators.
    """
    text = _THOUGHT.sub("", text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff"), count=1)
    if not text.strip():
        raise NoCode("the answer is empty")
    language = language.strip().lower() or "python"
    is_python = _PYTHON.fullmatch(language) is not None
    found = blocks_of(
        text, complete=lambda block: not is_python or not _is_ours(block, language) or _parses(block)
    )
    blocks = [block for block in found if block.content.strip() and not _is_session(block)]
    fenced = [block for block in blocks if block.fenced]
    marked = [block for block in fenced if block.word not in _UNMARKED and _is_ours(block, language)]
    unmarked = [block for block in fenced if block.word in _UNMARKED]
    if marked:
        return _taken(marked, len(found), "", is_python=is_python)
    if not is_python:
        if unmarked:
            return _taken(unmarked, len(found), "unmarked block", is_python=False)
        raise NoCode(f"the answer has no block of {language}")
    usable = [block for block in unmarked if _is_code(block.content)]
    if usable:
        return _taken(usable, len(found), "unmarked block", is_python=True)
    return _unfenced(text, blocks, unmarked, len(found))


def _taken(blocks: list[Block], seen: int, note: str, *, is_python: bool) -> Extracted:
    notes = [note] if note else []
    if any(block.mended for block in blocks):
        notes.append("fence inside a string")
    if any(not block.closed for block in blocks):
        notes.append("unterminated fence")
    contents = [_plain(block.content) if is_python else block.content for block in blocks]
    if len(contents) > 1:
        code, how = join(contents) if is_python else ("\n".join(contents), f"{len(contents)} blocks joined")
        notes.append(how)
    else:
        code = contents[0]
    return Extracted(_tidy(code), seen, ", ".join(notes))


def _unfenced(text: str, blocks: list[Block], unmarked: list[Block], seen: int) -> Extracted:
    """The code of a Python answer without a usable fenced block."""
    if not unmarked and not any(block.fenced for block in blocks) and _is_code(text):
        return Extracted(_tidy(text), seen, "no fence: the whole answer is code")
    indented = [_plain(block.content) for block in blocks if not block.fenced]
    for content in indented:
        # Four spaces make a fence plain text to CommonMark; a model that indents its whole answer means a
        # fence.
        if "```" in content or "~~~" in content:
            inner = extract(content)
            return Extracted(inner.code, seen, "indented fence")
    usable = [content for content in indented if _is_code(content)]
    if usable:
        code, _ = join(usable)
        return Extracted(_tidy(code), seen, "indented block")
    if unmarked:
        # Nobody says what it is and it does not parse, but there is nothing else it could be.
        best = max(unmarked, key=lambda block: len(block.content))
        if _CODE_BEGINS.search(best.content):
            return Extracted(_tidy(best.content), seen, "unmarked block that does not parse")
    inside = _code_within(text) if not any(block.fenced for block in blocks) else None
    if inside is not None:
        return Extracted(_tidy(inside), seen, "no fence: code between prose")
    languages = ", ".join(sorted({block.word for block in blocks if block.fenced and block.word}))
    raise NoCode(f"the answer has only {languages} blocks" if languages else "the answer has no code")


def _code_within(text: str) -> str | None:
    """The first stretch of the text that begins like code, parses, and defines a function or a class."""
    lines = text.split("\n")
    starts = [number for number, line in enumerate(lines) if _CODE_BEGINS.match(line)]
    ends = [number for number, line in enumerate(lines) if not line.strip()]
    ends.append(len(lines))
    guesses = 0
    for start in starts:
        for end in reversed([end for end in ends if end > start]):
            guesses += 1
            if guesses > MAX_GUESSES:
                return None
            piece = "\n".join(lines[start:end])
            tree = parse(piece)
            if tree is not None and outline(tree).definitions:
                return piece
    return None


def _is_ours(block: Block, language: str) -> bool:
    """Whether the block may be in the wanted language, by its word alone."""
    if block.word in _UNMARKED:
        return True
    if _PYTHON.fullmatch(language):
        return _PYTHON.fullmatch(block.word) is not None
    return block.word == language or block.word in _OTHER_NAMES.get(language, ())


def _is_session(block: Block) -> bool:
    """An interpreter session: it shows use, and its lines are no program."""
    return block.word in ("pycon", "doctest", "python-repl") or block.content.lstrip().startswith(">>>")


def _parses(block: Block) -> bool:
    return parse(_plain(block.content)) is not None


def _plain(content: str) -> str:
    """The content without a margin that all its lines share; blank lines are left as they are otherwise."""
    lines = content.split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(line[margin:] for line in lines) if margin else content


def _is_code(content: str) -> bool:
    tree = parse(_plain(content))
    return tree is not None and outline(tree).is_code


def _tidy(code: str) -> str:
    return code.strip("\n").rstrip() + "\n"
