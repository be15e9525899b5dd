"""Rates for a what-if, from the price catalogue: for those who do not bring a table of their own."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Protocol

import polars as pl

from .errors import ReportError
from .whatif import RATES


class Price(Protocol):
    """What of `tollbook.pricing`'s `Rates` is read."""

    @property
    def thresholds(self) -> tuple[int, ...]: ...

    def usd(self, kind: str, per: int = 1_000_000, *, input_tokens: int = 0) -> Decimal | None: ...


class Book(Protocol):
    """What of `tollbook.pricing`'s `PriceBook` is asked."""

    def rates(self, provider: str, model: str) -> Price | None: ...


def from_book(book: Book, models: Iterable[str]) -> pl.DataFrame:
    """`whatif.RATES` of models such as "openai/gpt-5-mini", at today's standard prices, in whole pico-USD.

    A step of a price is taken to hold for the whole request. Raises ReportError for a model that the book does not know.
    """
    rows = []
    for name in dict.fromkeys(models):
        provider, _, model = name.partition("/")
        price = book.rates(provider, model) if model else None
        if price is None:
            raise ReportError(
                f"the catalogue has no price of {name!r}: name a provider and its model, as in openai/gpt-5-mini"
            )
        rows += [_row(name, price, above) for above in (0, *price.thresholds)]
    return pl.DataFrame(rows, schema=dict(RATES))


def _row(name: str, price: Price, above: int) -> dict[str, Any]:
    kinds = [kind for kind in RATES if kind not in ("model", "tier", "above")]
    size = above + 1 if above else 0
    dollars = {kind: price.usd(kind, input_tokens=size) for kind in kinds}
    # A dollar for a million tokens is a million pico-dollars a token.
    pico = {kind: None if usd is None else round(usd * 1_000_000) for kind, usd in dollars.items()}
    return {"model": name, "tier": None, "above": above, **pico}
