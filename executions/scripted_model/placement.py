"""Which of an atom's answers a request gets. The rule follows from what the request says, not from who asks.

A chosen atom has the answers 0 … n: its near misses, then the reference. A request carries no number that we
may trust, so its place is found like this; only the text of system and messages counts, never model,
temperature or token limit, so a call repeated without a temperature or with a larger limit is the same
request:

1. Its text was seen before: the same answer as then. That covers calls repeated after a fault, a crash or a
   lost answer, and every further execution of the same plan, one after the other or at the same time. Texts
   count as equal when their lines hold the same words: memory addresses, uuids, digests and durations are
   left out and the order within a line is not looked at, because the findings in a retry come from really
   running tests (`{'a', 'b'}` prints either way round).
2. Otherwise it is a *retry* when it shows the code of near miss k (then its answer is k + 1 at least), or
   names one of the atom's tests or quotes one of their asserts outside the tests themselves (a fresh start
   shows no code but lists findings), or, with neither, when it holds nearly all lines of the first request of
   a run-through that has not reached the reference yet, and some more. Anything else is the first request of
   a new *run-through*: answer 0.
3. A retry belongs to the run-through whose first request shares the most lines with it, and gets the answer
   after the last one given there, or the one that its code proves if that is later.
   - A run-through that has reached the reference is not continued: the code proves the answer (k + 1), and
     where no code is shown the reference is given again. Asked its first request again, it starts over.
   - No run-through is known (the server was restarted): the answer that the code proves, else the reference.
     So a restart can cost an atom attempts only where a later near miss scored no better than an earlier one.

A fault in place of an answer changes nothing: what is repeated is the same text. What the rule cannot tell
apart: a fresh start that cites nothing, from the first request of another execution that says some lines more
while the first one is still on its way through the atom's answers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeVar

from executions.scripted_model.answers import KnownAtom

MOST_RUN_THROUGHS = 4
MOST_TEXTS = 512
"""Remembered texts of one atom; the oldest is forgotten first."""
NEARLY_ALL = 0.9
FEWEST_MORE = 3
"""Lines that a retry has more than the first request, at the least: what was tried, what came of it."""
QUOTABLE = 16
"""Characters from which on an assert is long enough to be a quotation and not a coincidence."""

Key = TypeVar("Key", str, int)

_VOLATILE = re.compile(
    r"0x[0-9a-fA-F]{4,}"
    r"|\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"
    r"|\b[0-9a-f]{12,64}\b"
    r"|\b\d+(?:\.\d+)? ?(?:ms|s|seconds?)\b"
)
_WORD = re.compile(r"\w+")
_TEST_NAME = re.compile(r"^\s*(?:async )?def (test_\w+)", re.MULTILINE)
_ASSERT = re.compile(r"^\s*((?:assert\b|self\.assert).*\S)", re.MULTILINE)


@dataclass(slots=True)
class _RunThrough:
    """One way through an atom's answers."""

    first_lines: frozenset[str]
    """The lines of its first request (of the first one seen, where that was a retry)."""
    furthest: int
    """The furthest answer given since it began, or began anew."""


@dataclass(slots=True)
class _Seen:
    answer: int
    run_through: _RunThrough


class AtomScript:
    """An atom's answers and the memory of what was asked for it. For one event loop, so without a lock."""

    def __init__(self, atom: KnownAtom) -> None:
        self.atom = atom
        self.answers = atom.answers
        self._last = len(self.answers) - 1
        self._run_throughs: list[_RunThrough] = []
        self._by_text: dict[str, _Seen] = {}
        self._by_words: dict[int, _Seen] = {}
        self._near_miss_code = [code.strip() or None for code in self.answers[:-1]]
        self._citation = _citation(atom) if self._last else None

    def forget(self) -> None:
        """Forgets what was asked; the answers stay."""
        self._run_throughs.clear()
        self._by_text.clear()
        self._by_words.clear()

    def place(self, text: str, digest: str) -> int:
        """The index into `answers` that the request is due.

        `text` is all its text with plain line ends, `digest` a digest of just that.
        """
        if not self._last:
            return 0
        seen = self._by_text.get(digest)
        if seen is not None:
            return self._again(seen)
        rest = text.replace(self.atom.tests, "")
        words = _words(rest)
        seen = self._by_words.get(words)
        if seen is None:
            seen = self._first_sight(rest)
            _remember(self._by_words, words, seen)
            _remember(self._by_text, digest, seen)
            return seen.answer
        _remember(self._by_text, digest, seen)
        return self._again(seen)

    def _again(self, seen: _Seen) -> int:
        run = seen.run_through
        starts_over = seen.answer == 0 and run.furthest == self._last
        run.furthest = 0 if starts_over else max(run.furthest, seen.answer)
        return seen.answer

    def _first_sight(self, rest: str) -> _Seen:
        lines = frozenset(rest.split("\n"))
        proven = max(
            (k + 1 for k, code in enumerate(self._near_miss_code) if code and code in rest), default=0
        )
        run = max(
            reversed(self._run_throughs), key=lambda known: len(known.first_lines & lines), default=None
        )
        cites = self._citation is not None and self._citation.search(rest) is not None
        if run is None:
            answer = proven or (self._last if cites else 0)
        elif proven or cites:
            answer = self._next(run, proven)
        elif run.furthest < self._last and _goes_on_from(lines, run.first_lines):
            answer = run.furthest + 1
        else:
            run, answer = None, 0
        if run is None:
            run = _RunThrough(lines, answer)
            self._run_throughs = [*self._run_throughs[1 - MOST_RUN_THROUGHS :], run]
        run.furthest = answer
        return _Seen(answer, run)

    def _next(self, run: _RunThrough, proven: int) -> int:
        if run.furthest == self._last:
            return proven or self._last
        return max(proven, run.furthest + 1)


def _citation(atom: KnownAtom) -> re.Pattern[str] | None:
    """What a text quotes when it speaks of a run of the atom's tests, less what the specification says."""
    names = {name for name in _TEST_NAME.findall(atom.tests) if name not in atom.specification}
    asserts = {line for line in _ASSERT.findall(atom.tests) if line not in atom.specification}
    quotes = [rf"\b{re.escape(name)}\b" for name in names]
    quotes += [re.escape(line) for line in asserts if len(line) >= QUOTABLE]
    return re.compile("|".join(sorted(quotes))) if quotes else None


def _goes_on_from(lines: frozenset[str], first_lines: frozenset[str]) -> bool:
    shared = len(first_lines & lines)
    return shared >= NEARLY_ALL * len(first_lines) and len(lines) >= len(first_lines) + FEWEST_MORE


def _words(text: str) -> int:
    """A number that depends on nothing but the words in each line of a text; good for this process."""
    lines = _VOLATILE.sub("", text).split("\n")
    return hash(tuple(sum(map(hash, _WORD.findall(line))) for line in lines))


def _remember(memory: dict[Key, _Seen], key: Key, seen: _Seen) -> None:
    memory[key] = seen
    if len(memory) > MOST_TEXTS:
        del memory[next(iter(memory))]
