"""What was spent, by anything: a question, and the SELECT that answers it.

From rolled-up hours as far as they can tell, from the ledger where they cannot; both say the same to the nano-dollar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

from tollbook.errors import InvalidRequest

from .facts import PARTS
from .rollup import HOURS, UNPRICED

Every = Literal["hour", "day", "week", "month"]
Frame = Literal["ledger", "hours", "latencies"]
"""What reports are made of: the view `spend`, rolled-up hours, histograms of latency."""

EVERY: tuple[Every, ...] = get_args(Every)

DIMENSIONS: Mapping[str, str] = {
    "key": "key_id",
    "team": "team",
    "end_user": "end_user",
    "model": "model",
    "provider": "provider",
    "deployment": "deployment",
    "tag": "tags",
    "session": "session_id",
    "task": "task",
    "outcome": "outcome",
    "upstream_model": "upstream_model",
    "tier": "service_tier",
    "reason": "reason",
    "error_kind": "error_kind",
    "error_code": "error_code",
    "finish": "finish",
    "usage_source": "usage_source",
    "price_version": "price_version",
    "cost_status": "cost_status",
}
"""What spend is told by, with the column of the view `spend`. A call with several tags counts under each of them."""

FAILED = ("failed", "rejected", "client_disconnected")

_USED = f"sum(rows) FILTER {UNPRICED}"
_KNOWN = (
    f"CASE WHEN {_USED} IS NULL OR sum(rows) FILTER (cost_status <> 'unpriced') > 0 THEN coalesce(sum({{}}), 0) END"
)

MEASURES: Mapping[str, str] = {
    "calls": "sum(rows) FILTER (answered)",
    "failed": f"sum(rows) FILTER (answered AND outcome IN {FAILED})",
    "attempts": "sum(rows) FILTER (reason IS NOT NULL)",
    "input_tokens": "sum(input_tokens)",
    "cache_read_tokens": "sum(cache_read_tokens)",
    "cache_write_tokens": "sum(cache_write_tokens + cache_write_1h_tokens)",
    "output_tokens": "sum(output_tokens)",
    "reasoning_tokens": "sum(reasoning_tokens)",
    "cost_nano": _KNOWN.format("cost_nano"),
    **{column.name: _KNOWN.format(column.name) for column in PARTS},
    "wasted_nano": "sum(cost_nano) FILTER (NOT answered)",
    "margin_nano": "sum(margin_nano)",
    "unpriced": _USED,
}
"""What is told of each group. `unpriced` counts attempts whose cost is unknown: beside a count above zero the sum of costs is a
lower bound, and it is null where nothing of it is known. `wasted_nano` went to attempts that did not give the answer."""

_NULLABLE = {"cost_nano", *(column.name for column in PARTS)}

LARGEST = 100_000
"""Rows of an answer at the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which calls count: of each name that is given, those with one of its values. "" stands for calls without the thing.

    Times are nanoseconds since 1970: from `start` up to, not including, `end`.
    """

    start: int | None = None
    end: int | None = None
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By a name in DIMENSIONS; `key` takes ids and aliases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked. Raises InvalidRequest, naming the parameter, for what cannot be."""

    filters: Filters = field(default_factory=Filters)
    by: tuple[str, ...] = ()
    every: Every | None = None
    zone: str = "UTC"
    limit: int = LARGEST

    def __post_init__(self) -> None:
        for name, given in (("group_by", self.by), ("filter", self.filters.values)):
            wrong = [each for each in given if each not in DIMENSIONS]
            if wrong:
                told = ", ".join((*DIMENSIONS, *EVERY) if name == "group_by" else DIMENSIONS)
                raise InvalidRequest(
                    f"Spend cannot be told by '{wrong[0]}'; there is {told}.", param=name, code="invalid_value"
                )
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
            raise InvalidRequest(f"There is no time zone '{self.zone}'.", param="tz", code="invalid_value") from None


def condition(filters: Filters, key_id: str | None) -> tuple[str, list[Any]]:
    """A condition on the columns of the view `spend`; `key_id` None sees everybody's calls."""
    parts: list[str] = ["true"]
    values: list[Any] = []
    if key_id is not None:
        parts.append("key_id = ?")
        values.append(key_id)
    for moment, compared in ((filters.start, ">="), (filters.end, "<")):
        if moment is not None:
            parts.append(f"started {compared} ?")
            values.append(_utc(moment))
    for name, wanted in filters.values.items():
        column, named = DIMENSIONS[name], [value for value in wanted if value]
        match name:
            case "tag":
                found, without = f"list_has_any({column}, ?)", f"coalesce(len({column}), 0) = 0"
            case "key":
                found, without = (
                    f"({column} IN (SELECT unnest(?)) OR key_alias IN (SELECT unnest(?)))",
                    f"{column} = ''",
                )
            case _:
                found, without = f"{column} IN (SELECT unnest(?))", f"{column} IS NULL"
        parts.append(f"({found} OR {without})" if "" in wanted else found)
        values += [named, named] if name == "key" else [named]
    return " AND ".join(parts), values


