"""Answers that harm whoever reads or parses them, before anything is run."""

from __future__ import annotations

from trials.hostile.program import Outcome, Program


def _text(name: str, source: str | bytes, *rules: str) -> Program:
    return Program(name, source, Outcome.REJECTED, frozenset(rules), executed=False, validators="full")


_DEEP = ("cannot-be-parsed", "syntax-error", "text-too-large")

PROGRAMS = [
    _text("a bidirectional override", "def f(x):\n    return x + 1  # \u202e } if admin\n", "text-bidi"),
    _text("a bidirectional isolate", "def f(x):\n    s = '\u2066'\n    return x + 1\n", "text-bidi"),
    _text(
        "a homoglyph in a name",
        "def f(x):\n    \u0441ount = 1\n    count = 2\n    return x + \u0441ount\n",
        "text-homoglyph", "text-mixed-script", "text-confusable", "text-script", "mixed-script",
    ),
    _text("a NUL", "def f(x):\n    return x + 1\n# \0\n", "text-nul"),
    _text("no UTF-8", b"def f(x):\n    return '\xff\xfe'\n", "text-encoding"),
    _text("another encoding", b"# -*- coding: utf-7 -*-\ndef f(x):\n    return x + 1\n", "text-encoding"),
    _text("a lone surrogate", "def f(x):\n    return '\ud800'\n", "text-surrogate"),
    _text("a megabyte", "# " + "x" * (1 << 20) + "\ndef f(x):\n    return x + 1\n", "text-too-large"),
    _text("brackets in brackets", "x = " + "(" * 5000 + ")" * 5000 + "\ndef f(x):\n    return x + 1\n", *_DEEP),
    _text("a chain of minuses", "def f(x):\n    return " + "-" * 60_000 + "x\n", *_DEEP),
    _text("a chain of attributes", "def f(x):\n    return x" + ".a" * 30_000 + "\n", *_DEEP, "test-failed"),
    _text("a chain of additions", "def f(x):\n    return x" + "+1" * 30_000 + "\n", *_DEEP, "test-failed"),
    _text("blocks in blocks", "".join(" " * n + "if 1:\n" for n in range(300)) + " " * 300 + "pass\n", *_DEEP),
    _text("lambdas in lambdas", "g = " + "lambda: " * 8000 + "0\ndef f(x):\n    return x + 1\n", *_DEEP),
    _text("a number of 60,000 digits", "x = " + "9" * 60_000 + "\ndef f(x):\n    return x + 1\n", *_DEEP),
]  # fmt: skip
