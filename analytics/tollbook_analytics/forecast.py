"""What the month will have cost, with an interval that was tested on the days before.

A day is expected to cost its weekday's share of the present level. How wrong that was is tried for every day there is:
standing at its evening, the days after it are forecast and compared. The interval is made of those errors, so it is as
wide as the past says, and as lopsided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median
from typing import NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from .ledger import MOMENT, Type
from .measures import UNPRICED, counted
from .totals import TIME, add_up
from .window import DAY, Window, midnight

HISTORY = 84
"""Days that are looked at: twelve weeks."""

ENOUGH = 14
"""Days of history below which nothing is said of the interval."""

_HALF_LIFE = 7.0
"""Days after which a day counts half for the level."""

_HORIZONS = (1, 3, 7, 14)
"""Days ahead up to which errors are alike; what is farther is alike, too."""


class Band(NamedTuple):
    """Of a day, in nano-USD. `low` and `high` are None where too little is known."""

    expected: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Model:
    """What is expected of each weekday (Monday is 0)."""

    level: float
    factors: tuple[float, ...]

    def day(self, weekday: int) -> float:
        """What such a day is expected to cost."""
        return self.level * self.factors[weekday % 7]


def forecast(frame: pl.LazyFrame, now: datetime, zone: str = "UTC", *, percent: int = 80) -> pl.DataFrame:
    """A row for each day of the month of `now`: `spent_nano` so far (null in the future), and what it is expected to end with.

    `low_nano` to `high_nano` holds `percent` per cent of such days, as far as the last twelve weeks tell; null with less than two
    weeks of them. For days that are over all three are what was spent. What is unpriced is in none of them.
    """
    history, today = _history(frame, now, zone)
    rows = []
    for day, spent, band in _days(history, today, now, zone, percent):
        rows.append((midnight(day, zone), spent, *(None if number is None else round(number) for number in band)))
    numbers = ("spent_nano", "expected_nano", "low_nano", "high_nano")
    schema: dict[str, Type] = {TIME: MOMENT, **dict.fromkeys(numbers, pl.Int64)}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col(TIME).dt.convert_time_zone(zone))


def month_end(frame: pl.LazyFrame, now: datetime, zone: str = "UTC", *, percent: int = 80) -> pl.DataFrame:
    """One row: what the month has cost (`spent_nano`), will have cost (`expected_nano`, between `low_nano` and
    `high_nano`), and on what that rests.

    `tested_days` were forecast from the days before them, and `covered_share` of them was within its interval. `unpriced`
    attempts of the month are in none of the sums.
    """
    history, today = _history(frame, now, zone)
    days = _days(history, today, now, zone, percent)
    spent = sum(known or 0 for _, known, _ in days)
    left = [(day, known, band) for day, known, band in days if day >= now.astimezone(ZoneInfo(zone)).date()]
    ahead = sum(band.expected - (known or 0) for _, known, band in left)
    values = [value for _, value in history]
    low, high = _sum_errors(values, history[0][0].weekday() if history else 0, len(left), percent)
    tested = back_test(values, history[0][0].weekday() if history else 0, percent=percent)
    month = Window(midnight(days[0][0], zone), now, zone)
    unpriced = add_up(frame, month, {"unpriced": counted(UNPRICED)}).item()
    row = {
        "month": days[0][0],
        "spent_nano": spent,
        "expected_nano": round(spent + ahead),
        "low_nano": None if low is None else round(spent + max(0.0, ahead * (1 + low))),
        "high_nano": None if high is None else round(spent + max(0.0, ahead * (1 + high))),
        "unpriced": unpriced,
        "days_left": len(left),
        "history_days": len(values),
        "tested_days": tested.days,
        "covered_share": tested.covered / tested.days if tested.days else None,
    }
    schema: dict[str, Type] = {
        "month": pl.Date,
        **dict.fromkeys(list(row)[1:-1], pl.Int64),
        "covered_share": pl.Float64,
    }
    return pl.DataFrame([row], schema=schema)


class Tested(NamedTuple):
    """How many days were forecast from what was known before them, and how many of them were within their interval."""

    days: int
    covered: int


def back_test(values: Sequence[float], weekday: int, *, percent: int = 80, ahead: int = 7, first: int = 28) -> Tested:
    """Forecast each stretch of `ahead` days from the days before it alone, beginning with day `first`. `weekday` is that
    of the first value."""
    days = covered = 0
    for origin in range(first, len(values), ahead):
        known, later = values[:origin], values[origin : origin + ahead]
        for actual, band in zip(later, bands(known, weekday, len(later), percent), strict=True):
            if band.low is not None and band.high is not None:
                days += 1
                covered += band.low <= actual <= band.high
    return Tested(days, covered)


def bands(values: Sequence[float], weekday: int, ahead: int, percent: int = 80) -> list[Band]:
    """The days after `values`, whose first is a `weekday` (Monday is 0)."""
    model, start = fit(values, weekday), weekday + len(values)
    expected = [model.day(start + number) for number in range(ahead)]
    if len(values) < ENOUGH:
        return [Band(each, None, None) for each in expected]
    errors = _errors(values, weekday, min(ahead, HISTORY))
    found = []
    for number, each in enumerate(expected, 1):
        alike = _alike(errors, number)
        low, high = _interval(alike, percent)
        room = each + _floor(model)
        found.append(Band(each, max(0.0, each + low * room), max(0.0, each + high * room)))
    return found


def fit(values: Sequence[float], weekday: int) -> Model:
    """Weekday factors from medians, drawn towards 1 while there are few weeks; a level that the newest days count most for."""
    if not values or not any(values):
        return Model(0.0, (1.0,) * 7)
    recent = values[-HISTORY:]
    offset = weekday + len(values) - len(recent)
    ratios: list[list[float]] = [[] for _ in range(7)]
    for number, value in enumerate(recent):
        around = recent[max(0, number - 3) : number + 4]
        mean = sum(around) / len(around)
        if mean > 0:
            ratios[(offset + number) % 7].append(value / mean)
    factors = [(len(found) * median(found) + 0.5) / (len(found) + 0.5) if found else 1.0 for found in ratios]
    scale = sum(factors) / 7
    factors = [max(factor / scale, 0.02) for factor in factors]
    weights = level = 0.0
    for number, value in enumerate(recent):
        weight = 0.5 ** ((len(recent) - 1 - number) / _HALF_LIFE)
        weights += weight
        level += weight * value / factors[(offset + number) % 7]
    return Model(level / weights, tuple(factors))


# ── Errors of the past ──────────────────────────────────────────────────────────────────────────────────────────────────


def _floor(model: Model) -> float:
    """Errors are told as parts of the forecast and a little more, so that a day of nothing has errors, too."""
    return 0.05 * model.level


def _errors(values: Sequence[float], weekday: int, ahead: int) -> dict[int, list[float]]:
    """By days ahead: how far off, as a part of the forecast. Every day that has a week before it was a place to stand."""
    found: dict[int, list[float]] = {}
    for origin in range(7, len(values)):
        model = fit(values[:origin], weekday)
        for number in range(1, min(ahead, len(values) - origin) + 1):
            expected = model.day(weekday + origin + number - 1)
            room = expected + _floor(model)
            if room > 0:
                found.setdefault(number, []).append((values[origin + number - 1] - expected) / room)
    return found


def _alike(errors: dict[int, list[float]], number: int) -> list[float]:
    """The errors of forecasts about so many days ahead; of all, where those are few."""
    low = max((edge for edge in _HORIZONS if edge < number), default=0)
    high = min((edge for edge in _HORIZONS if edge >= number), default=10**6)
    near = [error for distance, found in errors.items() if low < distance <= high for error in found]
    return near if len(near) >= 10 else [error for found in errors.values() for error in found]


def _interval(errors: Sequence[float], percent: int) -> tuple[float, float]:
    """The middle `percent` of the errors, by ranks that hold for the next one as well (split conformal prediction,
    https://arxiv.org/abs/2107.07511)."""
    if not errors:
        return -1.0, 1.0
    sorted_errors, many = sorted(errors), len(errors)
    tail = (100 - percent) / 200
    below = max(0, math.floor((many + 1) * tail) - 1)
    above = min(many - 1, math.ceil((many + 1) * (1 - tail)) - 1)
    return sorted_errors[below], sorted_errors[above]


def _sum_errors(values: Sequence[float], weekday: int, ahead: int, percent: int) -> tuple[float | None, float | None]:
    """How far off sums of so many days were, as a part of them; of as many as the past has."""
    if len(values) < ENOUGH or ahead == 0:
        return (0.0, 0.0) if ahead == 0 else (None, None)
    many = min(ahead, max(1, (len(values) - 7) // 2))
    errors = []
    for origin in range(7, len(values) - many + 1):
        model = fit(values[:origin], weekday)
        expected = sum(model.day(weekday + origin + number) for number in range(many))
        if expected > 0:
            errors.append((sum(values[origin : origin + many]) - expected) / expected)
    return _interval(errors, percent)


# ── From the books ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _history(frame: pl.LazyFrame, now: datetime, zone: str) -> tuple[list[tuple[date, int]], int]:
    """What each whole day cost, from the first that cost anything; and what today has cost so far."""
    today = now.astimezone(ZoneInfo(zone)).date()
    since = min(today - timedelta(days=HISTORY), today.replace(day=1))
    window = Window(midnight(since, zone), now, zone)
    spent = add_up(frame, window, {"cost_nano": pl.col("cost_nano")}, every="day")
    days = dict(zip((moment.date() for moment in spent[TIME]), spent["cost_nano"], strict=True))
    before = [(since + number * DAY, days.get(since + number * DAY, 0)) for number in range((today - since).days)]
    first = next((number for number, (_, value) in enumerate(before) if value), len(before))
    return before[first:], days.get(today, 0)


def _days(
    history: list[tuple[date, int]], today_spent: int, now: datetime, zone: str, percent: int
) -> list[tuple[date, int | None, Band]]:
    """The days of this month: what they cost, and their band."""
    today = now.astimezone(ZoneInfo(zone)).date()
    first = today.replace(day=1)
    last = (first.replace(day=28) + 4 * DAY).replace(day=1) - DAY
    past = dict(history)
    weekday = history[0][0].weekday() if history else today.weekday()
    ahead = bands([value for _, value in history], weekday, (last - today).days + 1, percent)
    found: list[tuple[date, int | None, Band]] = []
    for number in range((last - first).days + 1):
        day = first + number * DAY
        if day < today:
            spent = past.get(day, 0)
            found.append((day, spent, Band(spent, spent, spent)))
        elif day == today:
            # Part of it is over: less than was spent it cannot be.
            expected, low, high = ahead[0]
            least = [None if edge is None else max(edge, today_spent) for edge in (low, high)]
            found.append((day, today_spent, Band(max(expected, today_spent), *least)))
        else:
            found.append((day, None, ahead[(day - today).days]))
    return found
