"""The calls that `GET /v1/calls` tells, as a LazyFrame with one row each, and their sums: what the overview page draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

_MOMENT = pl.Datetime("us", "UTC")

SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "id": pl.String,
    "started": _MOMENT,
    "ended": _MOMENT,
    "operation": pl.String,
    "model": pl.String,
    "key": pl.String,
    "end_user": pl.String,
    "outcome": pl.String,
    "input_tokens": pl.Int64,
    "output_tokens": pl.Int64,
    "cost_status": pl.String,
    "cost_nano": pl.Int64,
}
"""`key` is its alias, else its id; null without one. `cost_nano` is in nano-USD and null where the cost is unknown."""

_INPUT = ("input", "cache_read", "cache_write", "cache_write_1h", "input_audio", "input_image", "cache_read_audio")
_OUTPUT = ("output", "reasoning", "output_audio", "output_image")


def calls(told: Iterable[Mapping[str, Any]]) -> pl.LazyFrame:
    """The frame of these calls, by `SCHEMA`."""
    frame = pl.DataFrame([_row(call) for call in told], schema={**SCHEMA, "started": pl.String, "ended": pl.String})
    moments = [pl.col(name).str.to_datetime(time_unit="us", time_zone="UTC") for name in ("started", "ended")]
    return frame.lazy().with_columns(moments)


def _row(call: Mapping[str, Any]) -> dict[str, Any]:
    usage, cost = call["usage"], call["cost"]
    return {
        "id": call["id"],
        "started": call["started"],
        "ended": call["ended"],
        "operation": call["operation"],
        "model": call["model"] or None,
        "key": call["key_alias"] or call["key_id"] or None,
        "end_user": call["end_user"],
        "outcome": call["outcome"],
        "input_tokens": sum(usage[name] or 0 for name in _INPUT),
        "output_tokens": sum(usage[name] or 0 for name in _OUTPUT),
        "cost_status": cost["status"],
        "cost_nano": cost["nano_usd"],
    }


_FAILED = ("failed", "rejected", "client_disconnected")


def spend(calls: pl.LazyFrame, *by: str) -> pl.LazyFrame:
    """One row for each value of the columns `by` (one row altogether without any), the dearest first.

    `cost_nano` adds up the calls whose cost is known, in integer nano-USD; `unpriced` counts the others, so a sum
    beside a count above zero is a lower bound. `failed` counts calls that gave no answer.
    """
    sums = [
        pl.len().cast(pl.Int64).alias("calls"),
        pl.col("outcome").is_in(_FAILED).sum().cast(pl.Int64).alias("failed"),
        pl.col("input_tokens").sum(),
        pl.col("output_tokens").sum(),
        pl.col("cost_nano").sum(),
        (pl.col("cost_status") == "unpriced").sum().cast(pl.Int64).alias("unpriced"),
    ]
    if not by:
        return calls.select(sums)
    return calls.group_by(by).agg(sums).sort("cost_nano", "calls", *by, descending=[True, True, *(False for _ in by)])
