"""The compiled prices are the catalogue's: every model, tier and date, against the library's own Decimal calculation."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tollbook.call import Cost
from tollbook.pricing import PriceBook
from tollbook.pricing.catalogue import ALIASES, Catalogue, Listing
from tollbook.pricing.rates import KINDS
from tollbook.responses.draft import Draft
from tollbook.responses.usage import Usage

CATALOGUE = Catalogue.load()
LISTINGS = list(CATALOGUE.listings())
TIERS = (None, "flex", "priority", "batch", "fast")
RECORDINGS = Path(__file__).parents[2] / ".." / "shared" / "recordings"


def in_the_librarys_words(usage: Usage) -> Any:
    """Its counts contain one another: cached tokens are input, audio is input, cached audio is both."""
    from genai_prices import Usage as Theirs

    return Theirs(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cache_read + usage.cache_read_audio,
        cache_write_tokens=usage.cache_write + usage.cache_write_1h,
        cache_write_1h_tokens=usage.cache_write_1h,
        input_audio_tokens=usage.input_audio + usage.cache_read_audio,
        cache_audio_read_tokens=usage.cache_read_audio,
        input_image_tokens=usage.input_image,
        cache_image_read_tokens=0,
        output_tokens=usage.output_tokens,
        output_reasoning_tokens=usage.reasoning,
        output_audio_tokens=usage.output_audio,
        output_image_tokens=usage.output_image,
        input_video_tokens=0,
        output_video_tokens=0,
        output_citation_tokens=0,
        web_searches=usage.tools.get("web_search", 0),
        storage_searches=usage.tools.get("file_search", 0),
    )


def compare(listing: Listing, randomness: random.Random) -> bool:
    """Price one random usage of a model both ways. False where ours has no rate for a plain call."""
    tier = randomness.choice(TIERS)
    # Half of the dates lie where most of the dated prices begin.
    when = datetime(2026, 10, 1, tzinfo=UTC) if randomness.random() < 0.5 else datetime(2024, 1, 1, tzinfo=UTC)
    at = int(when.timestamp()) + randomness.randrange(55 * 86_400 if when.year == 2026 else 1000 * 86_400)
    prices = listing.prices(tier)
    if prices is not None and not hasattr(prices, "bill"):
        prices = prices.at(at * 10**9)
    if prices is None:
        return False
    scale = randomness.choice([10, 1000, 100_000, 300_000])
    tools = {tool: randomness.randrange(5) for tool in ("web_search", "file_search") if tool in prices.kinds}
    tokens = {kind: randomness.randrange(scale) for kind in KINDS if kind in prices.kinds}
    usage = Usage(**tokens, tools=tools)

    cost = prices.bill(usage)

    context = {"processing": tier, "service_tier": tier, "speed": tier} if tier else None
    theirs = listing.model.calc_price(
        in_the_librarys_words(usage),
        listing.provider,
        genai_request_timestamp=datetime.fromtimestamp(at, UTC),
        price_context=context,
    )
    assert_equal(cost, theirs.total_price, f"{listing.provider.id}/{listing.model.id} {tier} {at} {usage}")
    return True


def assert_equal(cost: Cost, usd: Decimal, what: str) -> None:
    assert cost.status == "priced", what
    assert cost.total is not None
    assert abs(cost.total - usd * 10**9) <= Decimal("0.5") * max(1, len(cost.lines)), what
    rates = [line.rate for line in cost.lines]
    if None not in rates:
        # Before the rounding of each line there is no difference at all.
        pico = sum(line.quantity * (line.rate or 0) for line in cost.lines)
        assert abs(pico - usd * 10**12) < Decimal("1e-6"), what


def test_a_sample_of_the_catalogue_costs_what_the_library_says() -> None:
    randomness = random.Random(20261122)

    compared = sum(compare(listing, randomness) for listing in randomness.sample(LISTINGS, 300))

    assert compared >= 250


@pytest.mark.slow
def test_the_whole_catalogue_costs_what_the_library_says() -> None:
    randomness = random.Random(1)

    compared = sum(compare(listing, randomness) for listing in LISTINGS for _ in range(5))

    assert compared >= 0.85 * 5 * len(LISTINGS)


DIALECTS = {
    "openai.responses": ("responses", "responses"),
    "openai.chat": ("chat", "chat"),
    "anthropic.messages": ("messages", "default"),
    "vertex.anthropic.rawPredict": ("messages", "anthropic"),
    "gemini.generateContent": ("gemini", "default"),
    "vertex.generateContent": ("gemini", "default"),
    "bedrock.converse": ("converse", "default"),
}
"""Of each API: our dialect, and what the library calls it. It reads the same bodies with extractors of its own."""

AT = 1_793_491_200  # 2026-11-01


@pytest.mark.recordings
@pytest.mark.parametrize("api", DIALECTS)
def test_recorded_answers_cost_what_an_independent_reading_of_them_says(api: str) -> None:
    if not (RECORDINGS / "index.json").exists():
        pytest.skip("the shared recordings are not here")
    book = PriceBook(lambda: CATALOGUE)
    ours, theirs = DIALECTS[api]
    dialect = import_module(f"tollbook.dialects.{ours}")
    compared = 0
    for recording in json.loads((RECORDINGS / "index.json").read_text())["recordings"]:
        if (recording["api"], recording["body_kind"], recording["status"]) != (api, "json", 200):
            continue
        if recording["provider"] == "gemini" and api == "openai.chat":
            continue  # thoughts that are only in the total: the library does not see them
        exchange = json.loads((RECORDINGS / recording["file"]).read_text())
        body = json.loads(exchange["response"]["body_text"])
        provider = {"azure-ai": "azure"}.get(recording["provider"], recording["provider"])
        place = next((p for p in CATALOGUE._providers if p.id == ALIASES.get(provider, provider)), None)
        asked, served = recording["model"] or "", body.get("model") or body.get("modelVersion")
        listing = CATALOGUE.find(provider, (served, asked) if served else (asked,))
        if place is None or listing is None:
            continue
        draft = Draft({}, stream=False)
        try:
            _, their_usage = place.extract_usage(body, api_flavor=theirs)
            dialect.reader(draft, {}).whole(body)
        except Exception:
            continue  # nothing to compare: no usage, or an answer that is an error
        usage = draft.tokens
        if usage.reported_cost is not None:
            continue
        cost = book.price(provider, asked, usage, at=AT * 10**9, served_model=served)
        if cost.status != "priced":
            continue
        try:
            expected = listing.model.calc_price(
                their_usage, place, genai_request_timestamp=datetime.fromtimestamp(AT, UTC)
            ).total_price
        except ValueError:
            continue  # counts that the library holds to be impossible
        # Its extractors do not count hosted tool calls.
        tokens = [line for line in cost.lines if line.kind in KINDS]
        total = sum(line.amount for line in tokens)
        searches = Decimal(their_usage.reported_value("web_searches")) * Decimal(1)
        if searches:
            tokens, total = list(cost.lines), cost.total or 0
        assert abs(total - expected * 10**9) <= Decimal("0.5") * max(1, len(tokens)), recording["file"]
        compared += 1
    assert compared >= 10
