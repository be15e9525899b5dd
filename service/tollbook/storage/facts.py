"""What is kept of a call, column by column: the one list that tables, rows and answers are made from.

Tables and journals on disk follow these lists: whoever changes one raises `duck.SCHEMA` and `journal.FORMAT` and says
how the old becomes the new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import msgspec

from tollbook.call import Attempt, Call, Cost, format_usd

Type = Literal["TEXT", "BIGINT", "DOUBLE", "BOOLEAN", "TIMESTAMP"]


class Column(NamedTuple):
    """A column of a table: TIMESTAMP is UTC, TEXT may hold JSON where `json` says so."""

    name: str
    type: Type
    attribute: str = ""
    """Where the value stands in a Call or an Attempt; "" where it is computed."""
    json: bool = False


_USAGE = (
    Column("uncached_input_tokens", "BIGINT", "usage.input"),
    Column("cache_read_tokens", "BIGINT", "usage.cache_read"),
    Column("cache_write_tokens", "BIGINT", "usage.cache_write"),
    Column("cache_write_1h_tokens", "BIGINT", "usage.cache_write_1h"),
    Column("audio_input_tokens", "BIGINT", "usage.input_audio"),
    Column("image_input_tokens", "BIGINT", "usage.input_image"),
    Column("cache_read_audio_tokens", "BIGINT", "usage.cache_read_audio"),
    Column("visible_output_tokens", "BIGINT", "usage.output"),
    Column("reasoning_tokens", "BIGINT", "usage.reasoning"),
    Column("audio_output_tokens", "BIGINT", "usage.output_audio"),
    Column("image_output_tokens", "BIGINT", "usage.output_image"),
    Column("usage_source", "TEXT", "usage.source"),
    Column("tool_calls", "TEXT", "usage.tools", json=True),
)

_COST = (
    Column("cost_status", "TEXT"),
    Column("cost_nano", "BIGINT"),
    Column("price_version", "TEXT"),
    Column("price_source", "TEXT"),
)

CALLS = (
    Column("id", "TEXT", "id"),
    Column("started", "TIMESTAMP", "started"),
    Column("first_output", "TIMESTAMP", "first_output"),
    Column("ended", "TIMESTAMP", "ended"),
    Column("operation", "TEXT", "operation"),
    Column("model", "TEXT", "model"),
    Column("stream", "BOOLEAN", "stream"),
    Column("key_id", "TEXT", "key_id"),
    Column("key_alias", "TEXT", "key_alias"),
    Column("team", "TEXT", "team"),
    Column("end_user", "TEXT", "end_user"),
    Column("tags", "TEXT", "tags", json=True),
    Column("response_id", "TEXT", "response_id"),
    Column("previous_response_id", "TEXT", "previous_response_id"),
    Column("session_id", "TEXT", "session_id"),
    Column("outcome", "TEXT", "outcome"),
    Column("status", "BIGINT", "status"),
    Column("finish", "TEXT", "finish"),
    Column("notes", "TEXT", "notes", json=True),
    Column("events", "BIGINT", "events"),
    Column("bytes_out", "BIGINT", "bytes_out"),
    Column("longest_gap_ns", "BIGINT", "longest_gap"),
    Column("requested_tier", "TEXT", "requested_tier"),
    Column("reasoning_effort", "TEXT", "reasoning_effort"),
    Column("max_output_tokens", "BIGINT", "max_output_tokens"),
    Column("temperature", "DOUBLE", "temperature"),
    Column("top_p", "DOUBLE", "top_p"),
    Column("output_type", "TEXT", "output_type"),
    Column("trace_id", "TEXT", "trace_id"),
    Column("span_id", "TEXT", "span_id"),
    Column("parent_span", "TEXT", "parent_span", json=True),
    *_USAGE,
    Column("error_type", "TEXT"),
    Column("error_code", "TEXT"),
    Column("error_param", "TEXT"),
    Column("error_message", "TEXT"),
    Column("error_kind", "TEXT"),
    *_COST,
    Column("attempts", "BIGINT"),
    Column("recorded_ns", "BIGINT"),
)

ATTEMPTS = (
    Column("number", "BIGINT", "number"),
    Column("started", "TIMESTAMP", "started"),
    Column("first_byte", "TIMESTAMP", "first_byte"),
    Column("first_output", "TIMESTAMP", "first_output"),
    Column("ended", "TIMESTAMP", "ended"),
    Column("deployment", "TEXT", "deployment"),
    Column("provider", "TEXT", "provider"),
    Column("model", "TEXT", "model"),
    Column("served_model", "TEXT", "served_model"),
    Column("service_tier", "TEXT", "service_tier"),
    Column("reason", "TEXT", "reason"),
    Column("backoff", "DOUBLE", "backoff"),
    Column("host", "TEXT", "host"),
    Column("port", "BIGINT", "port"),
    Column("status_code", "BIGINT", "status_code"),
    Column("outcome", "TEXT", "outcome"),
    Column("error_kind", "TEXT", "error_kind"),
    Column("error_message", "TEXT", "error_message"),
    Column("upstream_request_id", "TEXT", "upstream_request_id"),
    Column("upstream_response_id", "TEXT", "upstream_response_id"),
    Column("span_id", "TEXT", "span_id"),
    *_USAGE,
    *_COST,
    Column("call_id", "TEXT"),
    Column("call_started", "TIMESTAMP"),
)

COST_LINES = (
    Column("kind", "TEXT"),
    Column("quantity", "BIGINT"),
    Column("rate_pico", "BIGINT"),
    Column("amount_nano", "BIGINT"),
    Column("call_id", "TEXT"),
    Column("call_started", "TIMESTAMP"),
    Column("attempt", "BIGINT"),
)

_call = attrgetter(*(column.attribute for column in CALLS if column.attribute))
_attempt = attrgetter(*(column.attribute for column in ATTEMPTS if column.attribute))
_cost = attrgetter("status", "total", "version", "source")
_line = attrgetter("kind", "quantity", "rate", "amount")


def of(call: Call) -> tuple[Any, ...]:
    """The facts of a call as plain values for msgpack; cheap, for this runs on the event loop. `rows` reads it."""
    return (_call(call), _error(call), _cost(call.cost), [_attempt_facts(attempt) for attempt in call.attempts])


def _error(call: Call) -> tuple[Any, ...]:
    error = call.error
    if error is None:
        return (None, None, None, None, None)
    return (error.type, error.code, error.param, error.message, getattr(error, "kind", None))


def _attempt_facts(attempt: Attempt) -> tuple[Any, ...]:
    cost: Cost = attempt.cost
    return (_attempt(attempt), _cost(cost), [_line(line) for line in cost.lines])


class Rows(NamedTuple):
    """The rows of one call, in the order of `CALLS`, `ATTEMPTS` and `COST_LINES`."""

    call: list[Any]
    attempts: list[list[Any]]
    cost_lines: list[list[Any]]


def rows(facts: Sequence[Any], recorded: int) -> Rows:
    """The rows that `of` (through msgpack) stands for. Every value fits its column."""
    values, error, cost, attempts = facts
    call = _fit(CALLS, (*values, *error, *cost, len(attempts), recorded))
    identity = call[0], values[1]
    attempt_rows: list[list[Any]] = []
    line_rows: list[list[Any]] = []
    for of_attempt, of_cost, lines in attempts:
        attempt_rows.append(_fit(ATTEMPTS, (*of_attempt, *of_cost, *identity)))
        line_rows.extend(_fit(COST_LINES, (*line, *identity, of_attempt[0])) for line in lines)
    return Rows(call, attempt_rows, line_rows)


def to_json(kept: Rows) -> dict[str, Any]:
    """A call as `Store.call` tells it: times as ISO 8601 in UTC, money as nano-USD and as an exact decimal."""
    call = _named(CALLS, kept.call)
    del call["recorded_ns"]
    error = {name: call.pop(f"error_{name}") for name in ("type", "code", "param", "message", "kind")}
    lines: dict[Any, list[dict[str, Any]]] = {}
    for row in kept.cost_lines:
        line = _named(COST_LINES, row)
        del line["call_id"], line["call_started"]
        lines.setdefault(line.pop("attempt"), []).append(line)
    attempts = []
    for row in kept.attempts:
        attempt = _named(ATTEMPTS, row)
        del attempt["call_id"], attempt["call_started"]
        _gather(attempt)
        attempt["cost"]["lines"] = lines.get(attempt["number"], [])
        attempts.append(attempt)
    _gather(call)
    call["error"] = error if error["type"] is not None else None
    call["attempts"] = attempts
    return {"object": "call", **call}


_TOKENS = tuple((column.name, column.attribute.removeprefix("usage.")) for column in _USAGE)


def _gather(row: dict[str, Any]) -> None:
    """Usage and cost as objects of their own."""
    row["usage"] = {short: row.pop(name) for name, short in _TOKENS}
    nano = row.pop("cost_nano")
    row["cost"] = {
        "status": row.pop("cost_status"),
        "nano_usd": nano,
        "usd": None if nano is None else format_usd(nano),
        "price_version": row.pop("price_version"),
        "price_source": row.pop("price_source"),
    }


def _named(columns: Sequence[Column], row: Iterable[Any]) -> dict[str, Any]:
    named = {}
    for column, value in zip(columns, row, strict=True):
        if column.json:
            named[column.name] = _decode_json(value) if value is not None else None
        elif isinstance(value, datetime):
            named[column.name] = value.isoformat(timespec="microseconds") + "Z"
        else:
            named[column.name] = value
    return named


_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the tables hold UTC without a zone
_LARGEST = 2**63 - 1
_encode_json = msgspec.json.Encoder().encode
_decode_json = msgspec.json.Decoder().decode


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


def _whole(value: Any) -> int | None:
    return max(-_LARGEST, min(_LARGEST, value)) if isinstance(value, int) else None


def _real(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _flag(value: Any) -> bool | None:
    return None if value is None else bool(value)


def time(value: Any) -> datetime | None:
    """Nanoseconds since 1970 as a TIMESTAMP holds it: microseconds, 1970 to 2262."""
    return _EPOCH + timedelta(microseconds=max(0, min(_LARGEST, value)) // 1000) if isinstance(value, int) else None


def _json(value: Any) -> str | None:
    return None if value is None else _encode_json(value).decode()


_FITS: dict[str, Callable[[Any], Any]] = {
    "TEXT": _text,
    "BIGINT": _whole,
    "DOUBLE": _real,
    "BOOLEAN": _flag,
    "TIMESTAMP": time,
}
_CONVERSIONS: dict[tuple[Column, ...], tuple[Callable[[Any], Any], ...]] = {
    columns: tuple(_json if column.json else _FITS[column.type] for column in columns)
    for columns in (CALLS, ATTEMPTS, COST_LINES)
}


def _fit(columns: tuple[Column, ...], values: Sequence[Any]) -> list[Any]:
    """Values as their columns take them: the outside may have sent a number of 30 digits or a text for a number."""
    return [convert(value) for convert, value in zip(_CONVERSIONS[columns], values, strict=True)]
