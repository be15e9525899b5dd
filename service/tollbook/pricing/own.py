"""The operator's own price list: entries of the configuration and of the table that `tollbook prices set` writes, as one.

For a call, the entries whose pattern fits `provider/model` are asked in this order:

1. the one with more letters: a model before a family, a family before a provider, a provider before `*`;
2. one for the service tier that served before one for all of them;
3. what served before what was asked for, and that before `base_model`;
4. the newest `valid_from`, then the newest made; one of the table before one of the configuration.

Each thing that an entry may say (prices, fees, uplift, discount, margin) is decided for itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tollbook.config import PriceEntry, Terms
from tollbook.config import prices as words
from tollbook.config.price_list import NO_TERMS, SHARES, read_term, show_moment
from tollbook.errors import ConfigError
from tollbook.responses.usage import UNITS

from .override import Override, digest

_LONGEST_NAME = 600
"""Characters of `provider/model`; upstreams may name what they like as the model that served."""


@dataclass(frozen=True, slots=True)
class OwnPrice:
    """An entry as it counts: an end that was set later is its end. Raises ConfigError for prices that cannot be applied."""

    entry: PriceEntry
    number: int = 0
    """Of its row in the table; 0 for one of the configuration."""
    created: int = 0
    """Nanoseconds since 1970; 0 for one of the configuration, which has no age."""
    actor: str = ""
    override: Override | None = field(init=False)
    version: str = field(init=False)
    """What names it in the books: "own 12 from 2026-01-01", or "config 3f2a9c1b from 2026-01-01"."""
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        entry = self.entry
        parts = entry.model.split("*")
        name = f"own {self.number}" if self.number else f"config {digest(plain(entry))}"
        start = "" if entry.valid_from is None else f" from {show_moment(entry.valid_from)}"
        object.__setattr__(self, "pattern", re.compile(".*".join(map(re.escape, parts)), re.DOTALL))
        object.__setattr__(self, "override", Override(entry.prices) if entry.prices else None)
        object.__setattr__(self, "version", f"{name}{start}")

    @property
    def strength(self) -> tuple[bool, int, bool]:
        """How closely it is said: the model's very name, else the letters of the pattern; then whether for a tier alone."""
        model = self.entry.model
        return "*" not in model, len(model.replace("*", "")), self.entry.tier is not None

    @property
    def age(self) -> tuple[int, int, int]:
        """Grows with being newer."""
        return self.entry.valid_from or 0, self.created, self.number

    def holds(self, at: int) -> bool:
        """Whether it counts at a time."""
        start, end = self.entry.valid_from, self.entry.valid_until
        return (start is None or start <= at) and (end is None or at < end)


class OwnPrices:
    """The whole list; immutable."""

    def __init__(self, prices: Iterable[OwnPrice] = ()) -> None:
        self.prices = tuple(prices)
        self.counts_units = any(counts_units(price.entry.prices) for price in self.prices)
        """Whether some price needs what nobody counts unless asked."""

    def fitting(self, names: Sequence[str], tier: str | None) -> list[OwnPrice]:
        """What may count for a call, at whatever time: the strongest first. `names` are `provider/model`, the best first."""
        found: list[tuple[tuple[object, ...], OwnPrice]] = []
        for price in self.prices:
            if price.entry.tier not in (None, tier):
                continue
            for rank, name in enumerate(names):
                if len(name) <= _LONGEST_NAME and price.pattern.fullmatch(name):
                    found.append(((price.strength, -rank, price.age), price))
                    break
        found.sort(key=lambda pair: pair[0], reverse=True)
        return [price for _, price in found]


def counts_units(prices: Mapping[str, Any]) -> bool:
    """Whether a price list has a price for what nobody counts unless asked."""
    return any((key := words.read_key(name)) is not None and key.meaning.kind in UNITS for name in prices)


def changes(prices: Iterable[OwnPrice]) -> list[int]:
    """The times at which something begins or ends, ascending."""
    entries = [price.entry for price in prices]
    return sorted({t for entry in entries for t in (entry.valid_from, entry.valid_until) if t is not None})


def from_rows(rows: Iterable[Mapping[str, Any]], as_of: int | None = None) -> list[OwnPrice]:
    """The entries that rows of the table stand for, oldest first; with `as_of` as they were known then.

    A row with `closes` says when another one ends; the last one said counts. One that ends as it begins is gone.
    """
    known = [row for row in rows if as_of is None or row["created"] <= as_of]
    ends = {row["closes"]: row["valid_until"] for row in known if row["closes"] is not None}
    found = []
    for row in known:
        if row["closes"] is not None:
            continue
        entry = _entry(row, ends.get(row["number"], row["valid_until"]))
        if entry.valid_until is None or entry.valid_until > (entry.valid_from or 0):
            found.append(OwnPrice(entry, row["number"], row["created"], row["actor"]))
    return found


def _entry(row: Mapping[str, Any], valid_until: int | None) -> PriceEntry:
    said: Mapping[str, Any] = row["said"]
    return PriceEntry(
        model=row["model"],
        tier=row["tier"],
        valid_from=row["valid_from"],
        valid_until=valid_until,
        prices={name: value for name, value in said.items() if name not in SHARES},
        terms=Terms(**{name: read_term(name, said[name]) for name in SHARES if name in said}) if said else NO_TERMS,
        note=row["note"],
        checked=row["created"],
    )


def said(entry: PriceEntry) -> dict[str, Any]:
    """The prices and terms of an entry by their keys, in plain values."""
    terms = {name: str(value) for name in SHARES if (value := getattr(entry.terms, name)) is not None}
    return {**entry.prices, **terms}


def plain(entry: PriceEntry) -> dict[str, Any]:
    """An entry as plain values, for JSON and for telling two apart; `unplain` is the way back."""
    fields = ("model", "tier", "valid_from", "valid_until", "note", "checked")
    return {**{name: getattr(entry, name) for name in fields}, "said": said(entry)}


def unplain(values: Mapping[str, Any]) -> PriceEntry:
    """The entry that `plain` wrote. Raises ConfigError for what it cannot have written."""
    try:
        row = {**values, "note": values["note"] or ""}
        entry = _entry({**row, "created": values["checked"]}, values["valid_until"])
    except (KeyError, TypeError, ValueError) as broken:
        raise ConfigError(f"A price list cannot be read: {broken!r}.") from None
    return entry
