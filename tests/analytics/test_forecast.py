"""The forecast: its interval holds what it says, shown on days that it had not seen."""

from __future__ import annotations

import math
import random
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.analytics.books import attempt, books, unpriced
from tollbook_analytics import forecast, month_end
from tollbook_analytics.forecast import back_test, bands

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
MONDAY = 0


def spend_of_days(seed: int, days: int = 98) -> list[float]:
    """Days as people spend: weeks, growth, decline, chance, days of nothing, and a level that wanders."""
    chance = random.Random(seed)
    level, wander, found = 10 ** chance.uniform(9, 12), 0.0, []
    for day in range(days):
        wander += chance.gauss(0, 0.03)
        week = 1.0 if seed % 6 == 1 else (1, 1.05, 1.1, 1.0, 0.9, 0.45, 0.4)[day % 7]
        growth = {2: 1.01, 3: 0.99}.get(seed % 6, 1.0) ** day
        noise = chance.lognormvariate(0, {4: 0.6, 5: 0.1}.get(seed % 6, 0.25))
        found.append(
            0.0 if seed % 6 == 4 and chance.random() < 0.05 else level * week * math.exp(wander) * growth * noise
        )
    return found


def test_the_interval_of_80_percent_holds_70_to_90_percent_of_days_not_seen() -> None:
    tested = [back_test(spend_of_days(seed), MONDAY) for seed in range(24)]
    days, covered = sum(each.days for each in tested), sum(each.covered for each in tested)

    assert days >= 24 * 70
    assert 0.70 <= covered / days <= 0.90


def test_a_wider_interval_holds_more() -> None:
    series = [spend_of_days(seed) for seed in range(6)]
    covered = [sum(back_test(each, MONDAY, percent=percent).covered for each in series) for percent in (50, 80, 95)]

    assert covered == sorted(covered)
    assert covered[0] < covered[-1]


def test_weekends_are_expected_to_be_weekends() -> None:
    week = [100.0] * 5 + [20.0, 10.0]
    told = bands(week * 8, MONDAY, 7)

    assert [round(band.expected) for band in told[:5]] == pytest.approx([100] * 5, rel=0.1)
    assert told[5].expected < 30
    assert told[6].expected < 20


def test_the_same_every_day_leaves_no_doubt() -> None:
    (band,) = bands([50.0] * 40, MONDAY, 1)

    assert (round(band.expected), round(band.low or 0), round(band.high or 0)) == (50, 50, 50)


def test_little_history_has_no_interval_and_none_expects_nothing() -> None:
    assert [(band.low, band.high) for band in bands([5.0] * 13, MONDAY, 2)] == [(None, None)] * 2
    assert bands([], MONDAY, 1)[0] == (0.0, None, None)


def daily(nano: int, *, since: date, until: datetime) -> list[dict[str, object]]:
    noon = datetime(since.year, since.month, since.day, 11, tzinfo=UTC)
    days = (until - noon) // timedelta(days=1) + 1
    return [attempt(started=noon + timedelta(days=number), cost_nano=nano) for number in range(days)]


def test_days_that_are_over_are_what_they_cost_and_today_is_no_less_than_it_has() -> None:
    frame = books(
        daily(100, since=date(2026, 1, 20), until=NOW), attempt(started=NOW - timedelta(minutes=1), cost_nano=700)
    )
    told = forecast(frame, NOW)

    assert told.height == 31
    assert told.row(18)[1:] == (100, 100, 100, 100)
    assert told.row(19)[1:] == (800, 800, 800, 800)
    assert told.row(20)[1:] == (None, 100, 100, 100)


def test_the_month_ends_with_what_is_spent_and_what_is_expected() -> None:
    """20 days of 100 and one of them today; eleven more to come."""
    (row,) = month_end(
        books(daily(100, since=date(2026, 1, 1), until=NOW), unpriced(started=NOW - timedelta(hours=1))), NOW
    ).to_dicts()

    assert (row["month"], row["spent_nano"], row["expected_nano"], row["low_nano"], row["high_nano"]) == (
        date(2026, 3, 1), 2000, 3100, 3100, 3100,
    )  # fmt: skip
    assert (row["days_left"], row["history_days"], row["unpriced"]) == (12, 78, 1)
    assert (row["tested_days"], row["covered_share"]) == (50, 1.0)


def test_on_the_first_of_a_month_the_months_before_say_what_to_expect() -> None:
    now = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
    (row,) = month_end(books(daily(100, since=date(2026, 1, 1), until=now)), now).to_dicts()

    assert (row["spent_nano"], row["expected_nano"]) == (0, 3100)


def test_an_empty_ledger_expects_nothing_and_knows_nothing() -> None:
    (row,) = month_end(books(), NOW).to_dicts()

    assert (row["spent_nano"], row["expected_nano"], row["low_nano"], row["covered_share"]) == (0, 0, None, None)


def test_the_interval_of_the_month_holds_most_months() -> None:
    """Standing on the 10th with twelve weeks behind: how often the rest of the month ends inside."""
    inside = 0
    for seed in range(12):
        days = [round(nano) for nano in spend_of_days(seed)]
        start = datetime(2026, 1, 5, 12, tzinfo=UTC)
        now = datetime(2026, 3, 25, tzinfo=UTC)
        frame = books(
            attempt(started=start + timedelta(days=number), cost_nano=nano) for number, nano in enumerate(days)
        )
        (row,) = month_end(frame, now).to_dicts()
        actual = sum(nano for number, nano in enumerate(days) if (start + timedelta(days=number)).month == 3)
        inside += row["low_nano"] <= actual <= row["high_nano"]

    assert 7 <= inside <= 12
