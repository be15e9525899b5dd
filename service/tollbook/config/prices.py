"""The words of a price list: what each key means, and which values can be meant.

Prices are in USD, by the names of LiteLLM's price map
(https://github.com/BerriAI/litellm/blob/main/model_prices_and_context_window.json). After a price per token or unit may come

- a threshold of input tokens: `_above_200k_tokens` (200,001 and more) or `_from_200k_tokens` (200,000 and more),
- then a service tier: `_flex`, `_priority`, `_batches` and the others of `TIERS`.

Any hosted tool may have a `<tool>_cost_per_call`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple

from tollbook.responses import usage

TIERS = ("flex", "priority", "batch", "fast", "scale", "balanced", "ultrafast", "reserved")
"""Service tiers that a key may end in. An entry's own `tier` may be any word, for providers invent others."""

STANDARD = ""
"""The tier of keys that name none."""

_STANDARD_NAMES = frozenset({"", "default", "auto", "standard", "on_demand"})
"""Names that providers have for no special tier (OpenAI, Bedrock: default; Anthropic: standard; Gemini: ON_DEMAND)."""

REQUEST = "request"
"""The kind of a fee per request, whatever it used."""

RULE = "threshold_rule"
Rule = Literal["whole", "marginal"]
"""What a passed threshold means: the rate of the whole request, or of the tokens above it alone."""

CURRENCY = "currency"


class Meaning(NamedTuple):
    """What a key says: USD for `per` units of `kind`; beyond `most` USD nobody can mean it."""

    kind: str
    per: int
    most: Decimal


class Key(NamedTuple):
    """A key taken apart. `threshold`: input tokens above which it holds, -1 for none."""

    meaning: Meaning
    threshold: int
    tier: str


_TOKEN_MOST = Decimal("0.01")
_MOST = Decimal(1000)


def _token(kind: str) -> Meaning:
    return Meaning(kind, 1, _TOKEN_MOST)


def _unit(kind: str, per: int = 1, most: Decimal = _MOST) -> Meaning:
    return Meaning(kind, per, most)


TOKEN_PRICES: Mapping[str, Meaning] = {
    "input_cost_per_token": _token("input"),
    "output_cost_per_token": _token("output"),
    "cache_read_input_token_cost": _token("cache_read"),
    "cache_creation_input_token_cost": _token("cache_write"),
    "cache_creation_input_token_cost_above_1hr": _token("cache_write_1h"),
    "cache_creation_input_token_cost_above_12hr": _token(usage.LONG_WRITES),
    "output_cost_per_reasoning_token": _token("reasoning"),
    "input_cost_per_audio_token": _token("input_audio"),
    "output_cost_per_audio_token": _token("output_audio"),
    "cache_read_input_audio_token_cost": _token("cache_read_audio"),
    "input_cost_per_image_token": _token("input_image"),
    "output_cost_per_image_token": _token("output_image"),
}
UNIT_PRICES: Mapping[str, Meaning] = {
    "input_cost_per_image": _unit(usage.IMAGES_IN),
    "output_cost_per_image": _unit(usage.IMAGES_OUT),
    "input_cost_per_character": _unit(usage.CHARACTERS_IN, most=_TOKEN_MOST),
    "output_cost_per_character": _unit(usage.CHARACTERS_OUT, most=_TOKEN_MOST),
    "input_cost_per_page": _unit(usage.PAGES_IN),
    "input_cost_per_second": _unit(usage.TIME, 1000),
    "output_cost_per_second": _unit(usage.TIME, 1000),
}
"""Both prices per second are for the seconds that the attempt took, and add up: no host tells two times apart."""

FEES: Mapping[str, Meaning] = {
    "input_cost_per_request": _unit(REQUEST),
    "search_context_cost_per_query": _unit("web_search"),
    "web_search_cost_per_call": _unit("web_search"),  # the same, and comes first where both are given
    "file_search_cost_per_1k_calls": _unit("file_search", 1000, _MOST * 1000),
}
NAMES: tuple[str, ...] = (*TOKEN_PRICES, *UNIT_PRICES, *FEES)
"""Every key but those made by a threshold, a tier or a tool's name."""

