"""Cache savings: compared with plain input at the rate of the same attempt, exact, and honest about what is assumed."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analytics.books import MARCH, attempt, books, by_chance, grouped, seen, unpriced
from tollbook_analytics import Missed, ReportError, cache


def test_a_read_saves_what_plain_input_would_have_cost_and_a_write_costs_extra() -> None:
    """$3 a million plain, $0.30 read, $3.75 written: 10,000 read save 2.7 cents, 4,000 written cost 0.3 cents more."""
    reads = attempt(
        input_rate_pico=3_000_000,
        uncached_input_tokens=0,
        cache_read_tokens=10_000,
        cost_cache_read_nano=3_000_000,
        cost_nano=3_000_000,
    )
    writes = attempt(
        input_rate_pico=3_000_000,
        uncached_input_tokens=0,
        cache_write_tokens=3_000,
        cache_write_1h_tokens=1_000,
        cost_cache_write_nano=15_000_000,
        cost_nano=15_000_000,
    )
    (row,) = cache(books(reads, writes), MARCH).to_dicts()

    assert (row["saved_nano"], row["premium_nano"], row["net_nano"]) == (27_000_000, 3_000_000, 24_000_000)
    assert (row["cache_read_tokens"], row["cache_write_tokens"], row["hit_share"]) == (10_000, 4_000, 10 / 14)


def test_a_cache_that_is_only_written_to_costs_more_than_it_saves() -> None:
    frame = books(
        attempt(
            input_rate_pico=1000,
            uncached_input_tokens=0,
            cache_write_tokens=1000,
            cost_cache_write_nano=1250,
            cost_nano=1250,
        )
    )
    (row,) = cache(frame, MARCH).to_dicts()

    assert row["net_nano"] == -250


def test_cached_tokens_whose_rate_nobody_knows_are_counted_and_save_nothing() -> None:
    frame = books(
        unpriced(cache_read_tokens=50),
        attempt(cache_read_tokens=50, input_rate_pico=None),
        attempt(input_rate_pico=None),
    )
    (row,) = cache(frame, MARCH).to_dicts()

    assert (row["unknown"], row["saved_nano"]) == (2, 0)


def test_what_was_missed_is_an_estimate_that_says_what_it_assumes() -> None:
    """A second turn of 10,000 plain tokens at $1 a million: 8,000 had been sent, and would have cost a tenth."""
    frame = books(
        attempt(input_rate_pico=1_000_000, uncached_input_tokens=10_000),
        attempt(input_rate_pico=1_000_000, uncached_input_tokens=10_000, turn=2),
    )
    (row,) = cache(frame, MARCH).to_dicts()
    (half,) = cache(frame, MARCH, missed=Missed(repeated_percent=50, read_percent=25)).to_dicts()

    assert (row["missed_tokens"], row["missed_nano"]) == (8_000, 7_200_000)
    assert (half["missed_tokens"], half["missed_nano"]) == (5_000, 3_750_000)
    assert "50 % of the uncached input of follow-up turns" in Missed(repeated_percent=50).assumptions[0]


def test_an_assumption_is_a_percentage() -> None:
    with pytest.raises(ReportError, match="read_percent is a whole percentage from 0 to 100"):
        Missed(read_percent=110)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 60))
def test_savings_are_what_exact_fractions_say(seed: int, size: int) -> None:
    rows = by_chance(seed, size)
    told = {row["provider"]: row for row in cache(books(rows), MARCH, ["provider"]).to_dicts()}

    for (provider,), mine in grouped(seen(rows, MARCH), "provider").items():
        rated = [row for row in mine if row["input_rate_pico"] is not None]
        saved = sum(
            Fraction(row["cache_read_tokens"] * row["input_rate_pico"], 1000) - row["cost_cache_read_nano"]
            for row in rated
        )
        written = [(row["cache_write_tokens"] + row["cache_write_1h_tokens"], row) for row in rated]
        premium = sum(
            row["cost_cache_write_nano"] - Fraction(many * row["input_rate_pico"], 1000) for many, row in written
        )
        assert told[provider]["saved_nano"] == round(saved)
        assert told[provider]["premium_nano"] == round(premium)
