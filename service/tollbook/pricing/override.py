"""The operator's own prices, in the words of LiteLLM's price map (`config/prices.py` has them), compiled.

An override with prices for tokens or units is a whole price list: nothing is taken from the catalogue beside it. One with
nothing but fees for tools and requests adds them to the catalogue's prices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from tollbook.config import prices as words
from tollbook.errors import ConfigError
from tollbook.responses.usage import TIME

from .rates import KINDS, PICO, Rate, Rates, Steps, compile_rates, tier_version

OTHERS = "standard"
"""The tier that was applied where the one asked for has no prices of its own."""


class Applied(NamedTuple):
    """What a price list says for a service tier. `tier`: the one that was applied; None where none was asked for."""

    steps: Steps
    tier: str | None
    since: int | None = None
    one_price_for_all_media: bool = False


class Override:
    """One price list of the operator's, in every service tier that it names.

    Raises ConfigError for an unknown key and for a price that is not a number of USD from 0 up; the message names the key.
    """

    def __init__(self, prices: Mapping[str, Any]) -> None:
        lists: dict[str, dict[str, dict[int, Rate]]] = {words.STANDARD: {}}
        for name, value in sorted(prices.items()):
            if name == words.RULE:
                continue
            key = words.read_key(name)
            if key is None:
                raise ConfigError(f"{name} is not a price that can be applied.{words.nearest(name)}", param=name)
            rate = _rate(name, value, key.meaning.per)
            of_kind = lists.setdefault(key.tier, {}).setdefault(key.meaning.kind, {})
            of_kind[key.threshold] = rate + (of_kind.get(key.threshold, 0) if key.meaning.kind == TIME else 0)
        for name in words.missing(prices):
            raise ConfigError(f"A custom price needs {name}.", param=name)
        self.whole = words.whole(prices)
        """Whether it is a whole price list. Otherwise it holds only `fees`."""
        self.marginal = prices.get(words.RULE) == "marginal"
        if self.whole:
            for kind in ("input", "output"):  # which a unit pays for, if they are missing here
                lists[words.STANDARD].setdefault(kind, {-1: 0})
        self._lists = lists
        self.version = f"override {digest(prices)}"

    @property
    def tiers(self) -> tuple[str, ...]:
        """The service tiers that it has prices for, beside the standard one."""
        return tuple(tier for tier in self._lists if tier != words.STANDARD)

    @property
    def fees(self) -> Steps:
        """Rates per hosted tool call and per request."""
        return {kind: rate for kind, rate in self._lists[words.STANDARD].items() if kind not in KINDS}

    def applied(self, tier: str | None) -> Applied:
        """The prices in a service tier (None: the standard one); where the list does not name the tier, the standard ones."""
        standard = self._lists[words.STANDARD]
        if tier is None:
            return Applied(standard, None)
        of_tier = self._lists.get(tier)
        return Applied(standard, OTHERS) if of_tier is None else Applied({**standard, **of_tier}, tier)

    def rates(self, tier: str | None) -> Rates | None:
        """The same, compiled."""
        steps, applied, *_ = self.applied(tier)
        return compile_rates(steps, "override", tier_version(self.version, applied), marginal=self.marginal)


def digest(said: Mapping[str, Any]) -> str:
    """Eight digits that stand for what was said, in whatever order."""
    text = "\n".join(f"{key}={said[key]!s}" for key in sorted(said))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]


def _rate(name: str, value: Any, per: int) -> Rate:
    try:
        usd = words.read_price(name, value)
    except ValueError as wrong:
        raise ConfigError(f"{name} {wrong}.", param=name) from None
    return whole(Fraction(usd) * PICO / per)


def whole(rate: Fraction) -> Rate:
    """The rate as an integer where it is one."""
    return rate.numerator if rate.denominator == 1 else rate
