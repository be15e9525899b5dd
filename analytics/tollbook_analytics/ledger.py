"""The ledger: one row for each attempt, with the call it served.

A call that reached no upstream has one row whose attempt columns are null. Exactly one row of a call is `answered`: that
of the attempt whose answer the client got, or of the last one. What belongs to the call (outcome, durations) is repeated
on all its rows.

Times are UTC to the microsecond. Money is integer nano-USD (10^-9), rates are integer pico-USD (10^-12) per token. Null is
unknown, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import polars as pl

from .errors import NotALedger

Type: TypeAlias = pl.DataType | type[pl.DataType]

MOMENT = pl.Datetime("us", "UTC")

CALL: Mapping[str, Type] = {
    "call_id": pl.String,
    "started": MOMENT,
    "operation": pl.String,
    "outcome": pl.String,
    "status": pl.Int64,
    "stream": pl.Boolean,
    "key_id": pl.String,
    "key_alias": pl.String,
    "team": pl.String,
    "end_user": pl.String,
    "tags": pl.List(pl.String),
    "model": pl.String,
    "response_id": pl.String,
    "previous_response_id": pl.String,
    "session_id": pl.String,
    "turn": pl.Int64,
    "trace_id": pl.String,
    "task": pl.String,
    "success": pl.Boolean,
    "error_code": pl.String,
    "finish": pl.String,
    "attempts": pl.Int64,
}
"""What is said of the call. `model` is its public name; `success` the latest reported outcome of its task, null without one."""

TOKENS = (
    "uncached_input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "audio_input_tokens",
    "image_input_tokens",
    "visible_output_tokens",
    "reasoning_tokens",
    "audio_output_tokens",
    "image_output_tokens",
)
"""Tokens by kind. The kinds are disjoint."""

COSTS = (
    "cost_input_nano",
    "cost_cache_read_nano",
    "cost_cache_write_nano",
    "cost_output_nano",
    "cost_reasoning_nano",
    "cost_tools_nano",
    "cost_other_nano",
)
"""The parts of `cost_nano`, which they add up to."""

ATTEMPT: Mapping[str, Type] = {
    "attempt": pl.Int64,
    "answered": pl.Boolean,
    "reason": pl.String,
    "deployment": pl.String,
    "provider": pl.String,
    "upstream_model": pl.String,
    "requested_tier": pl.String,
    "service_tier": pl.String,
    "attempt_outcome": pl.String,
    "error_kind": pl.String,
    **dict.fromkeys(TOKENS, pl.Int64),
    "input_tokens": pl.Int64,
    "output_tokens": pl.Int64,
    "usage_source": pl.String,
    "cost_status": pl.String,
    "cost_nano": pl.Int64,
    **dict.fromkeys(COSTS, pl.Int64),
    "margin_nano": pl.Int64,
    "input_rate_pico": pl.Int64,
    "price_version": pl.String,
    "price_source": pl.String,
}
"""What is said of the attempt: `input_tokens` and `output_tokens` are all of them, of whatever kind."""

TIMES: Mapping[str, Type] = {
    "duration_ms": pl.Float64,
    "first_output_ms": pl.Float64,
    "attempt_started": MOMENT,
    "attempt_ms": pl.Float64,
    "attempt_first_byte_ms": pl.Float64,
    "replayed": pl.Boolean,
}
"""`duration_ms` and `first_output_ms` are the call's."""

LEDGER: Mapping[str, Type] = {**CALL, **ATTEMPT, **TIMES}
"""Every column of the ledger, in order."""


def ledger(frame: pl.LazyFrame) -> pl.LazyFrame:
    """The frame with the columns and types of `LEDGER`, whatever reader it came from.

    Names in a dictionary encoding become text, times without a zone are UTC, whole numbers in decimals become Int64 (what
    does not fit raises when it is read). A column that does not exist yet in older books may be missing if it may be
    null. Raises NotALedger, naming every column that is missing or has no fitting type.
    """
    found = frame.collect_schema()
    missing = [name for name in LEDGER if name not in found and name in REQUIRED]
    strange = [
        f"{name} ({found[name]})" for name, kind in LEDGER.items() if name in found and not _fits(found[name], kind)
    ]
    if missing or strange:
        told = [f"without {', '.join(missing)}"] if missing else []
        told += [f"with other types in {', '.join(strange)}"] if strange else []
        raise NotALedger(f"this is not a ledger: it is {' and '.join(told)}")
    return frame.select(
        _cast(name, found[name], kind) if name in found else pl.lit(None, kind).alias(name)
        for name, kind in LEDGER.items()
    )


REQUIRED = frozenset(
    (
        "call_id",
        "started",
        "operation",
        "outcome",
        "model",
        "attempt",
        "answered",
        "reason",
        "usage_source",
        "cost_status",
        "cost_nano",
        "input_tokens",
        "output_tokens",
    )
)
"""Without these nothing can be said."""


def empty() -> pl.LazyFrame:
    """A ledger without rows."""
    return pl.LazyFrame(schema=dict(LEDGER))


def _fits(found: pl.DataType, kind: Type) -> bool:
    if found in (kind, pl.Null):
        return True
    if kind == pl.String:
        return found in (pl.Categorical, pl.Enum)
    if kind == pl.Int64:
        return found.is_integer() or (isinstance(found, pl.Decimal) and found.scale == 0)
    if kind == pl.Float64:
        return found.is_numeric()
    if isinstance(kind, pl.List):
        return isinstance(found, pl.List) and _fits(_inner(found), pl.String)
    return isinstance(kind, pl.Datetime) and isinstance(found, pl.Datetime)


def _inner(kind: pl.List) -> pl.DataType:
    inner = kind.inner
    return inner if isinstance(inner, pl.DataType) else inner()


def _cast(name: str, found: pl.DataType, kind: Type) -> pl.Expr:
    column = pl.col(name)
    if found == kind:
        return column
    if isinstance(found, pl.Datetime) and found.time_zone is None:
        column = column.dt.replace_time_zone("UTC")
    elif isinstance(found, pl.Datetime):
        column = column.dt.convert_time_zone("UTC")
    return column.cast(kind)
