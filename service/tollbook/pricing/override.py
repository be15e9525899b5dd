"""The operator's own prices of a deployment, in the words of LiteLLM's price map (USD per token):

    input_cost_per_token                          output_cost_per_token
    input_cost_per_audio_token                    output_cost_per_audio_token
    input_cost_per_image_token                    output_cost_per_image_token
    cache_read_input_token_cost                   output_cost_per_reasoning_token
    cache_read_input_audio_token_cost             input_cost_per_request
    cache_creation_input_token_cost               cache_creation_input_token_cost_above_1hr
    search_context_cost_per_query                 file_search_cost_per_1k_calls
    web_search_cost_per_call, and <tool>_cost_per_call for every other hosted tool

A token price may end in `_above_200k_tokens` (any number: the rate of the whole request above that many input tokens),
and then in `_flex`, `_priority` or `_batches` (the rate in that service tier). An override with token prices is a whole
price list: nothing is taken from the catalogue beside it. One with nothing but fees adds them to the catalogue's prices.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from fractions import Fraction
from typing import Any

from tollbook.errors import ConfigError

from .rates import KINDS, PICO, REQUEST, Rate, Rates, compile_rates, tier_version

_TOKEN_KEYS = {
    "input_cost_per_token": "input",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "input_cost_per_audio_token": "input_audio",
    "input_cost_per_image_token": "input_image",
    "cache_read_input_audio_token_cost": "cache_read_audio",
    "output_cost_per_token": "output",
    "output_cost_per_reasoning_token": "reasoning",
    "output_cost_per_audio_token": "output_audio",
    "output_cost_per_image_token": "output_image",
}
_OTHER_KEYS = {
    "input_cost_per_request": (REQUEST, 1),
    "search_context_cost_per_query": ("web_search", 1),
    "file_search_cost_per_1k_calls": ("file_search", 1000),
}
_SUFFIXES = re.compile(r"(?:_above_(?P<thousands>\d{1,7})k_tokens)?(?:_(?P<tier>flex|priority|batches|batch))?")
_PER_CALL = re.compile(r"(?P<tool>[a-z][a-z0-9_]*)_cost_per_call")
_STANDARD = ""


class Override:
    """One deployment's own price list, in every service tier that it names.

    Raises ConfigError for an unknown key and for a price that is not a number of USD from 0 up; the message names the key.
    """

    def __init__(self, prices: Mapping[str, Any]) -> None:
        lists: dict[str, dict[str, dict[int, Rate]]] = {_STANDARD: {}}
        for key, value in prices.items():
            kind, threshold, tier, per = _read_key(key)
            lists.setdefault(tier, {}).setdefault(kind, {})[threshold] = _read_price(key, value, per)
        self._lists = lists
        text = "\n".join(f"{key}={prices[key]!s}" for key in sorted(prices))
        self.version = f"override {hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:8]}"
        self.whole = any(kind in KINDS for of_tier in lists.values() for kind in of_tier)
        """Whether it is a whole price list. Otherwise it holds only `fees`."""
        if self.whole:
            for kind, key in (("input", "input_cost_per_token"), ("output", "output_cost_per_token")):
                if -1 not in lists[_STANDARD].get(kind, {}):
                    raise ConfigError(f"A custom price needs {key}.", param=key)

    @property
    def fees(self) -> Mapping[str, Mapping[int, Rate]]:
        """Rates per hosted tool call and per request."""
        return {kind: rate for kind, rate in self._lists[_STANDARD].items() if kind not in KINDS}

    def rates(self, tier: str | None) -> Rates | None:
        """The rates in a service tier (None: the standard one); where the list does not name the tier, the standard ones."""
        standard = self._lists[_STANDARD]
        if tier is None:
            return compile_rates(standard, "override", self.version)
        of_tier = self._lists.get(tier)
        if of_tier is None:
            return compile_rates(standard, "override", tier_version(self.version, "standard"))
        return compile_rates({**standard, **of_tier}, "override", tier_version(self.version, tier))


def _read_key(key: str) -> tuple[str, int, str, int]:
    """Kind, threshold (-1: none), tier ("": standard), and how many units the price is for."""
    for name in sorted(_TOKEN_KEYS, key=len, reverse=True):
        if key.startswith(name) and (suffix := _SUFFIXES.fullmatch(key, len(name))):
            threshold = int(suffix["thousands"]) * 1000 if suffix["thousands"] else -1
            tier = suffix["tier"] or _STANDARD
            return _TOKEN_KEYS[name], threshold, "batch" if tier == "batches" else tier, 1
    if key in _OTHER_KEYS:
        kind, per = _OTHER_KEYS[key]
        return kind, -1, _STANDARD, per
    if per_call := _PER_CALL.fullmatch(key):
        return per_call["tool"], -1, _STANDARD, 1
    near = get_close_matches(key, [*_TOKEN_KEYS, *_OTHER_KEYS, "web_search_cost_per_call"], 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ConfigError(f"{key} is not a price that can be applied.{hint}", param=key)


def _read_price(key: str, value: Any, per: int) -> Rate:
    """A price in USD as a rate, exactly as it is written: a float is read by its shortest decimal form."""
    if key == "search_context_cost_per_query" and isinstance(value, Mapping):
        # Which context size was used is not reported; "medium" is the default of the API.
        value = value.get("search_context_size_medium")
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise ConfigError(f"{key} must be a number of USD, not {value!r}.", param=key)
    try:
        usd = Decimal(str(value).strip())
    except InvalidOperation:
        raise ConfigError(f"{key} must be a number of USD, not {value!r}.", param=key) from None
    if not usd.is_finite() or usd < 0 or usd > 1_000_000 or usd.adjusted() < -40:
        raise ConfigError(f"{key} must be from 0 up, and finite, not {value!r}.", param=key)
    return whole(Fraction(usd) * PICO / per)


def whole(rate: Fraction) -> Rate:
    """The rate as an integer where it is one."""
    return rate.numerator if rate.denominator == 1 else rate
