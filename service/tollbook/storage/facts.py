"""What is kept of a call, column by column: the one list that tables, rows and answers are made from.

The ledger has one row for each attempt, with what is known of its call beside it; a call that asked no upstream has one row
whose attempt is null. Rows are only ever added. A column may be added at the end of its group: a journal that was written before
has less to say of a call, and what it lacks is null; `duck.SCHEMA` is raised, and the table gets the column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import msgspec

from tollbook.call import COMPONENTS, CURRENCY, Attempt, Call, component, format_usd

Type = Literal["TEXT", "BIGINT", "DOUBLE", "BOOLEAN", "TIMESTAMP", "TEXT[]", "LINES"]

FORMAT = 2
"""Of what `of` tells; `rows` reads all there ever were."""

_LINES = "STRUCT(kind TEXT, quantity BIGINT, rate_pico BIGINT, amount_nano BIGINT)[]"


class Column(NamedTuple):
    """A column of a table: TIMESTAMP is UTC, TEXT may hold JSON where `json` says so."""

    name: str
    type: Type
    attribute: str = ""
    """Where the value stands in a Call or an Attempt; "" where it is computed."""
    json: bool = False

    @property
    def sql(self) -> str:
        """The column as DuckDB declares it."""
        return f"{self.name} {_LINES if self.type == 'LINES' else self.type}"


CALL = (
    Column("call_id", "TEXT", "id"),
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
    Column("tags", "TEXT[]", "tags"),
    Column("response_id", "TEXT", "response_id"),
    Column("previous_response_id", "TEXT", "previous_response_id"),
    Column("session_id", "TEXT", "session_id"),
    Column("turn", "BIGINT", "turn"),
    Column("task", "TEXT", "task"),
    Column("outcome", "TEXT", "outcome"),
    Column("status", "BIGINT", "status"),
    Column("finish", "TEXT", "finish"),
    Column("notes", "TEXT", "notes", json=True),
    Column("continuity", "TEXT", "continuity"),
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
)

ERROR = (
    Column("error_type", "TEXT"),
    Column("error_code", "TEXT"),
    Column("error_param", "TEXT"),
    Column("error_message", "TEXT"),
    Column("call_error_kind", "TEXT"),
)
"""What the client was told; an attempt's own failure is in ATTEMPT."""

USAGE = (
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
    Column("reported_cost_nano", "BIGINT", "usage.reported_cost"),
    Column("units", "TEXT", "usage.units", json=True),
)

ATTEMPT = (
    Column("attempt", "BIGINT", "number"),
    Column("attempt_started", "TIMESTAMP", "started"),
    Column("attempt_first_byte", "TIMESTAMP", "first_byte"),
    Column("attempt_first_output", "TIMESTAMP", "first_output"),
    Column("attempt_ended", "TIMESTAMP", "ended"),
    Column("deployment", "TEXT", "deployment"),
    Column("provider", "TEXT", "provider"),
    Column("upstream_model", "TEXT", "model"),
    Column("served_model", "TEXT", "served_model"),
    Column("service_tier", "TEXT", "service_tier"),
    Column("reason", "TEXT", "reason"),
    Column("backoff", "DOUBLE", "backoff"),
    Column("host", "TEXT", "host"),
    Column("port", "BIGINT", "port"),
    Column("status_code", "BIGINT", "status_code"),
    Column("attempt_outcome", "TEXT", "outcome"),
    Column("error_kind", "TEXT", "error_kind"),
    Column("attempt_error", "TEXT", "error_message"),
    Column("upstream_request_id", "TEXT", "upstream_request_id"),
    Column("upstream_response_id", "TEXT", "upstream_response_id"),
    Column("attempt_span_id", "TEXT", "span_id"),
    *USAGE,
)

COST = (
    Column("cost_status", "TEXT", "status"),
    Column("cost_nano", "BIGINT", "total"),
    Column("price_version", "TEXT", "version"),
    Column("price_source", "TEXT", "source"),
    Column("threshold_tokens", "BIGINT", "threshold"),
    Column("margin_nano", "BIGINT", "margin"),
    Column("input_rate_pico", "BIGINT", "input_rate"),
)
"""`cost_nano` is what the provider takes, the sum of the lines; `margin_nano` is on top of it."""

