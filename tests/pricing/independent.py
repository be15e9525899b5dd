"""What a recorded answer cost, worked out a second time: `decimal`, the catalogue's own figures, and the raw usage as it stands
in the recorded bytes. No code of the product is used but to look up which model of the catalogue it is.

Each provider's usage is read as its documentation puts it; counts are disjoint at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from genai_prices.types import ModelPrice, TieredPrices

from tollbook.pricing.catalogue import Listing

STANDARD = {"default", "auto", "standard", "on_demand", ""}
GEMINI_TIERS = {"flex": "flex", "on_demand_flex": "flex", "priority": "priority", "on_demand_priority": "priority"}


@dataclass
class Raw:
    """Counts by the catalogue's price keys, and what else decides about the price."""

    counts: dict[str, int] = field(default_factory=dict)
    searches: dict[str, int] = field(default_factory=dict)
    """Hosted calls by the catalogue's price keys; "" for those that it has none for."""
    tier: str | None = None
    model: str | None = None
    reported: Decimal | None = None

    @property
    def input_tokens(self) -> int:
        return sum(count for key, count in self.counts.items() if key.startswith(("input", "cache")))

    @property
    def output_tokens(self) -> int:
        return sum(count for key, count in self.counts.items() if key.startswith("output"))


def number(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 else 0


def read(recording: Any) -> Raw | None:
    """The raw usage of a recording; None where it tells none."""
    events = [event for _, event in recording.events() if isinstance(event, dict)]
    api = recording.api
    if api == "openai.responses":
        return _responses(events)
    if api == "openai.chat":
        return _chat(events)
    if "anthropic" in api or (api.startswith("bedrock.invoke") and "claude" in recording.model):
        return _messages(events)
    if api.startswith(("gemini.", "vertex.")):
        return _gemini(events)
    if api.startswith("bedrock."):
        return _converse(events)
    return _cohere(events)


def cost(raw: Raw, listing: Listing, when: datetime) -> Decimal | None:
    """USD by the catalogue; None where something that was used has no price there."""
    context = dict.fromkeys(("processing", "service_tier", "speed"), raw.tier) if raw.tier else None
    own = any(listing.model is model for model in listing.provider.models)
    price = listing.model.get_prices(when, context if own else None)
    total = Decimal(0)
    for key, count in raw.counts.items():
        if count:
            rate = _rate(price, key, raw.input_tokens, everything=listing.provider.id == "google")
            if rate is None:
                return None
            total += rate * count / 1_000_000
    for key, count in raw.searches.items():
        rate = getattr(price, key) if key else None
        if count and not isinstance(rate, Decimal):
            if listing.provider.id == "google" and key != "web_searches_kcount":
                continue  # included there
            return None
        total += (rate or Decimal(0)) * count / 1000
    requests = price.requests_kcount
    return total + (requests / 1000 if isinstance(requests, Decimal) else 0)


# Where a kind without a price of its own is part of another one's.
INSTEAD = {
    "cache_read_mtok": "input_mtok",
    "cache_write_mtok": "input_mtok",
    "cache_write_1h_mtok": "input_mtok",
    "input_image_mtok": "input_mtok",
    "output_reasoning_mtok": "output_mtok",
}
OF_ALL_MEDIA = {
    "input_audio_mtok": "input_mtok",
    "cache_audio_read_mtok": "cache_read_mtok",
    "output_audio_mtok": "output_mtok",
    "output_image_mtok": "output_mtok",
}


def _rate(price: ModelPrice, key: str, input_tokens: int, *, everything: bool) -> Decimal | None:
    value = getattr(price, key)
    if value is None:
        if key == "cache_write_1h_mtok" and price.cache_write_mtok is not None:
            return None
        other = INSTEAD.get(key) or (OF_ALL_MEDIA.get(key) if everything else None)
        return _rate(price, other, input_tokens, everything=everything) if other else None
    if isinstance(value, TieredPrices):
        steps = [tier.price for tier in value.tiers if input_tokens > tier.start]
        return steps[-1] if steps else value.base
    assert isinstance(value, Decimal)
    return value


def _tier(told: Any) -> str | None:
    word = told.lower() if isinstance(told, str) else ""
    return None if word in STANDARD else word


def _openai(
    total: int, read: int, written: int, audio: int, output: int, reasoning: int, spoken: int
) -> dict[str, int]:
    return {
        "input_mtok": total - read - written - audio,
        "cache_read_mtok": read,
        "cache_write_mtok": written,
        "input_audio_mtok": audio,
        "output_mtok": output - reasoning - spoken,
        "output_reasoning_mtok": reasoning,
        "output_audio_mtok": spoken,
    }


def _responses(events: list[dict[str, Any]]) -> Raw | None:
    ends = [e["response"] for e in events if str(e.get("type")) in ENDS and isinstance(e.get("response"), dict)]
    response = ends[-1] if ends else events[0] if events and "output" in events[0] else None
    if response is None or not isinstance(usage := response.get("usage"), dict):
        return None
    into, out = usage.get("input_tokens_details") or {}, usage.get("output_tokens_details") or {}
    total, output = number(usage.get("input_tokens")), number(usage.get("output_tokens"))
    cached, written = number(into.get("cached_tokens")), number(into.get("cache_write_tokens"))
    reasoning = min(number(out.get("reasoning_tokens")), output)
    raw = Raw(_openai(total, min(cached, total), written, number(into.get("audio_tokens")), output, reasoning, 0))
    raw.tier, raw.model = _tier(response.get("service_tier")), response.get("model")
    for item in response.get("output") or []:
        kind, action = item.get("type"), item.get("action") or {}
        if kind == "web_search_call" and action.get("type", "search") == "search":
            _add(raw, "web_searches_kcount")
        elif kind == "file_search_call":
            _add(raw, "storage_searches_kcount")
        elif kind == "code_interpreter_call":
            _add(raw, "code_executions_kcount")
        elif kind == "image_generation_call":
            _add(raw, "")
    if usage.get("cost_in_usd_ticks") is not None:
        raw.reported = Decimal(usage["cost_in_usd_ticks"]) / 10**10
    elif usage.get("cost") is not None:
        raw.reported = Decimal(str(usage["cost"]))
    return raw


ENDS = ("response.completed", "response.incomplete", "response.failed")


def _add(raw: Raw, key: str, count: int = 1) -> None:
    raw.searches[key] = raw.searches.get(key, 0) + count


def _chat(events: list[dict[str, Any]]) -> Raw | None:
    usage: dict[str, Any] | None = None
    raw = Raw()
    for chunk in events:
        raw.model = chunk.get("model") or raw.model
        raw.tier = _tier(chunk.get("service_tier")) or raw.tier
        for place in (chunk.get("usage"), (chunk.get("x_groq") or {}).get("usage")):
            if isinstance(place, dict) and place.get("prompt_tokens") is not None:
                usage = place
    if usage is None:
        return None
    into, out = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    total, output = number(usage.get("prompt_tokens")), number(usage.get("completion_tokens"))
    reasoning = number(out.get("reasoning_tokens")) or number(usage.get("reasoning_tokens"))
    audio, spoken = number(into.get("audio_tokens")), number(out.get("audio_tokens"))
    beyond = number(usage.get("total_tokens")) - total - output
    if beyond > 0 and output:
        if beyond == audio != reasoning:
            total += beyond
        else:
            output += beyond  # of the answer, thought or not: the price is the same
    elif reasoning > output > 0:
        output += reasoning
    cached = max(
        number(into.get("cached_tokens")),
        *(
            number(usage.get(n))
            for n in ("prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens", "num_cached_tokens")
        ),
    )
    cached = min(cached, total)
    written = min(
        max(number(into.get("cache_write_tokens")), number(usage.get("cache_creation_input_tokens"))), total - cached
    )
    audio = min(audio, total - cached - written)
    raw.counts = _openai(total, cached, written, audio, output, min(reasoning, output), spoken)
    asked = max(
        number(usage.get("num_search_queries")), number((usage.get("server_tool_use") or {}).get("web_search_requests"))
    )
    executed = [tool.get("type") for chunk in events for tool in _executed(chunk)]
    _add(raw, "web_searches_kcount", asked or executed.count("search"))
    _add(raw, "", len(executed) - executed.count("search"))
    told = usage.get("cost")
    beside = next((chunk["cost"] for chunk in events if chunk.get("cost") is not None), None)
    if usage.get("cost_in_usd_ticks") is not None:
        raw.reported = Decimal(usage["cost_in_usd_ticks"]) / 10**10
    elif told is not None or beside is not None:
        value = told if told is not None else beside
        value = value.get("total_cost", value.get("usd")) if isinstance(value, dict) else value
        raw.reported = None if value is None else Decimal(str(value))
        if usage.get("is_byok") and raw.reported is not None:
            raw.reported += Decimal(str((usage.get("cost_details") or {}).get("upstream_inference_cost") or 0))
    return raw


def _executed(chunk: dict[str, Any]) -> list[dict[str, Any]]:
    """Groq's hosted calls."""
    choices = chunk.get("choices") or [{}]
    said = (choices[0].get("message") or choices[0].get("delta") or {}) if choices else {}
    return said.get("executed_tools") or []


def _messages(events: list[dict[str, Any]]) -> Raw | None:
    usage: dict[str, Any] = {}
    raw = Raw()
    for event in events:
        message = event.get("message") if event.get("type") == "message_start" else event
        if isinstance(message, dict):
            raw.model = message.get("model") or raw.model
            usage |= {key: value for key, value in (message.get("usage") or {}).items() if value is not None}
    if not usage:
        return None
    lives = usage.get("cache_creation") or {}
    hour = number(lives.get("ephemeral_1h_input_tokens"))
    written = number(usage.get("cache_creation_input_tokens")) or hour + number(lives.get("ephemeral_5m_input_tokens"))
    thought = number((usage.get("output_tokens_details") or {}).get("thinking_tokens"))
    raw.counts = {
        "input_mtok": number(usage.get("input_tokens")),
        "cache_read_mtok": number(usage.get("cache_read_input_tokens")),
        "cache_write_mtok": written - hour,
        "cache_write_1h_mtok": hour,
        "output_mtok": number(usage.get("output_tokens")) - thought,
        "output_reasoning_mtok": thought,
    }
    searches = number((usage.get("server_tool_use") or {}).get("web_search_requests"))
    if searches:
        _add(raw, "web_searches_kcount", searches)
    raw.tier = "fast" if usage.get("speed") == "fast" else _tier(usage.get("service_tier"))
    return raw


def _gemini(events: list[dict[str, Any]]) -> Raw | None:
    usage: dict[str, Any] = {}
    raw = Raw()
    queries: set[str] = set()
    for chunk in events:
        raw.model = chunk.get("modelVersion") or raw.model
        counts = chunk.get("usageMetadata") or {}
        if any(name.endswith("TokenCount") for name in counts):
            usage = counts
        told = counts.get("serviceTier") or counts.get("trafficType")
        if isinstance(told, str):
            raw.tier = GEMINI_TIERS.get(told.lower(), _tier(told))
        for candidate in chunk.get("candidates") or []:
            grounding = candidate.get("groundingMetadata") or {}
            queries |= {query for query in grounding.get("webSearchQueries") or [] if query}
    if not usage:
        return None
    prompt, tools = number(usage.get("promptTokenCount")), number(usage.get("toolUsePromptTokenCount"))
    answer, thoughts = number(usage.get("candidatesTokenCount")), number(usage.get("thoughtsTokenCount"))
    cached = min(number(usage.get("cachedContentTokenCount")), prompt)
    missing = number(usage.get("totalTokenCount")) - prompt - tools - answer - thoughts
    if missing > 0 and not (answer and thoughts):
        answer += missing
    cached_audio = min(_modality(usage, "cacheTokensDetails", "AUDIO"), cached)
    heard = _modality(usage, "promptTokensDetails", "AUDIO") + _modality(usage, "toolUsePromptTokensDetails", "AUDIO")
    seen = _modality(usage, "promptTokensDetails", "IMAGE") + _modality(usage, "toolUsePromptTokensDetails", "IMAGE")
    seen = max(seen - _modality(usage, "cacheTokensDetails", "IMAGE"), 0)
    audio = min(max(heard - cached_audio, 0), prompt + tools - cached)
    image = min(seen, prompt + tools - cached - audio)
    spoken = min(_modality(usage, "candidatesTokensDetails", "AUDIO"), answer)
    drawn = min(_modality(usage, "candidatesTokensDetails", "IMAGE"), answer - spoken)
    raw.counts = {
        "input_mtok": prompt + tools - cached - audio - image,
        "cache_read_mtok": cached - cached_audio,
        "cache_audio_read_mtok": cached_audio,
        "input_audio_mtok": audio,
        "input_image_mtok": image,
        "output_mtok": answer - spoken - drawn,
        "output_audio_mtok": spoken,
        "output_image_mtok": drawn,
        "output_reasoning_mtok": thoughts,
    }
    if queries:
        # From Gemini 3 on each query is billed, before it the prompt (https://ai.google.dev/gemini-api/docs/pricing).
        every = (raw.model or "").startswith("gemini-") and (raw.model or "")[7:8] >= "3"
        _add(raw, "web_searches_kcount", len(queries) if every else 1)
    return raw


def _modality(usage: dict[str, Any], name: str, modality: str) -> int:
    return sum(number(row.get("tokenCount")) for row in usage.get(name) or [] if row.get("modality") == modality)


def _converse(events: list[dict[str, Any]]) -> Raw | None:
    raw = Raw()
    usage: dict[str, Any] | None = None
    for event in events:
        usage = event.get("usage") or usage
        started = (event.get("start") or {}).get("toolUse") or {}
        content = ((event.get("output") or {}).get("message") or {}).get("content") or []
        for use in [started, *(block.get("toolUse") or {} for block in content)]:
            if use.get("type") == "server_tool_use":
                _add(raw, "")
        tier = (event.get("serviceTier") or {}).get("type")
        raw.tier = _tier(tier) if tier else raw.tier
    if usage is None:
        return None
    written = number(usage.get("cacheWriteInputTokens") or usage.get("cacheWriteInputTokenCount"))
    hour = sum(number(one.get("inputTokens")) for one in usage.get("cacheDetails") or [] if one.get("ttl") == "1h")
    raw.counts = {
        "input_mtok": number(usage.get("inputTokens")),
        "cache_read_mtok": number(usage.get("cacheReadInputTokens") or usage.get("cacheReadInputTokenCount")),
        "cache_write_mtok": written - min(hour, written),
        "cache_write_1h_mtok": min(hour, written),
        "output_mtok": number(usage.get("outputTokens")),
    }
    return raw


def _cohere(events: list[dict[str, Any]]) -> Raw | None:
    usage: dict[str, Any] = {}
    for event in events:
        usage = event.get("usage") or (event.get("delta") or {}).get("usage") or usage
    tokens = usage.get("tokens")
    if not tokens:
        return None
    cached = number(usage.get("cached_tokens"))
    thought = number(tokens.get("reasoning_tokens"))
    return Raw(
        {
            "input_mtok": number(tokens.get("input_tokens")) - cached,
            "cache_read_mtok": cached,
            "input_image_mtok": number(tokens.get("image_tokens")),
            "output_mtok": number(tokens.get("output_tokens")) - thought,
            "output_reasoning_mtok": thought,
        }
    )
