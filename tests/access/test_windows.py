"""Windows of time: where they begin and end, in every zone there is, also where clocks leap."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.config.windows import LONGEST, SECOND, Window, window

ZONES = sorted(available_timezones())
HOUR = 3600 * SECOND

moments = st.integers(min_value=0, max_value=4_102_444_800 * SECOND)
"""1970 to 2100."""
calendars = st.builds(window, st.sampled_from(["day", "week", "month"]), st.sampled_from(ZONES))
rolling = st.integers(min_value=1, max_value=LONGEST).map(lambda seconds: window(f"{seconds}s"))


def at(text: str, zone: str = "UTC") -> int:
    """A local time as nanoseconds since 1970."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * SECOND


def told(nanoseconds: int, zone: str) -> str:
    return datetime.fromtimestamp(nanoseconds // SECOND, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


def hours(of: Window, now: int) -> float:
    end = of.end(now)
    assert end is not None
    return (end - of.start(now)) / HOUR


@pytest.mark.parametrize(
    ("text", "zone", "now", "start", "end"),
    [
        ("day", "UTC", "2026-03-05 12:00", "2026-03-05 00:00", "2026-03-06 00:00"),
        ("week", "UTC", "2026-03-05 12:00", "2026-03-02 00:00", "2026-03-09 00:00"),
        ("week", "UTC", "2026-03-02 00:00", "2026-03-02 00:00", "2026-03-09 00:00"),
        ("month", "UTC", "2026-12-31 23:59", "2026-12-01 00:00", "2027-01-01 00:00"),
        ("month", "UTC", "2028-02-29 23:59", "2028-02-01 00:00", "2028-03-01 00:00"),
        ("day", "Asia/Kathmandu", "2026-03-05 00:10", "2026-03-05 00:00", "2026-03-06 00:00"),
        ("month", "America/Los_Angeles", "2026-03-31 23:30", "2026-03-01 00:00", "2026-04-01 00:00"),
    ],
)
def test_a_calendar_window_is_one_of_its_zone(text: str, zone: str, now: str, start: str, end: str) -> None:
    of = window(text, zone)

    assert told(of.start(at(now, zone)), zone) == start
    assert told(of.end(at(now, zone)) or 0, zone) == end


@pytest.mark.parametrize(
    ("zone", "day", "length"),
    [
        ("Europe/Berlin", "2026-03-29", 23),  # clocks leap from 2 to 3
        ("Europe/Berlin", "2026-10-25", 25),  # and back
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),  # by half an hour
        ("Africa/Cairo", "2024-04-26", 23),  # midnight itself is leapt over
        ("America/Havana", "2025-11-02", 25),  # midnight comes twice
        ("Asia/Tokyo", "2026-03-29", 24),
    ],
)
def test_a_day_has_as_many_hours_as_its_clocks_say(zone: str, day: str, length: float) -> None:
    assert hours(window("day", zone), at(f"{day} 12:00", zone)) == length


def test_a_month_with_a_leap_of_clocks_is_an_hour_shorter() -> None:
    assert hours(window("month", "Europe/Berlin"), at("2026-03-15 00:00", "Europe/Berlin")) == 31 * 24 - 1


def test_a_day_that_a_zone_leapt_over_is_not_there() -> None:
    """Samoa went from the 29th to the 31st of December 2011."""
    of = window("day", "Pacific/Apia")
    last = at("2011-12-29 23:59", "Pacific/Apia")

    assert told(of.end(last) or 0, "Pacific/Apia") == "2011-12-31 00:00"


@settings(max_examples=300, deadline=None)
@given(calendars, moments)
def test_in_every_zone_each_moment_lies_in_one_window_and_one_piece_of_it(of: Window, now: int) -> None:
    start, end = of.start(now), of.end(now)
    begins, ends = of.grain(now)

    assert end is not None
    assert start <= begins <= now < ends <= end
    assert (of.start(start), of.start(end - 1), of.start(end)) == (start, start, end)
    assert of.frees_at(ends) == end


@settings(max_examples=300, deadline=None)
@given(rolling, moments)
def test_what_is_spent_leaves_a_rolling_window_never_too_early_and_at_most_a_hundredth_too_late(
    of: Window, now: int
) -> None:
    length = of.seconds * SECOND
    begins, ends = of.grain(now)

    assert begins <= now < ends
    assert ends - begins <= max(length // 100, SECOND)
    assert of.frees_at(ends) >= now + length
    assert of.start(of.frees_at(ends)) >= ends, "it is out then"
    assert of.start(of.frees_at(ends) - 1) < ends, "and was in until then"


def test_the_total_holds_everything_for_ever() -> None:
    of = window("total")

    assert of.start(0) < 0
    assert of.end(0) is None


@pytest.mark.parametrize("text", ["1s", "90s", "15m", "24h", "30d", "4w", "day", "week", "month", "total"])
def test_a_window_is_written_as_it_is_read(text: str) -> None:
    assert window(text).text == text


@pytest.mark.parametrize(
    ("text", "zone", "wrong"),
    [
        ("0h", None, "a window of 0"),
        ("0s", None, "a window of 0"),
        ("-1h", None, "a window is a span"),
        ("1.5h", None, "a window is a span"),
        ("", None, "a window is a span"),
        ("1y", None, "a window is a span"),
        ("٣h", None, "a window is a span"),
        ("9999d", None, "at most 400 days"),
        ("24h", "Europe/Berlin", "only a day, week or month has a time zone"),
        ("total", "Europe/Berlin", "only a day, week or month has a time zone"),
        ("day", "Europe/Berlon", "no such time zone"),
        ("day", "Europe", "no such time zone"),
        ("day", "../../etc/passwd", "no such time zone"),
        ("day", "", "no such time zone"),
        ("day", "\0", "no such time zone"),
    ],
)
def test_a_window_that_cannot_be_is_refused(text: str, zone: str | None, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        window(text, zone)


def test_the_start_of_utc_days_needs_no_database() -> None:
    now = at("2026-03-05 12:00")

    assert window("day").start(now) == int(datetime(2026, 3, 5, tzinfo=UTC).timestamp()) * SECOND
