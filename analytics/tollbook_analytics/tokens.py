"""Tokens by kind: how many, what they cost, and what a million of them came to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from .dimensions import checked
from .ledger import TOKENS
from .measures import PRICED
from .totals import TIME, add_up
from .window import Every, Window

KINDS: Mapping[str, tuple[tuple[str, ...], str | None]] = {
    "input": (("uncached_input_tokens",), "cost_input_nano"),
    "cache_read": (("cache_read_tokens",), "cost_cache_read_nano"),
    "cache_write": (("cache_write_tokens", "cache_write_1h_tokens"), "cost_cache_write_nano"),
    "output": (("visible_output_tokens",), "cost_output_nano"),
    "reasoning": (("reasoning_tokens",), "cost_reasoning_nano"),
    "media": (TOKENS[4:6] + TOKENS[8:], None),
    "tools": ((), "cost_tools_nano"),
    "other": ((), "cost_other_nano"),
}
"""Each kind with the ledger's columns of its tokens and of its cost. Tokens of media are priced under `other`, with the fees that
belong to no token; tools are paid by the call."""


def tokens(frame: pl.LazyFrame, window: Window, by: Iterable[str] = (), every: Every | None = None) -> pl.DataFrame:
    """A row for each kind of token in each group: `tokens`, `cost_nano`, and both as shares of the group.

    `nano_per_million` is what a million tokens of the kind came to, of attempts whose price is known: the blended price. A kind
    without tokens or without a cost of its own has null there. `cost_nano` is null where nothing of it is priced.
    """
    names = checked(by)
    sums: dict[str, pl.Expr] = {}
    for kind, (columns, cost) in KINDS.items():
        together = pl.sum_horizontal(columns) if columns else pl.lit(0, pl.Int64)
        sums[f"{kind}/tokens"] = together
        sums[f"{kind}/priced"] = pl.when(PRICED).then(together)
        sums[f"{kind}/cost"] = pl.col(cost) if cost else pl.lit(None, pl.Int64)
    wide = add_up(frame, window, sums, by=names, every=every)
    keys = [name for name in wide.columns if name not in sums]
    group = [name for name in keys if name != "key_alias"]
    rows = pl.concat(
        wide.select(
            *keys,
            pl.lit(kind).alias("kind"),
            pl.col(f"{kind}/tokens").alias("tokens") if columns else pl.lit(None, pl.Int64).alias("tokens"),
            pl.col(f"{kind}/priced").alias("priced"),
            _cost(kind, bool(columns), cost).alias("cost_nano"),
        )
        for kind, (columns, cost) in KINDS.items()
    )
    per_million = (pl.col("cost_nano") / pl.col("priced") * 1_000_000).round().cast(pl.Int64)
    shares = [_of_all(name, group).alias(f"{name}_share") for name in ("tokens", "cost")]
    found = rows.with_columns(*shares, pl.when(pl.col("priced") > 0).then(per_million).alias("nano_per_million"))
    order = pl.col("kind").replace_strict(list(KINDS), range(len(KINDS)))
    times = [TIME] if every else []
    return found.sort(*times, *names, order).select(
        *keys, "kind", "tokens", "tokens_share", "cost_nano", "cost_share", "nano_per_million"
    )


def _cost(kind: str, counted: bool, cost: str | None) -> pl.Expr:
    if cost is None:
        return pl.lit(None, pl.Int64)
    found = pl.col(f"{kind}/cost")
    if not counted:
        return found
    unknown = (pl.col(f"{kind}/priced") == 0) & (pl.col(f"{kind}/tokens") > 0) & (found == 0)
    return pl.when(~unknown).then(found)


def _of_all(name: str, group: list[str]) -> pl.Expr:
    column = pl.col("cost_nano" if name == "cost" else name)
    whole = column.sum().over(group) if group else column.sum()
    return pl.when(whole != 0).then(column / whole)
