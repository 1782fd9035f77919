"""Names must read as they are; strings and comments may hold what they like."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.findings import Finding, Severity
from executions.languages import JAVASCRIPT, TYPESCRIPT
from executions.validation.identifiers import misleading_name, python_names
from executions.validation.languages.syntax import check_other_language
from executions.validation.text_gate import read_text


@pytest.mark.parametrize(
    ("source", "rule", "line"),
    [
        ("def f(x):\n    pаss_ = 1\n", "text-mixed-script", 2),  # noqa: RUF001
        ("get_имя = 1\n", "text-mixed-script", 1),
        ("x = 1\nx.αbc = 2\n", "text-mixed-script", 2),  # noqa: RUF001
        ("def f(ѕelf): pass\n", "text-mixed-script", 1),  # noqa: RUF001
        ("ﬁle = 1\n", "text-not-normal", 1),
        ("µs = 1\n", "text-not-normal", 1),
        ("𝐱 = 1\n", "text-not-normal", 1),  # noqa: RUF001
    ],
)
def test_a_name_that_looks_like_another_is_rejected(source: str, rule: str, line: int) -> None:
    found = read_text(source)
    assert isinstance(found, Finding)
    assert (found.severity, found.rule, found.line) == (Severity.CRITICAL, rule, line)
    assert "U+" in found.message


@pytest.mark.parametrize(
    "source",
    [
        "имя = возраст = 1\n",
        "naïve = größe = 1\n",
        "Δx = θ_max = ω2 = 1\n",
        "αβ = 1\n",
        "ユーザー名_id = 変数 = 1\n",
        "변수 = متغير = हिन्दी = 1\n",
        "x = 'pаss'  # pаss µ ﬁ\n",  # noqa: RUF001
        '"""pаss"""\n',  # noqa: RUF001
        "x = f'{1} pаss'\n",  # noqa: RUF001
        "def (:\n имя = 'a\n",
    ],
)
def test_names_in_one_script_and_all_other_text_are_free(source: str) -> None:
    assert read_text(source) == source


@pytest.mark.parametrize("language", [JAVASCRIPT, TYPESCRIPT], ids=lambda one: one.name)
def test_other_languages_are_held_to_the_same(language: object) -> None:
    def rules(text: str) -> list[tuple[str, int | None]]:
        assert isinstance(read_text(text, language), str)  # type: ignore[arg-type]
        found = check_other_language(language, text, "a.js", ())  # type: ignore[arg-type]
        return [(finding.rule, finding.line) for finding in found]

    assert rules("let a = 1;\nlet pаss = 2;\n") == [("text-mixed-script", 2)]  # noqa: RUF001
    assert rules("a.ﬁle = 1;\n") == [("text-not-normal", 1)]
    assert rules("let имя = 'pаss'; // pаss µ\n") == []  # noqa: RUF001


@given(st.text(st.characters(codec="ascii"), max_size=200))
def test_plain_ascii_has_no_misleading_name(text: str) -> None:
    assert misleading_name(python_names(text)) is None
