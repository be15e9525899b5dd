"""`usage` of Chat Completions in disjoint kinds."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from tollbook.responses.usage import LONG_WRITES, Usage, cache_lifetimes, count


def read_usage(usage: Mapping[str, Any], tools: Mapping[str, int], cost: Any = None) -> Usage:
    """What one `usage` object says; `tools` are hosted calls seen elsewhere, `cost` a price told beside it (USD).

    Cached, audio, image and reasoning tokens are subsets of the totals, with exceptions that the numbers themselves
    tell: xAI counts reasoning beside `completion_tokens` and Mistral audio beside `prompt_tokens` (both in the total),
    Gemini's endpoint names thoughts nowhere but in the total, and Vercel's gateway gives Gemini's thoughts beside
    `completion_tokens` and leaves them out of the total (its own cost includes them).
    """
    into, out = _details(usage, "prompt_tokens_details"), _details(usage, "completion_tokens_details")
    prompt, completion = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    reasoning = count(out.get("reasoning_tokens")) or count(usage.get("reasoning_tokens"))
    audio = count(into.get("audio_tokens"))
    beyond = count(usage.get("total_tokens")) - prompt - completion
    if beyond > 0 and completion:
        if beyond == audio and beyond != reasoning:
            prompt += beyond
        else:
            reasoning = reasoning if reasoning == beyond else reasoning + beyond
            completion += beyond
    elif reasoning > completion > 0:
        completion += reasoning

    rest = _Rest(prompt)
    cached = rest.take(
        max(
            count(into.get("cached_tokens")),
            count(usage.get("prompt_cache_hit_tokens")),  # DeepSeek
            count(usage.get("cached_tokens")),  # Together, Moonshot
            count(usage.get("cache_read_input_tokens")),  # Databricks, Venice
            count(usage.get("num_cached_tokens")),  # Mistral
        )
    )
    hour, longer = cache_lifetimes(usage.get("cache_creation"))
    written_1h = rest.take(hour)
    written = max(count(into.get("cache_write_tokens")), count(usage.get("cache_creation_input_tokens")))
    written = rest.take(max(0, written - written_1h))
    input_audio = rest.take(audio)
    input_image = rest.take(count(into.get("image_tokens")))

    left = _Rest(completion)
    reasoning = left.take(reasoning)
    output_audio = left.take(count(out.get("audio_tokens")))
    output_image = left.take(count(out.get("image_tokens")))
    return Usage(
        input=rest.left,
        cache_read=cached,
        cache_write=written,
        cache_write_1h=written_1h,
        input_audio=input_audio,
        input_image=input_image,
        output=left.left,
        reasoning=reasoning,
        output_audio=output_audio,
        output_image=output_image,
        tools=_tools(usage, tools),
        reported_cost=_cost(usage, cost),
        units={LONG_WRITES: min(longer, written_1h)} if longer else {},
    )


def _tools(usage: Mapping[str, Any], seen: Mapping[str, int]) -> dict[str, int]:
    """Hosted calls: OpenRouter and Perplexity count searches in `usage`, Groq shows the calls themselves."""
    tools = dict(seen)
    searches = max(
        count(usage.get("num_search_queries")),
        count(_details(usage, "server_tool_use").get("web_search_requests")),
        count(_details(usage, "server_tool_use_details").get("web_search_requests")),
    )
    if searches:
        tools["web_search"] = searches
    return tools


def _cost(usage: Mapping[str, Any], beside: Any) -> int | None:
    """Nano-USD that the provider says this call costs, or None.

    OpenRouter's and Vercel's `cost` is in USD; with the user's own key (`is_byok`) the upstream's price comes on top
    (https://openrouter.ai/docs/use-cases/usage-accounting). Perplexity gives `cost.total_cost` in USD, xAI
    `cost_in_usd_ticks` of 1e-10 USD (https://docs.x.ai/docs/guides/usage).
    """
    ticks = _decimal(usage.get("cost_in_usd_ticks"))
    if ticks is not None:
        return round(ticks / 10)
    told = usage.get("cost") if usage.get("cost") is not None else beside
    if isinstance(told, dict):
        told = told.get("total_cost", told.get("usd"))
    cost = _decimal(told)
    if cost is None:
        return None
    if usage.get("is_byok"):
        cost += _decimal(_details(usage, "cost_details").get("upstream_inference_cost")) or 0
    return round(cost * 1_000_000_000)


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() and 0 <= number < 1_000_000_000_000 else None


def _details(usage: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = usage.get(name)
    return value if isinstance(value, dict) else {}


class _Rest:
    """A total from which subsets are taken; never more than there is."""

    def __init__(self, total: int) -> None:
        self.left = total

    def take(self, wanted: int) -> int:
        taken = min(self.left, wanted)
        self.left -= taken
        return taken
