"""usageMetadata -> tokens in disjoint kinds.

https://ai.google.dev/api/generate-content#UsageMetadata: the prompt's count includes what came from a cache; what tools
put into the prompt and what the model thought are counted apart from prompt and answer. Counts per modality are parts
of these totals; video and documents are billed like text and stay with it.
"""

from __future__ import annotations

from typing import Any

from tollbook.responses.usage import Usage, count

TOTALS = frozenset({"promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount"})
"""Fields of which one at least is there when tokens are told at all."""


def usage(metadata: dict[str, Any], tools: dict[str, int]) -> Usage:
    """The tokens that `metadata` tells; `tools` are the calls of Gemini's own tools so far.

    Their sum is totalTokenCount, unless that is less than its parts.
    """
    prompt, answer = _told(metadata, "promptTokenCount"), _told(metadata, "candidatesTokenCount")
    by_tools, thoughts = _told(metadata, "toolUsePromptTokenCount"), _told(metadata, "thoughtsTokenCount")
    cached = _told(metadata, "cachedContentTokenCount")
    # Older versions leave out a count of the model's that the total still holds.
    missing = _told(metadata, "totalTokenCount") - prompt - by_tools - answer - thoughts
    if missing > 0 and not (answer and thoughts):
        answer += missing

    heard, seen = _modalities(metadata.get("promptTokensDetails"))
    spoken, drawn = _modalities(metadata.get("candidatesTokensDetails"))
    if not (cached or by_tools or heard or seen or spoken or drawn):
        # Text alone: this is computed for every chunk of a stream.
        return Usage(input=prompt, output=answer, reasoning=thoughts, tools=dict(tools))
    cached = min(cached, prompt)
    if by_tools:
        heard_by_tools, seen_by_tools = _modalities(metadata.get("toolUsePromptTokensDetails"))
        heard, seen = heard + heard_by_tools, seen + seen_by_tools
    cached_audio, cached_image = _modalities(metadata.get("cacheTokensDetails")) if cached else (0, 0)
    cached_audio = min(cached_audio, cached)
    fresh = prompt + by_tools - cached
    input_audio = min(max(heard - cached_audio, 0), fresh)
    input_image = min(max(seen - cached_image, 0), fresh - input_audio)
    output_audio = min(spoken, answer)
    output_image = min(drawn, answer - output_audio)
    return Usage(
        input=fresh - input_audio - input_image,
        input_audio=input_audio,
        input_image=input_image,
        cache_read=cached - cached_audio,
        cache_read_audio=cached_audio,
        output=answer - output_audio - output_image,
        output_audio=output_audio,
        output_image=output_image,
        reasoning=thoughts,
        tools=dict(tools),
    )


_TIERS = {
    "STANDARD": "default",
    "ON_DEMAND": "default",
    "FLEX": "flex",
    "ON_DEMAND_FLEX": "flex",
    "PRIORITY": "priority",
    "ON_DEMAND_PRIORITY": "priority",
    "PROVISIONED_THROUGHPUT": "scale",  # OpenAI's word for throughput that was bought before
}


def tier(metadata: dict[str, Any]) -> str | None:
    """The tier that served, in OpenAI's words: serviceTier of AI Studio, trafficType of Vertex."""
    for name in ("serviceTier", "trafficType"):
        value = metadata.get(name)
        if isinstance(value, str) and value and not value.upper().endswith("UNSPECIFIED"):
            return _TIERS.get(value.upper(), value.lower())
    return None


def _told(metadata: dict[str, Any], name: str) -> int:
    value = metadata.get(name)
    return value if type(value) is int and value >= 0 else count(value)


def _modalities(rows: Any) -> tuple[int, int]:
    """Tokens of audio and of images among the rows of a `...TokensDetails`."""
    audio = image = 0
    if not rows:
        return audio, image
    for row in rows if isinstance(rows, list) else ():
        modality = row.get("modality") if isinstance(row, dict) else None
        if modality == "AUDIO":
            audio += count(row.get("tokenCount"))
        elif modality == "IMAGE":
            image += count(row.get("tokenCount"))
    return audio, image
