"""What can be added up of the ledger and of its rolled-up hours alike: calls, tokens and money, each under one condition.

An expression here is a number for each row; `totals.add_up` sums it. "Unpriced" counts attempts whose cost is unknown: those that
used tokens, or answered, without a price (the same rule as `tollbook.call.Call.cost`).
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from .totals import FACTS, WIDE

ROWS = pl.col("rows")
NANO = pl.col("cost_nano")
ANSWERED = pl.col("answered")


def counted(condition: pl.Expr) -> pl.Expr:
    """How many rows."""
    return pl.when(condition).then(ROWS)


def ended(*outcomes: str) -> pl.Expr:
    """Calls with one of these outcomes."""
    return ANSWERED & pl.col("outcome").is_in(outcomes)


ATTEMPTED, PRICED, UNPRICED = (pl.col(name) for name in (FACTS.attempted, FACTS.priced, FACTS.unpriced))

MONEY: Mapping[str, pl.Expr] = {"cost_nano": NANO, "priced": counted(PRICED), "unpriced": counted(UNPRICED)}
"""A sum of money with what it knows and what it does not; `known` turns them into what a reader may see."""

VOLUME: Mapping[str, pl.Expr] = {
    "calls": counted(ANSWERED),
    "attempts": counted(ATTEMPTED),
    "input_tokens": pl.col("input_tokens"),
    "output_tokens": pl.col("output_tokens"),
}

# What cached tokens would have cost as others, less what they did: products need 128 bits.
_RATE = pl.col("input_rate_pico").cast(WIDE)
_WRITTEN = pl.col("cache_write_tokens").cast(WIDE) + pl.col("cache_write_1h_tokens")
CACHE: Mapping[str, pl.Expr] = {
    "saved_pico": pl.col("cache_read_tokens").cast(WIDE) * _RATE - pl.col("cost_cache_read_nano").cast(WIDE) * 1000,
    "premium_pico": pl.col("cost_cache_write_nano").cast(WIDE) * 1000 - _WRITTEN * _RATE,
}
"""What reading from the cache saved, and what writing to it cost more than plain input would have."""


def known(frame: pl.DataFrame) -> pl.DataFrame:
    """Sums of `MONEY` as they are told: `cost_nano` is null where nothing that was spent is known. Drops `priced`."""
    nothing = (pl.col("priced") == 0) & (pl.col("unpriced") > 0)
    return frame.with_columns(cost_nano=pl.when(~nothing).then("cost_nano")).drop("priced")
