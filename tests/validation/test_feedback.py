"""Messages for prompts and pages: bounded, without control characters or the sandbox's paths."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from executions.findings import Finding, Severity
from executions.validation.feedback import MAX_ALL, MAX_MESSAGE, bounded, clean


@given(st.text(max_size=3000))
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    shown = clean(text)
    assert len(shown) <= MAX_MESSAGE
    assert not any((ord(c) < 32 and c not in "\t\n") or 0x7F <= ord(c) < 0xA0 for c in shown)
    shown.encode()  # raises on a lone surrogate


def test_controls_are_shown_as_what_they_are() -> None:
    assert clean("a\x1b[31mb\u202ec") == "a\\x1b[31mb\\u202ec"


def test_paths_are_told_from_the_projects_root() -> None:
    assert clean("in /project/pkg/a.py line 3") == "in pkg/a.py line 3"
    assert clean("in /var/tmp/mge-sandbox-0123456789abcdef/project/pkg/a.py") == "in pkg/a.py"
    assert clean("in /home/me/project/a.py") == "in /home/me/project/a.py"


def test_all_messages_together_are_bounded() -> None:
    many = [Finding(Severity.ERROR, "test-failed", f"{n} " + "x" * 1500) for n in range(20)]
    kept = bounded(many)
    assert sum(len(finding.message) for finding in kept) <= MAX_ALL + 100
    assert kept[-1].rule == "more-findings"
    assert kept[0].message == many[0].message


def test_notes_that_are_left_out_are_told_as_a_note() -> None:
    error = Finding(Severity.ERROR, "test-failed", "x")
    notes = [Finding(Severity.INFO, "lint-F401", "y" * 1900) for _ in range(5)]
    warning = Finding(Severity.WARNING, "types-x", "z" * 1900)
    assert bounded([error, *notes])[-1].severity is Severity.INFO
    assert bounded([error, *notes, warning])[-1].severity is Severity.WARNING
    assert [finding.rule for finding in bounded([error, *notes])].count("more-findings") == 1
