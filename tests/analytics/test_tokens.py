"""Tokens by kind: disjoint, complete, and with the price that a million of them came to."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analytics.books import MARCH, attempt, books, by_chance, grouped, seen, unpriced
from tollbook_analytics import tokens
from tollbook_analytics.ledger import TOKENS
from tollbook_analytics.tokens import KINDS


def test_each_kind_has_its_tokens_its_cost_and_what_a_million_came_to() -> None:
    frame = books(
        attempt(
            uncached_input_tokens=2000,
            cache_read_tokens=6000,
            visible_output_tokens=500,
            reasoning_tokens=1500,
            cost_nano=11_350_000,
            cost_input_nano=2_500_000,
            cost_cache_read_nano=750_000,
            cost_output_nano=2_000_000,
            cost_reasoning_nano=6_000_000,
            cost_tools_nano=100_000,
        )
    )
    told = {row["kind"]: row for row in tokens(frame, MARCH).to_dicts()}

    assert {kind: (row["tokens"], row["cost_nano"], row["nano_per_million"]) for kind, row in told.items()} == {
        "input": (2000, 2_500_000, 1_250_000_000),
        "cache_read": (6000, 750_000, 125_000_000),
        "cache_write": (0, 0, None),
        "output": (500, 2_000_000, 4_000_000_000),
        "reasoning": (1500, 6_000_000, 4_000_000_000),
        "media": (0, None, None),
        "tools": (None, 100_000, None),
        "other": (None, 0, None),
    }
    assert told["input"]["tokens_share"] == 0.2
    assert told["reasoning"]["cost_share"] == 6_000_000 / 11_350_000


def test_tokens_without_a_price_are_told_and_do_not_cheapen_the_others() -> None:
    frame = books(
        attempt(cost_input_nano=1_000_000, cost_nano=1_000_000, uncached_input_tokens=1000),
        unpriced(uncached_input_tokens=9000),
    )
    (row,) = [row for row in tokens(frame, MARCH).to_dicts() if row["kind"] == "input"]

    assert (row["tokens"], row["cost_nano"], row["nano_per_million"]) == (10_000, 1_000_000, 1_000_000_000)


def test_a_kind_of_which_nothing_is_priced_has_no_cost() -> None:
    rows = {row["kind"]: row["cost_nano"] for row in tokens(books(unpriced()), MARCH).to_dicts()}

    assert (rows["input"], rows["cache_read"]) == (None, 0), "nothing was read, so nothing is owed for it"


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 60))
def test_kinds_add_up_to_the_totals_of_the_ledger(seed: int, size: int) -> None:
    rows = by_chance(seed, size)
    told = tokens(books(rows), MARCH, ["model"]).to_dicts()

    for (model,), mine in grouped(seen(rows, MARCH), "model").items():
        of_model = {row["kind"]: row for row in told if row["model"] == model}
        assert list(of_model) == list(KINDS)
        assert sum(row["tokens"] or 0 for row in of_model.values()) == sum(row[name] for row in mine for name in TOKENS)
        assert sum(row["cost_nano"] or 0 for row in of_model.values()) == sum(row["cost_nano"] or 0 for row in mine)