PARTS = tuple(Column(f"cost_{name}_nano", "BIGINT") for name in COMPONENTS)
"""The lines summed by component: they add up to `cost_nano`."""

BILL = (*COST, Column("currency", "TEXT"), *PARTS, Column("lines", "LINES"))
"""What a price says of an attempt; a later repricing says it anew, beside it."""

LEDGER = (
    *CALL,
    *ERROR,
    Column("attempts", "BIGINT"),
    *ATTEMPT,
    *BILL,
    Column("answered", "BOOLEAN"),
    Column("recorded_ns", "BIGINT"),
)
"""`attempts` is how many the call had; `answered` is true in exactly one row of each call: of the attempt that gave the
answer, or of the last. Currency is that of all prices, USD."""

_call = attrgetter(*(column.attribute for column in CALL))
_attempt = attrgetter(*(column.attribute for column in ATTEMPT))
_cost = attrgetter(*(column.attribute for column in COST))
_line = attrgetter("kind", "quantity", "rate", "amount")


def of(call: Call) -> tuple[Any, ...]:
    """The facts of a call as plain values for msgpack; cheap, for this runs on the event loop. `rows` reads it."""
    answer = call.attempt
    attempts = [_attempt_facts(attempt, attempt is answer) for attempt in call.attempts]
    return (FORMAT, _call(call), _error(call), attempts)


def _error(call: Call) -> tuple[Any, ...]:
    error = call.error
    if error is None:
        return (None, None, None, None, None)
    return (error.type, error.code, error.param, error.message, getattr(error, "kind", None))


def _attempt_facts(attempt: Attempt, answered: bool) -> tuple[Any, ...]:
    cost = attempt.cost
    return (_attempt(attempt), _cost(cost), [_line(line) for line in cost.lines], answered)


Row = list[Any]
"""One row of the ledger, in the order of LEDGER."""


def rows(facts: Sequence[Any], recorded: int) -> list[Row]:
    """The rows that `of` (through msgpack) stands for. Every value fits its column."""
    if not isinstance(facts[0], int):
        from .before import facts_of_format_1

        facts = facts_of_format_1(facts)
    _, values, error, attempts = facts
    of_call = (*_filled(values, len(CALL)), *error, len(attempts))
    if not attempts:
        return [_fit((*of_call, *_NO_ATTEMPT, True, recorded))]
    return [
        _fit((*of_call, *_filled(of_attempt, len(ATTEMPT)), *bill(cost, lines), answered, recorded))
        for of_attempt, cost, lines, answered in attempts
    ]


_NO_ATTEMPT = (None,) * (len(ATTEMPT) + len(BILL))
_KINDS = ("kind", "quantity", "rate_pico", "amount_nano")


