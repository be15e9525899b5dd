"""What the providers' prompt caches saved, what they cost, and what they might have saved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from .dimensions import checked
from .errors import ReportError
from .measures import ANSWERED, CACHE, MONEY, counted, known
from .totals import WIDE, add_up, ordered, share
from .window import Every, Window


@dataclass(frozen=True, slots=True)
class Missed:
    """What is assumed of the tokens that a cache might have held: whole percents, for nobody can see repeated prefixes in
    counts."""

    repeated_percent: int = 80
    """Of the uncached input of follow-up turns: how much had been sent in the turn before."""
    read_percent: int = 10
    """What reading a token from the cache costs, of the price of plain input."""

    def __post_init__(self) -> None:
        for name in ("repeated_percent", "read_percent"):
            if not 0 <= getattr(self, name) <= 100:
                raise ReportError(f"{name} is a whole percentage from 0 to 100")

    @property
    def assumptions(self) -> tuple[str, ...]:
        """In words, for whoever reads the number."""
        return (
            f"{self.repeated_percent} % of the uncached input of follow-up turns had been sent before and could have been read",
            f"reading costs {self.read_percent} % of plain input",
            "writing to the cache costs nothing extra, and nothing had expired",
        )


def cache(
    frame: pl.LazyFrame,
    window: Window,
    by: Iterable[str] = (),
    every: Every | None = None,
    *,
    missed: Missed = Missed(),
) -> pl.DataFrame:
    """Savings for each group: `net_nano` is what reads saved (`saved_nano`) less what writes cost extra (`premium_nano`).

    Both compare with plain input at the rate that was applied to the same attempt; `unknown` counts attempts with cached
    tokens whose rate is not known, and which are in neither. `hit_share` is the part of all input that was read from a
    cache. `missed_nano` is an estimate: see `Missed.assumptions`.
    """
    names = checked(by)
    cached = pl.sum_horizontal("cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens") > 0
    follow_up = pl.col("follow_up_uncached_tokens").cast(WIDE)
    sums = {
        "calls": counted(ANSWERED),
        "input_tokens": pl.col("input_tokens"),
        "cache_read_tokens": pl.col("cache_read_tokens"),
        "cache_write_tokens": pl.sum_horizontal("cache_write_tokens", "cache_write_1h_tokens"),
        **CACHE,
        "unknown": counted(cached & (pl.col("input_rate_pico").is_null() | pl.col("cost_nano").is_null())),
        "missed_tokens": follow_up,
        "missed_pico": follow_up * pl.col("input_rate_pico").cast(WIDE),
        **MONEY,
    }
    found = known(add_up(frame, window, sums, by=names, every=every))
    found = found.with_columns(
        (pl.col("saved_nano") - pl.col("premium_nano")).alias("net_nano"),
        share("cache_read_tokens", "input_tokens").alias("hit_share"),
        _percent("missed_tokens", missed.repeated_percent, 100),
        _percent("missed_nano", missed.repeated_percent * (100 - missed.read_percent), 10_000),
    )
    keys = [name for name in found.columns if name in (*names, "key_alias", "time")]
    numbers = [
        "calls",
        "input_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "hit_share",
        "saved_nano",
        "premium_nano",
    ]
    columns = [*keys, *numbers, "net_nano", "unknown", "missed_tokens", "missed_nano", "cost_nano", "unpriced"]
    return ordered(found, *names, rank="net_nano").select(columns)


def _percent(name: str, many: int, of: int) -> pl.Expr:
    return (pl.col(name).cast(WIDE) * many // of).cast(pl.Int64)
