"""Tokens in disjoint kinds.

Providers report totals and subsets of totals, each in its own way; a bill needs parts that add up. Dialects turn what
they read into `Usage`; pricing, spans, rows and the wire are all made from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

INPUT_TOKENS = (
    "input",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "input_audio",
    "input_image",
    "cache_read_audio",
)
TOKENS = (*INPUT_TOKENS, "output", "reasoning", "output_audio", "output_image")
"""The kinds of tokens of `Usage`."""

LONG_WRITES = "cache_write_long"
"""In `units`: how many tokens of `cache_write_1h` are kept for longer than an hour, where that costs another rate."""

IMAGES_IN = "input_image_count"
IMAGES_OUT = "output_image_count"
CHARACTERS_IN = "input_characters"
CHARACTERS_OUT = "output_characters"
PAGES_IN = "input_pages"
TIME = "milliseconds"

UNITS = (IMAGES_IN, IMAGES_OUT, CHARACTERS_IN, CHARACTERS_OUT, PAGES_IN, TIME)
"""What some prices count instead of tokens, or beside them: pictures, characters of text, pages of documents, and the time
that the attempt took. Nobody counts them unless a price asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one attempt. No kind contains another: their sum is what the provider counted.

    `input` is uncached input without audio and image tokens where those are told apart; `output` is visible output
    without reasoning. `cache_write` is the provider's default lifetime (Anthropic 5 minutes), `cache_write_1h` one of an
    hour or longer. `tools` counts hosted tool calls by name (`web_search`, `file_search`, `code_interpreter` ...).
    `units` are the names of `UNITS` and LONG_WRITES, which are no tokens of their own: an absent one was not counted.
    `reported_cost` is a cost in nano-USD that the provider itself told (OpenRouter, xAI).
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    input_audio: int = 0
    input_image: int = 0
    cache_read_audio: int = 0
    output: int = 0
    reasoning: int = 0
    output_audio: int = 0
    output_image: int = 0
    tools: dict[str, int] = field(default_factory=dict)
    source: Literal["provider", "estimated", "none"] = "provider"
    reported_cost: int | None = None
    units: dict[str, int] = field(default_factory=dict)

    @property
    def input_tokens(self) -> int:
        """All input, cached or not."""
        return (
            self.input
            + self.cache_read
            + self.cache_write
            + self.cache_write_1h
            + self.input_audio
            + self.input_image
            + self.cache_read_audio
        )

    @property
    def output_tokens(self) -> int:
        """All output, visible or not."""
        return self.output + self.reasoning + self.output_audio + self.output_image

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def to_wire(self) -> dict[str, Any]:
        """The `usage` of a Response: totals, with subsets in the details."""
        return {
            "input_tokens": self.input_tokens,
            "input_tokens_details": {
                "cached_tokens": self.cache_read + self.cache_read_audio,
                "cache_write_tokens": self.cache_write + self.cache_write_1h,
            },
            "output_tokens": self.output_tokens,
            "output_tokens_details": {"reasoning_tokens": self.reasoning},
            "total_tokens": self.total_tokens,
        }


NO_USAGE = Usage(source="none")
"""Nothing was reported and nothing was estimated."""


def count(value: Any) -> int:
    """A token count as providers send it: a number, a whole float, or nothing. Never negative."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == value and value > 0:  # noqa: PLR0124 - NaN
        return int(value) if value != float("inf") else 0
    return 0


_LIFETIME = re.compile(r"ephemeral_(\d{1,4})([mhd])_input_tokens")
_HOURS = {"m": 1 / 60, "h": 1, "d": 24}


def cache_lifetimes(told: Any) -> tuple[int, int]:
    """Cache writes by lifetime, as Anthropic tells them (`ephemeral_5m_input_tokens`, `ephemeral_1h_input_tokens`; others follow
    it with `ephemeral_24h_input_tokens`): the tokens kept for an hour or longer, and those of them kept for longer."""
    hour = longer = 0
    for name, value in told.items() if isinstance(told, Mapping) else ():
        lifetime = _LIFETIME.fullmatch(name) if isinstance(name, str) else None
        if lifetime is None or (hours := int(lifetime[1]) * _HOURS[lifetime[2]]) < 1:
            continue
        hour += count(value)
        longer += count(value) if hours > 1 else 0
    return hour, longer
