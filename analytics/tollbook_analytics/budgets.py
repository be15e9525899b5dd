"""How far budgets are used, how fast, and when they will be gone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import polars as pl

from .errors import ReportError
from .ledger import MOMENT, Type
from .measures import UNPRICED, counted
from .totals import TIME, add_up, in_utc, literal
from .window import DAY, EVERY, HOUR, Window

BUDGETS: Mapping[str, Type] = {
    "name": pl.String,
    "scope": pl.String,
    "subject": pl.String,
    "limit_nano": pl.Int64,
    "window": pl.String,
}
"""A budget: `scope` is "all", or what it is for (key, team, end_user, model, provider, deployment); `subject` whose (an
id, for a key also its alias; * stands for anything), null for all. `window` is day, week or month by the calendar, a
length that rolls (24h, 30d), or total."""

SCOPES = ("all", "key", "team", "end_user", "model", "provider", "deployment")

LOOKBACK = 7 * DAY
"""The pace is that of the last seven days, or of as much of them as there was spend in."""

_BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)
"""Before any ledger: where `total` begins."""

_MICROSECOND = timedelta(microseconds=1)


class Period(NamedTuple):
    """From when a budget counts, and when it begins anew; `end` is None for one that rolls or never does."""

    start: datetime
    end: datetime | None
    length: timedelta | None
    """None for `total`."""


def budgets(frame: pl.LazyFrame, limits: pl.DataFrame, now: datetime, zone: str = "UTC") -> pl.DataFrame:
    """A row for each budget, the fullest first.

    `spent_nano` is of the period from `since` to now, and a lower bound where `unpriced` is above 0. `pace_nano` is
    nano-USD a day, `projected_nano` what the period ends with at that pace (null for `total`). `breach` is when the limit
    was passed, to the hour, or will be; null if that is not before the period's end. `state` is "breached", "at risk" (it
    will be), or "within".
    """
    told = checked(limits)
    rows = []
    for scope, kind in dict.fromkeys((budget["scope"], budget["window"]) for budget in told):
        period = _period(kind, now, zone)
        hourly = _hourly(frame, scope, period, now, zone)
        mine = [budget for budget in told if (budget["scope"], budget["window"]) == (scope, kind)]
        rows += [_state(budget, period, _of(hourly, budget), now) for budget in mine]
    schema: dict[str, Type] = {
        "name": pl.String, "scope": pl.String, "subject": pl.String, "window": pl.String, "since": MOMENT, "resets": MOMENT,
        "limit_nano": pl.Int64, "spent_nano": pl.Int64, "unpriced": pl.Int64, "left_nano": pl.Int64, "used_share": pl.Float64,
        "pace_nano": pl.Int64, "projected_nano": pl.Int64, "breach": MOMENT, "state": pl.String,
    }  # fmt: skip
    found = pl.DataFrame(rows, schema=schema, orient="row")
    times = [pl.col(name).dt.convert_time_zone(zone) for name in ("since", "resets", "breach")]
    return found.with_columns(times).sort("used_share", "name", descending=[True, False], nulls_last=True)


def burn_down(frame: pl.LazyFrame, limits: pl.DataFrame, now: datetime, zone: str = "UTC") -> pl.DataFrame:
    """A row for each budget and day of its period up to now: spent on that day, so far, and left at its end.

    `even_nano` is what would be left then if the limit were spent evenly over the period; null for one that does not end.
    Days before the first spend of a `total` are left out.
    """
    rows: list[tuple[Any, ...]] = []
    for budget in checked(limits):
        period = _period(budget["window"], now, zone)
        spent = _of(_hourly(frame, budget["scope"], period, now, zone), budget).filter("counts")
        begun = period.start if period.length else _first(spent, now)
        left = budget["limit_nano"]
        for day in Window(begun, now, zone).buckets("day"):
            nano = int(
                spent.filter(pl.col(TIME) >= max(day.start, begun - HOUR), pl.col(TIME) < day.end)["cost_nano"].sum()
            )
            left -= nano
            even = _even(budget["limit_nano"], period, min(day.end, now))
            rows.append((budget["name"], max(day.start, begun), nano, budget["limit_nano"] - left, left, even))
    schema: dict[str, Type] = {
        "name": pl.String,
        TIME: MOMENT,
        "cost_nano": pl.Int64,
        "so_far_nano": pl.Int64,
        "left_nano": pl.Int64,
        "even_nano": pl.Int64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col(TIME).dt.convert_time_zone(zone))


def checked(limits: pl.DataFrame) -> list[dict[str, Any]]:
    """The budgets of a frame. Raises ReportError, naming the budget and what is wrong with it."""
    if missing := [name for name in BUDGETS if name not in limits.columns]:
        raise ReportError(f"budgets are without {', '.join(missing)}: a budget has {', '.join(BUDGETS)}")
    try:
        told = limits.select(pl.col(name).cast(kind) for name, kind in BUDGETS.items()).to_dicts()
    except pl.exceptions.PolarsError as error:
        raise ReportError(f"budgets cannot be read: {error}") from error
    for number, budget in enumerate(told, 1):
        if not budget["name"]:
            raise ReportError(f"budget number {number} has no name")
        called = f"budget {budget['name']}"
        if budget["scope"] not in SCOPES:
            raise ReportError(f"{called} is for {budget['scope']!r}: there is {', '.join(SCOPES)}")
        if budget["limit_nano"] is None or budget["limit_nano"] <= 0:
            raise ReportError(f"{called} has no limit above 0")
        if not re.fullmatch(r"day|week|month|total|[1-9][0-9]{0,4}[hd]", budget["window"] or ""):
            raise ReportError(
                f"{called} has the window {budget['window']!r}: there is day, week, month, total, and such as 24h and 30d"
            )
    return told


def _period(window: str, now: datetime, zone: str) -> Period:
    if window == "total":
        return Period(_BEGINNING, None, None)
    for every in EVERY:
        if every == window:
            (bucket,) = Window(now, now + _MICROSECOND, zone).buckets(every)
            return Period(bucket.start, bucket.end, bucket.end - bucket.start)
    length = int(window[:-1]) * (HOUR if window[-1] == "h" else DAY)
    return Period(now - length, None, length)


def _hourly(frame: pl.LazyFrame, scope: str, period: Period, now: datetime, zone: str) -> pl.DataFrame:
    """Spend by subject and hour, from the beginning of the period or of the look back, whichever is earlier; `counts`
    within the period."""
    seen = Window(min(period.start, now - LOOKBACK), now, zone)
    sums = {"cost_nano": pl.col("cost_nano"), "unpriced": counted(UNPRICED)}
    also = {"counts": pl.col("started") >= literal(period.start)}
    by = () if scope == "all" else (scope,)
    return in_utc(add_up(frame, seen, sums, by=by, every="hour", also=also))


def _of(hourly: pl.DataFrame, budget: Mapping[str, Any]) -> pl.DataFrame:
    """The hours that count for a budget."""
    scope, subject = budget["scope"], budget["subject"]
    if scope == "all" or subject is None:
        return hourly.sort(TIME)
    columns = [scope, "key_alias"] if scope == "key" else [scope]
    names = {name for column in columns for name in hourly[column].unique().drop_nulls() if fnmatchcase(name, subject)}
    return hourly.filter(pl.any_horizontal(pl.col(column).is_in(names) for column in columns)).sort(TIME)


def _state(budget: Mapping[str, Any], period: Period, hourly: pl.DataFrame, now: datetime) -> tuple[Any, ...]:
    limit: int = budget["limit_nano"]
    counting = hourly.filter("counts")
    spent, unpriced = int(counting["cost_nano"].sum()), int(counting["unpriced"].sum())
    recent = hourly.filter(pl.col(TIME) >= now - LOOKBACK, pl.col("cost_nano") > 0)
    lately = int(recent["cost_nano"].sum())
    took = max(now - _first(recent, now), HOUR)
    pace = lately * (DAY // _MICROSECOND) // (took // _MICROSECOND)
    if period.end is not None:
        projected: int | None = spent + pace * ((period.end - now) // _MICROSECOND) // (DAY // _MICROSECOND)
    else:
        projected = None if period.length is None else pace * (period.length // _MICROSECOND) // (DAY // _MICROSECOND)
    passed = counting.filter(pl.col("cost_nano").cum_sum() >= limit)[TIME]
    breach = passed[0] if len(passed) else _breach(limit - spent, pace, projected, limit, now)
    state = "breached" if len(passed) else "within" if breach is None else "at risk"
    head = (budget["name"], budget["scope"], budget["subject"], budget["window"], period.start, period.end)
    return (*head, limit, spent, unpriced, limit - spent, spent / limit, pace, projected, breach, state)


def _first(hours: pl.DataFrame, otherwise: datetime) -> datetime:
    """The first of some hours."""
    found = hours[TIME].min()
    return found if isinstance(found, datetime) else otherwise


def _breach(left: int, pace: int, projected: int | None, limit: int, now: datetime) -> datetime | None:
    """When it will be passed; None if not in this period, or in a hundred years."""
    if pace <= 0 or left > pace * 36_500 or (projected is not None and projected < limit):
        return None
    return now + timedelta(microseconds=left * (DAY // _MICROSECOND) // pace)


def _even(limit: int, period: Period, at: datetime) -> int | None:
    if period.end is None or period.length is None:
        return None
    return limit * ((period.end - at) // _MICROSECOND) // (period.length // _MICROSECOND)
