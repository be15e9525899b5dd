"""What is agreed beside a price: each term a line or a figure of its own, rounded once, and the sum of the lines the total."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.call import Cost, Line
from tollbook.config import Terms
from tollbook.pricing.agreement import Agreement, agree, rounded
from tollbook.pricing.rates import Rates
from tollbook.responses.usage import Usage

USAGE = Usage(input=1000, output=500, tools={"web_search": 2})
PRICES = {"input": 3_000_000, "output": 15_000_000, "web_search": 10_000_000_000}
"""The usage costs 3,000,000 + 7,500,000 nano-USD for tokens and 20,000,000 for searches."""


def bill(answered: bool = True, **terms: Any) -> Cost:
    agreed = agree([Terms(**{name: Decimal(value) for name, value in terms.items()})])
    return Rates(((-1, PRICES),), "override", "v", agreed=agreed).bill(USAGE, answered=answered)


def test_an_uplift_is_a_line_and_is_taken_on_tokens_alone() -> None:
    cost = bill(uplift="0.10")

    assert cost.lines[-1] == Line("uplift", 1, None, 1_050_000)
    assert cost.total == 31_550_000


def test_a_discount_is_a_line_below_zero_and_is_taken_off_everything() -> None:
    cost = bill(discount="0.15")

    assert cost.lines[-1] == Line("discount", 1, None, -4_575_000)
    assert cost.total == 25_925_000


def test_the_discount_is_taken_off_the_uplift_too() -> None:
    cost = bill(uplift="0.10", discount="0.15")

    assert [line.amount for line in cost.lines[-2:]] == [1_050_000, -4_732_500]
    assert cost.total == 26_817_500


def test_a_margin_stands_apart_from_the_cost() -> None:
    cost = bill(discount="0.15", margin="0.20", margin_per_call="0.001")

    assert (cost.total, cost.margin) == (25_925_000, 5_185_000 + 1_000_000)
    assert bill(margin="0.20").total == bill().total


def test_a_margin_per_call_is_due_for_the_attempt_that_answered() -> None:
    assert bill(answered=False, margin="0.20", margin_per_call="0.001").margin == 6_100_000


def test_what_is_agreed_is_in_the_version() -> None:
    agreed = agree([Terms(uplift=Decimal("0.1"), discount=Decimal("0.125"), margin_per_call=Decimal("0.001"))])

    assert agreed is not None
    assert agreed.version == "/uplift:10%/discount:12.5%/margin:$0.001 a call"


def test_the_first_who_says_a_term_decides_it_and_a_zero_says_something() -> None:
    own, listed = Terms(discount=Decimal(0)), Terms(discount=Decimal("0.5"), margin=Decimal("0.2"))

    assert agree([own, listed]) == Agreement(margin=Fraction(1, 5))
    assert agree([Terms(), own]) is None


def test_nothing_agreed_costs_nothing() -> None:
    assert bill() == bill(uplift="0", discount="0", margin="0", margin_per_call="0")


def test_a_whole_discount_leaves_nothing() -> None:
    assert bill(discount="1").total == 0


@given(
    amounts=st.lists(
        st.tuples(st.sampled_from(["input", "output", "web_search", "request"]), st.integers(0, 10**12)), max_size=5
    ),
    uplift=st.decimals(0, 1, places=4),
    discount=st.decimals(0, 1, places=4),
    margin=st.decimals(0, 10, places=4),
)
def test_the_lines_always_add_up_and_no_discount_goes_below_nothing(
    amounts: list[tuple[str, int]], uplift: Decimal, discount: Decimal, margin: Decimal
) -> None:
    agreed = agree([Terms(uplift=uplift, discount=discount, margin=margin)]) or Agreement()
    lines = [Line(kind, 1, None, amount) for kind, amount in amounts]

    settled = agreed.settle(lines)

    assert settled.total == sum(line.amount for line in settled.lines) >= 0
    tokens = sum(line.amount for line in lines if line.kind in ("input", "output"))
    raised = (tokens * uplift).to_integral_value(ROUND_HALF_EVEN)
    whole = sum(line.amount for line in lines) + raised
    assert settled.total == whole - (whole * discount).to_integral_value(ROUND_HALF_EVEN)
    assert settled.margin == (settled.total * margin).to_integral_value(ROUND_HALF_EVEN)


@given(numerator=st.integers(0, 10**30), denominator=st.integers(1, 10**15))
def test_rounding_is_half_to_even(numerator: int, denominator: int) -> None:
    assert rounded(numerator, denominator) == round(Fraction(numerator, denominator))


@pytest.mark.parametrize(("numerator", "whole"), [(1, 0), (3, 2), (5, 2), (7, 4)])
def test_halves_go_to_the_even_neighbour(numerator: int, whole: int) -> None:
    assert rounded(numerator, 2) == whole
