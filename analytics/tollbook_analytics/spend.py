"""What was spent: calls, tokens and money, by anything and over time."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from .dimensions import checked
from .errors import ReportError
from .measures import MONEY, VOLUME, counted, ended, known
from .totals import TIME, add_up, ordered
from .window import Every, Window

OTHER = "other"

SUMS = {
    "calls": VOLUME["calls"],
    "failed": counted(ended("failed", "rejected")),
    "attempts": VOLUME["attempts"],
    "input_tokens": VOLUME["input_tokens"],
    "output_tokens": VOLUME["output_tokens"],
    **MONEY,
    "margin_nano": pl.col("margin_nano"),
}


def spend(
    frame: pl.LazyFrame, window: Window, by: Iterable[str] = (), every: Every | None = None, *, top: int | None = None
) -> pl.DataFrame:
    """One row for each value of `by` in each bucket of time, the dearest first; `share` is of all rows of the same time.

    `failed` calls gave the client an error. `cost_nano` adds up what is known, the attempts that were in vain included;
    `unpriced` counts the attempts beside it whose cost is not. With `top`, the groups after the dearest so many of the
    whole window are one row whose names are null and whose `other` is true. A call with several tags is under each of
    them.
    """
    names = checked(by)
    if top is not None and top < 1:
        raise ReportError(f"the dearest {top} are none: `top` is at least 1")
    found = add_up(frame, window, SUMS, by=names, every=every)
    if top is not None and names:
        found = _topped(found, names, top)
    found = known(found)
    whole = pl.col("cost_nano").sum().over(TIME) if every else pl.col("cost_nano").sum()
    found = found.with_columns(share=pl.when(whole != 0).then(pl.col("cost_nano") / whole))
    return ordered(found, *names)


def _topped(found: pl.DataFrame, names: tuple[str, ...], top: int) -> pl.DataFrame:
    """The dearest groups stay; the rest of each bucket becomes one row."""
    keys = [name for name in found.columns if name in names or name == "key_alias"]
    sums = [name for name in found.columns if name not in (*keys, TIME)]
    ranked = found.group_by(names).agg(pl.col("cost_nano").sum(), pl.col("calls").sum())
    dearest = ranked.sort("cost_nano", "calls", *names, descending=[True, True, *(False for _ in names)]).head(top)
    stays = found.join(dearest, on=names, how="semi", nulls_equal=True).with_columns(pl.lit(False).alias(OTHER))
    rest = found.join(dearest, on=names, how="anti", nulls_equal=True)
    times = [TIME] if TIME in found.columns else []
    merged = rest.group_by(times).agg(pl.col(sums).sum()) if times else rest.select(pl.col(sums).sum())
    if rest.is_empty():
        merged = merged.clear()
    others = merged.with_columns(
        *(pl.lit(None, found.schema[name]).alias(name) for name in keys), pl.lit(True).alias(OTHER)
    )
    return pl.concat([stays, others.select(stays.columns)]).select([*times, *keys, OTHER, *sums])
