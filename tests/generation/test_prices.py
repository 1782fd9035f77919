"""What calls cost: exact, dated, and never taken from the network."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.generation.client import Usage
from executions.generation.prices import Price, PriceKind, estimate, price_kind, price_of

ROOT = Path(__file__).resolve().parents[2]
AT = datetime(2026, 11, 24, tzinfo=UTC)
COUNTS = st.integers(0, 2_000_000)


def used(read: int = 0, written: int = 0, cached: int = 0, stored: int = 0, **raw: object) -> Usage:
    return Usage(read, written, cached, stored, raw)


def test_a_known_model_is_priced_exactly_with_its_cache() -> None:
    # Per million tokens 4 in, 20 out, 0.20 cache read, 5 cache write.
    price = price_of("claude-opus-5-5", used(10, 5, 100, 50), at=AT)
    assert price == Price(10 * 4_000 + 5 * 20_000 + 100 * 200 + 50 * 5_000, PriceKind.PRICED)


def test_an_hour_in_the_cache_costs_more_than_five_minutes() -> None:
    split = {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 20}
    price = price_of("claude-opus-5-5", used(stored=50, cache_creation=split), at=AT)
    assert price.nano_usd == 30 * 5_000 + 20 * 8_000


@pytest.mark.parametrize(
    "split", [None, "x", {}, {"ephemeral_1h_input_tokens": 900}, {"ephemeral_1h_input_tokens": "2"}]
)
def test_a_split_that_does_not_add_up_is_ignored(split: object) -> None:
    assert price_of("claude-opus-5-5", used(stored=50, cache_creation=split), at=AT).nano_usd == 50 * 5_000


def test_a_long_prompt_is_priced_by_its_tier() -> None:
    short = price_of("claude-haiku-5-5", used(100_000), at=AT).nano_usd
    long = price_of("claude-haiku-5-5", used(100_001), at=AT).nano_usd
    assert (short, long) == (100_000 * 100, 100_001 * 500)


@pytest.mark.parametrize(
    "model", ["claude-sonnet-4-5-20250929", "CLAUDE-SONNET-4-5", "anthropic/claude-sonnet-4-5"]
)
def test_a_model_is_found_under_its_other_spellings(model: str) -> None:
    assert price_of(model, used(1_000), at=AT) == Price(3_000_000, PriceKind.PRICED)


@pytest.mark.parametrize("model", ["llama3.2:3b", "local-model", "", "/", "vendor/", "x" * 5_000])
def test_an_unknown_model_is_unpriced(model: str) -> None:
    assert price_of(model, used(1_000, 1_000)) == Price(0, PriceKind.UNPRICED)
    assert price_kind(model) is PriceKind.UNPRICED


def test_a_scripted_model_has_a_made_up_price_and_is_known_as_such() -> None:
    price = price_of("scripted-coder", used(1_000_000, 1_000_000))
    assert price == Price(18_000_000_000, PriceKind.SCRIPTED)
    assert price_kind("scripted-claude-opus-5-5") is PriceKind.SCRIPTED
    assert price_kind("claude-opus-5-5") is PriceKind.PRICED


@given(COUNTS, COUNTS, COUNTS, COUNTS, st.sampled_from(["claude-opus-5-5", "claude-sonnet-5", "scripted-x"]))
def test_a_call_costs_the_sum_of_its_parts(
    read: int, written: int, cached: int, stored: int, model: str
) -> None:
    whole = price_of(model, used(read, written, cached, stored), at=AT).nano_usd
    parts = [used(read), used(written=written), used(cached=cached), used(stored=stored)]
    assert whole == sum(price_of(model, part, at=AT).nano_usd for part in parts)


def test_an_estimate_counts_three_characters_a_token_rounded_up() -> None:
    assert estimate("scripted-x", input_chars=10, expected_output_tokens=2) == Price(
        4 * 3_000 + 2 * 15_000, PriceKind.SCRIPTED
    )


def test_prices_need_no_network_and_start_no_thread() -> None:
    code = (
        "import socket, threading\n"
        "def refuse(*args, **kwargs): raise SystemExit('asked the network')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from executions.generation.prices import price_kind\n"
        "print(price_kind('claude-opus-5-5'), threading.active_count())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == ["priced", "1"]
