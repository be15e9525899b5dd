"""The numbers of the first page: now, and in the equal period before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import polars as pl

from .histogram import bucket, percentiles
from .latency import answered, metric
from .ledger import MOMENT, Type
from .measures import CACHE, MONEY, UNPRICED, VOLUME, counted, ended, known
from .totals import collect, literal, narrow, require, share, summed, within
from .waste import followed, kind_of_waste
from .window import HOUR, Window

_VAIN = kind_of_waste().is_not_null()

SUMS = {
    "calls": VOLUME["calls"],
    "errors": counted(ended("failed", "rejected")),
    "input_tokens": VOLUME["input_tokens"],
    "output_tokens": VOLUME["output_tokens"],
    "cache_read_tokens": pl.col("cache_read_tokens"),
    **MONEY,
    **CACHE,
    "wasted_nano": pl.when(_VAIN).then("cost_nano"),
    "unpriced_tokens": pl.when(UNPRICED).then(pl.col("input_tokens") + pl.col("output_tokens")),
}


def overview(
    frame: pl.LazyFrame, windows: Mapping[str, Window], *, latencies: pl.LazyFrame | None = None
) -> pl.DataFrame:
    """Two rows for each window by its name: the window, and (`previous`) the equal period before it. The books are read
    once or twice.

    Errors are calls that gave the client one. `saved_net_nano` is what caches saved less what writing to them cost,
    `wasted_nano` what attempts in vain cost, `first_output_p50` and `_p95` milliseconds within `histogram.BOUND`.
    `newest` is when the last call of the window began. Percentiles come from `latencies` if given, else from the ledger
    itself.
    """
    told = [
        (name, previous, each)
        for name, window in windows.items()
        for previous, each in ((False, window), (True, window.previous()))
    ]
    edges = sorted({edge for _, _, each in told for edge in (each.start, each.end)})
    hull = Window(edges[0], edges[-1]) if edges else NOTHING
    source = followed(frame, hull)
    for _, _, each in told:
        within(source, each)  # says so now if an edge is inside of a rolled-up hour
    selected = within(source, hull)
    require(selected, list(SUMS.values()))
    sums = [summed(expression).alias(name) for name, expression in SUMS.items()]
    parts = collect(selected.group_by(part=_part(edges)).agg(*sums, pl.col("started").max().alias("newest")))
    frames = _stretches(told, edges)
    together = frames.join(parts, on="part", how="left")
    found = together.group_by("window", "previous", maintain_order=True).agg(
        pl.col("start").first(), pl.col("end").first(), *(pl.col(name).sum() for name in SUMS), pl.col("newest").max()
    )
    found = known(narrow(found, list(SUMS))).join(
        _waits(frame if latencies is None else latencies, hull, edges, frames),
        on=["window", "previous"],
        how="left",
        maintain_order="left",
    )
    zone = next(iter(windows.values())).zone if len({window.zone for window in windows.values()}) == 1 else "UTC"
    times = [pl.col(name).dt.convert_time_zone(zone) for name in ("start", "end", "newest")]
    return found.with_columns(
        *times,
        (pl.col("saved_nano") - pl.col("premium_nano")).alias("saved_net_nano"),
        share("errors", "calls").alias("error_share"),
        share("cache_read_tokens", "input_tokens").alias("hit_share"),
        share("wasted_nano", "cost_nano").alias("waste_share"),
    ).select(
        *(
            "window",
            "previous",
            "start",
            "end",
            "calls",
            "errors",
            "error_share",
            "input_tokens",
            "output_tokens",
            "cost_nano",
        ),
        *("unpriced", "unpriced_tokens", "hit_share", "saved_net_nano", "wasted_nano", "waste_share"),
        *("first_output_p50", "first_output_p95", "newest"),
    )


NOTHING = Window(datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC))


def _part(edges: list[datetime]) -> pl.Expr:
    """Between which two edges a row is: the number of the first."""
    return pl.sum_horizontal(pl.lit(-1), *((pl.col("started") >= literal(edge)).cast(pl.Int64) for edge in edges)).cast(
        pl.Int64
    )


def _stretches(told: list[tuple[str, bool, Window]], edges: list[datetime]) -> pl.DataFrame:
    """Which parts make up each window; one without any has a row, too."""
    rows = [
        (name, previous, each.start, each.end, part)
        for name, previous, each in told
        for part in (range(edges.index(each.start), edges.index(each.end)) if each.start < each.end else (-2,))
    ]
    schema: dict[str, Type] = {
        "window": pl.String,
        "previous": pl.Boolean,
        "start": MOMENT,
        "end": MOMENT,
        "part": pl.Int64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _waits(frame: pl.LazyFrame, hull: Window, edges: list[datetime], stretches: pl.DataFrame) -> pl.DataFrame:
    """The percentiles of the time to the first output, for each window; null where nothing tells them."""
    columns = frame.collect_schema()
    counted_in = within(frame, hull)
    if "bucket" in columns:
        told = counted_in.filter(pl.col("metric") == "first_output_ms").select(
            _part(edges).alias("part"), "bucket", "rows"
        )
    elif "first_output_ms" in columns:
        told = counted_in.filter(answered()).select(
            _part(edges).alias("part"), bucket(metric("first_output_ms")).alias("bucket"), "rows"
        )
    else:
        told = pl.LazyFrame(schema={"part": pl.Int64, "bucket": pl.Int16, "rows": pl.Int64})
    counts = collect(told.group_by("part", "bucket").agg(pl.col("rows").sum())).filter(pl.col("bucket").is_not_null())
    of_window = stretches.join(counts, on="part").select("window", "previous", "bucket", "rows")
    found = percentiles(of_window, ["window", "previous"], (50, 95))
    return found.select(
        "window", "previous", pl.col("p50").alias("first_output_p50"), pl.col("p95").alias("first_output_p95")
    )


def run_rate(spent: int | None, window: Window) -> int | None:
    """What the month will have cost if it goes on as it began, in nano-USD: of a window that begins with it. None without
    a day of it."""
    if spent is None or window.length <= HOUR:
        return None
    (month,) = window.buckets("month")[:1]
    return round(spent * ((month.end - month.start) / window.length))
