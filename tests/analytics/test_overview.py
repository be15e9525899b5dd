"""The first page: several windows in one reading, each the same as if it had been asked for alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analytics.books import MARCH, Window, attempt, books, by_chance, rejected, unpriced
from tollbook_analytics import TooCoarse, cache, latency, overview, reliability, run_rate, spend, waste
from tollbook_analytics.histogram import BOUND
from tollbook_analytics.rollup import hours

NOW = datetime(2026, 3, 20, 15, 30, tzinfo=UTC)


def test_now_stands_beside_the_equal_period_before() -> None:
    today, yesterday = datetime(2026, 3, 20, 9, tzinfo=UTC), datetime(2026, 3, 19, 9, tzinfo=UTC)
    later = datetime(2026, 3, 19, 18, tzinfo=UTC)
    frame = books(
        attempt(started=today),
        rejected(started=today),
        unpriced(started=today),
        attempt(started=yesterday, cost_nano=400),
        attempt(started=later),
    )
    now, before = overview(frame, {"today": Window.named("today", NOW)}).to_dicts()

    assert (now["window"], now["previous"], before["previous"]) == ("today", False, True)
    assert (now["calls"], now["errors"], now["cost_nano"], now["unpriced"], now["newest"]) == (3, 1, 1000, 1, today)
    assert (before["calls"], before["cost_nano"], before["end"]) == (1, 400, NOW - timedelta(days=1))
    assert now["unpriced_tokens"] == 120


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.integers(0, 80),
    names=st.lists(st.sampled_from(["today", "month", "7d", "24h", "last-month"]), min_size=1, max_size=3, unique=True),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]),
)
def test_every_number_is_that_of_the_report_about_it(seed: int, size: int, names: list[str], zone: str) -> None:
    frame = books(by_chance(seed, size))
    windows = {name: Window.named(name, NOW, zone) for name in names}

    for row in overview(frame, windows).to_dicts():
        window = windows[row["window"]].previous() if row["previous"] else windows[row["window"]]
        (spent,), (saved,), (ended,) = (report(frame, window).to_dicts() for report in (spend, cache, reliability))
        assert (row["calls"], row["cost_nano"], row["unpriced"]) == (
            spent["calls"],
            spent["cost_nano"],
            spent["unpriced"],
        )
        assert (row["errors"], row["error_share"]) == (ended["failed"] + ended["rejected"], ended["error_share"])
        assert (row["saved_net_nano"], row["hit_share"]) == (saved["net_nano"], saved["hit_share"])
        assert row["wasted_nano"] == waste(frame, window)["cost_nano"].sum()
        waits = {each["metric"]: each for each in latency(frame, window, exact=True).to_dicts()}
        if "first_output_ms" in waits:
            assert row["first_output_p50"] == pytest.approx(waits["first_output_ms"]["p50"], rel=BOUND)
            assert row["first_output_p95"] == pytest.approx(waits["first_output_ms"]["p95"], rel=BOUND)
        else:
            assert row["first_output_p50"] is None


def test_hours_alone_know_no_waiting_and_say_when_they_are_too_coarse() -> None:
    rolled = hours(books(attempt()), MARCH)

    assert overview(rolled, {"march": MARCH})["first_output_p50"].to_list() == [None, None]
    with pytest.raises(TooCoarse, match="an edge is inside of one"):
        overview(rolled, {"today": Window.named("today", NOW)})


def test_no_windows_and_no_time_are_empty_answers() -> None:
    assert overview(books(attempt()), {}).is_empty()
    assert overview(books(attempt()), {"now": Window(NOW, NOW)})["calls"].to_list() == [0, 0]


def test_a_month_that_goes_on_as_it_began() -> None:
    half = Window(MARCH.start, MARCH.start + (MARCH.end - MARCH.start) / 2)

    assert run_rate(500, half) == 1000
    assert run_rate(None, half) is None
    assert run_rate(500, Window(MARCH.start, MARCH.start + timedelta(minutes=5))) is None
