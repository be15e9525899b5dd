"""Which price counts, and that an unknown one is never 0."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from datetime import UTC, date
from datetime import time as time_of_day
from decimal import Decimal
from typing import Any

import pytest
from genai_prices.types import (
    ConditionalPrice,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from hypothesis import given
from hypothesis import strategies as st

from tollbook.call import UNPRICED, Line
from tollbook.errors import ConfigError
from tollbook.pricing import PriceBook
from tollbook.pricing.catalogue import Catalogue
from tollbook.responses.usage import NO_USAGE, Usage

from .making import MILLION, NOW, at, deployment, model, price, provider


def book(*providers: Provider) -> PriceBook:
    return PriceBook(lambda: Catalogue(providers, "test 1"))


def usd(book: PriceBook, provider: str, model: str, usage: Usage = MILLION, **more: Any) -> str | None:
    return book.price(provider, model, usage, at=more.pop("at", NOW), **more).usd


def plain() -> PriceBook:
    return book(provider("openai", model("m", price("1"))))


class TestWhichPriceCounts:
    BOOK = book(
        provider("openai", model("m", price("1")), model("m-served", price("2")), model("m-base", price("3"))),
        provider("azure", fallback_model_providers=["openai"]),
    )

    def test_the_served_model_before_the_one_asked_for(self) -> None:
        assert usd(self.BOOK, "openai", "m", served_model="m-served") == "2"
        assert usd(self.BOOK, "openai", "m", served_model="never heard of") == "1"
        assert usd(self.BOOK, "openai", "m") == "1"

    def test_the_operators_base_model_before_both(self) -> None:
        named = deployment("azure", "my-deployment", base_model="m-base")

        assert usd(self.BOOK, "azure", "my-deployment", deployment=named, served_model="m-served") == "3"

    def test_a_base_model_may_name_its_provider(self) -> None:
        named = deployment("openai_like", "llama", base_model="openai/m-base")

        assert usd(self.BOOK, "openai_like", "llama", deployment=named) == "3"

    def test_the_deployments_own_price_before_everything(self) -> None:
        own = deployment(prices={"input_cost_per_token": 9e-6, "output_cost_per_token": 1e-6}, base_model="m-base")
        usage = Usage(input=1_000_000, reported_cost=5)

        cost = self.BOOK.price("openai", "m", usage, at=NOW, deployment=own, served_model="m-served")

        assert (cost.usd, cost.source) == ("9", "override")
        assert cost.version.startswith("override ")

    def test_what_the_provider_said_before_the_catalogue(self) -> None:
        cost = self.BOOK.price("openai", "m", Usage(input=1_000_000, reported_cost=412_000), at=NOW)

        assert (cost.usd, cost.source, cost.version) == ("0.000412", "provider", "reported by openai")
        assert cost.lines == (Line("reported", 1, None, 412_000),)

    def test_what_the_provider_said_prices_a_model_that_nobody_knows(self) -> None:
        assert usd(self.BOOK, "somewhere", "else", Usage(input=1, reported_cost=0)) == "0"

    def test_fees_alone_are_added_to_the_catalogue(self) -> None:
        fees = deployment(prices={"code_interpreter_cost_per_call": "0.03"})
        usage = Usage(input=1_000_000, tools={"code_interpreter": 2})

        cost = self.BOOK.price("openai", "m", usage, at=NOW, deployment=fees)

        assert (cost.usd, cost.source) == ("1.06", "catalogue")
        assert cost.version.startswith("test 1+override ")

    def test_a_deployment_that_was_changed_has_its_new_price(self) -> None:
        cheap = deployment(prices={"input_cost_per_token": 1e-6, "output_cost_per_token": 0})
        dear = deployment(prices={"input_cost_per_token": 2e-6, "output_cost_per_token": 0})

        assert [usd(self.BOOK, "openai", "m", deployment=d) for d in (cheap, dear, cheap)] == ["1", "2", "1"]

    def test_a_wrong_own_price_names_the_deployment_before_the_first_call(self) -> None:
        wrong = deployment(prices={"input_cost_per_token": -1, "output_cost_per_token": 1})

        with pytest.raises(ConfigError, match=r"'public'.*input_cost_per_token"):
            self.BOOK.warm([wrong])

    @pytest.mark.parametrize("nonsense", [{}, [], 7, True])
    def test_a_served_model_or_tier_that_is_no_text_names_nothing(self, nonsense: Any) -> None:
        assert usd(self.BOOK, "openai", "m", served_model=nonsense, tier=nonsense) == "1"


class TestUnknownIsNotZero:
    @given(
        provider=st.text(max_size=20),
        model=st.text(max_size=20) | st.just("x" * 10_000),
        usage=st.builds(Usage, input=st.integers(0, 10**6), output=st.integers(0, 10**6)),
        tier=st.none() | st.text(max_size=10),
        served=st.none() | st.text(max_size=10),
    )
    def test_a_model_that_nobody_knows_is_unpriced(
        self, provider: str, model: str, usage: Usage, tier: str | None, served: str | None
    ) -> None:
        known = plain()

        elsewhere = known.price(f"{provider}?", model, usage, at=NOW, tier=tier, served_model=served)
        unknown = known.price("openai", f"{model}?", usage, at=NOW, tier=tier, served_model=f"{served}?")
        for cost, named in ((elsewhere, f"{provider}?/{model}"), (unknown, f"openai/{model}?")):
            assert (cost.status, cost.total, cost.lines) == ("unpriced", None, ())
            assert cost.version == f"no price:{named}"[:200]

    def test_a_model_that_is_listed_without_a_price_is_unpriced(self) -> None:
        cost = book(provider("openai", model("m", ModelPrice()))).price("openai", "m", MILLION, at=NOW)

        assert (cost.status, cost.version) == ("unpriced", "no price:openai/m")

    def test_a_price_of_zero_is_a_price(self) -> None:
        cost = book(provider("openrouter", model("m:free", price("0", "0")))).price(
            "openrouter", "m:free", MILLION, at=NOW
        )

        assert (cost.status, cost.total) == ("priced", 0)

    def test_a_usage_that_nobody_told_is_unpriced(self) -> None:
        assert plain().price("openai", "m", NO_USAGE, at=NOW) is UNPRICED

    def test_a_host_that_sounds_like_a_provider_is_not_it(self) -> None:
        assert plain().price("my-openai-proxy", "m", MILLION, at=NOW).status == "unpriced"


class TestPricesByTime:
    BOOK = book(
        provider(
            "openai",
            model(
                "cut",
                [
                    ConditionalPrice(prices=price("10")),
                    ConditionalPrice(StartDateConstraint(date(2025, 6, 10)), prices=price("2")),
                ],
            ),
            model(
                "night",
                [
                    ConditionalPrice(prices=price("1")),
                    ConditionalPrice(
                        TimeOfDateConstraint(time_of_day(0, 30, tzinfo=UTC), time_of_day(16, 30, tzinfo=UTC)),
                        prices=price("4"),
                    ),
                ],
            ),
        )
    )

    def test_a_price_holds_from_midnight_utc_of_its_date(self) -> None:
        assert usd(self.BOOK, "openai", "cut", at=at(2025, 6, 10) - 1) == "10"
        assert usd(self.BOOK, "openai", "cut", at=at(2025, 6, 10)) == "2"

    def test_a_price_by_the_hour_includes_its_start_and_not_its_end(self) -> None:
        day = (2026, 11, 1)
        expected = {(0, 29, 59): "1", (0, 30): "4", (16, 29, 59): "4", (16, 30): "1"}

        assert {hour: usd(self.BOOK, "openai", "night", at=at(*day, *hour)) for hour in expected} == expected


class TestThresholds:
    BOOK = book(
        provider(
            "openai",
            model(
                "m",
                ModelPrice(input_mtok=TieredPrices(Decimal(1), [Tier(272_000, Decimal(2))]), output_mtok=Decimal(1)),
            ),
        )
    )

    @pytest.mark.parametrize(
        ("usage", "rate"),
        [
            (Usage(input=272_000), 1_000_000),
            (Usage(input=272_001), 2_000_000),
            (Usage(input=1, cache_read=271_999), 1_000_000),
            (Usage(input=1, cache_read=272_000), 2_000_000),
        ],
    )
    def test_the_edge_belongs_to_the_lower_price(self, usage: Usage, rate: int) -> None:
        assert self.BOOK.price("openai", "m", usage, at=NOW).lines[0].rate == rate


class TestServiceTiers:
    BOOK = book(
        provider(
            "openai",
            model(
                "m",
                price("4", cache_read_mtok=Decimal(1)),
                price_variants=[
                    PriceVariant({"service_tier": "flex"}, price("2"), StartDateConstraint(date(2026, 10, 12))),
                    PriceVariant({"processing": "batch"}, price("1")),
                ],
            ),
        ),
        provider("azure", fallback_model_providers=["openai"]),
    )

    def priced(self, tier: str | None, provider: str = "openai", when: int = NOW) -> tuple[str | None, str]:
        cost = self.BOOK.price(provider, "m", MILLION, at=when, tier=tier)
        return cost.usd, cost.version

    @pytest.mark.parametrize("tier", [None, "", "default", "auto", "standard", "ON_DEMAND"])
    def test_no_special_tier_is_the_plain_price(self, tier: str | None) -> None:
        assert self.priced(tier) == ("4", "test 1")

    @pytest.mark.parametrize("tier", ["flex", "FLEX"])
    def test_a_tier_with_prices_has_them_and_says_so(self, tier: str) -> None:
        assert self.priced(tier) == ("2", "test 1/tier:flex")
        assert self.priced("batch") == self.priced("batches") == ("1", "test 1/tier:batch")

    def test_a_tier_without_prices_shows_that_it_got_the_standard_ones(self) -> None:
        assert self.priced("priority") == ("4", "test 1/tier:standard")
        assert self.priced("flex", when=at(2026, 10, 11)) == ("4", "test 1/tier:standard")

    def test_the_tiers_of_one_place_are_not_those_of_another(self) -> None:
        assert self.priced("flex", "azure") == ("4", "test 1/tier:standard")

    def test_a_tier_keeps_the_prices_that_it_does_not_change(self) -> None:
        cost = self.BOOK.price("openai", "m", Usage(cache_read=1_000_000), at=NOW, tier="flex")

        assert cost.usd == "1"


class TestNamesOfThings:
    """Against the real catalogue."""

    BOOK = PriceBook()

    @pytest.mark.parametrize(
        ("provider", "model", "same_as"),
        [
            ("vertex_ai", "publishers/anthropic/models/claude-sonnet-4-5@20250929", ("google", "claude-sonnet-4-5")),
            ("gemini", "models/gemini-2.5-flash", ("google", "gemini-2.5-flash")),
            ("vertex", "gemini-2.5-flash-001", ("google", "gemini-2.5-flash")),
            (
                "bedrock",
                "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                ("aws", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
            ),
            (
                "bedrock",
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                ("aws", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
            ),
            ("bedrock", "eu-west-1/amazon.nova-pro-v1:0", ("aws", "amazon.nova-pro-v1:0")),
            ("bedrock", "openai.gpt-oss-120b", ("aws", "openai.gpt-oss-120b-1:0")),
            ("azure", "gpt-4o-2024-11-20", ("openai", "gpt-4o-2024-11-20")),
            ("azure_ai", "gpt-4o", ("azure", "gpt-4o")),
            ("xai", "grok-4", ("x-ai", "grok-4")),
            ("groq", "openai/gpt-oss-120b", ("groq", "openai/gpt-oss-120b")),
        ],
    )
    def test_a_clouds_name_finds_the_price(self, provider: str, model: str, same_as: tuple[str, str]) -> None:
        found = self.BOOK.rates(provider, model)

        assert found is not None
        assert found == self.BOOK.rates(*same_as)

    @pytest.mark.parametrize(
        ("provider", "model"),
        [
            ("azure", "my-deployment"),
            ("bedrock", "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdefgh"),
            ("openai", "gpt-9-unknown"),
            ("ollama", "qwen3"),
            ("openai", ""),
            ("", "gpt-4o"),
            ("openai", "models/"),
        ],
    )
    def test_a_name_that_says_nothing_finds_none(self, provider: str, model: str) -> None:
        assert self.BOOK.rates(provider, model) is None

    def test_audio_without_a_rate_is_unpriced_except_where_one_price_holds_for_all(self) -> None:
        audio = Usage(input=10, input_audio=100, output=5)

        assert self.BOOK.price("openai", "gpt-4o", audio, at=NOW).version.endswith("/no rate:input_audio")
        assert self.BOOK.price("gemini", "gemini-2.5-pro", audio, at=NOW).status == "priced"

    def test_the_version_names_the_release(self) -> None:
        assert self.BOOK.version.startswith("genai-prices 0.")
        assert self.BOOK.price("openai", "gpt-4o", MILLION, at=NOW).version == self.BOOK.version


class TestSimulated:
    def test_a_demo_shows_money_without_the_catalogue(self) -> None:
        def unavailable() -> Catalogue:
            raise AssertionError("not needed")

        usage = Usage(input=1_000_000, cache_read=1_000_000, output=900_000, reasoning=100_000)
        cost = PriceBook(unavailable).price("simulated", "story", usage, at=NOW)

        assert [line.amount for line in cost.lines] == [250_000_000, 25_000_000, 1_800_000_000, 200_000_000]
        assert (cost.usd, cost.source, cost.version) == ("2.275", "catalogue", "simulated 1")


class TestLoading:
    def test_importing_it_does_not_import_the_catalogue(self) -> None:
        program = "import sys, tollbook.pricing; sys.exit('genai_prices' in sys.modules or 'pydantic' in sys.modules)"

        assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0

    async def test_warming_returns_at_once_and_ready_waits(self) -> None:
        loads = 0

        def slow() -> Catalogue:
            nonlocal loads
            loads += 1
            time.sleep(0.3)
            return Catalogue([provider("openai", model("m", price("1")))], "test 1")

        slow_book = PriceBook(slow)
        begun = time.monotonic()
        slow_book.warm([deployment()])
        assert time.monotonic() - begun < 0.2
        impatient = asyncio.create_task(slow_book.ready())
        await asyncio.sleep(0.05)
        impatient.cancel()

        await slow_book.ready()

        assert time.monotonic() - begun >= 0.3
        assert usd(slow_book, "openai", "m") == "1"
        assert loads == 1

    def test_a_call_before_it_is_ready_waits_for_the_right_price(self) -> None:
        def slow() -> Catalogue:
            time.sleep(0.2)
            return Catalogue([provider("openai", model("m", price("1")))], "test 1")

        assert usd(PriceBook(slow), "openai", "m") == "1"

    async def test_a_catalogue_that_cannot_be_loaded_is_heard_of(self) -> None:
        def broken() -> Catalogue:
            raise ImportError("no catalogue")

        broken_book = PriceBook(broken)
        broken_book.warm()

        with pytest.raises(ImportError, match="no catalogue"):
            await broken_book.ready()

    def test_what_upstreams_name_does_not_fill_the_memory(self) -> None:
        known = plain()

        for number in range(10_000):
            known.price("openai", "m", MILLION, at=NOW, served_model=f"m-{number}", tier=f"t{number}")

        assert len(known.edition._entries) <= 4096
