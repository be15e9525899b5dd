"""Whether prices can be trusted: what has none, which versions were applied, what a token came to, and what the provider says."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

import polars as pl

from .errors import ReportError
from .ledger import Type
from .measures import ATTEMPTED, MONEY, UNPRICED, counted, known
from .totals import TIME, add_up, collect, narrow, within
from .window import Every, Window

_WHO = ["provider", "upstream_model"]


def unpriced(frame: pl.LazyFrame, window: Window) -> pl.DataFrame:
    """What has no price: a row for each model of a provider, the most used first.

    `why` is the version of a price that lacked a rate (it names the rate), null where nobody knew the model at all.
    `share` is of the model's attempts.
    """
    sums = {
        "attempts": counted(UNPRICED),
        "of_attempts": counted(ATTEMPTED),
        "input_tokens": pl.when(UNPRICED).then("input_tokens"),
        "output_tokens": pl.when(UNPRICED).then("output_tokens"),
    }
    also = {"why": pl.when(UNPRICED).then(pl.col("price_version").replace("", None))}
    found = add_up(frame, window, sums, by=_WHO, also=also)
    whole = found.group_by(_WHO).agg(pl.col("of_attempts").sum().alias("all"))
    rows = found.filter(pl.col("attempts") > 0).join(whole, on=_WHO, nulls_equal=True)
    named = rows.with_columns(share=pl.col("attempts") / pl.col("all")).join(
        _seen(frame, window, UNPRICED, _WHO), on=_WHO, how="left", nulls_equal=True
    )
    return named.sort("attempts", *_WHO, "why", descending=[True, False, False, False], nulls_last=True).select(
        *_WHO, "why", "attempts", "share", "input_tokens", "output_tokens", "first", "last"
    )


def versions(frame: pl.LazyFrame, window: Window) -> pl.DataFrame:
    """Which prices were applied to each model of a provider, the newest first.

    `stale` versions are still in use although another of the same model was applied first after them: somewhere an old
    one runs on.
    """
    by = [*_WHO, "price_source", "price_version"]
    priced = pl.col("cost_status") == "priced"
    sums = {"attempts": counted(priced), **MONEY}
    also = {"price_source": pl.col("price_source"), "price_version": pl.col("price_version")}
    found = known(add_up(frame, window, sums, by=_WHO, also=also)).filter(pl.col("attempts") > 0).drop("unpriced")
    seen = _seen(frame, window, priced, by)
    told = found.join(seen, on=by, how="left", nulls_equal=True)
    newest = pl.col("first").max().over(_WHO)
    stale = (pl.col("first") < newest) & (pl.col("last") > newest)
    return told.with_columns(stale=stale).sort(
        *_WHO, "first", "price_version", descending=[False, False, True, False], nulls_last=True
    )


def _seen(frame: pl.LazyFrame, window: Window, which: pl.Expr, by: list[str]) -> pl.DataFrame:
    """When each was first and last used."""
    times = [pl.col("started").min().alias("first"), pl.col("started").max().alias("last")]
    found = collect(within(frame, window).filter(which).group_by(by).agg(times))
    return found.with_columns(pl.col(name).dt.convert_time_zone(window.zone) for name in ("first", "last"))


_RATED: Mapping[str, tuple[tuple[str, ...], str]] = {
    "input": (("uncached_input_tokens",), "cost_input_nano"),
    "cache_read": (("cache_read_tokens",), "cost_cache_read_nano"),
    "cache_write": (("cache_write_tokens", "cache_write_1h_tokens"), "cost_cache_write_nano"),
    "output": (("visible_output_tokens",), "cost_output_nano"),
    "reasoning": (("reasoning_tokens",), "cost_reasoning_nano"),
}


def drift(frame: pl.LazyFrame, window: Window, every: Every = "day", *, least: float = 0.01) -> pl.DataFrame:
    """When what a million tokens came to changed by `least` (a part of it) or more from one bucket with traffic to the next.

    A row for each change: `before` and `after` in nano-USD per million tokens, of attempts whose price is known. It is
    what was paid: besides a new price a step for long input, another tier or a discount moves it, which the versions tell
    apart.
    """
    if not least > 0:
        raise ReportError("the least change to tell is above 0")
    sums: dict[str, pl.Expr] = {}
    for kind, (columns, cost) in _RATED.items():
        sums[f"{kind}/tokens"] = pl.when(pl.col(cost).is_not_null()).then(pl.sum_horizontal(columns))
        sums[f"{kind}/cost"] = pl.col(cost)
    found = add_up(frame, window, sums, by=_WHO, every=every)
    kinds = pl.concat(
        found.select(
            TIME,
            *_WHO,
            pl.lit(kind).alias("kind"),
            pl.col(f"{kind}/tokens").alias("tokens"),
            pl.col(f"{kind}/cost").alias("cost"),
        )
        for kind in _RATED
    ).filter(pl.col("tokens") > 0)
    rate = pl.col("cost") / pl.col("tokens") * 1_000_000
    told = kinds.sort(TIME).with_columns(rate.round().cast(pl.Int64).alias("after"))
    moved = told.with_columns(pl.col("after").shift(1).over([*_WHO, "kind"], order_by=TIME).alias("before"))
    change = (pl.col("after") - pl.col("before")) / pl.col("before")
    # From nothing to something is a change, too, though no part of the former.
    changed = pl.when(pl.col("before") != 0).then(change.abs() >= least).otherwise(pl.col("after") != pl.col("before"))
    rows = moved.filter(pl.col("before").is_not_null() & changed).with_columns(
        pl.when(pl.col("before") != 0).then(change).alias("change_share")
    )
    return rows.select(TIME, *_WHO, "kind", "before", "after", "change_share", "tokens").sort(
        TIME, *_WHO, "kind", nulls_last=True
    )


STATEMENT: Mapping[str, Type] = {"date": pl.Date, "provider": pl.String, "model": pl.String, "cost_nano": pl.Int64}
"""A provider's bill: what it took on each `date` (of the window's zone; most count in UTC), for each `provider` and
`model` (as the provider knows it) that it tells. Those two columns may be missing; then their sum is compared."""


def reconcile(
    frame: pl.LazyFrame, window: Window, statement: pl.DataFrame, *, tolerance: float = 0.005
) -> pl.DataFrame:
    """A row for each day (and provider, and model, as far as the statement tells them) that either side knows.

    `difference_nano` is billed less booked; `covered_share` how much of the bill the books explain. `finding` is "agrees"
    (within `tolerance` of the bill), "not booked", "not billed", "unpriced in the books", "estimated usage", or
    "differs". Days of the statement outside of the window are not compared.
    """
    billed, by = _statement(statement)
    sums = {**MONEY, "estimated": counted(pl.col("usage_source") == "estimated")}
    names = [{"model": "upstream_model"}.get(name, name) for name in by]
    booked = known(add_up(frame, window, sums, by=names, every="day"))
    booked = booked.rename({"cost_nano": "booked_nano"} | ({"upstream_model": "model"} if "model" in by else {}))
    booked = booked.with_columns(pl.col(TIME).dt.date().alias("date")).drop(TIME)
    days = [bucket.start.astimezone(ZoneInfo(window.zone)).date() for bucket in window.buckets("day")]
    inside = billed.filter(pl.col("date").is_in(days))
    found = booked.join(inside, on=["date", *by], how="full", coalesce=True, nulls_equal=True)
    found = found.with_columns(
        pl.col("unpriced", "estimated").fill_null(0),
        pl.when(pl.col("booked_nano").is_null() & (pl.col("unpriced").fill_null(0) == 0))
        .then(0)
        .otherwise("booked_nano")
        .alias("booked_nano"),
        pl.col("billed_nano").fill_null(0),
    ).filter((pl.col("booked_nano") != 0) | (pl.col("billed_nano") != 0) | (pl.col("unpriced") > 0))
    booked_nano, billed_nano = pl.col("booked_nano").fill_null(0), pl.col("billed_nano")
    found = found.with_columns(
        difference_nano=billed_nano - pl.col("booked_nano"),
        covered_share=pl.when(billed_nano > 0).then((pl.col("booked_nano") / billed_nano).clip(0, 1)),
    )
    near = pl.col("difference_nano").abs() <= billed_nano.abs() * tolerance
    finding = (
        pl.when(near.fill_null(False) & (billed_nano != 0))
        .then(pl.lit("agrees"))
        .when(pl.col("unpriced") > 0)
        .then(pl.lit("unpriced in the books"))
        .when(booked_nano == 0)
        .then(pl.lit("not booked"))
        .when(billed_nano == 0)
        .then(pl.lit("not billed"))
        .when(pl.col("estimated") > 0)
        .then(pl.lit("estimated usage"))
        .otherwise(pl.lit("differs"))
    )
    columns = ["date", *by, "booked_nano", "unpriced", "billed_nano", "difference_nano", "covered_share", "finding"]
    return found.with_columns(finding=finding).select(columns).sort("date", *by, nulls_last=True)


def _statement(statement: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """The bill, a row for each day and name, and by what it tells. Raises ReportError for one that cannot be used."""
    by: list[str] = [name for name in ("provider", "model") if name in statement.columns]
    if missing := [name for name in ("date", "cost_nano") if name not in statement.columns]:
        raise ReportError(f"the statement is without {', '.join(missing)}: a row has {', '.join(STATEMENT)}")
    if statement.schema["cost_nano"].is_float():
        raise ReportError("cost_nano of the statement has fractions: it is in whole nano-USD")
    try:
        read = statement.select(pl.col(name).cast(STATEMENT[name]) for name in ("date", *by, "cost_nano"))
    except pl.exceptions.PolarsError as error:
        raise ReportError(f"the statement cannot be read: {error}") from error
    if unclear := read.filter(pl.any_horizontal(pl.col("date", "cost_nano").is_null())).height:
        raise ReportError(f"{unclear} rows of the statement lack a date or a cost")
    summed = read.group_by("date", *by).agg(pl.col("cost_nano").cast(pl.Int128).sum().alias("billed_nano"))
    return narrow(summed, ["billed_nano"]), by
