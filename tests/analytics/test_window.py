"""Windows: presets, the equal period before, and buckets that follow the clocks of a place, also on the days they are changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook_analytics.errors import ReportError
from tollbook_analytics.window import EVERY, Every, Window, midnight

BERLIN = "Europe/Berlin"
NOW = datetime(2026, 11, 24, 14, 37, tzinfo=UTC)

MOMENTS = st.integers(0, 3 * 366 * 86_400).map(
    lambda seconds: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=7)
)

ZONES = [
    "UTC",
    BERLIN,
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Havana",
    "Asia/Beirut",
    "Pacific/Chatham",
]


def local(window: Window) -> tuple[str, str]:
    place = ZoneInfo(window.zone)
    return tuple(f"{edge.astimezone(place):%Y-%m-%d %H:%M}" for edge in (window.start, window.end))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("name", "start", "end", "start_before", "end_before"),
    [
        ("today", "2026-11-24 00:00", "2026-11-24 15:37", "2026-11-23 00:00", "2026-11-23 15:37"),
        ("yesterday", "2026-11-23 00:00", "2026-11-24 00:00", "2026-11-22 00:00", "2026-11-23 00:00"),
        ("7d", "2026-11-18 00:00", "2026-11-24 15:37", "2026-11-11 00:00", "2026-11-17 15:37"),
        ("30d", "2026-10-26 00:00", "2026-11-24 15:37", "2026-09-26 00:00", "2026-10-25 15:37"),
        ("month", "2026-11-01 00:00", "2026-11-24 15:37", "2026-10-01 00:00", "2026-10-24 15:37"),
        ("last-month", "2026-10-01 00:00", "2026-11-01 00:00", "2026-09-01 00:00", "2026-10-01 00:00"),
        ("24h", "2026-11-23 15:37", "2026-11-24 15:37", "2026-11-22 15:37", "2026-11-23 15:37"),
    ],
)
def test_presets_and_the_equal_period_before(
    name: str, start: str, end: str, start_before: str, end_before: str
) -> None:
    window = Window.named(name, NOW, BERLIN)

    assert local(window) == (start, end)
    assert local(window.previous()) == (start_before, end_before)


def test_the_month_before_a_longer_one_ends_with_it() -> None:
    """On 31 March February has no 31st: all of it is compared."""
    window = Window.named("month", datetime(2026, 3, 31, 12, tzinfo=UTC))

    assert local(window.previous()) == ("2026-02-01 00:00", "2026-03-01 00:00")


def test_whole_days_are_compared_with_as_many_days_before() -> None:
    window = Window.between("2026-10-24", "2026-10-26", NOW, BERLIN)

    assert window.length == timedelta(hours=49), "clocks go back on 25 October 2026"
    assert local(window.previous()) == ("2026-10-22 00:00", "2026-10-24 00:00")
    assert window.previous().length == timedelta(hours=48)


def test_any_other_stretch_is_compared_with_the_same_length_before() -> None:
    window = Window.between("2026-11-24T12:00", "2026-11-24T15:30", NOW, BERLIN)

    assert local(window.previous()) == ("2026-11-24 08:30", "2026-11-24 12:00")


def test_days_on_which_clocks_are_changed_have_23_and_25_hours() -> None:
    spring = Window.between("2026-03-29", "2026-03-30", NOW, BERLIN)
    autumn = Window.between("2026-10-25", "2026-10-26", NOW, BERLIN)

    assert [len(day.buckets("hour")) for day in (spring, autumn)] == [23, 25]
    assert [day.buckets("day")[0] == (day.start, day.end) for day in (spring, autumn)] == [True, True]
    doubled = [f"{hour.start.astimezone(ZoneInfo(BERLIN)):%H %z}" for hour in autumn.buckets("hour")[1:5]]
    assert doubled == ["01 +0200", "02 +0200", "02 +0100", "03 +0100"]


@pytest.mark.parametrize(
    ("zone", "day", "first"),
    [
        ("Asia/Beirut", date(2022, 3, 27), "01:00"),
        ("America/Sao_Paulo", date(2018, 11, 4), "01:00"),
        ("America/Havana", date(2026, 3, 8), "01:00"),
        ("America/Havana", date(2026, 11, 1), "00:00"),
        (BERLIN, date(2026, 3, 29), "00:00"),
    ],
)
def test_a_day_without_a_midnight_begins_when_the_clocks_have_jumped(zone: str, day: date, first: str) -> None:
    start = midnight(day, zone)
    place = ZoneInfo(zone)

    assert f"{start.astimezone(place):%Y-%m-%d %H:%M}" == f"{day} {first}"
    assert (start - timedelta(microseconds=1)).astimezone(place).date() == day - timedelta(days=1)


def test_a_day_that_a_place_skipped_has_no_bucket() -> None:
    """Samoa had no 30 December 2011."""
    window = Window.between("2011-12-29", "2012-01-01", NOW, "Pacific/Apia")
    place = ZoneInfo("Pacific/Apia")

    assert [f"{bucket.start.astimezone(place):%m-%d}" for bucket in window.buckets("day")] == ["12-29", "12-31"]


@given(
    start=MOMENTS,
    length=st.timedeltas(timedelta(microseconds=1), timedelta(days=70)),
    zone=st.sampled_from(ZONES),
    every=st.sampled_from(EVERY),
    part=st.floats(0, 1, exclude_max=True),
)
def test_buckets_tile_the_window_and_hold_what_the_clock_on_the_wall_says(
    start: datetime, length: timedelta, zone: str, every: Every, part: float
) -> None:
    window = Window(start, start + length, zone)
    buckets = window.buckets(every)

    assert all(one.end == other.start for one, other in pairwise(buckets))
    assert buckets[0].start <= window.start < buckets[0].end
    assert buckets[-1].start < window.end <= buckets[-1].end
    moment = window.start + length * part
    (bucket,) = [bucket for bucket in buckets if bucket.start <= moment < bucket.end]
    wall, first = (each.astimezone(ZoneInfo(zone)) for each in (moment, bucket.start))
    match every:
        case "hour":
            assert (wall.date(), wall.hour, wall.utcoffset()) == (first.date(), first.hour, first.utcoffset())
        case "day":
            assert wall.date() == first.date()
        case "week":
            assert wall.isocalendar()[:2] == first.isocalendar()[:2]
        case "month":
            assert (wall.year, wall.month, 1) == (first.year, first.month, first.day)


@given(
    start=MOMENTS,
    name=st.sampled_from(["today", "yesterday", "7d", "30d", "month", "last-month", "3h"]),
    zone=st.sampled_from(ZONES),
)
def test_the_period_before_ends_where_or_before_the_window_begins(start: datetime, name: str, zone: str) -> None:
    window = Window.named(name, start, zone)
    before = window.previous()

    assert before.start <= before.end <= window.start
    assert abs(before.length - window.length) <= timedelta(days=3, hours=2)


@pytest.mark.parametrize(
    ("since", "until", "zone", "says"),
    [
        ("yesterday-ish", "", "UTC", "'yesterday-ish' is no time: such as 2026-11-01"),
        ("2026-02-30", "", "UTC", "'2026-02-30' is no time"),
        ("2026-11-02", "2026-11-01", "UTC", "a window ends before it begins"),
        ("2026-11-01", "", "Europe/Berlln", "no time zone is called 'Europe/Berlln'"),
        ("2026-11-01", "", "../etc/passwd", "no time zone is called"),
    ],
)
def test_what_is_no_window_is_told(since: str, until: str, zone: str, says: str) -> None:
    with pytest.raises(ReportError, match=says.replace("(", r"\(")):
        Window.between(since, until, NOW, zone)


def test_an_unknown_preset_names_the_known() -> None:
    with pytest.raises(
        ReportError, match="no time is called 'fortnight': try today, yesterday, 7d, 30d, month, last-month"
    ):
        Window.named("fortnight", NOW)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ReportError, match="start of a window has no time zone"):
        Window(NOW.replace(tzinfo=None), NOW)
