"""What a retry is told about the attempts before it.

Bounded, because retry contexts that grow with every attempt are the dearest mistake of such loops
(pydantic/pydantic-ai#4908): one code, its findings, one line for each other attempt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from executions.findings import Finding
from executions.generation.data_blocks import data
from executions.generation.history import PastAttempt, best_of

FEEDBACK_LIMIT = 24_000
"""Bytes of findings in one prompt, marked source lines included."""
LINES_AROUND = 2
"""Source lines shown before and after the marked one."""
MAX_LINE = 200
"""Characters shown of one source line."""
MAX_PASSED = 40
"""Names of passed tests that are listed."""


def feedback(history: Sequence[PastAttempt], *, show_code: bool, fence_word: str) -> list[str]:
    """Sections of the prompt: the best code (unless `show_code` is off), its findings, what passed, the rest.

    Only CRITICAL and ERROR findings are told; WARNING and INFO never.
    """
    best = best_of(history)
    others = [attempt for attempt in history if attempt is not best]
    sections = [_ledger(history)]
    if show_code:
        sections.append(
            f"## Code of attempt {best.number}, the best so far\n" + data("answer", best.code, fence_word)
        )
    sections.append(_findings_section(best, history, show_source=show_code))
    if best.tests_passed:
        sections.append(_passed(best))
    if others and max(history, key=lambda attempt: attempt.number) is not best:
        sections += _latest_messages(best, others[-1])
    return sections


def _ledger(history: Sequence[PastAttempt]) -> str:
    lines = [f"- Attempt {attempt.number}: {_outcome(attempt)}" for attempt in history]
    return "## What was tried\n" + "\n".join(lines)


def _outcome(attempt: PastAttempt) -> str:
    rules = Counter(finding.rule for finding in attempt.blocking)
    counted = ", ".join(f"{rule} x{count}" if count > 1 else rule for rule, count in rules.items())
    tests = (
        f"{len(attempt.tests_passed)} of {attempt.tests_total} tests passed" if attempt.tests_total else ""
    )
    return "; ".join(part for part in (tests, counted) if part) or "rejected"


def _findings_section(best: PastAttempt, history: Sequence[PastAttempt], *, show_source: bool) -> str:
    of = f"## Findings on attempt {best.number}" + (", the best so far" if len(history) > 1 else "")
    if not best.blocking:
        return f"{of}\nNone was recorded."
    text = _listed(best.blocking, best.code if show_source else None, FEEDBACK_LIMIT)
    return f"{of}\n{data('findings', text)}"


def _latest_messages(best: PastAttempt, latest: PastAttempt) -> list[str]:
    told = {finding.message for finding in best.blocking}
    new = [finding for finding in latest.blocking if finding.message not in told]
    if not new:
        return []
    text = _listed(new, None, FEEDBACK_LIMIT // 2)
    return [f"## Findings on attempt {latest.number}, whose code is not shown\n{data('findings', text)}"]


def _passed(best: PastAttempt) -> str:
    names = ", ".join(best.tests_passed[:MAX_PASSED])
    more = len(best.tests_passed) - MAX_PASSED
    tail = f", and {more} more" if more > 0 else ""
    text = f"{len(best.tests_passed)} of {best.tests_total}: {names}{tail}"
    return f"## What passed in attempt {best.number}\n{data('passed', text)}"


def _listed(findings: Sequence[Finding], code: str | None, limit: int) -> str:
    """The findings within `limit` bytes: messages first, then source lines while there is room."""
    entries = [_entry(number, finding) for number, finding in enumerate(findings, 1)]
    kept: list[str] = []
    room = limit
    for entry in entries:
        room -= _size(entry)
        if room < 0 and kept:
            break
        kept.append(entry if room >= 0 else _cut(entry, limit))
    lines = code.split("\n") if code is not None else []
    for index, finding in enumerate(findings[: len(kept)]):
        source = _marked(lines, finding.line)
        if source and room >= _size(source):
            kept[index] += "\n" + source
            room -= _size(source)
    left_out = len(entries) - len(kept)
    if left_out:
        kept.append(f"({left_out} more findings left out)")
    return "\n".join(kept)


def _entry(number: int, finding: Finding) -> str:
    line = f" at line {finding.line}" if finding.line is not None else ""
    text = f"{number}. {finding.severity} {finding.rule}{line}: {finding.message}"
    return f"{text}\n   Hint: {finding.hint}" if finding.hint.strip() else text


def _marked(lines: Sequence[str], line: int | None) -> str:
    if line is None or not 1 <= line <= len(lines):
        return ""
    first, last = max(1, line - LINES_AROUND), min(len(lines), line + LINES_AROUND)
    width = len(str(last))
    return "\n".join(
        f"   {'>' if number == line else ' '} {number:>{width}} | {lines[number - 1][:MAX_LINE]}"
        for number in range(first, last + 1)
    )


def _cut(entry: str, limit: int) -> str:
    return entry.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore") + " (cut)"


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace")) + 1
