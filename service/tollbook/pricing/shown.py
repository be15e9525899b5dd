"""Prices as people read them: USD for a million tokens, a thousand calls or one unit, and what has changed between two lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from tollbook.config import Deployment
from tollbook.config.prices import REQUEST
from tollbook.responses.usage import CHARACTERS_IN, CHARACTERS_OUT, LONG_WRITES, TIME, UNITS

from .edition import Edition
from .rates import KINDS, Rates

_MILLIONS = frozenset({*KINDS, LONG_WRITES, CHARACTERS_IN, CHARACTERS_OUT})


def per(kind: str) -> int:
    """How many of a kind its price is told for."""
    if kind in _MILLIONS:
        return 1_000_000
    if kind == TIME:
        return 1000
    return 1 if kind in UNITS or kind == REQUEST else 1000


def words(kind: str) -> str:
    """A kind for people: "audio in", "web search", "second"."""
    return _WORDS.get(kind, kind.replace("_", " "))


def amount(kind: str, usd: Decimal) -> str:
    """A price with what it is for: "audio in 40/1M", "web search 10/1k", "0.0001 a second"."""
    if kind in (TIME, REQUEST):
        return f"{usd:f} a {words(kind)}"
    number = {1_000_000: "/1M", 1000: "/1k"}.get(per(kind), "")
    return f"{words(kind)} {usd:f}{number}"


_WORDS: Mapping[str, str] = {
    TIME: "second",
    "cache_read": "cached",
    "cache_write": "written",
    "cache_write_1h": "written for 1h",
    "input_audio": "audio in",
    "input_image": "image in",
    "cache_read_audio": "audio cached",
    "output_audio": "audio out",
    "output_image": "image out",
    LONG_WRITES: "written for longer",
    "input_image_count": "picture in",
    "output_image_count": "picture out",
    "input_pages": "page in",
    CHARACTERS_IN: "characters in",
    CHARACTERS_OUT: "characters out",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The price of a model in one service tier, for requests with more than `above` input tokens. Without `usd` it has none."""

    model: str
    tier: str | None = None
    above: int | None = None
    usd: Mapping[str, Decimal] = field(default_factory=dict)
    """By kind, for `per(kind)` of them."""
    marginal: bool = False
    source: str = ""
    version: str = ""
    since: int | None = None
    """Nanoseconds since 1970; None where nobody says."""

    @property
    def place(self) -> tuple[str, str | None, int | None]:
        """What tells it apart from the others of a list."""
        return self.model, self.tier, self.above


def shown(
    edition: Edition,
    provider: str,
    model: str,
    deployment: Deployment | None = None,
    *,
    at: int,
    name: str | None = None,
) -> list[Shown]:
    """The price of a model at a time: the standard one, then those of the tiers that have their own. Never empty."""
    called = name or f"{provider}/{model}"
    standard = edition.rates(provider, model, deployment, at=at)
    if standard is None:
        return [Shown(model=called)]
    found = [*_bands(called, None, standard)]
    for tier in edition.tiers(provider, model, deployment):
        rates = edition.rates(provider, model, deployment, at=at, tier=tier)
        if rates is not None and (rates.bands, rates.agreed) != (standard.bands, standard.agreed):
            found += _bands(called, tier, rates)
    return found


def _bands(model: str, tier: str | None, rates: Rates) -> Iterable[Shown]:
    for threshold, of_kind in reversed(rates.bands):
        told = {kind: rates.usd(kind, per(kind), input_tokens=threshold + 1) for kind in of_kind}
        yield Shown(
            model=model,
            tier=tier,
            above=None if threshold < 0 else threshold,
            usd={kind: usd for kind, usd in told.items() if usd is not None},
            marginal=rates.marginal,
            source=rates.source,
            version=rates.version,
            since=rates.since,
        )


class Change(NamedTuple):
    """One price that is not what it was. None: it had no price, or has none any more."""

    model: str
    tier: str | None
    above: int | None
    kind: str
    before: Decimal | None
    after: Decimal | None

    @property
    def percent(self) -> Decimal | None:
        """By how much it became dearer; None where one of the two is missing, or was nothing."""
        if self.before is None or self.after is None or not self.before:
            return None
        return (self.after - self.before) / self.before * 100


def compare(before: Iterable[Shown], after: Iterable[Shown]) -> list[Change]:
    """What changed between two lists, in the order of the second; what is gone comes last."""
    old, new = {one.place: one for one in before}, {one.place: one for one in after}
    changes: list[Change] = []
    for place in [*new, *(place for place in old if place not in new)]:
        was, now = _usd(old.get(place)), _usd(new.get(place))
        moved = [kind for kind in dict.fromkeys([*now, *was]) if was.get(kind) != now.get(kind)]
        changes += [Change(*place, kind, was.get(kind), now.get(kind)) for kind in moved]
    return changes


def _usd(one: Shown | None) -> Mapping[str, Decimal]:
    return one.usd if one is not None else {}
