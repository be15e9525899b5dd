"""Hours of the ledger, rolled up: so many times fewer rows that a month of ten million attempts is read in a blink.

hours       equal rows of an hour counted, their tokens and money added up: what every report of sums can be made of
users       the same by end user, with fewer other columns: what spend by end user can be made of
latencies   histograms of an hour: what percentiles can be made of

All are additive: rows of the same hour may stand in several pieces, and a correction is one more row. So whoever keeps them only
appends. A report takes them in place of the ledger, and tells the same numbers to the last nano-dollar; what they cannot tell
(sessions, tags, tasks, an edge inside of an hour) raises TooCoarse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import polars as pl

from .histogram import bucket
from .latency import METRICS, answered, metric
from .ledger import COSTS, LEDGER, MOMENT, TOKENS, Type
from .totals import COUNTS, WIDE, literal, within
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


_USED_BY = ("key_id", "key_alias", "team", "end_user", "model", "provider")
_OF_USERS = (*COUNTS._fields, "input_tokens", "output_tokens", "cost_nano", "margin_nano")

USERS: Mapping[str, Type] = {
    "hour": MOMENT,
    **{name: LEDGER[name] for name in _USED_BY},
    **dict.fromkeys(("rows", *_OF_USERS), pl.Int64),
}
"""A row stands for `rows` attempts (or calls without one) of an end user (null: of none) in an hour, for one model.
`errors` are calls that gave the client one; `priced` and `unpriced` count attempts whose cost is known, and unknown."""

_OF_WAITS = ("rows", "cost_nano", "unpriced")


def hours(ledger: pl.LazyFrame, window: Window) -> pl.LazyFrame:
    """The `HOURS` of a stretch of the ledger."""
    return _rolled(_singles(ledger, window, HOURS), HOURS, ("rows", *_SUMMED))


def users(ledger: pl.LazyFrame, window: Window) -> pl.LazyFrame:
    """The `USERS` of a stretch of the ledger."""
    return _rolled(_singles(ledger, window, USERS), USERS, ("rows", *_OF_USERS))


def latencies(ledger: pl.LazyFrame, window: Window) -> pl.LazyFrame:
    """The `LATENCIES` of a stretch of the ledger."""
    return _rolled(_singles(ledger, window, LATENCIES), LATENCIES, _OF_WAITS)


def _singles(ledger: pl.LazyFrame, window: Window, table: Mapping[str, Type]) -> pl.LazyFrame:
    """The rows of the ledger as rows of a table that stand for one each, with the moment they `started` in place of the hour."""
    columns = [pl.col(name).cast(kind) for name, kind in table.items() if name != "hour"]
    if table is HOURS:
        return within(followed(ledger, window), window).select("started", *columns)
    selected = within(ledger, window)
    if table is USERS:
        counts = [pl.col(column).alias(name) for name, column in COUNTS._asdict().items()]
        return selected.with_columns(counts).select("started", *columns)
    waited = selected.filter(answered()).with_columns(pl.col(COUNTS.unpriced).alias("unpriced"))
    told = [waited.with_columns(bucket(metric(name)).alias("bucket"), pl.lit(name).alias("metric")) for name in METRICS]
    return pl.concat([each.filter(pl.col("bucket").is_not_null()).select("started", *columns) for each in told])


def _rolled(singles: pl.LazyFrame, table: Mapping[str, Type], summed: Iterable[str]) -> pl.LazyFrame:
    sums = [pl.col(name).cast(WIDE).sum().cast(pl.Int64) for name in summed]
    equal = [name for name in table if name not in (*summed, "hour")]
    return singles.group_by(pl.col("started").dt.truncate("1h").alias("hour"), *equal).agg(sums).select(list(table))


def composed(ledger: pl.LazyFrame, rolled: pl.LazyFrame, edges: Iterable[datetime], *, until: datetime) -> pl.LazyFrame:
    """`HOURS`, `USERS` or `LATENCIES` where they can tell, the ledger where they cannot: one frame for any window, zone
    and bucket.

    `edges` are all moments that are to be told apart (`Window.edges`), at least one. `rolled` is complete before `until`: what
    is later comes from the ledger, and so does each hour with an edge inside of it.
    """
    moments = sorted(edges)
    complete, of_hour, started = _full(until), pl.col("hour"), pl.col("started")
    cut = sorted({_full(edge) for edge in moments if edge != _full(edge) and edge < complete})
    whole = (of_hour >= literal(moments[0])) & (of_hour < literal(min(complete, moments[-1])))
    # As stretches and not as a list of hours, so that a scan can leave out the files that hold none of them.
    single = started >= literal(complete)
    for start, end in _joined(cut):
        single |= (started >= literal(start)) & (started < literal(end))
    found = rolled.collect_schema()
    table = LATENCIES if "bucket" in found else USERS if "end_user" in found else HOURS
    hours_apart = rolled.filter(whole & ~of_hour.is_in(pl.Series(cut, dtype=MOMENT).implode())).rename(
        {"hour": "started"}
    )
    columns = [pl.col(name).cast(kind) for name, kind in table.items() if name != "hour"]
    return pl.concat(
        [
            hours_apart.select("started", *columns),
            _singles(ledger.filter(single), Window(moments[0], moments[-1]), table),
        ]
    )


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
