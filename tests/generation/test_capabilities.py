"""What is sent to which model, and the words by which a refusal is recognised."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from executions.generation.capabilities import Capabilities
from executions.generation.client import Endpoint
from executions.generation.faults import names_parameter, retry_after_seconds

LOCAL = Endpoint("local", "http://127.0.0.1:9000", "x")


@pytest.mark.parametrize("base_url", [None, "https://api.anthropic.com", "https://API.anthropic.com/"])
def test_the_first_party_api_is_never_sent_a_temperature(base_url: str | None) -> None:
    endpoint = Endpoint("default", base_url, "x")
    applied, dropped = Capabilities().plan(endpoint, "claude-opus-5-5", {"temperature": 0.7})
    assert applied == {}
    assert "no sampling parameters" in dropped["temperature"]


def test_other_endpoints_are_sent_the_temperature_until_they_refuse_it() -> None:
    known = Capabilities()
    assert known.plan(LOCAL, "m", {"temperature": 0.0}) == ({"temperature": 0.0}, {})
    known.learn(LOCAL, "m", "temperature", "it said no")
    assert known.plan(LOCAL, "m", {"temperature": 0.0}) == ({}, {"temperature": "it said no"})


def test_a_refusal_says_nothing_about_another_model_or_endpoint() -> None:
    known = Capabilities()
    known.learn(LOCAL, "m", "temperature", "it said no")
    elsewhere = Endpoint("local", "http://127.0.0.1:9001", "x")
    assert known.plan(LOCAL, "n", {"temperature": 1.0})[0] == {"temperature": 1.0}
    assert known.plan(elsewhere, "m", {"temperature": 1.0})[0] == {"temperature": 1.0}


def test_what_is_not_asked_for_is_neither_sent_nor_dropped() -> None:
    assert Capabilities().plan(LOCAL, "m", {"temperature": None, "effort": None}) == ({}, {})


@pytest.mark.parametrize(
    ("model", "wanted", "sent"),
    [
        ("claude-opus-5-5", "higher", "high"),
        ("claude-opus-5", "higher", "xhigh"),
        ("claude-opus-4-6", "higher", "max"),
        ("claude-haiku-5-5-20260801", "low", "low"),
        ("anthropic/claude-sonnet-5-5", "max", "max"),
        ("claude-opus-4-5", "higher", None),
        ("claude-opus-4-5", "max", None),
        ("claude-sonnet-4-6", "xhigh", None),
        ("claude-sonnet-4-5", "high", None),
        ("claude-haiku-4-5", "high", None),
        ("scripted-coder", "high", None),
        ("llama3.2:3b", "higher", None),
    ],
)
def test_effort_goes_only_where_the_model_is_known_to_take_it(
    model: str, wanted: str, sent: str | None
) -> None:
    applied, dropped = Capabilities().plan(LOCAL, model, {"effort": wanted})
    assert applied.get("effort") == sent
    assert (sent is None) == (model in dropped.get("effort", ""))


@pytest.mark.parametrize(
    ("message", "refused"),
    [
        ("temperature: Extra inputs are not permitted", True),
        ("`temperature` is deprecated for this model.", True),
        ("Unsupported parameter: 'temperature'", True),
        ("temperature is not supported with this model", True),
        ('[{"type": "extra_forbidden", "loc": ["body", "temperature"]}]', True),
        ("temperature: range: 0..1", False),
        ("max_temperature: Extra inputs are not permitted", False),
        ("messages: text about the temperature in Rome", False),
        ("model: not found", False),
    ],
)
def test_a_refusal_is_recognised_by_its_words(message: str, refused: bool) -> None:
    assert names_parameter(message, "temperature") is refused


NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "30"}, 30.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Tue, 24 Nov 2026 12:01:30 GMT"}, 90.0),
        ({"retry-after": "Tue, 24 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "later"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
    ],
)
def test_the_time_to_wait_is_read_in_all_its_spellings(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_seconds(headers, now=NOW) == seconds
