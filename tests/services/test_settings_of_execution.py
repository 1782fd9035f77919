"""Settings of an execution: every key, good and bad, from text and from JSON, all problems at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.engine.configuration import Configuration
from executions.services.errors import InvalidSettings
from executions.services.settings_of_execution import configure


@pytest.fixture(autouse=True)
def _no_endpoint(settings: Any) -> None:
    settings.ANTHROPIC_BASE_URL = settings.ANTHROPIC_API_KEY = settings.MGE_MODEL = ""
    settings.MGE_MAX_CONCURRENCY = 100


GOOD: list[tuple[str, Any, str, Any]] = [
    ("model", "scripted-other", "model", "scripted-other"),
    ("model", "  scripted-opus ", "model", "scripted-opus"),
    ("schedule", "waves", "schedule", "waves"),
    ("schedule", "flow", "schedule", "flow"),
    ("max_concurrency", "1", "max_concurrency", 1),
    ("max_concurrency", 1000, "max_concurrency", 1000),
    ("max_attempts", "1", "max_attempts", 1),
    ("max_attempts", 20, "max_attempts", 20),
    ("validators", "full", "validators", "full"),
    ("validators", "syntax", "validators", "syntax"),
    ("validators", "tests,syntax", "validators", "syntax,tests"),
    ("validators", ["contract", "syntax"], "validators", "syntax,contract"),
    ("validators", "tests,types,lint", "validators", "lint,types,tests"),
    ("cache", "off", "cache", "off"),
    ("cache", False, "cache", "off"),
    ("cache", "on", "cache", "on"),
    ("cache", True, "cache", "on"),
    ("on_dependency_failure", "block", "on_dependency_failure", "block"),
    ("on_dependency_failure", "continue", "on_dependency_failure", "continue"),
    ("on_dependency_failure", "stop", "on_dependency_failure", "stop"),
    ("gate_wave", "stop", "gate_wave", "stop"),
    ("gate_wave", "report", "gate_masterplan", "report"),
    ("gate_masterplan", "stop", "gate_wave", "report"),
    ("on_untested", "accept", "model", "scripted-sonnet"),
    ("budget_usd", "2.50", "budget_usd", "2.50"),
    ("budget_usd", 3, "budget_usd", "3"),
    ("budget_usd", "1e-3", "budget_usd", "0.001"),
    ("budget_usd", "1000000", "budget_usd", "1000000"),
    ("seed", "0", "seed", 0),
    ("seed", 2**63 - 1, "seed", 2**63 - 1),
    ("ladder", "default", "max_attempts", 4),
    ("ladder", '[{"temperature": 0.1}, {}]', "max_attempts", 2),
    ("ladder", [{"model": "scripted-other"}], "max_attempts", 1),
]

BAD: list[tuple[str, Any, str]] = [
    ("model", "", "name of a model"),
    ("model", "   ", "name of a model"),
    ("model", "x" * 201, "200 characters"),
    ("model", "two\nlines", "name of a model"),
    ("model", 5, "name of a model"),
    ("schedule", "sideways", "waves, flow"),
    ("schedule", ["waves"], "waves, flow"),
    ("schedule", None, "waves, flow"),
    ("max_concurrency", 0, "from 1 to 1000"),
    ("max_concurrency", 1001, "from 1 to 1000"),
    ("max_concurrency", "many", "whole number"),
    ("max_concurrency", 2.5, "whole number"),
    ("max_concurrency", True, "whole number"),
    ("max_attempts", 0, "from 1 to 20"),
    ("max_attempts", 21, "from 1 to 20"),
    ("max_attempts", "", "whole number"),
    ("validators", "", "known are"),
    ("validators", [], "must be full"),
    ("validators", "tests,luck", "luck"),
    ("validators", [1], "must be full"),
    ("validators", {"tests": 1}, "must be full"),
    ("cache", "perhaps", "on, off"),
    ("on_dependency_failure", "panic", "block, continue, stop"),
    ("gate_wave", "shrug", "report, stop"),
    ("gate_masterplan", None, "report, stop"),
    ("on_untested", "shrug", "accept"),
    ("budget_usd", "0", "above 0"),
    ("budget_usd", "-1", "above 0"),
    ("budget_usd", "1000001", "at most"),
    ("budget_usd", "NaN", "above 0"),
    ("budget_usd", "Infinity", "above 0"),
    ("budget_usd", "a lot", "amount in USD"),
    ("budget_usd", True, "amount in USD"),
    ("budget_usd", "0.0000000001", "above 0"),
    ("seed", -1, "from 0"),
    ("seed", 2**63, "from 0"),
    ("seed", "x", "whole number"),
    ("ladder", "[", "ladder"),
    ("ladder", "[]", "1 to 20 rungs"),
    ("ladder", [{}] * 21, "1 to 20 rungs"),
    ("ladder", [{"temperature": 3}], "ladder[0].temperature"),
    ("ladder", [{"colour": "red"}], "ladder[0].colour"),
    ("ladder", 7, "ladder"),
    ("nonsense", "1", "unknown setting"),
]


@pytest.mark.parametrize(("key", "given_value", "field", "expected"), GOOD)
def test_a_good_setting_is_taken(key: str, given_value: Any, field: str, expected: Any) -> None:
    assert getattr(configure({key: given_value}), field) == expected


@pytest.mark.parametrize(("key", "given_value", "said"), BAD)
def test_a_bad_setting_is_refused_by_its_name(key: str, given_value: Any, said: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        configure({key: given_value})

    (problem,) = caught.value.problems
    assert problem.startswith(key)
    assert said in problem


def test_the_cache_is_on_unless_somebody_says_otherwise() -> None:
    assert configure({}).cache == "on"
    assert configure({}, plan_defaults={"cache": "off"}).cache == "off"
    assert configure({"cache": "on"}, plan_defaults={"cache": "off"}).cache == "on"


def test_on_a_site_without_the_cache_it_is_off_and_asking_for_it_is_refused(settings: Any) -> None:
    settings.MGE_CACHE = False

    assert configure({}).cache == "off"
    assert configure({}, plan_defaults={"cache": "on"}).cache == "off"
    with pytest.raises(InvalidSettings, match="switched off on this site"):
        configure({"cache": "on"})


@pytest.mark.parametrize(("key", "value"), [("on_untested", "review")])
def test_what_is_not_built_yet_says_so(key: str, value: Any) -> None:
    with pytest.raises(InvalidSettings, match="not built yet"):
        configure({key: value})


def test_every_problem_is_told_at_once_with_its_place() -> None:
    with pytest.raises(InvalidSettings) as caught:
        configure(
            {"schedule": "up", "max_attempts": 0, "nonsense": 1, "ladder": "["},
            plan_defaults={"seed": "x", "unheard": 2},
        )

    places = sorted(problem.partition(":")[0] for problem in caught.value.problems)
    assert places == ["defaults.seed", "defaults.unheard", "ladder", "max_attempts", "nonsense", "schedule"]
    assert str(caught.value).count("\n") == 5


def test_a_person_overrides_the_plan_and_the_plan_overrides_the_site(settings: Any) -> None:
    settings.MGE_MAX_CONCURRENCY = 9

    found = configure({"schedule": "flow"}, plan_defaults={"schedule": "waves", "max_attempts": 2})

    assert (found.schedule, found.max_attempts, found.max_concurrency) == ("flow", 2, 9)


@pytest.mark.parametrize("most", [1, 2, 4, 6])
def test_max_attempts_cuts_or_lengthens_the_ladder(most: int) -> None:
    found = configure({"max_attempts": most})

    assert len(found.ladder) == found.max_attempts == most
    assert [rung.temperature for rung in found.ladder] == [0.7, 0.5, 0.3, 0.3, 0.3, 0.3][:most]


@pytest.mark.parametrize("key", ["model", "ladder"])
def test_a_model_that_nobody_serves_is_refused(key: str) -> None:
    value = "claude-opus-5" if key == "model" else [{"model": "claude-opus-5"}]

    with pytest.raises(InvalidSettings, match=r"no endpoint is set .* claude-opus-5 cannot be asked"):
        configure({key: value})


def test_without_an_endpoint_the_scripted_model_is_used() -> None:
    found = configure({})

    assert (found.endpoint, found.model) == ("embedded", "scripted-sonnet")


@pytest.mark.parametrize("variable", ["ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"])
def test_with_an_endpoint_it_is_used_unless_the_scripted_model_is_asked_for(
    settings: Any, variable: str
) -> None:
    setattr(settings, variable, "http://127.0.0.1:1")
    settings.MGE_MODEL = "claude-haiku-5"

    assert (configure({}).endpoint, configure({}).model) == ("configured", "claude-haiku-5")
    scripted = configure({}, scripted=True)
    assert (scripted.endpoint, scripted.model) == ("embedded", "scripted-sonnet")
    forced = configure({"model": "claude-opus-5"}, scripted=True)
    assert (forced.endpoint, forced.model) == ("embedded", "scripted-sonnet")


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "schedule": st.sampled_from(["waves", "flow"]),
            "max_concurrency": st.integers(1, 1000),
            "max_attempts": st.integers(1, 20),
            "validators": st.sampled_from(["full", "syntax", "tests", "syntax,contract"]),
            "on_dependency_failure": st.sampled_from(["block", "continue", "stop"]),
            "budget_usd": st.decimals("0.01", "1000000", places=2).map(str),
            "seed": st.integers(0, 2**63 - 1),
        },
    )
)
def test_a_configuration_survives_the_way_through_json(given_settings: dict[str, Any]) -> None:
    found = configure(given_settings)

    assert Configuration.from_json(json.loads(json.dumps(found.as_json()))) == found
    assert found.runs_tests == (found.validators in ("full", "tests"))
