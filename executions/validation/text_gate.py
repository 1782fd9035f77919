"""The first gate: is the answer a text at all, and does it read as it looks?"""

from __future__ import annotations

import re

from executions.findings import Finding, Severity
from executions.languages import PYTHON, Language
from executions.validation.identifiers import misleading_name, python_names

MAX_SOURCE_BYTES = 64 * 1024

# Trojan Source (CVE-2021-42574): these make code read differently from how it runs.
_BIDI_CONTROL = re.compile("[\u202a-\u202e\u2066-\u2069]")
_SURROGATE = re.compile("[\ud800-\udfff]")
# PEP 263: the first two lines may name an encoding; Python would then read other bytes than we do.
_CODING_LINE = re.compile(r"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")


def read_text(source: str | bytes, language: Language = PYTHON) -> str | Finding:
    """The answer as text, or the finding that says why it is none.

    Strict UTF-8, at most 64 kB, no NUL, no bidirectional control, no lone surrogate; in Python no other coding line, and
    no misleading names (of other languages their parser tells the names).
    """
    if isinstance(source, str):
        surrogate = _SURROGATE.search(source)
        if surrogate:
            return _rejected(
                "text-surrogate", "holds a lone surrogate, which is no character", source, surrogate.start()
            )
        size, text = len(source.encode()), source
    else:
        size = len(source)
        if size <= MAX_SOURCE_BYTES:
            try:
                text = source.decode("utf-8", errors="strict")
            except UnicodeDecodeError as error:
                line = source[: error.start].count(b"\n") + 1
                return Finding(Severity.CRITICAL, "text-encoding", f"is not UTF-8: {error.reason}", line)
    if size > MAX_SOURCE_BYTES:
        return Finding(
            Severity.CRITICAL, "text-too-large", f"has {size} bytes; {MAX_SOURCE_BYTES} are allowed"
        )
    text = text.removeprefix("\ufeff")
    nul = text.find("\0")
    if nul >= 0:
        return _rejected("text-nul", "holds a NUL character", text, nul)
    bidi = _BIDI_CONTROL.search(text)
    if bidi:
        name = f"U+{ord(bidi.group()):04X}"
        return _rejected("text-bidi", f"holds the bidirectional control {name}", text, bidi.start())
    for number, head in enumerate(text.splitlines()[:2] if language is PYTHON else (), start=1):
        coding = _CODING_LINE.match(head)
        if coding and coding.group(1).lower().replace("_", "-") not in ("utf-8", "utf8"):
            return Finding(
                Severity.CRITICAL, "text-encoding", f"names the encoding {coding.group(1)[:40]}", number
            )
    if language is PYTHON and not text.isascii():
        return misleading_name(python_names(text)) or text
    return text


def _rejected(rule: str, message: str, text: str, position: int) -> Finding:
    return Finding(Severity.CRITICAL, rule, message, text.count("\n", 0, position) + 1)
