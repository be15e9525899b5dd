"""What-if: the same traffic at other rates, exactly, and honest about what is assumed and left out."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analytics.books import MARCH, Row, attempt, books, by_chance, grouped, rejected, seen, unpriced
from tollbook_analytics import Plan, ReportError, Swap, TooCoarse, what_if
from tollbook_analytics.ledger import TOKENS
from tollbook_analytics.rollup import hours
from tollbook_analytics.whatif import RATES

MINI = {"model": "mini", "input": 250_000, "cache_read": 25_000, "output": 2_000_000}
"""$0.25 in, $0.025 read, $2 out for a million."""


def rates(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([dict.fromkeys(RATES) | row for row in rows], schema=dict(RATES))


def only(frame: pl.DataFrame) -> dict[str, Any]:
    (row,) = frame.to_dicts()
    return row


def to_mini(**options: Any) -> Plan:
    return Plan((Swap("gpt", "mini", **options),))


TRAFFIC = attempt(
    uncached_input_tokens=10_000, cache_read_tokens=40_000, visible_output_tokens=1_000, reasoning_tokens=500, turn=2,
    cost_nano=50_000_000, cost_input_nano=12_500_000, cost_cache_read_nano=5_000_000, cost_output_nano=15_000_000,
    cost_reasoning_nano=7_500_000, cost_tools_nano=10_000_000,
)  # fmt: skip


def test_tokens_are_priced_anew_and_tools_stay() -> None:
    """2.5 M for plain input, 1 M for reads, 3 M for output with reasoning, and 10 M for the tools."""
    row = only(what_if(books(TRAFFIC), MARCH, rates(MINI), to_mini()))

    assert (row["now_nano"], row["then_nano"], row["difference_nano"]) == (50_000_000, 16_500_000, -33_500_000)
    assert (row["model"], row["to"], row["calls"], row["attempts"], row["change_share"]) == ("gpt", "mini", 1, 1, -0.67)


@pytest.mark.parametrize(
    ("options", "then"),
    [
        ({"cache": "none"}, 12_500_000 + 3_000_000 + 10_000_000),
        ({"cache": "full"}, 500_000 + 1_200_000 + 3_000_000 + 10_000_000),  # 8,000 more are read
        ({"input_percent": 120}, 4_200_000 + 3_000_000 + 10_000_000),
        ({"output_percent": 50}, 3_500_000 + 1_500_000 + 10_000_000),
        ({"input_percent": 0, "output_percent": 0}, 10_000_000),
    ],
)
def test_other_caches_and_other_tokenizers(options: dict[str, Any], then: int) -> None:
    assert only(what_if(books(TRAFFIC), MARCH, rates(MINI), to_mini(**options)))["then_nano"] == then


def test_a_tier_has_rates_of_its_own() -> None:
    table = rates(MINI, MINI | {"tier": "flex", "input": 125_000, "cache_read": 12_500, "output": 1_000_000})
    row = only(what_if(books(TRAFFIC), MARCH, table, to_mini(tier="flex")))

    assert row["then_nano"] == 10_000_000 + 6_500_000 // 2


@pytest.mark.parametrize(("tokens", "then"), [(200_000, 200_000 * 1000), (200_001, 200_001 * 2000)])
def test_a_step_holds_for_the_whole_request_from_the_first_token_above(tokens: int, then: int) -> None:
    table = rates(
        {"model": "long", "input": 10**6, "output": 0},
        {"model": "long", "above": 200_000, "input": 2 * 10**6, "output": 0},
    )
    frame = books(attempt(uncached_input_tokens=tokens))

    assert only(what_if(frame, MARCH, table, Plan((Swap("gpt", "long"),))))["then_nano"] == then
    with pytest.raises(TooCoarse, match="rates that change above 200,000 input tokens need single attempts"):
        what_if(hours(frame, MARCH), MARCH, table, Plan((Swap("gpt", "long"),)))


def test_a_step_counts_the_tokens_of_the_other_model() -> None:
    """160,000 tokens here are 200,000 there, which is not above; one more is."""
    table = rates(
        {"model": "long", "input": 1000, "output": 0}, {"model": "long", "above": 200_000, "input": 2000, "output": 0}
    )
    told = [
        only(
            what_if(
                books(attempt(uncached_input_tokens=many)),
                MARCH,
                table,
                Plan((Swap("gpt", "long", input_percent=125),)),
            )
        )["then_nano"]
        for many in (160_000, 160_001)
    ]

    assert told == [200_000, 400_002], "200,001.25 tokens at 2 nano-dollars, half to even"


def test_kinds_without_a_rate_fall_back_as_providers_bill() -> None:
    frame = books(
        attempt(
            uncached_input_tokens=1,
            cache_read_tokens=1,
            cache_write_tokens=1,
            cache_write_1h_tokens=1,
            reasoning_tokens=1,
            visible_output_tokens=0,
        )
    )
    row = only(what_if(frame, MARCH, rates({"model": "mini", "input": 1_000_000, "output": 7_000_000}), to_mini()))

    assert row["then_nano"] == 4 * 1000 + 7000


def test_what_cannot_be_compared_is_counted_and_left_out() -> None:
    frame = books(attempt(uncached_input_tokens=4), unpriced(), attempt(audio_input_tokens=7), rejected(model="gpt"))
    row = only(what_if(frame, MARCH, rates(MINI), to_mini()))

    assert {name: row[name] for name in ("calls", "attempts", "unpriced", "left_out", "now_nano", "then_nano")} == {
        "calls": 4, "attempts": 1, "unpriced": 1, "left_out": 1, "now_nano": 1000, "then_nano": 1000 + 40_000,
    }  # fmt: skip


def test_traffic_of_which_nothing_is_known_has_no_sums() -> None:
    row = only(what_if(books(unpriced(model="gpt")), MARCH, rates(MINI), to_mini()))

    assert (row["now_nano"], row["then_nano"], row["unpriced"]) == (None, None, 1)


def test_only_what_the_plan_names_is_moved() -> None:
    frame = books(attempt(model="gpt"), attempt(model="claude"), attempt(model="llama"))

    assert set(what_if(frame, MARCH, rates(MINI), to_mini())["model"]) == {"gpt"}
    others = Plan((Swap("gpt", "mini", cache="none"), Swap(None, "mini")))
    assert set(what_if(frame, MARCH, rates(MINI), others)["model"]) == {"gpt", "claude", "llama"}


def test_a_plan_says_what_it_assumes() -> None:
    plan = Plan(
        (Swap("gpt", "mini", input_percent=120, cache="full"), Swap(None, "mini", cache="none")), repeated_percent=70
    )

    assert plan.assumptions[3:] == (
        "gpt → mini: 120 % of the input and 100 % of the output tokens",
        "gpt → mini: 70 % of the uncached input of follow-up turns is read from the cache",
        "everything else → mini: the same number of tokens, though tokenizers differ",
        "everything else → mini: nothing is read from or written to a cache",
    )


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (pl.DataFrame({"model": ["mini"], "input": [1]}), "the rates are without output"),
        (
            pl.DataFrame({"model": ["mini"], "input": [0.25], "output": [1]}),
            "rates are whole pico-USD per token, and input has fractions",
        ),
        (pl.DataFrame({"model": ["mini"], "input": ["x"], "output": [1]}), "the rates cannot be read"),
        (rates({"model": "mini", "input": -1, "output": 1}), "the rates of mini are below 0: input"),
        (rates({"model": "mini", "input": 1}), "the rates of mini lack model, input or output"),
        (rates(MINI, MINI), "mini has two rates above the same number of tokens"),
        (rates(MINI | {"model": "maxi"}), "there are no rates of mini: the table has maxi"),
        (rates(MINI | {"above": 5}), "there are no rates of mini"),
    ],
)
def test_a_table_that_cannot_be_used_is_named(table: pl.DataFrame, says: str) -> None:
    with pytest.raises(ReportError, match=says):
        what_if(books(TRAFFIC), MARCH, table, to_mini())


@pytest.mark.parametrize(
    ("swaps", "says"),
    [
        ((), "a plan without a swap"),
        ((Swap("gpt", "a"), Swap("gpt", "b")), "two swaps take the traffic of gpt"),
        ((Swap("gpt", "a", input_percent=-1),), "a percentage of tokens is below 0"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(swaps: tuple[Swap, ...], says: str) -> None:
    with pytest.raises(ReportError, match=says):
        Plan(swaps)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.integers(1, 60),
    percent=st.integers(0, 300),
    cache=st.sampled_from(["same", "none", "full"]),
)
def test_then_is_what_exact_fractions_say(seed: int, size: int, percent: int, cache: Any) -> None:
    rows = by_chance(seed, size)
    chance = random.Random(seed)
    table = [
        {name: chance.randrange(10**7) for name in list(RATES)[3:]} | {"model": "x", "above": above}
        for above in (0, 4000, 9000)
    ]
    plan = Plan((Swap(None, "x", input_percent=percent, output_percent=90, cache=cache),))
    told = {row["model"]: row for row in what_if(books(rows), MARCH, rates(*table), plan).to_dicts()}

    for (model,), mine in grouped(seen(rows, MARCH), "model").items():
        compared = [
            row
            for row in mine
            if row["cost_status"] == "priced" and not any(row[name] for name in (*TOKENS[4:6], *TOKENS[8:]))
        ]
        then = Fraction(0)
        for row in compared:
            step = [
                each for each in table if row["input_tokens"] * percent > each["above"] * 100 or each["above"] == 0
            ][-1]
            then += Fraction(_tokens(row, step, cache, percent), 1000) + (
                row["cost_tools_nano"] + row["cost_other_nano"]
            )
        if compared:
            assert told[model]["then_nano"] == round(then)
            assert told[model]["now_nano"] == sum(row["cost_nano"] for row in compared)


def _tokens(row: Row, step: dict[str, int], cache: str, percent: int) -> Fraction:
    plain, read, write, write_1h = (Fraction(row[name]) for name in TOKENS[:4])
    if cache == "none":
        plain, read, write, write_1h = plain + read + write + write_1h, Fraction(0), Fraction(0), Fraction(0)
    if cache == "full" and (row["turn"] or 0) > 1:
        plain, read = plain - plain * 80 / 100, read + plain * 80 / 100
    sent = (
        plain * step["input"]
        + read * step["cache_read"]
        + write * step["cache_write"]
        + write_1h * step["cache_write_1h"]
    )
    said = row["visible_output_tokens"] * step["output"] + row["reasoning_tokens"] * step["reasoning"]
    return sent * percent / 100 + Fraction(said * 90, 100)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 40))
def test_moving_a_model_to_its_own_rates_changes_nothing(seed: int, size: int) -> None:
    """Traffic that was billed in whole nano-dollars by these very rates."""
    chance = random.Random(seed)
    own = {
        "model": "same",
        "input": 3_000,
        "cache_read": 1_000,
        "cache_write": 4_000,
        "cache_write_1h": 6_000,
        "output": 15_000,
        "reasoning": 12_000,
    }
    rows = []
    for _ in range(size):
        tokens = {name: chance.randrange(5000) for name in (*TOKENS[:4], "visible_output_tokens", "reasoning_tokens")}
        bill = [many * rate // 1000 for many, rate in zip(tokens.values(), list(own.values())[1:], strict=True)]
        rows.append(attempt(**tokens, cost_nano=sum(bill)))

    row = only(what_if(books(rows), MARCH, rates(own), Plan((Swap("gpt", "same"),))))
    assert row["difference_nano"] == 0
