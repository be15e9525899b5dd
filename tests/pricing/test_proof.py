"""The compiled prices are the catalogue's: every model, tier and date, against the library's own Decimal calculation."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.shared.deployments import target
from tests.shared.hearing import hear
from tests.shared.library import entries, library
from tollbook.call import Cost
from tollbook.errors import UpstreamError
from tollbook.pricing import PriceBook
from tollbook.pricing.catalogue import Catalogue, Listing
from tollbook.pricing.rates import KINDS
from tollbook.responses.draft import Draft
from tollbook.responses.usage import Usage

from . import independent

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
    prices = listing.rates(at * 10**9, tier)
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
    "openai.responses": ("responses", "responses", 60),
    "openai.chat": ("chat", "chat", 80),
    "anthropic.messages": ("messages", "default", 60),
    "vertex.anthropic.rawPredict": ("messages", "anthropic", 10),
    "gemini.generateContent": ("gemini", "default", 60),
    "vertex.generateContent": ("gemini", "default", 30),
    "bedrock.converse": ("converse", "default", 60),
}
"""Of each API: our dialect, what the library calls it, and how many recordings there are at the least that both can read
and price. The library reads the same bodies with extractors of its own."""

BOOK = PriceBook(lambda: CATALOGUE)
AT = 1_793_491_200  # 2026-11-01


@pytest.mark.recordings
@pytest.mark.parametrize("api", DIALECTS)
def test_recorded_answers_cost_what_an_independent_reading_of_them_says(api: str) -> None:
    if not (RECORDINGS / "index.json").exists():
        pytest.skip("the shared recordings are not here")
    compared = 0
    for recording in json.loads((RECORDINGS / "index.json").read_text())["recordings"]:
        if (recording["api"], recording["body_kind"], recording["status"]) == (api, "json", 200):
            compared += same_cost(recording)

    assert compared >= DIALECTS[api][2]


def same_cost(recording: dict[str, Any]) -> bool:
    """Whether there was something to compare: the library has to understand the body, and know the model."""
    if recording["provider"] == "gemini" and recording["api"] == "openai.chat":
        return False  # thoughts are only in the total there, where the library does not look
    ours, theirs, _ = DIALECTS[recording["api"]]
    body = json.loads(json.loads((RECORDINGS / recording["file"]).read_text())["response"]["body_text"])
    provider = {"azure-ai": "azure"}.get(recording["provider"], recording["provider"])
    asked, served = recording["model"] or "", body.get("model") or body.get("modelVersion")
    listing = CATALOGUE.find(provider, (served, asked) if served else (asked,))
    if listing is None:
        return False
    try:
        _, their_usage = listing.provider.extract_usage(body, api_flavor=theirs)
        expected = listing.model.calc_price(
            their_usage, listing.provider, genai_request_timestamp=datetime.fromtimestamp(AT, UTC)
        ).total_price
    except (ValueError, LookupError):
        return False
    draft = Draft({}, stream=False)
    with suppress(UpstreamError):  # an answer that failed has used tokens, too
        import_module(f"tollbook.dialects.{ours}").reader(draft, {}).whole(body)
    cost = BOOK.price(provider, asked, draft.tokens, at=AT * 10**9, served_model=served)
    if cost.status != "priced" or cost.source != "catalogue":
        return False
    # Its extractors count hosted tool calls for few providers.
    counted = [line for line in cost.lines if line.kind in KINDS or their_usage.reported_value("web_searches")]
    total = sum(line.amount for line in counted)
    assert abs(total - expected * 10**9) <= Decimal("0.5") * len(counted), recording["file"]
    return True


# ── Every recording, a second time, by hand ─────────────────────────────────────────────────────────────────────────────

FEWEST = {
    "openai.responses": 190,
    "openai.chat": 380,
    "anthropic.messages": 140,
    "vertex.anthropic.rawPredict": 12,
    "vertex.anthropic.streamRawPredict": 4,
    "gemini.generateContent": 70,
    "gemini.streamGenerateContent": 50,
    "vertex.generateContent": 34,
    "vertex.streamGenerateContent": 14,
    "bedrock.converse": 70,
    "bedrock.converse-stream": 26,
    "bedrock.invoke": 14,
    "bedrock.invoke-stream": 9,
    "cohere.v2.chat": 15,
}
"""Recordings with usage, of each API, that the shared folder has at the least."""


@pytest.mark.recordings
@pytest.mark.parametrize("api", FEWEST)
def test_every_recorded_usage_costs_what_decimal_and_the_catalogue_say(api: str) -> None:
    """Streams and whole answers; also that the kinds add up to the totals the provider told, and that what cannot be priced by
    hand is unpriced here."""
    recorded = [entry["id"] for entry in entries() if entry["api"] == api and entry["status"] == 200]
    if not recorded:
        pytest.skip("the shared recordings are not here")
    compared = sum(same_by_hand(recording_id) for recording_id in recorded)

    assert compared >= FEWEST[api]


def same_by_hand(recording_id: str) -> bool:
    """Whether the recording tells a usage at all."""
    raw = independent.read(library()[recording_id])
    draft = hear(library()[recording_id], stream=False).draft
    assert draft is not None
    usage = draft.tokens
    if raw is None:
        assert usage.source == "none", recording_id
        return False
    assert (usage.input_tokens, usage.output_tokens) == (raw.input_tokens, raw.output_tokens), recording_id
    provider, model = target(recording_id)
    served = draft.served_model
    cost = BOOK.price(provider, model, usage, at=AT * 10**9, tier=draft.served_tier, served_model=served)
    if raw.reported is not None:
        expected: Decimal | None = raw.reported
        assert cost.source == "provider", recording_id
    else:
        listing = CATALOGUE.find(provider, (served, model) if served else (model,))
        expected = independent.cost(raw, listing, datetime.fromtimestamp(AT, UTC)) if listing else None
    if expected is None:
        assert (cost.status, cost.total) == ("unpriced", None), recording_id
        return True
    assert cost.status == "priced", (recording_id, cost.version)
    assert cost.total is not None
    assert cost.total == sum(line.amount for line in cost.lines)
    assert abs(cost.total - expected * 10**9) <= Decimal("0.5") * len(cost.lines), recording_id
    return True
