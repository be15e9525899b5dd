"""What was spent: calls, tokens and money, by anything."""

from __future__ import annotations

import polars as pl

_FAILED = ("failed", "rejected", "client_disconnected")


def spend(calls: pl.LazyFrame, *by: str) -> pl.LazyFrame:
    """One row for each value of the columns `by` (one row altogether without any), the dearest first.

    `cost_nano` adds up the calls whose cost is known, in integer nano-USD; `unpriced` counts the others, so a sum
    beside a count above zero is a lower bound. `failed` counts calls that gave no answer.
    """
    sums = [
        pl.len().cast(pl.Int64).alias("calls"),
        pl.col("outcome").is_in(_FAILED).sum().cast(pl.Int64).alias("failed"),
        pl.col("input_tokens").sum(),
        pl.col("output_tokens").sum(),
        pl.col("cost_nano").sum(),
        (pl.col("cost_status") == "unpriced").sum().cast(pl.Int64).alias("unpriced"),
    ]
    if not by:
        return calls.select(sums)
    return calls.group_by(by).agg(sums).sort("cost_nano", "calls", *by, descending=[True, True, *(False for _ in by)])
