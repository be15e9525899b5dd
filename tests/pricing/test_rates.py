"""The arithmetic of a bill: integers, rounded once per line, never less than nothing."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.call import Line
from tollbook.pricing.rates import FREE_TOOLS, INPUT_KINDS, KINDS, Rates, Schedule, compile_rates
from tollbook.responses.usage import LONG_WRITES, UNITS, Usage

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


def test_a_schedule_changes_at_the_times_it_is_given() -> None:
    schedule: Schedule[int] = Schedule(lambda at: at, times=[5, 7])

    assert [schedule.at(at) for at in (1, 4, 5, 6, 7, 8, 4)] == [1, 1, 5, 5, 7, 7, 1]


# ── Thresholds: whole and marginal, exclusive and inclusive ─────────────────────────────────────────────────────────────

BANDS = {"input": {-1: 1000, 200_000: 2000}, "cache_read": {-1: 100, 200_000: 200}, "output": {-1: 5000, 200_000: 7000}}


def told(usage: Usage, *, marginal: bool) -> list[tuple[str, int, int | None]]:
    rates = compile_rates(BANDS, "override", "test", marginal=marginal)
    assert rates is not None
    return [line[:3] for line in rates.bill(usage).lines]


def test_of_a_marginal_price_only_the_tokens_beyond_the_threshold_cost_more() -> None:
    assert told(Usage(input=200_000, output=10), marginal=True) == [("input", 200_000, 1000), ("output", 10, 5000)]
    assert told(Usage(input=200_001, output=10), marginal=True) == [
        ("input", 200_000, 1000),
        ("input", 1, 2000),
        ("output", 10, 7000),
    ]


def test_what_the_cache_holds_is_the_beginning_of_the_input() -> None:
    assert told(Usage(input=150_000, cache_read=100_000), marginal=True) == [
        ("cache_read", 100_000, 100),
        ("input", 100_000, 1000),
        ("input", 50_000, 2000),
    ]
    assert told(Usage(input=1, cache_read=200_001), marginal=True) == [
        ("cache_read", 200_000, 100),
        ("cache_read", 1, 200),
        ("input", 1, 2000),
    ]


def test_a_bill_says_which_threshold_was_passed_and_what_plain_input_costs() -> None:
    rates = compile_rates(BANDS, "override", "test")
    marginal = compile_rates(BANDS, "override", "test", marginal=True)
    assert rates is not None
    assert marginal is not None

    def facts(rates: Rates, tokens: int) -> tuple[int | None, int | None]:
        cost = rates.bill(Usage(input=tokens))
        return cost.threshold, cost.input_rate

    assert [facts(rates, tokens) for tokens in (200_000, 200_001)] == [(None, 1000), (200_000, 2000)]
    assert facts(marginal, 200_001) == (200_000, 1000)  # a cached token, which stands first, saves the lower rate
    assert Rates(((-1, {"input": Fraction(1, 3)}),), "override", "v").bill(Usage(input=3)).input_rate is None


LADDERS = st.lists(st.integers(1, 400_000), unique=True, max_size=3).flatmap(
    lambda starts: st.lists(st.integers(0, 10**6), min_size=len(starts) + 1, max_size=len(starts) + 1).map(
        lambda rates: dict(zip([-1, *sorted(starts)], sorted(rates), strict=True))
    )
)
"""Rates that rise with the threshold, as all that providers have published do."""
RISING = st.fixed_dictionaries(
    {"input": LADDERS, "output": LADDERS}, optional={"cache_read": LADDERS, "cache_write": LADDERS}
)
COUNTED = st.builds(
    Usage, **{kind: st.integers(0, 300_000) for kind in ("input", "cache_read", "cache_write", "output")}
)


@given(steps=RISING, usage=COUNTED)
def test_a_marginal_price_never_costs_more_than_the_same_for_the_whole_request(
    steps: dict[str, dict[int, int]], usage: Usage
) -> None:
    whole = compile_rates(steps, "override", "v")
    marginal = compile_rates(steps, "override", "v", marginal=True)
    assert whole is not None
    assert marginal is not None
    dear, cheap = whole.bill(usage), marginal.bill(usage)

    assert cheap.total is not None
    assert dear.total is not None
    # Each line is rounded for itself, and a marginal bill has more of them.
    assert cheap.total <= dear.total + len(cheap.lines)
    assert cheap.total == sum(line.amount for line in cheap.lines)
    for kind in KINDS:
        assert sum(line.quantity for line in cheap.lines if line.kind == kind) == getattr(usage, kind)


@given(
    steps=RISING,
    usage=COUNTED,
    kind=st.sampled_from(["input", "cache_read", "output"]),
    more=st.integers(1, 1000),
    marginal=st.booleans(),
)
def test_using_more_never_costs_less(
    steps: dict[str, dict[int, int]], usage: Usage, kind: str, more: int, marginal: bool
) -> None:
    rates = compile_rates(steps, "override", "v", marginal=marginal)
    assert rates is not None
    before = rates.bill(usage)
    after = rates.bill(replace(usage, **{kind: getattr(usage, kind) + more}))

    assert before.total is not None
    assert after.total is not None
    # A token of another kind may push others of the input past a threshold, each part rounded for itself.
    assert after.total >= before.total - len(after.lines)


@given(start=st.integers(0, 10**6), marginal=st.booleans())
def test_a_threshold_is_exact(start: int, marginal: bool) -> None:
    rates = compile_rates({"input": {-1: 1000, start: 3000}, "output": {-1: 1}}, "override", "v", marginal=marginal)
    assert rates is not None
    at, above = rates.bill(Usage(input=start)), rates.bill(Usage(input=start + 1))

    assert at.total == start
    assert above.total == (start + 3 if marginal else 3 * (start + 1))


# ── Units, and cache writes of the longest life ─────────────────────────────────────────────────────────────────────────


def test_units_are_billed_beside_tokens() -> None:
    rates = compiled(
        {"input": {-1: 1000}, "output": {-1: 1000}, "input_image_count": {-1: 10**9}, "milliseconds": {-1: 10**6}}
    )
    assert rates is not None
    assert rates.units == ("input_image_count", "milliseconds")

    cost = rates.bill(Usage(input=1000, units={"input_image_count": 2, "milliseconds": 1500}))

    assert cost.lines == (
        Line("input", 1000, 1000, 1000),
        Line("input_image_count", 2, 10**9, 2_000_000),
        Line("milliseconds", 1500, 10**6, 1_500_000),
    )


def test_a_unit_that_nobody_counted_is_not_zero_of_it() -> None:
    rates = compiled({"input": {-1: 1000}, "output": {-1: 1000}, "input_pages": {-1: 10**9}})
    assert rates is not None

    assert rates.bill(Usage(input=1)).version == "test/not counted:input_pages"
    assert rates.bill(Usage(input=1, units={"input_pages": 0})).total == 1


def test_a_unit_that_costs_nothing_need_not_be_counted() -> None:
    rates = compiled({"input": {-1: 1000}, "output": {-1: 1000}, **{unit: {-1: 0} for unit in UNITS}})
    assert rates is not None

    assert rates.units == ()
    assert rates.bill(Usage(input=1)).total == 1


@pytest.mark.parametrize("marginal", [False, True])
def test_cache_writes_of_the_longest_life_have_a_rate_of_their_own(marginal: bool) -> None:
    steps = {
        "input": {-1: 1000, 10**6: 1},
        "cache_write": {-1: 1250},
        "cache_write_1h": {-1: 2000},
        LONG_WRITES: {-1: 3000},
    }
    rates = compile_rates({**steps, "output": {-1: 1}}, "override", "test", marginal=marginal)
    assert rates is not None

    cost = rates.bill(Usage(cache_write=5, cache_write_1h=10, units={LONG_WRITES: 4}))

    assert {line.kind: line[1:3] for line in cost.lines} == {
        "cache_write": (5, 1250),
        "cache_write_1h": (6, 2000),
        LONG_WRITES: (4, 3000),
    }


def test_a_longer_life_without_a_rate_is_unpriced_beside_shorter_ones() -> None:
    beside = compiled({"input": {-1: 1000}, "cache_write_1h": {-1: 2000}})
    alone = compiled({"input": {-1: 1000}})
    assert beside is not None
    assert alone is not None
    usage = Usage(cache_write_1h=10, units={LONG_WRITES: 4})

    assert beside.bill(usage).version == f"test/no rate:{LONG_WRITES}"
    assert alone.bill(usage).total == 10


def test_every_kind_of_input_has_its_place() -> None:
    from tollbook.pricing.rates import _POSITIONS

    assert set(_POSITIONS) == set(INPUT_KINDS)
