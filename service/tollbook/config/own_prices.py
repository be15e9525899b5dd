"""`prices` -> the operator's own price list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import prices, schema
from .deployments import own_prices, terms
from .price_list import SHARES, PriceEntry, clash, show_moment
from .reading import Value, section


def price_entries(entries: Sequence[Value]) -> tuple[PriceEntry, ...]:
    """Every entry that is right; what is wrong with the others, or between two of them, is with the entries' problems."""
    found: list[tuple[Value, PriceEntry]] = []
    for value in entries:
        entry = _entry(value)
        if entry is None:
            continue
        for earlier, other in found:
            if how := clash(other, entry):
                value.problems.add(value.steps, f"contradicts prices[{earlier.steps[-1]}]: they {how}")
        found.append((value, entry))
    return tuple(entry for _, entry in found)


def _entry(value: Value) -> PriceEntry | None:
    problems = value.problems
    said = section(value, {**schema.PRICE_ENTRY, **schema.OWN_PRICES}, family=schema.price)
    if not isinstance(value.raw, Mapping):
        return None
    if value.raw.get("model") is None:
        problems.add(value.steps, '"model" is missing')
    if "model" not in said:
        return None
    if set(value.raw) <= set(schema.PRICE_ENTRY) - set(SHARES):
        problems.add(value.steps, f"says no price and none of {', '.join(SHARES)}")
    start, end = said.get("valid_from"), said.get("valid_until")
    if end is not None and end <= (start or 0):
        problems.add((*value.steps, "valid_until"), f"is not after valid_from ({show_moment(start or 0)})")
    tier = said.get("tier")
    if tier and (named := [name for name in said if (key := prices.read_key(name)) and key.tier]):
        problems.add((*value.steps, named[0]), "names a service tier, and the entry has one")
    return PriceEntry(
        model=said["model"],
        valid_from=start,
        valid_until=end,
        tier=tier,
        prices=own_prices(value, said),
        terms=terms(said),
        note=said.get("note", ""),
        checked=said.get("checked"),
    )