def bill(cost: Sequence[Any], lines: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    """The values of BILL for the values of COST and the lines of a price."""
    known = cost[1] is not None
    sums = dict.fromkeys(COMPONENTS, 0 if known else None)
    for kind, _, _, amount in lines:
        if known:
            sums[component(kind)] += amount
    told = [dict(zip(_KINDS, line, strict=True)) for line in lines]
    return (*_filled(cost, len(COST)), CURRENCY, *sums.values(), told)


def _filled(values: Sequence[Any], length: int) -> Sequence[Any]:
    """Values of an older journal with null for what it did not know yet."""
    return values if len(values) == length else [*values, *([None] * (length - len(values)))]


# Answers


def to_json(kept: Sequence[Row]) -> dict[str, Any]:
    """A call as `Store.call` tells it, from its rows: times as ISO 8601 in UTC, money as nano-USD and as an exact decimal."""
    told = [_named(row) for row in sorted(kept, key=lambda row: row[_NUMBER] or 0)]
    answer = next((row for row in told if row["answered"]), told[-1])
    call = {"object": "call", "id": answer["call_id"]} | {c.name: answer[c.name] for c in CALL[1:]}
    error = {c.name.removeprefix("call_").removeprefix("error_"): answer[c.name] for c in ERROR}
    call["error"] = error if error["type"] is not None else None
    call["usage"] = _usage(answer)
    tried = [row for row in told if row["attempt"] is not None]
    call["cost"] = _whole_cost(tried)
    call["attempts"] = [_attempt_json(row) for row in tried]
    return call


def _attempt_json(row: dict[str, Any]) -> dict[str, Any]:
    names = [column.name for column in ATTEMPT if column not in USAGE]
    return {
        **{_SHORT.get(name, name.removeprefix("attempt_")): row[name] for name in names},
        "answered": row["answered"],
        "usage": _usage(row),
        "cost": {**_cost_json(row), "lines": row["lines"] or []},
    }


_SHORT = {"attempt": "number", "upstream_model": "model", "attempt_error": "error_message"}


def _usage(row: dict[str, Any]) -> dict[str, Any]:
    told = {column.attribute.removeprefix("usage."): row[column.name] for column in USAGE}
    if row["attempt"] is None:
        return dict.fromkeys(told, 0) | {"source": "none", "tools": {}, "units": {}, "reported_cost": None}
    return told


def _cost_json(row: dict[str, Any]) -> dict[str, Any]:
    nano = row["cost_nano"]
    return {
        "status": row["cost_status"],
        "nano_usd": nano,
        "usd": None if nano is None else format_usd(nano),
        "price_version": row["price_version"],
        "price_source": row["price_source"],
        "threshold_tokens": row["threshold_tokens"],
        "margin_nano_usd": row["margin_nano"],
        "input_rate_pico": row["input_rate_pico"],
    }


def _whole_cost(tried: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All attempts together, by the rule of `Call.cost`."""
    answered = ("completed", "incomplete")
    spent = [r for r in tried if r["usage_source"] != "none" or r["cost_nano"] or r["attempt_outcome"] in answered]
    if not spent:
        free = dict.fromkeys(column.name for column in COST) | {"cost_status": "free", "cost_nano": 0, "margin_nano": 0}
        return _cost_json({**free, "price_version": "", "price_source": ""})
    if any(row["cost_status"] == "unpriced" for row in spent):
        return _cost_json(dict.fromkeys(column.name for column in COST) | {"cost_status": "unpriced", "margin_nano": 0})
    sums = {name: sum(row[name] or 0 for row in spent) for name in ("cost_nano", "margin_nano")}
    return _cost_json({**spent[-1], "cost_status": "priced", **sums})


def _named(row: Iterable[Any]) -> dict[str, Any]:
    named = {}
    for column, value in zip(LEDGER, row, strict=True):
        if column.json:
            named[column.name] = _decode_json(value) if value is not None else None
        elif isinstance(value, datetime):
            named[column.name] = value.isoformat(timespec="microseconds") + "Z"
        else:
            named[column.name] = value
    return named


_NUMBER = [column.name for column in LEDGER].index("attempt")

# Values that fit their columns

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


def _texts(value: Any) -> list[str]:
    return [str(each) for each in value or ()]


def _lines(value: Any) -> list[dict[str, Any]] | None:
    if value is None:
        return None
    return [{"kind": _text(line["kind"]), **{name: _whole(line[name]) for name in _KINDS[1:]}} for line in value]


_FITS: dict[str, Callable[[Any], Any]] = {
    "TEXT": _text,
    "BIGINT": _whole,
    "DOUBLE": _real,
    "BOOLEAN": _flag,
    "TIMESTAMP": time,
    "TEXT[]": _texts,
    "LINES": _lines,
}
_CONVERSIONS = tuple(_json if column.json else _FITS[column.type] for column in LEDGER)


def _fit(values: Sequence[Any]) -> Row:
    """Values as their columns take them: the outside may have sent a number of 30 digits or a text for a number."""
    return [convert(value) for convert, value in zip(_CONVERSIONS, values, strict=True)]
