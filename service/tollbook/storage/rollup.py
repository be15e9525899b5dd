"""Hours of the ledger, rolled up: so many times fewer rows that spend over ten million attempts is told at once.

    hours       equal attempts of an hour counted, their tokens and money added up
    latencies   histograms of an hour, of what clients waited

An hour is rolled when it is over, from the ledger alone, and again when something in it changed (a call that was booked late, a
repricing): its rows are always those that the ledger gives. What is later than the last rolled hour is read from the ledger.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import duckdb

from .facts import PARTS, Column
from .view import spend

SETTLED = timedelta(minutes=5)
"""How long after its end an hour is rolled: most of its calls are booked by then."""

_EQUAL = (
    *("key_id", "key_alias", "team", "model", "provider", "deployment", "upstream_model", "service_tier", "outcome"),
    *("error_code", "finish", "answered", "reason", "followed_by", "attempt_outcome", "error_kind", "usage_source"),
    *("cost_status", "input_rate_pico", "price_version", "price_source"),
)
_TOKENS = (
    *("uncached_input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens"),
    *("audio_input_tokens", "image_input_tokens", "visible_output_tokens", "reasoning_tokens", "audio_output_tokens"),
    *("image_output_tokens", "input_tokens", "output_tokens", "follow_up_uncached_tokens"),
)
_MONEY = ("cost_nano", *(column.name for column in PARTS), "margin_nano")


def _equal(name: str) -> Column:
    return Column(name, "BOOLEAN" if name == "answered" else "BIGINT" if name == "input_rate_pico" else "TEXT")


HOURS = (
    Column("hour", "TIMESTAMP"),
    *map(_equal, _EQUAL),
    Column("rows", "BIGINT"),
    *(Column(name, "BIGINT") for name in (*_TOKENS, *_MONEY)),
)
"""A row stands for `rows` attempts (or calls without one) of calls that make responses, which began in the `hour` (UTC) and are
equal in everything up to there. `followed_by` is the reason of the attempt after one in vain. `follow_up_uncached_tokens`
are the uncached input tokens of turns after the first."""

_TOLD_BY = (
    "key_id",
    "key_alias",
    "team",
    "model",
    "provider",
    "deployment",
    "upstream_model",
    "service_tier",
    "outcome",
)

LATENCIES = (
    Column("hour", "TIMESTAMP"),
    *map(_equal, _TOLD_BY),
    Column("metric", "TEXT"),
    Column("bucket", "BIGINT"),
    *(Column(name, "BIGINT") for name in ("rows", "cost_nano", "unpriced")),
)
"""A row stands for `rows` answered calls whose `metric` (first_output_ms, duration_ms, tokens_per_second) was in this bucket: at
least 2^(bucket/16), less than 2^((bucket+1)/16), the exponential histogram of OpenTelemetry at scale 4."""

UNPRICED = """(cost_status = 'unpriced' AND (
    usage_source <> 'none' OR coalesce(attempt_outcome IN ('completed', 'incomplete'), false)))"""
"""Whether a row's cost is unknown and missing: it used tokens, or answered, without a price (as `Call.cost`)."""

TABLES = ("hours", "latencies")


def roll(cursor: duckdb.DuckDBPyConnection, start: datetime, end: datetime, *, corrected: bool) -> None:
    """Roll the hours from `start` up to `end`, or roll them again. The caller has begun a transaction."""
    for table in TABLES:
        cursor.execute(f"DELETE FROM {table} WHERE hour >= ? AND hour < ?", [start, end])  # noqa: S608 - our own names
    ledger = f"""SELECT *, date_trunc('hour', started) AS hour FROM ({spend(corrected=corrected, successes=False)})
        WHERE started >= ? AND started < ? AND operation = 'create'"""  # noqa: S608
    sums = ", ".join(f"coalesce(sum({name}), 0)::BIGINT" for name in (*_TOKENS, *_MONEY))
    cursor.execute(
        f"""INSERT INTO hours ({", ".join(column.name for column in HOURS)})
        SELECT hour, {", ".join(_EQUAL)}, count(*), {sums} FROM (
            SELECT *,
                CASE WHEN NOT answered THEN lead(reason) OVER (PARTITION BY call_id ORDER BY attempt) END AS followed_by,
                CASE WHEN turn > 1 THEN uncached_input_tokens ELSE 0 END AS follow_up_uncached_tokens
            FROM ({ledger}))
        GROUP BY hour, {", ".join(_EQUAL)}""",  # noqa: S608
        [start, end],
    )
    metrics = " UNION ALL ".join(
        f"SELECT *, '{name}' AS metric, {value} AS value FROM waited"  # noqa: S608
        for name, value in _METRICS.items()
    )
    cursor.execute(
        f"""INSERT INTO latencies ({", ".join(column.name for column in LATENCIES)})
        WITH waited AS (SELECT * FROM ({ledger}) WHERE answered AND outcome IN ('completed', 'incomplete'))
        SELECT hour, {", ".join(_TOLD_BY)}, metric, bucket, count(*), coalesce(sum(cost_nano), 0)::BIGINT,
            count(*) FILTER ({UNPRICED})
        FROM (SELECT *, floor(log2(least(greatest(value, {_SMALLEST}), {_LARGEST})) * 16)::BIGINT AS bucket
            FROM ({metrics}) WHERE value > 0 AND isfinite(value))
        GROUP BY hour, {", ".join(_TOLD_BY)}, metric, bucket""",  # noqa: S608
        [start, end],
    )


_SMALLEST, _LARGEST = 2.0**-20, 2.0**40
_TOOK = "CASE WHEN stream AND first_output_ms IS NOT NULL THEN duration_ms - first_output_ms ELSE duration_ms END"
_METRICS = {
    "first_output_ms": "first_output_ms",
    "duration_ms": "duration_ms",
    "tokens_per_second": f"CASE WHEN {_TOOK} > 0 AND output_tokens > 0 THEN output_tokens * 1000 / {_TOOK} END",
}


def full(moment: datetime) -> datetime:
    """The hour that a time is in."""
    return moment.replace(minute=0, second=0, microsecond=0)