def select(question: Question, key_id: str | None, *, ledger: str, rolled: datetime | None) -> tuple[str, list[Any]]:
    """The SELECT, with its parameters. `ledger` is one of the view's columns, `rolled` the end of the rolled hours."""
    where, values = condition(question.filters, key_id)
    columns = "*, 1 AS rows"
    source = f"SELECT {columns} FROM ({ledger}) WHERE operation = 'create' AND {where}"  # noqa: S608 - our own names
    if rolled is not None and by_hours(question):
        kept = ", ".join(column.name for column in HOURS if column.name != "hour")
        narrow = ", ".join(column.name if column.name != "rows" else "1 AS rows" for column in HOURS[1:])
        narrow = narrow.replace("followed_by", "NULL AS followed_by")
        narrow = narrow.replace("follow_up_uncached_tokens", "0 AS follow_up_uncached_tokens")
        source = f"""
            SELECT started, {kept} FROM (SELECT *, hour AS started FROM hours) WHERE started < ? AND {where}
            UNION ALL
            SELECT started, {narrow} FROM ({ledger}) WHERE started >= ? AND operation = 'create' AND {where}"""  # noqa: S608
        values = [rolled, *values, rolled, *values]
    groups: list[tuple[str, str]] = []
    if question.every is not None:
        groups.append((question.every, _bucket(question.every)))
        values = [question.zone] * groups[0][1].count("?") + values
    groups += [(name, _named(name)) for name in question.by]
    names = [name for name, _ in groups]
    measures = ", ".join(
        f"({value if name in _NULLABLE else f'coalesce({value}, 0)'})::BIGINT AS {name}"
        for name, value in MEASURES.items()
    )
    if not groups:
        return f"SELECT {measures} FROM ({source})", values  # noqa: S608
    inner = ", ".join(f"{value} AS _{name}" for name, value in groups)
    keys = ", ".join(f"_{name}" for name in names)
    told = ", ".join(f"_{name} AS {name}" for name in names)
    if "key" in names:
        told += ", arg_max(key_alias, started) AS key_alias"
    order = [*([question.every] if question.every is not None else ()), "cost_nano DESC", "calls DESC", *question.by]
    return (
        f"SELECT {told}, {measures} FROM (SELECT *, {inner} FROM ({source})) GROUP BY {keys}"  # noqa: S608
        f" ORDER BY {', '.join(order)} LIMIT ?",
        [*values, question.limit],
    )


def by_hours(question: Question) -> bool:
    """Whether rolled-up hours can tell it: no edge is inside of one, and they know what is asked."""
    known = {column.name for column in HOURS}
    filters = question.filters
    if any(DIMENSIONS[name] not in known for name in (*question.by, *filters.values)):
        return False
    edges = [moment for moment in (filters.start, filters.end) if moment is not None]
    if any(moment % _HOUR for moment in edges):
        return False
    return question.every is None or _whole_hours(question.zone, filters)


_HOUR = 3_600_000_000_000
_DECADES = 40 * 366


def _whole_hours(zone: str, filters: Filters) -> bool:
    """Whether clocks there are whole hours from UTC, every day of it."""
    end = _utc(filters.end) if filters.end is not None else datetime.now(UTC).replace(tzinfo=None)
    start = _utc(filters.start) if filters.start is not None else end - timedelta(days=_DECADES)
    place = ZoneInfo(zone)
    days = max(0, min((end - start).days + 1, _DECADES))
    offsets = {
        (start + timedelta(days=day)).replace(tzinfo=UTC).astimezone(place).utcoffset() for day in range(days + 1)
    }
    return all(offset is not None and offset % timedelta(hours=1) == timedelta(0) for offset in offsets)


def _named(name: str) -> str:
    match name:
        case "key":
            return "nullif(key_id, '')"
        case "tag":
            return "unnest(CASE WHEN len(tags) > 0 THEN tags ELSE [NULL] END)"
        case _:
            return DIMENSIONS[name]


_LOCAL = "(started AT TIME ZONE 'UTC' AT TIME ZONE ?)"


def _bucket(every: Every) -> str:
    """The bucket of a row: days, weeks (their Monday) and months of the zone as text, hours by their first moment in UTC."""
    match every:
        case "hour":  # two hours of a day may look alike on the wall
            return f"started - ({_LOCAL} - date_trunc('hour', {_LOCAL}))"
        case "month":
            return f"strftime({_LOCAL}, '%Y-%m')"
        case _:
            return f"strftime(date_trunc('{every}', {_LOCAL}), '%Y-%m-%d')"


def _utc(nanoseconds: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(microseconds=nanoseconds // 1000)  # noqa: DTZ001 - as the tables have it
