"""Text that cannot lie about itself: characters that hide, reorder or control are shown by their number.

Generated code is hostile: a right-to-left override makes a line read as something else (CVE-2021-42574), a zero-width
space makes two names look like one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

_SUSPECT = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, all but tab and line feed
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, joiners, fillers
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero width, separators, bidirectional controls
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"  # fillers, variation selectors, byte order mark
    "\ud800-\udfff"  # halves of a pair
    "\U000e0000-\U000e0fff"  # tags
    "]"
)


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """`text` in pieces `(plain, suspect)`: some plain text, then one character that must be named, or `""` at the end."""
    start = 0
    for match in _SUSPECT.finditer(text):
        yield text[start : match.start()], match[0]
        start = match.end()
    if start < len(text):
        yield text[start:], ""


def code_point(character: str) -> str:
    """`U+202E`."""
    return f"U+{ord(character):04X}"


@lru_cache(maxsize=256)
def name_of(character: str) -> str:
    """`U+202E RIGHT-TO-LEFT OVERRIDE`; controls have no name of their own."""
    return f"{code_point(character)} {unicodedata.name(character, 'control character')}"


def visible(text: str) -> str:
    """`text` with every such character replaced by its number in double brackets, for places that hold plain text."""
    return "".join(plain + (f"⟦{code_point(suspect)}⟧" if suspect else "") for plain, suspect in pieces(text))
