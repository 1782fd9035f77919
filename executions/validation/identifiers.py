"""Names that read as they are: in their normal form, and in one script. A name that mixes Latin with Cyrillic letters looks
like another one and is not.
"""

from __future__ import annotations

import io
import tokenize
import unicodedata
from collections.abc import Iterable, Iterator

from executions.findings import Finding, Severity

_WRITTEN_TOGETHER = (
    frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "CJK", "BOPOMOFO"}),
    frozenset({"LATIN", "CJK", "HANGUL"}),
)
"""Scripts of one writing system, and Latin with them: no letter of theirs can be taken for one of another (UTS 39)."""
_PLAINLY_GREEK = frozenset("ΓΔΘΛΞΠΣΦΨΩδεζηθλμξπφψω")
"""Letters of formulas such as Δx, which nobody takes for Latin ones."""


def misleading_name(names: Iterable[tuple[str, int]]) -> Finding | None:
    """The finding on the first (name, line) that is not what it looks like: `text-not-normal`, `text-mixed-script`."""
    for name, line in names:
        normal = unicodedata.normalize("NFKC", name)
        if normal != name:
            message = f"the name {_shown(name)} is not in its normal form (NFKC), which is {_shown(normal)}"
            return Finding(Severity.CRITICAL, "text-not-normal", message, line)
        scripts = _scripts(name)
        if len(scripts) > 1 and not any(scripts <= together for together in _WRITTEN_TOGETHER):
            message = (
                f"the name {_shown(name)} mixes letters of {', '.join(sorted(s.title() for s in scripts))}"
            )
            return Finding(Severity.CRITICAL, "text-mixed-script", message, line)
    return None


def python_names(text: str) -> Iterator[tuple[str, int]]:
    """Names of a Python text that are not plain ASCII, as they are written, with their lines; as far as it can be read.

    Before Python 3.12 what stands inside an f-string is not looked at: a name used there is defined elsewhere.
    """
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NAME and not token.string.isascii():
                yield token.string, token.start[0]
    except (tokenize.TokenError, SyntaxError):
        return  # the parser says what is wrong with it


def _scripts(name: str) -> frozenset[str]:
    """By the first word of each letter's name in Unicode; digits, marks and connectors belong to every script."""
    letters = {char for char in name if unicodedata.category(char) in ("Lu", "Ll", "Lt", "Lo")}
    scripts = {
        unicodedata.name(char, "UNKNOWN").partition(" ")[0].partition("-")[0]
        for char in letters - _PLAINLY_GREEK
    }
    if letters & _PLAINLY_GREEK:
        # By themselves they are Greek; among Latin letters they are signs.
        scripts |= set() if scripts == {"LATIN"} else {"GREEK"}
    return frozenset(scripts)


def _shown(name: str) -> str:
    """With the letters that are not ASCII spelled out, since that is the point."""
    codes = " ".join(f"U+{ord(char):04X}" for char in dict.fromkeys(name) if not char.isascii())
    return f"{name[:40]} ({codes[:80]})" if codes else name[:40]
