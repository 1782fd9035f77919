"""The ladder: the default, ladders described by people, and their mistakes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.generation.ladder import (
    DEFAULT_LADDER,
    EFFORTS,
    HIGHER,
    MAX_RUNGS,
    LadderError,
    Rung,
    Strategy,
    as_json,
    ladder_from,
)

RUNGS = st.builds(
    Rung,
    number=st.just(0),
    strategy=st.sampled_from(Strategy),
    temperature=st.none() | st.floats(0, 2),
    effort=st.none() | st.sampled_from((*EFFORTS, HIGHER)),
    model=st.none() | st.text("abc-1", min_size=1, max_size=20),
    max_tokens=st.integers(1, 1_000_000),
)


def test_the_default_keeps_the_temperatures_of_the_original_and_changes_the_method() -> None:
    assert [rung.temperature for rung in DEFAULT_LADDER] == [0.7, 0.5, 0.3, 0.3]
    assert [rung.strategy.value for rung in DEFAULT_LADDER] == ["generate", "repair", "diagnose", "fresh"]
    assert [rung.number for rung in DEFAULT_LADDER] == [1, 2, 3, 4]
    assert [rung.effort for rung in DEFAULT_LADDER] == [None, None, HIGHER, None]


@pytest.mark.parametrize("value", [None, "default", " default ", ""])
def test_nothing_said_is_the_default(value: object) -> None:
    assert ladder_from(value) == DEFAULT_LADDER


@given(st.lists(RUNGS, min_size=1, max_size=MAX_RUNGS))
def test_a_ladder_survives_the_way_through_json(drawn: list[Rung]) -> None:
    numbered = [{**entry, "number": place} for place, entry in enumerate(as_json(drawn), 1)]
    ladder = ladder_from(json.dumps(numbered))
    assert as_json(ladder) == numbered
    assert ladder_from(as_json(ladder)) == ladder


@given(st.integers(1, MAX_RUNGS), st.lists(RUNGS, min_size=1, max_size=MAX_RUNGS))
def test_the_number_of_attempts_cuts_or_repeats_the_last_rung(wanted: int, drawn: list[Rung]) -> None:
    numbered = [{**entry, "number": place} for place, entry in enumerate(as_json(drawn), 1)]
    whole, ladder = ladder_from(numbered), ladder_from(numbered, max_attempts=wanted)
    assert [rung.number for rung in ladder] == list(range(1, wanted + 1))
    assert ladder[: len(whole)] == whole[:wanted]
    assert len({(rung.strategy, rung.temperature, rung.max_tokens) for rung in ladder[len(whole) - 1 :]}) <= 1


def test_what_a_rung_leaves_out_comes_from_the_default_of_its_number() -> None:
    ladder = ladder_from([{}, {"temperature": None}, {"effort": "max"}, {}, {"model": "scripted-big"}])
    assert ladder[0] == DEFAULT_LADDER[0]
    assert ladder[1] == Rung(2, Strategy.REPAIR, None, None, None, DEFAULT_LADDER[1].max_tokens)
    assert ladder[2].effort == "max"
    assert (ladder[4].number, ladder[4].strategy, ladder[4].model) == (5, Strategy.FRESH, "scripted-big")


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("hot", "ladder:"),
        ("[1", "ladder:"),
        ({"strategy": "fresh"}, "ladder:"),
        (7, "ladder:"),
        ([], "ladder:"),
        ([{}] * 21, "ladder:"),
        ([{}, "fresh"], "ladder[1]:"),
        ([{"strategy": "guess"}], "ladder[0].strategy:"),
        ([{"strategy": None}], "ladder[0].strategy:"),
        ([{"temperature": 3}], "ladder[0].temperature:"),
        ([{"temperature": True}], "ladder[0].temperature:"),
        ([{"temperature": "0.5"}], "ladder[0].temperature:"),
        ([{"temperature": float("nan")}], "ladder[0].temperature:"),
        ([{"effort": "huge"}], "ladder[0].effort:"),
        ([{}, {"model": " "}], "ladder[1].model:"),
        ([{"model": 5}], "ladder[0].model:"),
        ([{"max_tokens": 0}], "ladder[0].max_tokens:"),
        ([{"max_tokens": 1.5}], "ladder[0].max_tokens:"),
        ([{"max_tokens": True}], "ladder[0].max_tokens:"),
        ([{"number": 2}], "ladder[0].number:"),
        ([{"temprature": 1}], "ladder[0].temprature:"),
    ],
)
def test_a_mistake_is_named_with_its_place(value: object, place: str) -> None:
    with pytest.raises(LadderError) as caught:
        ladder_from(value)
    assert str(caught.value).startswith(place)


@pytest.mark.parametrize("attempts", [0, -1, 21, True, 2.0, "3"])
def test_attempts_are_between_1_and_20(attempts: Any) -> None:
    with pytest.raises(LadderError, match="max_attempts"):
        ladder_from("default", max_attempts=attempts)
