"""The arithmetic of a bill: integers, rounded once per line, never less than nothing."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.call import Line
from tollbook.pricing.rates import FREE_TOOLS, KINDS, Rates, Schedule, compile_rates
from tollbook.responses.usage import Usage

TOKENS = st.integers(0, 2_000_000)
RATES = st.integers(0, 10**9) | st.fractions(0, 10**9)
USAGES = st.builds(
    lambda counts, tools: Usage(**counts, tools=tools),
    st.fixed_dictionaries(dict.fromkeys(KINDS, TOKENS)),
    st.dictionaries(st.sampled_from(["web_search", "file_search", "mcp"]), st.integers(0, 50)),
)
STEPS = st.dictionaries(
    st.sampled_from([*KINDS, "web_search", "file_search", "request"]),
    st.dictionaries(st.sampled_from([128_000, 200_000, 272_000]), RATES, max_size=2).flatmap(
        lambda above: RATES.map(lambda base: {-1: base, **above})
    ),
)


def compiled(steps: dict[str, dict[int, int | Fraction]]) -> Rates | None:
    return compile_rates(steps, "override", "test")


@given(steps=STEPS, usage=USAGES)
def test_a_bill_is_the_sum_of_its_lines_and_each_is_exact_to_half_a_nano(
    steps: dict[str, dict[int, int | Fraction]], usage: Usage
) -> None:
    rates = compiled(steps)
    if rates is None:
        return
    cost = rates.bill(usage)

    if cost.status == "unpriced":
        assert cost.total is None
        return
    assert cost.total == sum(line.amount for line in cost.lines)
    for line in cost.lines:
        assert line.amount >= 0
        assert line.quantity > 0
        if line.rate is not None:
            exact = Decimal(line.quantity) * line.rate / 1000
            assert line.amount == exact.to_integral_value(ROUND_HALF_EVEN)
    told = {line.kind: line.quantity for line in cost.lines if line.kind != "request"}
    used = {kind: getattr(usage, kind) for kind in KINDS} | {
        t: n for t, n in usage.tools.items() if t not in FREE_TOOLS
    }
    assert told == {kind: quantity for kind, quantity in used.items() if quantity}


@given(usage=USAGES)
def test_without_a_rate_for_something_used_a_call_is_unpriced(usage: Usage) -> None:
    for missing in KINDS:
        rates = Rates(
            ((-1, {kind: 1000 for kind in (*KINDS, "web_search", "file_search") if kind != missing}),), "override", "v"
        )
        cost = rates.bill(usage)

        if getattr(usage, missing):
            assert (cost.status, cost.total, cost.lines) == ("unpriced", None, ())
            assert cost.version == f"v/no rate:{missing}"
        else:
            assert cost.status == "priced"


@pytest.mark.parametrize(
    ("quantity", "rate", "amount"),
    [(1, 499, 0), (1, 500, 0), (1, 501, 1), (1, 1500, 2), (1, 2500, 2), (3, 500, 2), (1, Fraction(1001, 2), 1)],
)
def test_a_line_is_rounded_half_to_even(quantity: int, rate: int | Fraction, amount: int) -> None:
    rates = Rates(((-1, {"input": rate}),), "override", "v")

    (line,) = rates.bill(Usage(input=quantity)).lines

    assert line == Line("input", quantity, rate if isinstance(rate, int) else None, amount)


def test_a_dear_band_holds_for_the_whole_request_from_one_token_above_its_threshold() -> None:
    rates = compiled({"input": {-1: 1000, 200_000: 2000}, "output": {-1: 5000, 200_000: 7000}})
    assert rates is not None

    at, above = (rates.bill(Usage(input=tokens, output=1)) for tokens in (200_000, 200_001))

    assert [line.rate for line in at.lines] == [1000, 5000]
    assert [line.rate for line in above.lines] == [2000, 7000]
    assert rates.thresholds == (200_000,)


def test_cached_tokens_count_towards_the_threshold_and_output_does_not() -> None:
    rates = compiled({"input": {-1: 1000, 100: 2000}, "output": {-1: 5000}})
    assert rates is not None

    cached = rates.bill(Usage(input=1, cache_read=50, cache_write=25, cache_write_1h=25))
    long_answer = rates.bill(Usage(input=100, output=1_000_000))

    assert {line.rate for line in cached.lines} == {2000}
    assert long_answer.lines[0].rate == 1000


@pytest.mark.parametrize(
    ("own", "kind", "rate"),
    [
        ({"output": 8}, "reasoning", 8),
        ({"output": 8, "reasoning": 3}, "reasoning", 3),
        ({"input": 2}, "cache_read", 2),
        ({"input": 2}, "cache_write", 2),
        ({"input": 2}, "cache_write_1h", 2),
        ({"input": 2, "cache_write": 3}, "cache_write_1h", None),  # a longer life costs more than the shorter one
        ({"input": 2}, "input_image", 2),
        ({"input": 2}, "input_audio", None),
        ({"input": 2}, "cache_read_audio", None),
        ({"input": 2, "input_audio": 9}, "cache_read_audio", 9),
        ({"output": 8}, "output_audio", None),
        ({"output": 8}, "output_image", None),
    ],
)
def test_what_a_price_list_leaves_out_costs_what_providers_bill(
    own: dict[str, int], kind: str, rate: int | None
) -> None:
    rates = compiled({name: {-1: value} for name, value in own.items()})
    assert rates is not None

    cost = rates.bill(Usage(**{kind: 1000}))

    assert (cost.lines[0].rate if cost.lines else None) == rate


def test_the_price_of_a_kind_without_its_own_rises_with_the_one_it_follows() -> None:
    rates = compiled({"input": {-1: 1, 10: 2}, "output": {-1: 1}})
    assert rates is not None

    assert rates.bill(Usage(cache_read=11)).lines[0].rate == 2


def test_free_tools_are_free_and_others_are_not() -> None:
    rates = compiled({"input": {-1: 1000}, "web_search": {-1: 10**10}})
    assert rates is not None

    assert rates.bill(Usage(input=1, tools={"mcp": 3, "computer_use": 1})).total == 1
    assert rates.bill(Usage(tools={"web_search": 2})).lines == (Line("web_search", 2, 10**10, 20_000_000),)
    assert rates.bill(Usage(input=1, tools={"code_interpreter": 1})).status == "unpriced"


def test_nothing_listed_is_no_price() -> None:
    assert compiled({}) is None


def test_rates_are_shown_in_usd() -> None:
    rates = compiled({"input": {-1: 1_250_000, 200_000: 2_500_000}, "web_search": {-1: 10**10}})
    assert rates is not None

    assert str(rates.usd("input")) == "1.25"
    assert str(rates.usd("input", input_tokens=200_001)) == "2.5"
    assert rates.usd("web_search", 1000) == Decimal(10)
    assert rates.usd("output") is None


def test_a_schedule_changes_at_midnight_and_at_its_moments() -> None:
    day, hour = 86_400 * 10**9, 3600 * 10**9
    compiled_at: list[int] = []

    def compile_(at: int) -> Rates:
        compiled_at.append(at)
        return Rates(((-1, {}),), "catalogue", str(at))

    schedule = Schedule(compile_, [2 * hour])
    for at in (0, 2 * hour - 1, 2 * hour, day - 1, day, day + hour, 1):
        schedule.at(at)

    assert compiled_at == [0, 2 * hour, day]
