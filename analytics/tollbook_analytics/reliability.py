"""How calls ended, how often another attempt was needed, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from .dimensions import checked
from .measures import ANSWERED, ATTEMPTED, counted, ended
from .totals import TIME, add_up, ordered, share
from .window import Every, Window

_OUTCOMES = ("completed", "incomplete", "failed", "rejected", "cancelled", "client_disconnected")
_REASONS = {"retried": "retry", "fallen_back": "fallback", "hedged": "hedge", "continued": "continuation"}


def reliability(
    frame: pl.LazyFrame, window: Window, by: Iterable[str] = (), every: Every | None = None
) -> pl.DataFrame:
    """Calls by how they ended, for each group. `error_share` is of calls that gave the client an error: failed and rejected.

    `retried`, `fallen_back`, `hedged` and `continued` count the calls that were answered by such an attempt, and
    `attempts_per_call` is of the calls that reached an upstream.
    """
    names = checked(by)
    sums = {
        "calls": counted(ANSWERED),
        **{outcome: counted(ended(outcome)) for outcome in _OUTCOMES},
        "attempts": counted(ATTEMPTED),
        "reached": counted(ATTEMPTED & ANSWERED),
        **{name: counted(ANSWERED & (pl.col("reason") == reason)) for name, reason in _REASONS.items()},
    }
    found = add_up(frame, window, sums, by=names, every=every)
    found = found.with_columns(
        errors=pl.col("failed") + pl.col("rejected"),
        attempts_per_call=share("attempts", "reached"),
        fallback_share=share("fallen_back", "reached"),
    ).with_columns(error_share=share("errors", "calls"))
    return ordered(found, *names, rank="calls").drop("reached", "errors")


def errors(frame: pl.LazyFrame, window: Window, by: Iterable[str] = (), every: Every | None = None) -> pl.DataFrame:
    """What went wrong, and where: `upstream` for attempts that failed (by the kind of their error), `gateway` for calls that were
    refused before any attempt (by the code the client got). `share` is of all errors of the same group."""
    names = checked(by)
    at = pl.when(ATTEMPTED).then(pl.lit("upstream")).otherwise(pl.lit("gateway"))
    what = pl.coalesce("error_kind", "error_code")
    wrong = pl.col("error_kind").is_not_null() | ended("failed", "rejected")
    also = {"at": pl.when(wrong).then(at), "error": pl.when(wrong).then(what)}
    found = add_up(frame, window, {"times": counted(wrong)}, by=names, every=every, also=also)
    found = found.filter(pl.col("at").is_not_null())
    group = [name for name in found.columns if name in (TIME, *names)]
    whole = pl.col("times").sum()
    found = found.with_columns(share=pl.col("times") / (whole.over(group) if group else whole))
    return ordered(found, "at", "error", *names, rank="times")
