"""Money for answers that nobody got, or not as they wanted them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from .dimensions import checked
from .measures import ANSWERED, MONEY, VOLUME, counted, known
from .totals import TIME, add_up, share
from .window import Every, Window

WASTE: Mapping[str, str] = {
    "retried": "attempts that failed and were made again",
    "fallback": "attempts that failed before another model answered",
    "hedged": "attempts that lost against a second one beside them, or were that one",
    "failed": "calls that ended in an error",
    "refused": "answers that a content filter ended",
    "truncated": "answers that a limit cut off",
    "cancelled": "calls that were cancelled",
    "disconnected": "calls whose client hung up",
}
"""Each kind with what it is. An attempt is of one kind at the most."""


def waste(frame: pl.LazyFrame, window: Window, by: Iterable[str] = (), every: Every | None = None) -> pl.DataFrame:
    """A row for each kind of waste in each group: attempts, tokens, `cost_nano`, and its share of everything the group spent.

    An attempt whose output went on in another (reason "continuation") was no waste: the client has it.
    """
    names = checked(by)
    sums = {
        "attempts": VOLUME["attempts"],
        "tokens": pl.col("input_tokens") + pl.col("output_tokens"),
        **MONEY,
    }
    found = add_up(followed(frame, window), window, sums, by=names, every=every, also={"waste": kind_of_waste()})
    group = [name for name in found.columns if name in (TIME, *names)]
    whole = pl.col("cost_nano").sum()
    found = found.with_columns((whole.over(group) if group else whole).alias("of_nano"))
    found = known(found.filter(pl.col("waste").is_not_null())).with_columns(
        share("cost_nano", "of_nano").alias("share")
    )
    order = pl.col("waste").replace_strict(list(WASTE), range(len(WASTE)))
    times = [TIME] if every else []
    return found.sort(*times, *names, order, nulls_last=True)


def kind_of_waste() -> pl.Expr:
    """The kind, or null; of a frame that knows what each attempt was `followed_by`."""
    lost, after = ~ANSWERED, pl.col("followed_by")
    ended, finish = pl.col("outcome"), pl.col("finish")
    raced = (pl.col("attempt_outcome") == "cancelled") | (pl.col("reason") == "hedge") | (after == "hedge")
    filtered = (finish == "content_filter") | (pl.col("error_kind") == "content_filter")
    return (
        pl.when(pl.col("reason").is_null() | (lost & (after == "continuation")))
        .then(None)
        .when(lost & raced.fill_null(False))
        .then(pl.lit("hedged"))
        .when(lost & (after == "fallback"))
        .then(pl.lit("fallback"))
        .when(lost)
        .then(pl.lit("retried"))
        .when(filtered)
        .then(pl.lit("refused"))
        .when(ended == "failed")
        .then(pl.lit("failed"))
        .when(ended == "incomplete")
        .then(pl.lit("truncated"))
        .when(ended == "cancelled")
        .then(pl.lit("cancelled"))
        .when(ended == "client_disconnected")
        .then(pl.lit("disconnected"))
    )


def wasted() -> Mapping[str, pl.Expr]:
    """The same as sums, for a report that does not tell the kinds apart: it needs not know what followed an attempt."""
    ended = pl.col("outcome").is_in(["failed", "incomplete", "cancelled", "client_disconnected"])
    vain = pl.col("reason").is_not_null() & (
        ~ANSWERED | ended | (pl.col("finish") == "content_filter").fill_null(False)
    )
    return {"wasted_attempts": counted(vain), "wasted_nano": pl.when(vain).then("cost_nano")}


def followed(frame: pl.LazyFrame, window: Window) -> pl.LazyFrame:
    """The ledger with `followed_by`, the reason of the attempt after each: null for the last. Rolled-up hours have it already.

    Only attempts in vain can have been followed, and only second ones follow: few rows are joined, however many there are.
    """
    columns = frame.collect_schema()
    if "followed_by" in columns or "attempt" not in columns:
        return frame
    created = frame.filter(pl.col("started") >= window.start, pl.col("started") < window.end)
    later = created.filter(pl.col("attempt") > 1).select(
        "call_id", (pl.col("attempt") - 1).alias("attempt"), pl.col("reason").alias("followed_by")
    )
    lost = created.filter(~ANSWERED).join(later, on=["call_id", "attempt"], how="left")
    kept = created.filter(ANSWERED).with_columns(pl.lit(None, pl.String).alias("followed_by"))
    return pl.concat([kept, lost])
