"""Percentiles that can be merged: counts in buckets, each a little wider than the one before.

Bucket `i` holds what is at least 2^(i/16) and less than 2^((i+1)/16): the exponential histogram of OpenTelemetry at scale
4 (https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram), with closed lower edges. Counts of
two stretches of time, or of two models, add up to those of both. A percentile told from the counts is within `BOUND` of
the exact one, because both are in the same bucket.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

SCALE = 16
"""Buckets for each doubling."""

BOUND = (2 ** (1 / SCALE) - 1) / (2 ** (1 / SCALE) + 1)
"""How far a percentile may be from the exact one, as a part of it: 2.2 %."""

_SMALLEST, _LARGEST = 2.0**-20, 2.0**40

PERCENTILES = (50, 95, 99)


def bucket(value: pl.Expr) -> pl.Expr:
    """The bucket of a number above 0; null for others. Beyond 2^-20 and 2^40 it is the outermost one."""
    positive = pl.when((value > 0) & value.is_finite()).then(value.clip(_SMALLEST, _LARGEST))
    return (positive.log(2) * SCALE).floor().cast(pl.Int16)


def middle(of: pl.Expr) -> pl.Expr:
    """The number that is nearest, in proportion, to all that a bucket holds."""
    low = pl.lit(2.0).pow(of.cast(pl.Float64) / SCALE)
    return low * (1 + BOUND)


def percentiles(counts: pl.DataFrame, by: Sequence[str], percents: Sequence[int] = PERCENTILES) -> pl.DataFrame:
    """From `bucket` and `rows` for each group: its `count`, and p50, p95 and so on by nearest rank.

    The p-th percentile of n numbers is the smallest that at least p per cent of them do not exceed.
    """
    group = list(by)
    summed = counts.group_by([*group, "bucket"]).agg(pl.col("rows").sum()).sort([*group, "bucket"], nulls_last=True)
    rows = pl.col("rows")
    running = summed.with_columns(
        (rows.cum_sum().over(group) if group else rows.cum_sum()).alias("_so_far"),
        (rows.sum().over(group) if group else rows.sum()).alias("count"),
    )
    ranks = [
        middle(pl.col("bucket").filter(pl.col("_so_far") >= rank(pl.col("count"), percent)).first()).alias(
            f"p{percent}"
        )
        for percent in percents
    ]
    chosen = [pl.col("count").first(), *ranks]
    return running.group_by(group, maintain_order=True).agg(chosen) if group else running.select(chosen)


def exact(value: str, percents: Sequence[int] = PERCENTILES) -> list[pl.Expr]:
    """The same of the numbers themselves, for an aggregation; it keeps and sorts all of them."""
    column = pl.col(value).drop_nulls()
    return [
        column.len().cast(pl.Int64).alias("count"),
        *(
            column.sort()
            .get((rank(column.len().cast(pl.Int64), percent) - 1).cast(pl.Int64), null_on_oob=True)
            .alias(f"p{percent}")
            for percent in percents
        ),
    ]


def rank(count: pl.Expr, percent: int) -> pl.Expr:
    """The nearest rank, from 1, in whole numbers."""
    return (count * percent + 99) // 100
