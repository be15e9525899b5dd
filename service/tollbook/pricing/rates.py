"""A price compiled to integers, and the bill it makes of a `Usage`.

Rates are integer pico-USD (10^-12 USD) per token, per unit, per hosted tool call, or per request; $1 per million tokens is
1,000,000 pico-USD per token. A few catalogue prices are finer than a pico-dollar and are kept as exact fractions. Each line is
multiplied exactly and rounded once, half to even, to nano-USD; the total is the sum of the lines.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from itertools import chain, compress
from operator import attrgetter
from typing import Generic, Literal, TypeAlias, TypeVar

from tollbook.call import Cost, Line
from tollbook.config.prices import REQUEST
from tollbook.responses.usage import INPUT_TOKENS, LONG_WRITES, TOKENS, UNITS, Usage

from .agreement import Agreement

T = TypeVar("T")

Rate: TypeAlias = int | Fraction
"""Pico-USD per unit, never negative."""

Steps: TypeAlias = Mapping[str, Mapping[int, Rate]]
"""For each kind its rate by threshold: input tokens above which it holds, -1 for the base."""

Source: TypeAlias = Literal["override", "catalogue"]

Part: TypeAlias = tuple[str, int, "Rate | None"]
"""A kind, how many of it, and its rate."""

INPUT_KINDS = INPUT_TOKENS
KINDS = TOKENS
"""The token kinds of `Usage`."""

FREE_TOOLS = frozenset({"mcp", "computer_use", "shell", "local_shell", "apply_patch", "tool_search", "web_fetch"})
"""Hosted tools whose only price is their tokens (https://platform.openai.com/docs/pricing#built-in-tools,
https://docs.claude.com/en/docs/about-claude/pricing#tool-use-pricing). Any other tool needs a rate, or the call is unpriced."""

PICO = 10**12
_DAY = 86_400 * 10**9
_TIER_MARK = "/tier:"
_KEPT = 1000

_counts = attrgetter(*KINDS)
_line = tuple.__new__  # past the named constructor, which costs more than the bill
_inputs = len(INPUT_KINDS)

_POSITIONS = ("cache_read", "cache_read_audio", "cache_write_1h", "cache_write", "input_image", "input_audio", "input")
"""Where tokens stand in the input, for prices that cost another rate beyond a threshold only. What a cache holds is the
beginning of a prompt, what it takes comes next, and the rest is new (https://platform.openai.com/docs/guides/prompt-caching)."""


@dataclass(frozen=True, slots=True)
class Rates:
    """The price of one model in one service tier at one time.

    `bands` are (threshold, rates by kind), highest threshold first; the last one's threshold is -1. A band holds for the
    whole request as soon as its input tokens, cached ones included, exceed the threshold: that is how every provider
    with long-context prices bills (https://ai.google.dev/gemini-api/docs/pricing, https://platform.openai.com/docs/pricing).
    Where the price is `marginal`, only the input tokens beyond the threshold cost its rates; of the output, which has no place
    in the input, all does.
    """

    bands: tuple[tuple[int, Mapping[str, Rate]], ...]
    source: Source
    version: str
    marginal: bool = False
    agreed: Agreement | None = None
    since: int | None = None
    """Nanoseconds since 1970 from which on the price holds; None where nobody says."""
    units: tuple[str, ...] = field(init=False)
    """What it counts beside tokens: these must be told in `Usage.units`."""
    _of_tokens: tuple[tuple[Rate | None, ...], ...] = field(init=False, repr=False, compare=False)
    """The rates of each band in the order of KINDS."""

    def __post_init__(self) -> None:
        counted = tuple(unit for unit in UNITS if any(rates.get(unit) for _, rates in self.bands))
        object.__setattr__(self, "units", counted)
        object.__setattr__(self, "_of_tokens", tuple(tuple(map(rates.get, KINDS)) for _, rates in self.bands))

    def bill(self, usage: Usage, *, answered: bool = True) -> Cost:
        """The cost of `usage`; unpriced when something in it has no rate, or was not counted (`version` then names it).

        `answered`: the attempt made what the client got, so that a margin per call is due.
        """
        counts = _counts(usage)
        bands = self.bands
        band = len(bands) - 1
        threshold = None
        if band:
            input_tokens = sum(counts[:_inputs])
            for number, (start, _) in enumerate(bands):
                if input_tokens > start:
                    band = number
                    threshold = start if start >= 0 else None
                    break
        rates = bands[band][1]
        parts: Iterable[Part]
        if usage.units or self.units or (self.marginal and threshold is not None):
            parts = self._parts(usage, rates, split=self.marginal and threshold is not None)
        else:
            parts = compress(zip(KINDS, counts, self._of_tokens[band], strict=True), counts)
        if usage.tools:
            paid = [(tool, quantity) for tool, quantity in usage.tools.items() if quantity and tool not in FREE_TOOLS]
            parts = chain(parts, [(tool, quantity, rates.get(tool)) for tool, quantity in paid])
        if REQUEST in rates:
            parts = chain(parts, [(REQUEST, 1, rates[REQUEST])])
        lines: list[Line] = []
        total = 0
        for part in parts:
            kind, quantity, rate = part
            if type(rate) is int:
                amount, rest = divmod(quantity * rate, 1000)
                if rest > 500 or (rest == 500 and amount & 1):
                    amount += 1
                lines.append(_line(Line, (*part, amount)))
            elif rate is None:
                lack = "not counted" if quantity < 0 else "no rate"
                return Cost("unpriced", version=f"{self.version}/{lack}:{kind}", source=self.source)
            else:  # a fraction of a pico-dollar; `round` is half to even, too
                amount = round(quantity * rate / 1000)
                lines.append(Line(kind, quantity, None, amount))
            total += amount
        margin = 0
        if self.agreed is not None:
            lines, total, margin = self.agreed.settle(lines, answered=answered)
        plain = self._of_tokens[-1 if self.marginal else band][0]
        compared = plain if type(plain) is int else None
        return Cost("priced", tuple(lines), total, self.version, self.source, threshold, margin, compared)

    def _parts(self, usage: Usage, rates: Mapping[str, Rate], *, split: bool) -> list[Part]:
        """Tokens and units where there is more to it than a count times a rate. A unit that was not counted is -1 of it."""
        used = {kind: quantity for kind, quantity in zip(KINDS, _counts(usage), strict=True) if quantity}
        long = min(usage.units.get(LONG_WRITES, 0), used.get("cache_write_1h", 0))
        if long:
            # Those of the longest life have a rate of their own, in the place where the others stand.
            used["cache_write_1h"] -= long
            used[LONG_WRITES] = long
        parts: list[Part] = []
        if split:
            parts += self._split(used)
            used = {
                kind: quantity for kind, quantity in used.items() if kind not in INPUT_KINDS and kind != LONG_WRITES
            }
        parts += [(kind, quantity, rates.get(kind)) for kind, quantity in used.items() if quantity]
        for unit in self.units:
            told = usage.units.get(unit)
            if told is None:
                parts.append((unit, -1, None))
            elif told:
                parts.append((unit, told, rates.get(unit)))
        return parts

    def _split(self, used: Mapping[str, int]) -> list[Part]:
        """The input, each token at the rate of the band that it lies in."""
        steps = self.bands[::-1]
        step = position = 0
        parts: list[Part] = []
        for place in _POSITIONS:
            for kind in (LONG_WRITES, place) if place == "cache_write_1h" else (place,):
                left = used.get(kind, 0)
                while left:
                    room = steps[step + 1][0] - position if step + 1 < len(steps) else left
                    if room <= 0:
                        step += 1
                        continue
                    taken = min(left, room)
                    parts.append((kind, taken, steps[step][1].get(kind)))
                    position += taken
                    left -= taken
        return parts

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
class Schedule(Generic[T]):
    """Something that depends on the time: it may change at midnight UTC, at the given moments of the UTC day, and at the given
    times (nanoseconds since 1970), all ascending."""

    compile: Callable[[int], T]
    moments: Sequence[int] = ()
    times: Sequence[int] = ()
    _known: dict[tuple[int, int, int], T] = field(default_factory=dict)

    def at(self, nanoseconds: int) -> T:
        """What holds at a time in nanoseconds since 1970."""
        day, rest = divmod(nanoseconds, _DAY)
        key = (day, bisect_right(self.moments, rest), bisect_right(self.times, nanoseconds))
        try:
            return self._known[key]
        except KeyError:
            if len(self._known) >= _KEPT:
                self._known.clear()
            found = self._known[key] = self.compile(nanoseconds)
            return found


def compile_rates(
    steps: Steps,
    source: Source,
    version: str,
    *,
    one_price_for_all_media: bool = False,
    marginal: bool = False,
    agreed: Agreement | None = None,
    since: int | None = None,
) -> Rates | None:
    """Rates from what a price list says.

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
    if not bands[-1][1]:
        return None
    marked = version + agreed.version if agreed else version
    return Rates(tuple(bands), source, marked, marginal and len(bands) > 1, agreed, since)


def tier_version(version: str, tier: str | None) -> str:
    """The version of a price in a service tier: which tier's rates were applied must be visible in the books."""
    return version if tier is None else f"{version}{_TIER_MARK}{tier}"


def _complete(own: Mapping[str, Rate], one_price_for_all_media: bool) -> dict[str, Rate]:
    """Rates for the kinds that a price list does not mention but includes in another.

    - Reasoning is output (https://platform.openai.com/docs/guides/reasoning) unless it has its own price.
    - Cached input without a price of its own is input: a provider without a discount gives none. Only a cache write of an hour,
      or of longer, beside a price for a shorter one stays open, because it costs more than that
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
        if "cache_write_1h" not in own:
            fall_back(LONG_WRITES, "input")
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
