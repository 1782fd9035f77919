"""Highlighting changes how code looks and nothing else: every character is there, in its line, and escaped."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executions.dashboard import highlighting
from executions.dashboard.highlighting import compare, highlight
from executions.dashboard.visible_text import code_point, pieces, visible

TAG = re.compile(r'<span class="[a-z0-9 -]+"(?: title="[^"<>]*")?>|</span>')
PYTHON = st.text(
    st.sampled_from(list("abdef ():\"'#\\\n\t=<>&{}[]0123456789\r\u202e\u200b\u2028\x0c\x00é")), max_size=200
)
LINES = st.lists(st.sampled_from(["a = 1", "b = 2", "def f():", "    return 3", ""]), max_size=12)


def plain(line: str) -> str:
    """What a reader sees of a line; fails when the HTML holds anything but our spans."""
    text = TAG.sub("", line)
    assert "<" not in text
    assert ">" not in text
    return html.unescape(text)


def expected(line: str) -> str:
    return "".join(text + (code_point(suspect) if suspect else "") for text, suspect in pieces(line))


@settings(max_examples=300, deadline=None)
@given(PYTHON, st.sampled_from(["python", "javascript", "nonsense", ""]))
def test_every_line_shows_exactly_its_own_text(code: str, language: str) -> None:
    lines = code.split("\n")
    if lines[-1] == "":
        lines.pop()
    shown = highlight(code, language).lines
    assert [line.number for line in shown] == list(range(1, len(lines) + 1))
    assert [plain(line.html) for line in shown] == [expected(line) for line in lines]


@settings(max_examples=300, deadline=None)
@given(LINES, LINES)
def test_a_comparison_leads_from_one_code_to_the_other(before: list[str], after: list[str]) -> None:
    diff = compare("\n".join(before) + "\n" if before else "", "\n".join(after) + "\n" if after else "")
    rebuilt, reached = [], 0
    for hunk in diff.hunks:
        for line in hunk.lines:
            if line.before is not None:
                rebuilt += before[reached : line.before - 1]
                reached = line.before
            if line.after is not None:
                rebuilt.append(plain(line.html))
    assert rebuilt + before[reached:] == after
    assert diff.added == sum(line.sign == "+" for hunk in diff.hunks for line in hunk.lines)
    assert diff.removed == sum(line.sign == "-" for hunk in diff.hunks for line in hunk.lines)


@given(st.text())
def test_visible_text_holds_nothing_that_hides(text: str) -> None:
    assert visible(visible(text)) == visible(text)
    assert not any(suspect for _, suspect in pieces(visible(text)))


def test_python_is_coloured_by_class_names() -> None:
    (line,) = highlight("def f(): return 'x'\n").lines
    assert '<span class="k">def</span>' in line.html
    assert '<span class="nf">f</span>' in line.html


def test_code_beyond_the_limits_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(highlighting, "MAX_LINES", 3)
    monkeypatch.setattr(highlighting, "MAX_LINE_LENGTH", 10)
    code = highlight("x = 1\n" * 5)
    assert (len(code.lines), code.left_out) == (3, 2)
    assert "line cut here" in highlight("y" * 11).lines[0].html
    monkeypatch.setattr(highlighting, "MAX_HIGHLIGHTED", 5)
    assert not highlight("x = 1\n").highlighted
    assert compare("x = 1\n", "x = 2\n").too_large


def test_what_the_lexer_has_no_time_for_is_shown_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(highlighting, "TIME_LIMIT_S", -1)
    code = highlight("def f():\n    return 1\n")
    assert [plain(line.html) for line in code.lines] == ["def f():", "    return 1"]
    assert 'class="k">return' not in code.lines[1].html
