"""Keys of the answer cache: whatever the model is told or the checks look at is in them."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.generation.cache import Asked, JudgedAmong, answer_key, verdict_key
from executions.generation.ladder import DEFAULT_LADDER
from executions.generation.prompts import Prompt

ASKED = Asked(
    prompt=Prompt("system", "user"),
    model="one",
    ladder=DEFAULT_LADDER,
    max_attempts=4,
    endpoint="here",
    seed=None,
    requires=("attrs",),
    validators="full",
    validators_version=1,
    language="python",
    signature="def f(x)",
    entry_points=("f",),
    tests="assert f(1)",
    hidden_tests="",
)
OTHER: dict[str, Any] = {
    "prompt": Prompt("system", "user "),
    "model": "two",
    "ladder": (DEFAULT_LADDER[0], replace(DEFAULT_LADDER[1], temperature=0.4), *DEFAULT_LADDER[2:]),
    "max_attempts": 3,
    "endpoint": "there",
    "seed": 0,
    "requires": (),
    "validators": "syntax",
    "validators_version": 2,
    "language": "python3",
    "signature": "def f(y)",
    "entry_points": ("f", "g"),
    "tests": "assert f(2)",
    "hidden_tests": "assert f(3)",
}
AMONG = JudgedAmong("pkg/f.py", {"pkg/a.py": "a = 1\n"}, (("b", "b = 1\n"),))
texts = st.text(max_size=8)


def test_every_part_of_the_question_is_known_here() -> None:
    assert OTHER.keys() == {field.name for field in fields(Asked)}


@pytest.mark.parametrize("part", sorted(OTHER))
def test_another_part_is_another_question(part: str) -> None:
    assert answer_key(replace(ASKED, **{part: OTHER[part]})) != answer_key(ASKED)


def test_the_system_prompt_is_part_of_the_question() -> None:
    assert answer_key(replace(ASKED, prompt=Prompt("another", "user"))) != answer_key(ASKED)


@pytest.mark.parametrize(
    "other",
    [
        replace(AMONG, target_path="pkg/g.py"),
        replace(AMONG, files={"pkg/a.py": "a = 2\n"}),
        replace(AMONG, files={"pkg/b.py": "a = 1\n"}),
        replace(AMONG, files={}),
        replace(AMONG, same_file=(("b", "b = 2\n"),)),
        replace(AMONG, same_file=()),
    ],
    ids=["path", "code", "name", "no files", "same file", "alone"],
)
def test_among_other_files_a_verdict_is_another(other: JudgedAmong) -> None:
    assert verdict_key(other) != verdict_key(AMONG)


@given(st.dictionaries(texts, texts, max_size=5))
def test_the_order_in_which_files_are_known_does_not_matter(files: dict[str, str]) -> None:
    backwards = dict(reversed(files.items()))

    assert verdict_key(replace(AMONG, files=backwards)) == verdict_key(replace(AMONG, files=files))


@given(texts, texts)
def test_texts_are_equal_exactly_when_their_keys_are(one: str, other: str) -> None:
    keys = [answer_key(replace(ASKED, tests=text)) for text in (one, other)]

    assert (keys[0] == keys[1]) == (one == other)
    assert all(len(key) == 64 for key in keys)
