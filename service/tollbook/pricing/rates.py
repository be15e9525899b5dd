"""A price compiled to integers, and the bill it makes of a `Usage`.

Rates are integer pico-USD (10^-12 USD) per token, per hosted tool call, or per request; $1 per million tokens is
1,000,000 pico-USD per token. A few catalogue prices are finer than a pico-dollar and are kept as exact fractions. Each line is
multiplied exactly and rounded once, half to even, to nano-USD; the total is the sum of the lines.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from operator import attrgetter
from typing import Literal, TypeAlias

from tollbook.call import Cost, Line
from tollbook.responses.usage import Usage

Rate: TypeAlias = int | Fraction
"""Pico-USD per unit, never negative."""

Source: TypeAlias = Literal["override", "catalogue"]

INPUT_KINDS = ("input", "cache_read", "cache_write", "cache_write_1h", "input_audio", "input_image", "cache_read_audio")
KINDS = (*INPUT_KINDS, "output", "reasoning", "output_audio", "output_image")
"""The token kinds of `Usage`."""

REQUEST = "request"
"""A fee per request, whatever it used."""

FREE_TOOLS = frozenset({"mcp", "computer_use", "shell", "local_shell", "apply_patch", "tool_search", "web_fetch"})
"""Hosted tools whose only price is their tokens (https://platform.openai.com/docs/pricing#built-in-tools,
https://docs.claude.com/en/docs/about-claude/pricing#tool-use-pricing). Any other tool needs a rate, or the call is unpriced."""

PICO = 10**12
_DAY = 86_400 * 10**9
_TIER_MARK = "/tier:"
_KEPT = 1000

_counts = attrgetter(*KINDS)
_inputs = len(INPUT_KINDS)


@dataclass(frozen=True, slots=True)
class Rates:
    """The price of one model in one service tier at one time.

    `bands` are (threshold, rates by kind), highest threshold first; the last one's threshold is -1. A band holds for the
    whole request as soon as its input tokens, cached ones included, exceed the threshold: that is how every provider
    with long-context prices bills (https://ai.google.dev/gemini-api/docs/pricing, https://platform.openai.com/docs/pricing).
    """

    bands: tuple[tuple[int, Mapping[str, Rate]], ...]
    source: Source
    version: str

    def bill(self, usage: Usage) -> Cost:
        """The cost of `usage`; unpriced when something in it has no rate (`version` then names it)."""
        counts = _counts(usage)
        bands = self.bands
        rates = bands[-1][1]
        if len(bands) > 1:
            input_tokens = sum(counts[:_inputs])
            for threshold, dearer in bands:
                if input_tokens > threshold:
                    rates = dearer
                    break
        used = [(kind, quantity) for kind, quantity in zip(KINDS, counts, strict=True) if quantity]
        if usage.tools:
            used += [(tool, quantity) for tool, quantity in usage.tools.items() if quantity and tool not in FREE_TOOLS]
        if REQUEST in rates:
            used.append((REQUEST, 1))
        lines = []
        total = 0
        for kind, quantity in used:
            rate = rates.get(kind)
            if type(rate) is int:
                amount, rest = divmod(quantity * rate, 1000)
                if rest > 500 or (rest == 500 and amount & 1):
                    amount += 1
                lines.append(Line(kind, quantity, rate, amount))
            elif rate is None:
                return Cost("unpriced", version=f"{self.version}/no rate:{kind}", source=self.source)
            else:  # a fraction of a pico-dollar; `round` is half to even, too
                amount = round(quantity * rate / 1000)
                lines.append(Line(kind, quantity, None, amount))
            total += amount
        return Cost("priced", tuple(lines), total, self.version, self.source)

    def usd(self, kind: str, per: int = 1_000_000, *, input_tokens: int = 0) -> Decimal | None:
        """USD for `per` units of `kind` in a request with so many input tokens; None where there is no rate. For display."""
        rates = next((rates for threshold, rates in self.bands if input_tokens > threshold), self.bands[-1][1])
        rate = rates.get(kind)
        if rate is None:
            return None
        exact = Fraction(rate) * per / PICO
        return (Decimal(exact.numerator) / Decimal(exact.denominator)).normalize() + Decimal(0)

    @property
    def thresholds(self) -> tuple[int, ...]:
        """Input tokens above which a request costs another rate, ascending."""
        return tuple(threshold for threshold, _ in reversed(self.bands) if threshold >= 0)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Everything that has a rate."""
        return tuple(self.bands[-1][1])


@dataclass(slots=True)
class Schedule:
    """Rates that depend on the time: they change at midnight UTC or at the given moments of the UTC day (nanoseconds)."""

    compile: Callable[[int], Rates | None]
    moments: Sequence[int] = ()
    _known: dict[tuple[int, int], Rates | None] = field(default_factory=dict)

    def at(self, nanoseconds: int) -> Rates | None:
        """The rates at a time in nanoseconds since 1970."""
        day, rest = divmod(nanoseconds, _DAY)
        key = (day, bisect_right(self.moments, rest))
        try:
            return self._known[key]
        except KeyError:
            if len(self._known) >= _KEPT:
                self._known.clear()
            rates = self._known[key] = self.compile(nanoseconds)
            return rates


def compile_rates(
    steps: Mapping[str, Mapping[int, Rate]], source: Source, version: str, *, one_price_for_all_media: bool = False
) -> Rates | None:
    """Rates from what a price list says: for each kind its rate by threshold, -1 for the base.

    What the list leaves out is filled in as providers bill it (`_complete`). None without a single rate.
    """
    thresholds = sorted({-1, *(threshold for of_kind in steps.values() for threshold in of_kind)}, reverse=True)
    bands = []
    for threshold in thresholds:
        own: dict[str, Rate] = {}
        for kind, of_kind in steps.items():
            below = [start for start in of_kind if start <= threshold]
            if below:
                own[kind] = of_kind[max(below)]
        bands.append((threshold, _complete(own, one_price_for_all_media)))
    return Rates(tuple(bands), source, version) if bands[-1][1] else None


def tier_version(version: str, tier: str) -> str:
    """The version of a price in a service tier: which tier's rates were applied must be visible in the books."""
    return f"{version}{_TIER_MARK}{tier}"


def _complete(own: Mapping[str, Rate], one_price_for_all_media: bool) -> dict[str, Rate]:
    """Rates for the kinds that a price list does not mention but includes in another.

    - Reasoning is output (https://platform.openai.com/docs/guides/reasoning) unless it has its own price.
    - Cached input without a price of its own is input: a provider without a discount gives none. Only a one-hour cache
      write beside a price for the shorter one stays open, because it costs more than that
      (https://docs.claude.com/en/docs/build-with-claude/prompt-caching#pricing).
    - Image input is counted and billed as input tokens (https://platform.openai.com/docs/guides/images-vision).
    - Audio, and images as output, cost several times the text: without a rate they are unpriced. Google's list differs:
      its price holds for every medium that has none of its own (https://ai.google.dev/gemini-api/docs/pricing).
    """
    rates = dict(own)

    def fall_back(kind: str, to: str) -> None:
        if kind not in rates and to in rates:
            rates[kind] = rates[to]

    if "cache_write" not in own:
        fall_back("cache_write_1h", "input")
    for kind in ("cache_read", "cache_write", "input_image"):
        fall_back(kind, "input")
    fall_back("reasoning", "output")
    if one_price_for_all_media:
        for kind in ("output_audio", "output_image"):
            fall_back(kind, "output")
        if "input_audio" not in own:
            fall_back("cache_read_audio", "cache_read")
        fall_back("input_audio", "input")
    fall_back("cache_read_audio", "input_audio")
    return rates
