"""`prices` in config.yaml: what it means, and that nothing that cannot be meant is taken over, each with its line."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.config import Config, PriceEntry, Terms, config_from, load_config, prices
from tollbook.config.price_list import check_pattern, clash, doubts, read_moment, show_moment
from tollbook.errors import ConfigError

from .making import NOW, at, entry

PAIR = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
MODELS = [{"model_name": "simulated/*", "params": {"model": "simulated/*"}}]


def load(*entries: Any) -> Config:
    return config_from({"model_list": MODELS, "prices": list(entries)}, {})


def wrong(*entries: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        load(*entries)
    return refused.value.message


def test_an_entry_says_models_times_prices_and_terms() -> None:
    said = {
        "model": "anthropic/claude-*",
        "valid_from": "2026-01-01",
        "valid_until": "2026-07-01T12:00+02:00",
        "tier": "Batches",
        "currency": "usd",
        "note": "by contract",
        "checked": "2026-02-01",
        "discount": 0.15,
        **PAIR,
    }

    assert load(said).prices == (
        PriceEntry(
            model="anthropic/claude-*",
            valid_from=at(2026, 1, 1),
            valid_until=at(2026, 7, 1, 10),
            tier="batch",
            prices=PAIR,
            terms=Terms(discount=Decimal("0.15")),
            note="by contract",
            checked=at(2026, 2, 1),
        ),
    )


def test_a_deployment_has_terms_too() -> None:
    params = {"model": "openai/gpt-4o", "uplift": 0.1, "margin_per_call": 0.001, "currency": "USD"}
    config = config_from({"model_list": [{"model_name": "a", "params": params, "model_info": {"discount": 0.2}}]}, {})

    (deployment,) = config.deployments.values()
    assert deployment.terms == Terms(uplift=Decimal("0.1"), discount=Decimal("0.2"), margin_per_call=Decimal("0.001"))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"model": "x/y"}, "says no price and none of uplift, discount, margin, margin_per_call"),
        (PAIR, '"model" is missing'),
        ({"model": "gpt", **PAIR}, "model: which provider?"),
        ({"model": "*/m", **PAIR}, "model: which provider?"),
        ({"model": "a/*b*c*d*e*", **PAIR}, 'model: at most four "*"'),
        ({"model": "x/y", "currency": "EUR", **PAIR}, "currency: prices are in USD; convert them"),
        ({"model": "x/y", "input_cost_per_token": -1e-6}, "input_cost_per_token: must be at least 0"),
        ({"model": "x/y", "input_cost_per_token": math.nan}, "input_cost_per_token: the number must be finite"),
        ({"model": "x/y", "input_cost_per_token": math.inf}, "input_cost_per_token: the number must be finite"),
        ({"model": "x/y", "input_cost_per_token": 3}, "looks like the price of a million"),
        (
            {"model": "x/y", "web_search_cost_per_call": 1e6},
            "web_search_cost_per_call: nobody charges more than 1000 USD",
        ),
        ({"model": "x/y", "input_cost_per_token": 1e-60}, "input_cost_per_token: is too small to be meant"),
        ({"model": "x/y", "input_cost_per_token": 1e-6}, "own prices need output_cost_per_token, too"),
        ({"model": "x/y", "input_cost_per_tokn": 1}, 'Did you mean "input_cost_per_token"?'),
        ({"model": "x/y", "discount": 15}, "discount: at most 1; it is a share: 0.15 is fifteen percent"),
        ({"model": "x/y", "uplift": 1.5}, "uplift: at most 1"),
        ({"model": "x/y", "margin": 20}, "margin: at most 10"),
        ({"model": "x/y", "discount": -0.1}, "discount: must be at least 0"),
        ({"model": "x/y", "valid_from": "soon", **PAIR}, "valid_from: must be a date such as 2026-01-31"),
        ({"model": "x/y", "valid_from": 2026, **PAIR}, "valid_from: expected text"),
        ({"model": "x/y", "valid_from": "2026-02-30", **PAIR}, "valid_from: must be a date"),
        ({"model": "x/y", "valid_from": "0001-01-01", **PAIR}, "valid_from: must lie between 1970 and 2262"),
        ({"model": "x/y", "valid_from": "9999-12-31T23:59-12:00", **PAIR}, "valid_from: "),
        ({"model": "x/y", "valid_from": "2026-02-01", "valid_until": "2026-02-01", **PAIR}, "is not after valid_from"),
        ({"model": "x/y", "tier": "default", **PAIR}, "tier: the standard tier has no name here"),
        (
            {"model": "x/y", "tier": "flex", **PAIR, "input_cost_per_token_flex": 0},
            "names a service tier, and the entry has one",
        ),
        ({"model": "x/y", "threshold_rule": "marginal", **PAIR}, "threshold_rule: there is no price with a threshold"),
        ({"model": "x/y", "threshold_rule": "graded", **PAIR}, "threshold_rule: must be one of whole, marginal"),
        ("x/y", "expected a mapping"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(said: Any, told: str) -> None:
    message = wrong(said)

    assert told in message
    assert message.startswith("prices[0]")


def test_a_mistake_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "prices:\n  - model: x/y\n    discount: 0.1\n  - model: x/z\n    currency: EUR\n    discount: 0.1\n"
    )

    with pytest.raises(ConfigError, match=r"config\.yaml:5: prices\[1\]\.currency: prices are in USD"):
        load_config(file, {})


@pytest.mark.parametrize("given", [{}, "x", 7, True])
def test_a_list_is_a_list(given: Any) -> None:
    with pytest.raises(ConfigError, match="expected a list of prices"):
        config_from({"prices": given}, {})


# ── Contradictions ──────────────────────────────────────────────────────────────────────────────────────────────────────

JANUARY, MARCH, JUNE, DECEMBER = at(2026, 1, 1), at(2026, 3, 1), at(2026, 6, 1), at(2026, 12, 1)


@pytest.mark.parametrize(
    ("one", "other", "how"),
    [
        ((None, None), (None, None), "begin at the same time"),
        ((MARCH, None), (MARCH, JUNE), "begin at the same time"),
        ((JANUARY, JUNE), (MARCH, DECEMBER), "overlap from 2026-03-01 to 2026-06-01, and each says that it ends"),
        ((JANUARY, None), (MARCH, None), ""),  # a change
        ((JANUARY, None), (MARCH, JUNE), ""),  # an exception
        ((JANUARY, DECEMBER), (MARCH, JUNE), ""),
        ((JANUARY, JUNE), (MARCH, None), ""),  # it takes over before the other would have ended
        ((JANUARY, MARCH), (MARCH, JUNE), ""),
        ((JANUARY, MARCH), (JUNE, DECEMBER), ""),
    ],
)
def test_entries_that_leave_open_which_counts_are_refused(one: Any, other: Any, how: str) -> None:
    pair = [
        entry("x/y", str(number), valid_from=start, valid_until=end) for number, (start, end) in enumerate((one, other))
    ]

    assert clash(*pair) == clash(*pair[::-1]) == how


def test_what_is_said_of_different_things_is_no_contradiction() -> None:
    price = entry("x/y", "1")

    for other in (entry("x/*", "2"), entry("x/y", "2", tier="flex"), entry("x/y", discount="0.1")):
        assert clash(price, other) == ""
    assert clash(entry("x/y", discount="0.1"), entry("x/y", discount="0.2")) == "begin at the same time"


def test_a_contradiction_names_both_entries() -> None:
    assert wrong({"model": "x/y", **PAIR}, {"model": "x/y", **PAIR, "note": "again"}) == (
        "prices[1]: contradicts prices[0]: they begin at the same time"
    )


def test_beginnings_that_look_like_a_slip_are_told() -> None:
    entries = [
        entry("x/old", "1", valid_from=at(2006, 1, 1)),
        entry("x/far", "1", valid_from=at(2062, 1, 1)),
        entry("x/y", "1"),
    ]

    assert doubts(entries, NOW) == [
        "x/old: valid_from 2006-01-01 is before anybody sold tokens",
        "x/far: valid_from 2062-01-01 is more than two years away",
    ]


# ── Words ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-01-31", "2026-01-31"),
        (" 2026-01-31 ", "2026-01-31"),
        ("2026-01-31T18:00+01:00", "2026-01-31T17:00:00Z"),
        ("2026-01-31 18:00", "2026-01-31T18:00:00Z"),
        ("2026-01-31T00:00:00Z", "2026-01-31"),
        ("2026-01-31T18:00:00.25Z", "2026-01-31T18:00:00.250000Z"),
    ],
)
def test_a_moment_is_a_date_or_a_time_in_utc_unless_it_names_a_zone(text: str, shown: str) -> None:
    assert show_moment(read_moment(text)) == shown


@given(st.integers(0, 2**63 // 1000 - 1))
def test_a_moment_that_is_shown_is_read_as_the_same(microseconds: int) -> None:
    assert read_moment(show_moment(microseconds * 1000)) == microseconds * 1000


@given(st.text(max_size=30))
def test_any_text_is_a_moment_or_refused_in_a_sentence(text: str) -> None:
    for read in (read_moment, check_pattern):
        try:
            read(text)
        except ValueError as refused:
            assert str(refused)  # noqa: PT017 - either is right


@pytest.mark.parametrize(
    ("name", "kind", "threshold", "tier"),
    [
        ("input_cost_per_token", "input", -1, ""),
        ("input_cost_per_token_above_200k_tokens", "input", 200_000, ""),
        ("input_cost_per_token_from_200k_tokens", "input", 199_999, ""),
        ("output_cost_per_token_above_524288_tokens_ultrafast", "output", 524_288, "ultrafast"),
        ("cache_creation_input_token_cost_above_1hr_above_200k_tokens", "cache_write_1h", 200_000, ""),
        ("cache_creation_input_token_cost_above_12hr_batches", "cache_write_long", -1, "batch"),
        ("input_cost_per_image_above_128k_tokens", "input_image_count", 128_000, ""),
        ("output_cost_per_character_fast", "output_characters", -1, "fast"),
        ("output_cost_per_second", "milliseconds", -1, ""),
        ("my_tool_cost_per_call", "my_tool", -1, ""),
    ],
)
def test_a_key_says_its_kind_its_threshold_and_its_tier(name: str, kind: str, threshold: int, tier: str) -> None:
    key = prices.read_key(name)

    assert key is not None
    assert (key.meaning.kind, key.threshold, key.tier) == (kind, threshold, tier)


@pytest.mark.parametrize(
    "name",
    [
        "input_cost_per_token_above_0k_tokens",
        "input_cost_per_token_slow",
        "input_cost_per_call",
        "cost",
        "",
        "x" * 10**5,
    ],
)
def test_other_keys_are_no_prices(name: str) -> None:
    assert prices.read_key(name) is None


@given(
    st.text(max_size=60) | st.sampled_from(prices.NAMES), st.integers() | st.floats() | st.text(max_size=10) | st.none()
)
def test_any_key_and_value_is_a_price_or_refused_in_a_sentence(name: str, value: Any) -> None:
    if prices.read_key(name) is None:
        prices.nearest(name)
        return
    try:
        usd = prices.read_price(name, value)
    except ValueError as refused:
        assert str(refused)  # noqa: PT017 - either is right
    else:
        assert usd >= 0


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        (["input_cost_per_token"], ["output_cost_per_token"]),
        (["input_cost_per_image"], ["input_cost_per_token", "output_cost_per_token"]),
        (["input_cost_per_character"], ["output_cost_per_token"]),
        (["input_cost_per_character", "output_cost_per_character"], []),
        (["input_cost_per_page", "output_cost_per_token"], []),
        (["input_cost_per_second"], []),
        (["web_search_cost_per_call", "input_cost_per_request"], []),
    ],
)
def test_a_whole_list_says_what_plain_tokens_cost_unless_a_unit_pays_for_them(
    said: list[str], missing: list[str]
) -> None:
    assert prices.missing(dict.fromkeys(said, 0)) == missing
