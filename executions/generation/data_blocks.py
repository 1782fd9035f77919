"""Text inside a prompt that must not be taken for the prompt: fences and tags that it cannot close."""

from __future__ import annotations

import hashlib
import re

_BACKTICKS = re.compile(r"`+")


def fence(text: str, word: str = "") -> str:
    """`text`, whole and unchanged, in a fence longer than any run of backticks inside it."""
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0) if "`" in text else 0
    marks = "`" * max(3, longest + 1)
    end = "" if text.endswith("\n") else "\n"
    return f"{marks}{word}\n{text}{end}{marks}"


def data(kind: str, text: str, word: str | None = None) -> str:
    """`text` as data, between tags that it does not contain; fenced as `word` where one is given.

    The tag follows from the text alone: the same text gives the same bytes, and what is sent twice can be
    cached.
    """
    tag = _tag_for(text)
    inside = text.rstrip("\n") if word is None else fence(text, word)
    return f"<{kind} data={tag}>\n{inside}\n</{kind} data={tag}>"


def _tag_for(text: str) -> str:
    tag = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    while tag in text:
        tag = hashlib.sha256(tag.encode()).hexdigest()[:12]
    return tag
