"""The operator's own prices: exact, complete, and refused when they cannot be meant."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tollbook.errors import ConfigError
from tollbook.pricing.override import Override
from tollbook.responses.usage import Usage

PAIR = {"input_cost_per_token": 0.000001, "output_cost_per_token": "0.000002"}


def bill(prices: dict[str, Any], usage: Usage, tier: str | None = None) -> Any:
    rates = Override({**PAIR, **prices}).rates(tier)
    assert rates is not None
    return rates.bill(usage)


@pytest.mark.parametrize(
    ("price", "nano"),
    [
        (3e-06, 3_000_000_000),
        ("0.000003", 3_000_000_000),
        ("3e-6", 3_000_000_000),
        (Decimal("0.000003"), 3_000_000_000),
        (0.001, 10**12),  # not 0.001000000000000000020816681711721685…
        (0, 0),
        ("1e-2", 10**13),
        ("0.0000000000015", 1_500),  # one and a half pico-dollars
    ],
)
def test_a_price_is_read_as_it_is_written(price: Any, nano: int) -> None:
    assert bill({"input_cost_per_token": price}, Usage(input=1_000_000)).total == nano


@pytest.mark.parametrize(
    "price",
    [
        -1,
        -1e-9,
        "-0.1",
        3,
        "0.011",
        float("nan"),
        "NaN",
        float("inf"),
        "-Infinity",
        "free",
        "",
        None,
        True,
        [1],
        {},
        "1e999999",
    ],
)
def test_a_price_that_is_none_is_refused_by_name(price: Any) -> None:
    with pytest.raises(ConfigError) as refused:
        Override({**PAIR, "cache_read_input_token_cost": price})

    assert refused.value.param == "cache_read_input_token_cost"
    assert "cache_read_input_token_cost" in refused.value.message


def test_an_unknown_price_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="Did you mean output_cost_per_token"):
        Override({**PAIR, "output_cost_per_tokn": 1})
    with pytest.raises(ConfigError, match="input_cost_per_pixel"):
        Override({"input_cost_per_pixel": 1})


@pytest.mark.parametrize("missing", ["input_cost_per_token", "output_cost_per_token"])
def test_half_a_price_list_is_refused(missing: str) -> None:
    with pytest.raises(ConfigError, match=missing):
        Override({key: value for key, value in PAIR.items() if key != missing})


@pytest.mark.parametrize(
    ("key", "usage"),
    [
        ("input_cost_per_token", Usage(input=1)),
        ("cache_read_input_token_cost", Usage(cache_read=1)),
        ("cache_creation_input_token_cost", Usage(cache_write=1)),
        ("cache_creation_input_token_cost_above_1hr", Usage(cache_write_1h=1)),
        ("input_cost_per_audio_token", Usage(input_audio=1)),
        ("input_cost_per_image_token", Usage(input_image=1)),
        ("cache_read_input_audio_token_cost", Usage(cache_read_audio=1)),
        ("output_cost_per_token", Usage(output=1)),
        ("output_cost_per_reasoning_token", Usage(reasoning=1)),
        ("output_cost_per_audio_token", Usage(output_audio=1)),
        ("output_cost_per_image_token", Usage(output_image=1)),
        ("web_search_cost_per_call", Usage(tools={"web_search": 1})),
        ("my_tool_cost_per_call", Usage(tools={"my_tool": 1})),
        ("search_context_cost_per_query", Usage(tools={"web_search": 1})),
        ("input_cost_per_request", Usage()),
    ],
)
def test_every_kind_has_its_key(key: str, usage: Usage) -> None:
    assert bill({key: "0.0025"}, usage).total == 2_500_000


def test_litellms_own_forms_of_tool_fees_are_understood() -> None:
    sizes = {"search_context_size_low": 1, "search_context_size_medium": "0.01", "search_context_size_high": 2}
    prices = {"search_context_cost_per_query": sizes, "file_search_cost_per_1k_calls": "2.5"}

    cost = bill(prices, Usage(tools={"web_search": 1, "file_search": 2}))

    assert [line.amount for line in cost.lines] == [10_000_000, 5_000_000]


def test_a_threshold_and_a_tier_may_follow_the_name() -> None:
    prices = {
        "input_cost_per_token_above_200k_tokens": 2e-6,
        "input_cost_per_token_flex": 5e-7,
        "input_cost_per_token_above_200k_tokens_flex": 1e-6,
        "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 9e-6,
        "input_cost_per_token_batches": 4e-7,
    }

    def rate(tokens: int, tier: str | None) -> int:
        return bill(prices, Usage(input=tokens), tier).lines[0].rate

    assert (rate(200_000, None), rate(200_001, None)) == (1_000_000, 2_000_000)
    assert (rate(200_000, "flex"), rate(200_001, "flex")) == (500_000, 1_000_000)
    assert rate(1, "batch") == 400_000
    assert bill(prices, Usage(input=200_001, cache_write_1h=1)).lines[1].rate == 9_000_000


def test_the_version_tells_the_list_and_the_tier_that_was_applied() -> None:
    prices = {**PAIR, "input_cost_per_token_flex": 5e-7}
    override = Override(prices)

    versions = {tier: override.rates(tier).version for tier in (None, "flex", "priority")}  # type: ignore[union-attr]

    assert versions[None] == override.version == Override(dict(reversed(prices.items()))).version
    assert versions["flex"] == f"{override.version}/tier:flex"
    assert versions["priority"] == f"{override.version}/tier:standard"
    assert override.version != Override(PAIR).version
