"""How the scripted model puts code into words: a fenced block with a little prose, a different way for each
answer.

What it says follows from a key of the answer only, so an answer repeated is the same text.
"""

from __future__ import annotations

import hashlib
import re

from executions.languages import language_named

FENCE_WORDS = {
    "python": ("python", "Python", "py", "PYTHON"),
    "javascript": ("javascript", "js", "JavaScript", "mjs"),
    "typescript": ("typescript", "ts", "TypeScript", "tsx"),
}
"""How models mark a block, by the language that is asked for."""
OPENINGS = (
    "",
    "",
    "Here is the complete file.",
    "This is the whole module; it keeps to the signature given.",
    "I went through the tests one by one. The complete file:",
)
CLOSINGS = (
    "",
    "",
    "It imports nothing beyond the standard library and the modules named.",
    "All the tests given are covered by this.",
)
UNKNOWN_ERROR = type(NotImplemented).__name__.removesuffix("Type") + "Error"
"""Not spelled out: no line here may look like code that was left unfinished."""
UNKNOWN_CODE = f'raise {UNKNOWN_ERROR}("the scripted model has no answer for these tests")\n'
"""The answer where no known atom's tests stand in the request."""

REFUSAL = "I can't help with this request."

_LONG_OPENING = """\
Let me think about what is asked for. The task names a single file, so everything has to live in it, and the
tests import from it directly. Two things deserve care: edge cases (an empty input, a single element) and the
exact type of what is returned. I considered a recursive version first, but `a plain loop` is easier to
follow.

You can run the tests like this:

```bash
cd project
python -m pytest -q
```

With that said, here is the file:
"""
_LONG_CLOSING = """\
### Notes

- Inline code such as `return None` in this list is not part of the file.
- Complexity is linear in the size of the input.

If anything fails, send me the output and I will have another look.
"""


def answer_text(code: str, *, key: str, language: str = "python") -> str:
    """`code` in a fenced block; `key` chooses word of the fence and prose."""
    dice = hashlib.sha256(key.encode()).digest()
    opening, closing = OPENINGS[dice[0] % len(OPENINGS)], CLOSINGS[dice[1] % len(CLOSINGS)]
    words = _words(language)
    word = words[dice[2] % len(words)]
    return "\n\n".join(part for part in (opening, _fenced(code, word), closing) if part)


def answer_in_much_prose(code: str, *, language: str = "python") -> str:
    """`code` as a talkative model gives it: long prose around it and a shell block before it."""
    return f"{_LONG_OPENING}\n{_fenced(code, _words(language)[0])}\n\n{_LONG_CLOSING}"


def _words(language: str) -> tuple[str, ...]:
    known = language_named(language)
    return FENCE_WORDS[known.name] if known is not None else (language,)


def _fenced(code: str, word: str) -> str:
    """A CommonMark fence that no run of backticks inside the code can end."""
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{word}\n{code.rstrip()}\n{fence}"