_PLAIN = {**TOKEN_PRICES, **UNIT_PRICES}
_PER_CALL = re.compile(r"(?!input_|output_)(?P<tool>[a-z][a-z0-9_]{0,63})_cost_per_call")
_BY_LENGTH = sorted(_PLAIN, key=len, reverse=True)
_SUFFIXES = re.compile(
    r"(?:_(?P<edge>above|from)_(?P<number>[1-9]\d{0,8})(?P<thousands>k?)_tokens)?"
    rf"(?:_(?P<tier>{'|'.join((*TIERS, 'batches'))}))?"
)

# The text is the same that is counted, the time or the pages the same that is paid for: then plain tokens cost nothing more.
_INSTEAD = {
    "input_cost_per_token": ("input_cost_per_character", "input_cost_per_page"),
    "output_cost_per_token": ("output_cost_per_character",),
}
_TIMED = ("input_cost_per_second", "output_cost_per_second")


def special(tier: str | None) -> str | None:
    """A service tier in the catalogue's words, whatever a provider calls it; None for the standard one."""
    name = (tier or "").lower()
    return None if name in _STANDARD_NAMES else "batch" if name == "batches" else name


def read_key(name: str) -> Key | None:
    """What a key means; None for one that is no price."""
    for plain in _BY_LENGTH:
        if name.startswith(plain) and (suffix := _SUFFIXES.fullmatch(name, len(plain))):
            threshold = -1
            if suffix["number"]:
                threshold = int(suffix["number"]) * (1000 if suffix["thousands"] else 1)
                threshold -= suffix["edge"] == "from"
            tier = suffix["tier"] or STANDARD
            return Key(_PLAIN[plain], threshold, "batch" if tier == "batches" else tier)
    if name in FEES:
        return Key(FEES[name], -1, STANDARD)
    if per_call := _PER_CALL.fullmatch(name):
        return Key(_unit(per_call["tool"]), -1, STANDARD)
    return None


def nearest(name: str) -> str:
    """` Did you mean ...?`, or nothing when no known key is close."""
    near = get_close_matches(name[:200], NAMES, 1)
    return f" Did you mean {near[0]}?" if near else ""


def read_price(name: str, value: Any) -> Decimal:
    """A price in USD, exactly as it is written: a float is read by its shortest decimal form. `name` must be a key.

    Raises ValueError, with a sentence that does not repeat the value, for one that is no price or that nobody can mean.
    """
    key = read_key(name)
    assert key is not None
    if name == "search_context_cost_per_query" and isinstance(value, Mapping):
        # Which context size was used is not reported; "medium" is the default of the API.
        value = value.get("search_context_size_medium")
    usd = read_number(value, "a number of USD")
    if usd > key.meaning.most:
        hint = " per token (it looks like the price of a million)" if key.meaning.most == _TOKEN_MOST else ""
        raise ValueError(f"nobody charges more than {key.meaning.most:f} USD{hint}")
    return usd


def read_number(value: Any, what: str) -> Decimal:
    """A finite number from 0 up, exactly as it is written. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise ValueError(f"must be {what}")
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError(f"must be {what}") from None
    if not number.is_finite():
        raise ValueError("must be finite")
    if number < 0:
        raise ValueError("must be from 0 up")
    if number and number.adjusted() < -40:
        raise ValueError("is too small to be meant")
    return number


def whole(prices: Mapping[str, Any]) -> bool:
    """Whether they are a whole price list. Otherwise they hold nothing but fees, which are added to another's prices."""
    return any((key := read_key(name)) is not None and key.meaning.kind in _KINDS for name in prices)


_KINDS = frozenset(meaning.kind for meaning in _PLAIN.values())


def missing(prices: Mapping[str, Any]) -> list[str]:
    """What a whole price list lacks: it stands alone, so it must say what plain tokens cost, unless a unit pays for them."""
    if not whole(prices) or any(name in prices for name in _TIMED):
        return []
    return [
        name
        for name, instead in _INSTEAD.items()
        if name not in prices and not any(other in prices for other in instead)
    ]
