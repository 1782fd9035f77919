"""What a call cost, in whole nano-USD, so that sums are exact in every database.

Prices come from genai-prices and the data bundled with it (dated, tiered, cache-aware); nothing here goes
to the network. A model that no price list knows is unpriced, never free by claim; the scripted model has a
made-up price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from executions.generation.client import Usage

if TYPE_CHECKING:
    import genai_prices.types

NANO_PER_USD = 1_000_000_000
SCRIPTED_PREFIX = "scripted-"
# Made up: 3 and 15 USD per million tokens, near the price of a middling hosted model of 2026. One token of
# input is 3,000 nano-USD.
SCRIPTED_INPUT_NANO = 3_000
SCRIPTED_OUTPUT_NANO = 15_000
CHARACTERS_PER_TOKEN = 3
"""Cautious for code and English, where 3 to 4 characters make a token: an estimate errs upwards."""


class PriceKind(StrEnum):
    """Where a price comes from."""

    PRICED = "priced"
    """A real price list knows the model."""
    UNPRICED = "unpriced"
    """No price list knows the model: counted as 0 and shown as unpriced."""
    SCRIPTED = "scripted"
    """The scripted model's made-up price; nobody pays it."""


@dataclass(frozen=True, slots=True)
class Price:
    nano_usd: int
    """Billionths of a US dollar."""
    kind: PriceKind


def price_of(model: str, usage: Usage, *, at: datetime | None = None) -> Price:
    """The list price of one call. `at` is when it was made (prices change on dates); None is now."""
    if is_scripted(model):
        read = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        nano = read * SCRIPTED_INPUT_NANO + usage.output_tokens * SCRIPTED_OUTPUT_NANO
        return Price(nano, PriceKind.SCRIPTED)
    usd = _list_price(model, usage, at or datetime.now(UTC))
    if usd is None:
        return Price(0, PriceKind.UNPRICED)
    nano = int((usd * NANO_PER_USD).to_integral_value(rounding=ROUND_HALF_UP))
    return Price(nano, PriceKind.PRICED)


def price_kind(model: str) -> PriceKind:
    """Where the price of the model's calls would come from."""
    return price_of(model, Usage(1, 1, 0, 0, {})).kind


def estimate(model: str, *, input_chars: int, expected_output_tokens: int) -> Price:
    """What a call not made yet will roughly cost; nothing is taken to be cached."""
    input_tokens = -(-input_chars // CHARACTERS_PER_TOKEN)
    return price_of(model, Usage(input_tokens, expected_output_tokens, 0, 0, {}))


def is_scripted(model: str) -> bool:
    return model.startswith(SCRIPTED_PREFIX)


def _list_price(model: str, usage: Usage, at: datetime) -> Decimal | None:
    # Half a second and a few megabytes: paid by the process that prices calls, not by everyone who imports
    # this.
    import genai_prices

    # A gateway's `vendor/model` is looked up by the model's own name as well.
    for reference in dict.fromkeys((model, model.rpartition("/")[2])):
        try:
            calculation = genai_prices.calc_price(_as_listed(usage), reference, genai_request_timestamp=at)
        except LookupError:
            continue
        return calculation.total_price
    return None


def _as_listed(usage: Usage) -> genai_prices.types.Usage:
    from genai_prices import Usage as ListedUsage

    # The API counts only what follows the last cache breakpoint as input; price lists count everything read.
    read = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    listed = ListedUsage(
        input_tokens=read,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )
    short, long = _writes_by_lifetime(usage.raw)
    if long and short + long == usage.cache_write_tokens:
        listed = ListedUsage(
            input_tokens=read,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            cache_write_5m_tokens=short,
            cache_write_1h_tokens=long,
        )
    return listed


def _writes_by_lifetime(raw: Mapping[str, object]) -> tuple[int, int]:
    """Tokens written to the five-minute and the one-hour cache (priced apart); 0 where not reported."""
    split = raw.get("cache_creation")
    if not isinstance(split, Mapping):
        return 0, 0
    short, long = split.get("ephemeral_5m_input_tokens"), split.get("ephemeral_1h_input_tokens")
    return (short if isinstance(short, int) else 0), (long if isinstance(long, int) else 0)
