"""Conversations: what a chain of turns cost, how its context grew, and how often the same history was sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias, get_args

import polars as pl

from .dimensions import checked
from .errors import ReportError
from .measures import ANSWERED, MONEY, counted, known
from .totals import TIME, add_up, collect, require, share, within
from .window import Every, Window

Rank: TypeAlias = Literal["cost_nano", "turns", "input_tokens", "ended"]

LONG = 50
"""Turns from this one on are told together."""


def conversations(frame: pl.LazyFrame, window: Window, *, top: int = 100, rank: Rank = "cost_nano") -> pl.DataFrame:
    """The `top` conversations of the window, the first by `rank`, by their session: one row each.

    `context_growth` is how much longer the input of the last turn was than that of the first (3.0: three times).
    `repeated_tokens` is input that the turn before had sent or been answered already, and `repeated_share` its part of
    all input; turns whose parent was made outside of the window, or is not in the ledger, repeat nothing. `moved` turns
    were answered elsewhere than their parent, so that the history had to be sent anew. Costs are of all attempts, tokens
    of those that answered.
    """
    if rank not in get_args(Rank):
        raise ReportError(f"conversations cannot be ranked by {rank!r}: there is {', '.join(get_args(Rank))}")
    if top < 1:
        raise ReportError(f"the first {top} are none: `top` is at least 1")
    chosen = _chosen(frame, window, top, rank)
    turns = _turns(within(frame, window).filter(pl.col("session_id").hash().is_in(chosen)))
    last_first = [pl.col("input_tokens").last().alias("last"), pl.col("input_tokens").first().alias("first")]
    found = turns.group_by("session", maintain_order=True).agg(
        pl.col("key_id").first().alias("key"),
        pl.col("key_alias").last(),
        pl.col("end_user").drop_nulls().first(),
        pl.col("model").unique(maintain_order=True).alias("models"),
        pl.col("started").min(),
        pl.col("started").max().alias("ended"),
        pl.len().cast(pl.Int64).alias("turns"),
        pl.col("input_tokens").sum(),
        pl.col("output_tokens").sum(),
        pl.col("cache_read_tokens").sum(),
        pl.col("repeated_tokens").sum(),
        pl.col("replayed").sum().cast(pl.Int64).alias("moved"),
        *last_first,
        *(pl.col(name).sum() for name in MONEY),
    )
    found = known(found).with_columns(
        share("last", "first").alias("context_growth"),
        share("repeated_tokens", "input_tokens").alias("repeated_share"),
        (pl.col("cost_nano") / pl.col("turns")).round().cast(pl.Int64).alias("nano_per_turn"),
        *(pl.col(name).dt.convert_time_zone(window.zone) for name in ("started", "ended")),
    )
    return found.drop("last", "first").sort(rank, "session", descending=[True, False], nulls_last=True).head(top)


def turns(frame: pl.LazyFrame, window: Window, by: Iterable[str] = (), every: Every | None = None) -> pl.DataFrame:
    """What the n-th turn of conversations costs, for each n; those from `LONG` on are one row.

    `nano_per_turn` and `input_per_turn` are means over all calls that were an n-th turn.
    """
    names = checked(by)
    answered = {"calls": counted(ANSWERED), "input_tokens": pl.when(ANSWERED).then("input_tokens")}
    cached = {"cache_read_tokens": pl.when(ANSWERED).then("cache_read_tokens")}
    also = {"turn": pl.col("turn").clip(upper_bound=LONG)}
    found = known(add_up(frame, window, {**answered, **cached, **MONEY}, by=names, every=every, also=also))
    found = found.filter(pl.col("turn").is_not_null()).with_columns(
        (pl.col("cost_nano") / pl.col("calls")).round().cast(pl.Int64).alias("nano_per_turn"),
        (pl.col("input_tokens") / pl.col("calls")).round().cast(pl.Int64).alias("input_per_turn"),
        share("cache_read_tokens", "input_tokens").alias("hit_share"),
    )
    return found.sort(*([TIME] if every else []), *names, "turn", nulls_last=True)


def conversation(frame: pl.LazyFrame, window: Window, session: str) -> pl.DataFrame:
    """The turns of one conversation in the order they were made: a row each, with its parent (null for the first).

    `new_tokens` is input that was not sent before, `repeated_tokens` the rest; `so_far_nano` is what it had cost up to there.
    """
    rows = _turns(within(frame, window).filter(pl.col("session_id") == session)).sort("started", "call_id")
    found = rows.with_columns(
        (pl.col("input_tokens") - pl.col("repeated_tokens")).alias("new_tokens"),
        pl.col("cost_nano").cum_sum().alias("so_far_nano"),
        pl.col("started").dt.convert_time_zone(window.zone),
    )
    head = ["turn", "started", "response_id", "previous_response_id", "call_id", "model", "deployment", "outcome"]
    counts = ["input_tokens", "new_tokens", "repeated_tokens", "cache_read_tokens", "output_tokens", "replayed"]
    return known(found).select(*head, *counts, "cost_nano", "unpriced", "so_far_nano")


def _chosen(frame: pl.LazyFrame, window: Window, top: int, rank: Rank) -> pl.Series:
    """The hashes of the first sessions. Millions of ids need half the time and memory as numbers; whoever shares a hash
    is sorted out later."""
    selected = within(frame, window).filter(pl.col("session_id").is_not_null())
    orders = {
        "cost_nano": pl.col("cost_nano").sum(),
        "turns": ANSWERED.sum(),
        "input_tokens": pl.when(ANSWERED).then("input_tokens").sum(),
        "ended": pl.col("started").max(),
    }
    require(selected, list(orders.values()))
    ranked = selected.group_by(session=pl.col("session_id").hash()).agg(orders[rank].alias("rank"))
    return collect(ranked.top_k(top, by=["rank", "session"]))["session"]


def _turns(frame: pl.LazyFrame) -> pl.DataFrame:
    """A row for each call: its cost over all attempts, the tokens of the attempt that answered, what of its input was
    sent before."""
    first = [
        "key_id",
        "key_alias",
        "end_user",
        "model",
        "started",
        "turn",
        "response_id",
        "previous_response_id",
        "outcome",
        "replayed",
    ]
    answer = ["deployment", "input_tokens", "output_tokens", "cache_read_tokens"]
    money = [expression.sum().alias(name) for name, expression in MONEY.items()]
    calls = collect(
        frame.group_by("session_id", "call_id").agg(
            *(pl.col(name).first() for name in first),
            *(pl.col(name).filter(ANSWERED).first() for name in answer),
            *money,
        )
    ).rename({"session_id": "session"})
    parents = calls.select(
        "session",
        pl.col("response_id").alias("previous_response_id"),
        (pl.col("input_tokens") + pl.col("output_tokens")).alias("before"),
    ).drop_nulls()
    joined = calls.join(
        parents.unique(["session", "previous_response_id"]), on=["session", "previous_response_id"], how="left"
    )
    repeated = pl.min_horizontal("input_tokens", "before")
    return joined.with_columns(
        pl.when(pl.col("before").is_not_null()).then(repeated).otherwise(0).alias("repeated_tokens"),
        pl.col("replayed").fill_null(False),
    ).sort("session", "started", "call_id")
