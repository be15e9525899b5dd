"""How long clients waited, and what it cost.

Told of calls that were answered (completed or incomplete), once each. From the ledger, or from rolled-up histograms
(`rollup.latencies`); percentiles of a few calls are exact, of many within `histogram.BOUND`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from .dimensions import checked
from .histogram import BOUND, bucket, middle, percentiles
from .histogram import exact as exactly
from .measures import UNPRICED
from .totals import TIME, WIDE, aliased, collect, grouped, labelled, narrow, ordered, require, with_aliases
from .window import Every, Window

EXACT_ROWS = 100_000
"""Up to so many calls percentiles are made of the numbers themselves, unless told otherwise."""

METRICS: Mapping[str, str] = {
    "first_output_ms": "milliseconds to the first output",
    "duration_ms": "milliseconds to the end",
    "tokens_per_second": "output tokens a second, after the first output where it was streamed",
}


def answered() -> pl.Expr:
    """Calls whose waiting is told."""
    return pl.col("answered") & pl.col("outcome").is_in(["completed", "incomplete"])


def metric(name: str) -> pl.Expr:
    """The number of a row of the ledger; null where there is none."""
    if name != "tokens_per_second":
        return pl.col(name)
    streamed = pl.col("stream").fill_null(False) & pl.col("first_output_ms").is_not_null()
    took = pl.when(streamed).then(pl.col("duration_ms") - pl.col("first_output_ms")).otherwise("duration_ms")
    return pl.when((took > 0) & (pl.col("output_tokens") > 0)).then(pl.col("output_tokens") * 1000 / took)


def latency(
    frame: pl.LazyFrame,
    window: Window,
    by: Iterable[str] = (),
    every: Every | None = None,
    *,
    exact: bool | None = None,
) -> pl.DataFrame:
    """For each group a row for each of `METRICS`: `count`, `p50`, `p95`, `p99` by nearest rank, and their `error_bound`.

    `error_bound` is 0 for exact percentiles, else the part of the percentile that it may be off by. `exact` decides; None takes
    the numbers themselves up to `EXACT_ROWS` calls.
    """
    names = checked(by)
    keys = [*([TIME] if every else []), *names]
    found = _exact(frame, window, names, every, exact)
    if found is None:
        found = percentiles(counts(frame, window, names, every), [*keys, "metric"]).with_columns(
            error_bound=pl.lit(BOUND)
        )
    if every is not None:
        found = labelled(found, window, every)
    order = pl.col("metric").replace_strict(list(METRICS), range(len(METRICS)))
    found = found.sort(*keys, order, nulls_last=True).select(
        *keys, "metric", "count", "p50", "p95", "p99", "error_bound"
    )
    return with_aliases(found, frame, window) if "key" in names else found


def counts(frame: pl.LazyFrame, window: Window, names: tuple[str, ...], every: Every | None = None) -> pl.DataFrame:
    """Histograms for each group: `metric`, `bucket`, `rows`, and what the calls in it cost."""
    rolled = "bucket" in frame.collect_schema()
    selected, keys = grouped(frame, window, names, every)
    sums = [pl.col("rows").sum(), pl.col("cost_nano").cast(WIDE).sum(), pl.col("unpriced").sum()]
    if rolled:
        return collect(selected.group_by(*aliased(keys), "metric", "bucket").agg(sums))
    require(selected, [answered(), *(metric(name) for name in METRICS)])
    told = selected.filter(answered()).with_columns(pl.when(UNPRICED).then("rows").otherwise(0).alias("unpriced"))
    histograms = [
        told.group_by(*aliased(keys), bucket(metric(name)).alias("bucket"))
        .agg(sums)
        .with_columns(pl.lit(name).alias("metric"))
        for name in METRICS
    ]
    return collect(pl.concat(histograms)).filter(pl.col("bucket").is_not_null())


def _exact(
    frame: pl.LazyFrame, window: Window, names: tuple[str, ...], every: Every | None, wanted: bool | None
) -> pl.DataFrame | None:
    """None where histograms are to be used."""
    if wanted is False or "rows" in frame.collect_schema():
        return None
    selected, keys = grouped(frame, window, names, every)
    selected = selected.filter(answered())
    if wanted is None and collect(selected.select(pl.len())).item() > EXACT_ROWS:
        return None
    tables = []
    for name in METRICS:
        told = selected.select(**keys, value=metric(name)).filter(pl.col("value") > 0, pl.col("value").is_finite())
        made = told.group_by(*keys).agg(exactly("value")) if keys else told.select(exactly("value"))
        tables.append(made.with_columns(pl.lit(name).alias("metric")))
    return pl.concat(tables).filter(pl.col("count") > 0).collect().with_columns(error_bound=pl.lit(0.0))


# ── What waiting costs ──────────────────────────────────────────────────────────────────────────────────────────────────

BANDS = (250, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000)
"""Milliseconds at which the next band of durations begins."""


def latency_cost(frame: pl.LazyFrame, window: Window, by: Iterable[str] = ("model",)) -> pl.DataFrame:
    """Speed beside price for each group: medians and p95, and what an answer cost (`nano_per_call`, of those with a known cost).

    The cost is that of the attempt that answered. Percentiles are within `histogram.BOUND`.
    """
    names = checked(by)
    told = counts(frame, window, names)
    group = list(names)
    wide = {"first_output_ms": (50, 95), "duration_ms": (50, 95), "tokens_per_second": (50,)}
    money = [pl.col("rows").sum().alias("calls"), pl.col("cost_nano").sum(), pl.col("unpriced").sum()]
    ended = told.filter(pl.col("metric") == "duration_ms")
    found = narrow(ended.group_by(group).agg(money) if group else ended.select(money), ["cost_nano"])
    for name, percents in wide.items():
        of_metric = percentiles(told.filter(pl.col("metric") == name), group, percents).drop("count")
        renamed = of_metric.rename({f"p{percent}": f"{name}_p{percent}" for percent in percents})
        found = (
            found.join(renamed, on=group, how="left", nulls_equal=True)
            if group
            else pl.concat([found, renamed], how="horizontal")
        )
    priced = pl.col("calls") - pl.col("unpriced")
    found = found.with_columns(
        cost_nano=pl.when((priced > 0) | (pl.col("unpriced") == 0)).then("cost_nano"),
        nano_per_call=pl.when(priced > 0).then((pl.col("cost_nano") / priced).round().cast(pl.Int64)),
    )
    found = ordered(found, *names)
    return with_aliases(found, frame, window) if "key" in names else found


def latency_bands(frame: pl.LazyFrame, window: Window) -> pl.DataFrame:
    """Calls by how long they took, in the bands that `BANDS` begin, with what they cost: `from_ms` up to, not including, `to_ms`.

    A call is in the band of the middle of its bucket, so one near an edge (within `histogram.BOUND`) may be in the next.
    """
    told = counts(frame, window, ()).filter(pl.col("metric") == "duration_ms")
    edges = [0, *BANDS]
    band = pl.lit(0)
    for number, edge in enumerate(BANDS, 1):
        band = pl.when(middle(pl.col("bucket")) >= edge).then(number).otherwise(band)
    sums = [pl.col("rows").sum().alias("calls"), pl.col("cost_nano").sum(), pl.col("unpriced").sum()]
    found = narrow(told.group_by(band=band.cast(pl.Int64)).agg(sums), ["cost_nano"])
    bands = pl.DataFrame(
        {"band": range(len(edges)), "from_ms": edges, "to_ms": [*BANDS, None]}, schema_overrides={"band": pl.Int64}
    )
    filled = bands.join(found, on="band", how="left").with_columns(
        pl.col("calls", "cost_nano", "unpriced").fill_null(0)
    )
    known = (pl.col("calls") > pl.col("unpriced")) | (pl.col("unpriced") == 0)
    return filled.sort("band").select(
        "from_ms",
        "to_ms",
        "calls",
        pl.when(pl.col("calls").sum() > 0).then(pl.col("calls") / pl.col("calls").sum()).alias("share"),
        pl.when(known).then("cost_nano").alias("cost_nano"),
        "unpriced",
    )
