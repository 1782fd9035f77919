"""What `--cases` takes, and what it refuses."""

from __future__ import annotations

import argparse

import pytest

from benchmarks.choices import PROMISED, Chosen, chosen


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("W1@0", Chosen("W1", "0", ("flow",))),
        ("W4@0.2@waves", Chosen("W4", "0.2", ("waves",))),
        ("W2@lognormal:1,0.6@flow+waves", Chosen("W2", "lognormal:1,0.6", ("flow", "waves"))),
    ],
)
def test_a_case_is_read(text: str, found: Chosen) -> None:
    assert chosen(text) == found


@pytest.mark.parametrize("text", PROMISED)
def test_what_is_handed_to_the_next_process_is_the_same_case(text: str) -> None:
    assert chosen(str(chosen(text))) == chosen(text)


@pytest.mark.parametrize("text", ["W1", "W1@", "W9@0", "W1@0@sideways", "W1@0@flow@waves", "@0", ""])
def test_anything_else_is_refused_in_words(text: str) -> None:
    with pytest.raises(
        argparse.ArgumentTypeError, match="workloads are W1, W2, W3, W4, schedules flow and waves"
    ):
        chosen(text)
