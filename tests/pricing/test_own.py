"""The operator's price list: which entry counts for a call, at which time, and what is decided apart."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.config import PriceEntry
from tollbook.errors import ConfigError
from tollbook.pricing import Edition
from tollbook.pricing.own import OwnPrice, OwnPrices, plain, unplain
from tollbook.responses.usage import Usage

from .making import MILLION, NOW, at, catalogue, deployment, entry, price, provider
from .making import model as listed

JANUARY, JUNE, JULY, DECEMBER = at(2026, 1, 1), at(2026, 6, 1), at(2026, 7, 1), at(2026, 12, 1)


def edition(*entries: PriceEntry | OwnPrice) -> Edition:
    own = OwnPrices(one if isinstance(one, OwnPrice) else OwnPrice(one) for one in entries)
    loaded = catalogue()
    return Edition(lambda: loaded, own)


def usd(edition: Edition, model: str = "m", usage: Usage = MILLION, *, when: int = NOW, **more: Any) -> str | None:
    return edition.price("openai", model, usage, at=when, **more).usd


class TestStrength:
    def test_a_deployments_own_price_then_the_list_then_the_provider_then_the_catalogue(self) -> None:
        both = edition(entry("openai/m", "5"))
        own = deployment(prices={"input_cost_per_token": 9e-6, "output_cost_per_token": 0})
        told = Usage(input=1_000_000, reported_cost=7)

        assert usd(both, deployment=own, usage=told) == "9"
        assert usd(both, usage=told) == "5"
        assert usd(edition(), usage=told) == "0.000000007"
        assert usd(edition()) == "1"

    def test_a_model_before_a_family_before_a_provider_before_all(self) -> None:
        every = [entry("*", "2"), entry("openai/*", "3"), entry("openai/gpt-*", "4"), entry("openai/gpt-5", "5")]

        for entries in (every, every[::-1]):
            prices = edition(*entries)
            assert [usd(prices, name) for name in ("gpt-5", "gpt-4", "o3")] == ["5", "4", "3"]
            assert prices.price("groq", "x", MILLION, at=NOW).usd == "2"

    def test_an_exact_name_is_stronger_than_a_longer_pattern(self) -> None:
        assert usd(edition(entry("openai/gpt-5", "5"), entry("openai/gpt-5*", "6")), "gpt-5") == "5"

    def test_what_served_before_what_was_asked_for_before_the_base_model(self) -> None:
        named = [
            entry("azure/served", "2"),
            entry("azure/mine", "3"),
            entry("azure/base", "4"),
            entry("openai/base", "5"),
        ]
        mine = deployment("azure", "mine", base_model="base")
        other = deployment("azure", "mine", base_model="openai/base")

        def cost(entries: list[PriceEntry], deployment: Any = mine) -> str | None:
            return (
                edition(*entries)
                .price("azure", "mine", MILLION, at=NOW, deployment=deployment, served_model="served")
                .usd
            )

        assert [cost(named), cost(named[1:]), cost(named[2:]), cost(named[3:], other)] == ["2", "3", "4", "5"]

    def test_a_name_of_any_length_from_outside_fits_nothing(self) -> None:
        assert usd(edition(entry("openai/*a*b*c", "2")), served_model="a" * 100_000) == "1"

    def test_a_pattern_is_no_regular_expression(self) -> None:
        assert usd(edition(entry("openai/.", "9"))) == "1"


class TestTime:
    def test_an_entry_holds_from_its_beginning_to_before_its_end(self) -> None:
        prices = edition(entry("openai/m", "5", valid_from=JUNE, valid_until=JULY))

        assert [usd(prices, when=when) for when in (JUNE - 1, JUNE, JULY - 1, JULY)] == ["1", "5", "5", "1"]

    def test_the_newest_beginning_takes_over(self) -> None:
        for order in (1, -1):
            prices = edition(
                *[entry("openai/m", "5", valid_from=JANUARY), entry("openai/m", "6", valid_from=JUNE)][::order]
            )
            assert [usd(prices, when=when) for when in (JANUARY, JUNE - 1, JUNE, DECEMBER)] == ["5", "5", "6", "6"]

    def test_an_exception_ends_and_what_held_before_goes_on(self) -> None:
        prices = edition(entry("openai/m", "5"), entry("openai/m", "3", valid_from=JUNE, valid_until=JULY))

        assert [usd(prices, when=when) for when in (JUNE - 1, JUNE, JULY)] == ["5", "3", "5"]

    def test_of_two_that_begin_together_the_one_made_last_counts_and_the_table_before_the_file(self) -> None:
        file = OwnPrice(entry("openai/m", "5", valid_from=JUNE))
        first = OwnPrice(entry("openai/m", "6", valid_from=JUNE), number=1, created=JANUARY)
        second = OwnPrice(entry("openai/m", "7", valid_from=JUNE), number=2, created=JULY)

        assert usd(edition(second, first, file)) == "7"
        assert usd(edition(first, file)) == "6"

    def test_a_time_of_day_counts_to_the_nanosecond(self) -> None:
        noon = at(2026, 6, 1, 12)
        prices = edition(entry("openai/m", "5", valid_from=noon))

        assert [usd(prices, when=when) for when in (noon - 1, noon)] == ["1", "5"]

    @given(
        entries=st.lists(
            st.tuples(st.integers(0, 20), st.none() | st.integers(1, 20), st.integers(1, 9)).filter(
                lambda one: one[1] is None or one[1] > one[0]
            ),
            max_size=6,
            unique_by=lambda one: one[0],
        ),
        when=st.integers(0, 21),
    )
    def test_at_any_time_the_newest_that_holds_counts(
        self, entries: list[tuple[int, int | None, int]], when: int
    ) -> None:
        prices = edition(
            *(entry("openai/m", str(usd), valid_from=start, valid_until=end) for start, end, usd in entries)
        )
        holding = [(start, usd) for start, end, usd in entries if start <= when and (end is None or when < end)]

        assert usd(prices, when=when) == (str(max(holding)[1]) if holding else "1")


class TestTiers:
    def test_an_entry_for_a_tier_counts_for_it_alone(self) -> None:
        prices = edition(entry("openai/m", "4"), entry("openai/m", "2", tier="flex"))

        assert [usd(prices, tier=tier) for tier in (None, "default", "flex", "FLEX", "priority")] == [
            "4",
            "4",
            "2",
            "2",
            "4",
        ]

    def test_it_holds_on_when_the_standard_price_changes(self) -> None:
        prices = edition(
            entry("openai/m", "2", tier="flex", valid_from=JANUARY), entry("openai/m", "9", valid_from=JUNE)
        )

        assert usd(prices, tier="flex") == "2"

    def test_the_version_says_which_tier_was_applied(self) -> None:
        prices = edition(
            OwnPrice(entry("openai/m", "4", valid_from=JUNE), number=12), entry("openai/m", "2", tier="batch")
        )

        def version(tier: str | None) -> str:
            return prices.price("openai", "m", MILLION, at=NOW, tier=tier).version

        assert version(None) == "own 12 from 2026-06-01"
        assert version("flex") == "own 12 from 2026-06-01/tier:standard"
        assert version("batches").endswith("/tier:batch")

    def test_a_discount_may_be_for_a_tier(self) -> None:
        prices = edition(entry("openai/*", tier="flex", discount="0.5"))

        assert [usd(prices, tier=tier) for tier in (None, "flex")] == ["1", "0.5"]


class TestWhatIsDecidedApart:
    def test_each_term_is_the_strongest_that_says_it(self) -> None:
        prices = edition(
            entry("*", margin="0.5"),
            entry("openai/*", discount="0.25", margin="0.2"),
            entry("openai/m", "4", discount="0.5"),
        )
        cost = prices.price("openai", "m", MILLION, at=NOW)

        assert (cost.usd, cost.margin) == ("2", 400_000_000)
        assert cost.version.endswith("/discount:50%/margin:20%")

    def test_what_the_deployment_says_comes_first(self) -> None:
        from decimal import Decimal

        from tollbook.config import Terms

        own = deployment(terms=Terms(discount=Decimal(0)))

        assert usd(edition(entry("openai/*", discount="0.5")), deployment=own) == "1"

    def test_terms_change_with_time(self) -> None:
        prices = edition(entry("openai/*", uplift="0.1", valid_from=JUNE))

        assert [usd(prices, when=when) for when in (JUNE - 1, JUNE)] == ["1", "1.1"]

    def test_fees_alone_come_on_top_of_the_catalogue_and_fill_in_what_a_list_leaves_out(self) -> None:
        usage = Usage(input=1_000_000, tools={"web_search": 100})
        fee = entry("openai/*", web_search_cost_per_call="0.02")
        whole = entry("openai/m", "4")
        own = entry("openai/m", "4", web_search_cost_per_call="0.01")

        assert usd(edition(fee), usage=usage) == "3"
        assert usd(edition(fee, whole), usage=usage) == "6"
        assert usd(edition(fee, own), usage=usage) == "5"
        assert edition(whole).price("openai", "m", usage, at=NOW).version.endswith("/no rate:web_search")

    def test_the_fees_of_an_entry_are_in_the_version(self) -> None:
        fee = OwnPrice(entry("openai/*", web_search_cost_per_call="0.02"), number=3)

        assert edition(fee).price("openai", "m", MILLION, at=NOW).version == "test 1+own 3"

    def test_a_reported_cost_gets_the_discount_and_the_margin_and_no_uplift(self) -> None:
        prices = edition(entry("openai/*", uplift="0.1", discount="0.5", margin="0.2"))
        cost = prices.price("openai", "m", Usage(input=1, reported_cost=1000), at=NOW)

        assert (cost.total, cost.margin, cost.source) == (500, 100, "provider")
        assert [line.kind for line in cost.lines] == ["reported", "discount"]
        assert cost.version == "reported by openai/discount:50%/margin:20%"

    def test_the_simulated_provider_has_terms_and_prices_like_any_other(self) -> None:
        prices = edition(entry("simulated/dear", "100"), entry("simulated/*", discount="0.5"))

        assert prices.price("simulated", "dear", MILLION, at=NOW).usd == "50"
        assert prices.price("simulated", "story", MILLION, at=NOW).usd == "0.125"


class TestTheCatalogueIsAskedOnlyWhereItIsNeeded:
    def unavailable(self) -> Any:
        raise AssertionError("not needed")

    def test_not_for_a_model_whose_own_price_always_holds(self) -> None:
        prices = Edition(self.unavailable, OwnPrices([OwnPrice(entry("openai/*", "4"))]))

        assert usd(prices) == "4"

    def test_but_where_there_may_be_a_time_without(self) -> None:
        prices = Edition(self.unavailable, OwnPrices([OwnPrice(entry("openai/*", "4", valid_from=JANUARY))]))

        with pytest.raises(AssertionError, match="not needed"):
            usd(prices)


class TestUnits:
    def test_what_a_price_counts_is_told_for_its_deployment_only(self) -> None:
        prices = edition(entry("openai/draw", "1", output_cost_per_image="0.04"))

        assert prices.units("openai", "draw", deployment(model="draw"), at=NOW) == ("output_image_count",)
        assert prices.units("openai", "m", deployment(), at=NOW) == ()
        own = deployment(prices={"input_cost_per_second": 0.001})
        assert edition().units("openai", "m", own, at=NOW) == ("milliseconds",)

    def test_a_price_by_time_alone_needs_no_other(self) -> None:
        own = deployment(prices={"input_cost_per_second": 0.001, "output_cost_per_second": 0.002})

        cost = edition().price(
            "openai", "m", Usage(input=9, output=9, units={"milliseconds": 2500}), at=NOW, deployment=own
        )

        assert cost.usd == "0.0075"
        assert cost.lines[-1] == ("milliseconds", 2500, 3_000_000, 7_500_000)


def test_tiers_are_those_that_somebody_has_prices_for() -> None:
    from decimal import Decimal

    from genai_prices.types import ModelPrice, PriceVariant

    from tollbook.pricing.catalogue import Catalogue

    variants = [
        PriceVariant({key: word}, ModelPrice(input_mtok=Decimal(1)))
        for key, word in (
            ("service_tier", "default"),
            ("service_tier", "flex"),
            ("processing", "batch"),
            ("route", "eu"),
        )
    ]
    loaded = Catalogue([provider("openai", listed("m", price("4"), price_variants=variants))], "test 1")
    own = OwnPrices([OwnPrice(entry("openai/*", "1", tier="reserved"))])

    assert Edition(lambda: loaded, own).tiers("openai", "m") == ["reserved", "flex", "batch"]


@pytest.mark.parametrize(
    "one",
    [
        entry("*", "1"),
        entry("openai/m", "0.000001", valid_from=JUNE, valid_until=JULY, tier="flex", note="by contract", checked=JUNE),
        entry("a/b", discount="0.15", margin_per_call="0.001"),
        entry("a/b", search_context_cost_per_query={"search_context_size_medium": 0.01}),
    ],
)
def test_an_entry_comes_back_from_plain_values_as_it_was(one: PriceEntry) -> None:
    import json

    again = unplain(json.loads(json.dumps(plain(one))))

    assert again == one
    assert OwnPrice(again).version == OwnPrice(one).version


def test_plain_values_that_are_none_are_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        unplain({"model": "x"})


def test_an_entry_that_cannot_be_applied_is_refused() -> None:
    with pytest.raises(ConfigError, match="output_cost_per_token"):
        OwnPrice(PriceEntry(model="openai/m", prices={"input_cost_per_token": 1e-6}))
