"""Hours of the ledger, rolled up: so many times fewer rows that a month of ten million attempts is read in a blink.

hours       equal rows of an hour counted, their tokens and money added up: what every report of sums can be made of
latencies   histograms of an hour: what percentiles can be made of

Both are additive: rows of the same hour may stand in several pieces, and a correction is one more row. So whoever keeps them only
appends. A report takes them in place of the ledger, and tells the same numbers to the last nano-dollar; what they cannot tell
(end users, sessions, tags, tasks, an edge inside of an hour) raises TooCoarse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import polars as pl

from .histogram import bucket
from .latency import METRICS, answered, metric
from .ledger import COSTS, LEDGER, MOMENT, TOKENS, Type
from .measures import UNPRICED
from .totals import WIDE, literal, within
from .waste import followed
from .window import HOUR, Window

_EQUAL = (
    "key_id",
    "key_alias",
    "team",
    "model",
    "provider",
    "deployment",
    "upstream_model",
    "service_tier",
    "outcome",
    "error_code",
    "finish",
    "answered",
    "reason",
    "followed_by",
    "attempt_outcome",
    "error_kind",
    "usage_source",
    "cost_status",
    "input_rate_pico",
    "price_version",
    "price_source",
)
_SUMMED = (*TOKENS, "input_tokens", "output_tokens", "follow_up_uncached_tokens", "cost_nano", *COSTS, "margin_nano")

HOURS: Mapping[str, Type] = {
    "hour": MOMENT,
    **{name: LEDGER.get(name, pl.String) for name in _EQUAL},
    "rows": pl.Int64,
    **dict.fromkeys(_SUMMED, pl.Int64),
}
"""A row stands for `rows` attempts (or calls without one) that began in the `hour` (UTC) and are equal in everything up
to there. `followed_by` is the reason of the attempt after, null for the last of a call. `follow_up_uncached_tokens` are
the uncached input tokens of turns after the first. Only calls that make responses (operation "create") are in it."""

_TOLD_BY = ("model", "provider", "deployment", "upstream_model", "service_tier", "outcome")

LATENCIES: Mapping[str, Type] = {
    "hour": MOMENT,
    **{name: LEDGER[name] for name in _TOLD_BY},
    "metric": pl.String,
    "bucket": pl.Int16,
    "rows": pl.Int64,
    "cost_nano": pl.Int64,
    "unpriced": pl.Int64,
}
"""A row stands for `rows` answered calls (one each, by the attempt that answered) whose `metric` was in this `bucket` of
`histogram`; `cost_nano` adds up what is known of their cost, `unpriced` counts the others. Whoever writes them sorts by
metric: most readers want one of them."""


def hours(ledger: pl.LazyFrame, window: Window) -> pl.LazyFrame:
    """The `HOURS` of a stretch of the ledger."""
    selected = within(followed(ledger, window), window)
    sums = [pl.col(name).cast(WIDE).sum().cast(pl.Int64) for name in ("rows", *_SUMMED)]
    made = selected.group_by(_hour(), *_EQUAL).agg(sums)
    return made.select(pl.col(name).cast(kind) for name, kind in HOURS.items())


def latencies(ledger: pl.LazyFrame, window: Window) -> pl.LazyFrame:
    """The `LATENCIES` of a stretch of the ledger."""
    unpriced = pl.when(UNPRICED).then("rows").otherwise(0).alias("unpriced")
    selected = within(ledger, window).filter(answered()).with_columns(unpriced)
    sums = [pl.col("rows").sum(), pl.col("cost_nano").cast(WIDE).sum().cast(pl.Int64), pl.col("unpriced").sum()]
    made = [
        selected.group_by(_hour(), *_TOLD_BY, bucket(metric(name)).alias("bucket"))
        .agg(sums)
        .with_columns(pl.lit(name).alias("metric"))
        for name in METRICS
    ]
    told = pl.concat(made).filter(pl.col("bucket").is_not_null())
    return told.select(pl.col(name).cast(kind) for name, kind in LATENCIES.items())


def _hour() -> pl.Expr:
    return pl.col("started").dt.truncate("1h").alias("hour")


def composed(ledger: pl.LazyFrame, hours: pl.LazyFrame, edges: Iterable[datetime], *, until: datetime) -> pl.LazyFrame:
    """Hours where they can tell, the ledger where they cannot: one frame for any window, zone and bucket between the edges.

    `edges` are all moments that are to be told apart (`Window.edges`). `hours` is complete before `until`: what is later
    comes from the ledger, and so does each hour with an edge inside of it.
    """
    moments = sorted(edges)
    complete, of_hour, started = _full(until), pl.col("hour"), pl.col("started")
    cut = sorted({_full(edge) for edge in moments if edge != _full(edge) and edge < complete})
    whole = (of_hour >= literal(moments[0])) & (of_hour < literal(min(complete, moments[-1])))
    # As stretches and not as a list of hours, so that a scan can leave out the files that hold none of them.
    single = started >= literal(complete)
    for start, end in _joined(cut):
        single |= (started >= literal(start)) & (started < literal(end))
    hull = Window(moments[0], moments[-1])
    rows = ["started", *(name for name in HOURS if name != "hour")]
    rolled = hours.filter(whole & ~of_hour.is_in(pl.Series(cut, dtype=MOMENT).implode())).rename({"hour": "started"})
    return pl.concat([rolled.select(rows), within(followed(ledger.filter(single), hull), hull).select(rows)])


def _joined(hours: Sequence[datetime]) -> list[tuple[datetime, datetime]]:
    """Hours that follow on each other as one stretch."""
    found: list[tuple[datetime, datetime]] = []
    for hour in hours:
        if found and found[-1][1] == hour:
            found[-1] = (found[-1][0], hour + HOUR)
        else:
            found.append((hour, hour + HOUR))
    return found


def _full(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
