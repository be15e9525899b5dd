"""Spend: sums are exact, unknown is not zero, days are those of a place, and everything agrees with adding up row by row."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analytics.books import (
    LOST,
    MARCH,
    START,
    Row,
    attempt,
    books,
    by_chance,
    call,
    grouped,
    money,
    rejected,
    seen,
    unpriced,
)
from tollbook_analytics import Filters, NotALedger, Overflow, ReportError, TooCoarse, Window, spend
from tollbook_analytics.rollup import hours
from tollbook_analytics.window import EVERY, Every

BERLIN = "Europe/Berlin"


def at(text: str, zone: str = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def columns(frame: pl.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    return frame.select(names).rows()


def test_attempts_in_vain_cost_and_calls_count_once() -> None:
    frame = books(
        call(LOST | {"cost_nano": 300}, {"cost_nano": 1000}, model="gpt"),
        attempt(model="claude", cost_nano=5000),
        rejected(model="gpt"),
    )

    assert columns(spend(frame, MARCH, ["model"]), "model", "calls", "failed", "attempts", "cost_nano", "share") == [
        ("claude", 1, 0, 1, 5000, 5000 / 6300),
        ("gpt", 2, 1, 2, 1300, 1300 / 6300),
    ]


def test_what_is_unknown_is_counted_and_is_not_zero() -> None:
    frame = books(attempt(model="gpt"), unpriced(model="gpt"), unpriced(model="llama"), rejected(model="none"))

    assert columns(spend(frame, MARCH, ["model"]), "model", "cost_nano", "unpriced") == [
        ("gpt", 1000, 1),
        ("none", 0, 0),
        ("llama", None, 1),
    ]


def test_a_failed_attempt_without_usage_owes_nothing_even_without_a_price() -> None:
    frame = books(
        call(LOST | {"cost_status": "unpriced", "cost_nano": None, "usage_source": "none"}, {"cost_nano": 700})
    )

    assert columns(spend(frame, MARCH), "cost_nano", "unpriced") == [(700, 0)]


def test_sums_are_exact_beyond_what_a_float_can_hold() -> None:
    frame = books(attempt(cost_nano=2**53), attempt(cost_nano=1), attempt(cost_nano=1))

    assert columns(spend(frame, MARCH), "cost_nano") == [(2**53 + 2,)]


def test_a_sum_beyond_64_bits_is_an_error_and_never_wraps() -> None:
    frame = books(attempt(cost_nano=2**62), attempt(cost_nano=2**62))

    assert frame.select(pl.col("cost_nano").sum()).collect().item() < 0, "Polars' own sum wraps"
    with pytest.raises(Overflow, match="the sum of cost_nano does not fit 64 bits"):
        spend(frame, MARCH)


def test_only_calls_that_make_responses_in_the_window_count() -> None:
    window = Window(START, START + timedelta(days=1))
    frame = books(
        attempt(operation="get"),
        attempt(started=window.start),
        attempt(started=window.end),
        attempt(started=window.end - timedelta(microseconds=1)),
    )

    assert columns(spend(frame, window), "calls") == [(2,)]


def test_days_are_those_of_the_zone_and_have_23_and_25_hours() -> None:
    """Berlin moves its clocks on 29 March and on 25 October 2026. One call in every hour of UTC."""
    for day, hours_of_day in (("2026-03-29", 23), ("2026-10-25", 25)):
        start = at(f"{day}T00:00") - timedelta(days=1)
        frame = books(attempt(started=start + timedelta(hours=number)) for number in range(72))
        window = Window(start, start + timedelta(hours=72), BERLIN)
        told = {
            f"{time:%Y-%m-%d}": calls for time, calls in columns(spend(frame, window, every="day"), "time", "calls")
        }

        assert told[day] == hours_of_day
        assert sum(told.values()) == 72


def test_the_doubled_hour_is_two_hours() -> None:
    window = Window(at("2026-10-25T02:00"), at("2026-10-25T02:00") + timedelta(hours=2), BERLIN)
    frame = books(
        attempt(started=window.start + timedelta(minutes=10)), attempt(started=window.start + timedelta(minutes=70))
    )
    told = spend(frame, window, every="hour")

    assert [f"{time:%H:%M %z}" for time in told["time"]] == ["02:00 +0200", "02:00 +0100"]
    assert told["calls"].to_list() == [1, 1]


def test_time_alone_shows_every_bucket_also_those_without_a_call() -> None:
    window = Window(START, START + timedelta(days=3))
    told = spend(books(attempt(started=START + timedelta(days=1))), window, every="day")

    assert told["calls"].to_list() == [0, 1, 0]
    assert told["cost_nano"].to_list() == [0, 1000, 0]


def test_a_call_with_two_tags_is_under_both_and_one_without_under_none() -> None:
    frame = books(attempt(tags=["a", "b"]), attempt(tags=["a"]), attempt(tags=[]), attempt(tags=None))

    assert sorted(columns(spend(frame, MARCH, ["tag"]), "tag", "calls"), key=str) == [("a", 2), ("b", 1), (None, 2)]


def test_a_renamed_key_is_one_key_by_its_newest_name() -> None:
    frame = books(
        attempt(key_alias="old"),
        attempt(key_alias="new", started=START + timedelta(days=2)),
        attempt(key_id="", key_alias=None, cost_nano=1),
    )

    assert columns(spend(frame, MARCH, ["key"]), "key", "key_alias", "cost_nano") == [
        ("key_1", "new", 2000),
        (None, None, 1),
    ]


def test_the_dearest_stay_and_the_rest_is_one_row() -> None:
    frame = books(attempt(model=name, cost_nano=nano) for name, nano in (("a", 50), ("b", 40), ("c", 7), ("d", 3)))

    assert columns(spend(frame, MARCH, ["model"], top=2), "model", "other", "cost_nano", "share") == [
        ("a", False, 50, 0.5),
        ("b", False, 40, 0.4),
        (None, True, 10, 0.1),
    ]
    assert columns(spend(frame, MARCH, ["model"], top=4), "model") == [("a",), ("b",), ("c",), ("d",)]


def test_the_dearest_of_the_whole_window_stay_in_each_of_its_days() -> None:
    days = [START, START + timedelta(days=1)]
    frame = books(
        attempt(model="a", cost_nano=50, started=days[0]),
        attempt(model="b", cost_nano=10, started=days[0]),
        attempt(model="b", cost_nano=20, started=days[1]),
    )

    told = columns(spend(frame, MARCH, ["model"], "day", top=1), "time", "model", "other", "cost_nano")
    assert [(f"{time:%d}", *rest) for time, *rest in told] == [
        ("01", "a", False, 50),
        ("01", None, True, 10),
        ("02", None, True, 20),
    ]


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        (Filters(key=("key_1",)), {"a"}),
        (Filters(key=("bob's",)), {"b"}),
        (Filters(model=("gpt", "claude")), {"a", "b"}),
        (Filters(team=("",)), {"b", "c"}),
        (Filters(tag=("x", "y")), {"a", "b"}),
        (Filters(tag=("",)), {"c"}),
        (Filters(model=("gpt",), tag=("y",)), set()),
        (Filters(), {"a", "b", "c"}),
    ],
)
def test_filters_keep_what_has_one_of_the_values_of_each_name(filters: Filters, kept: set[str]) -> None:
    frame = books(
        attempt(end_user="a", team="red", tags=["x"], model="gpt"),
        attempt(end_user="b", key_id="key_2", key_alias="bob's", tags=["x", "y"], model="claude"),
        attempt(end_user="c", key_id="key_3", key_alias=None, model="llama"),
    )

    assert set(spend(filters.of(frame), MARCH, ["end_user"])["end_user"]) == kept


@pytest.mark.parametrize(
    ("by", "error", "says"),
    [
        (["modle"], ReportError, "nothing can be told by modle: there is key, team, end_user, model"),
        (["end_user"], TooCoarse, "rolled-up hours do not tell end_user; the ledger does"),
        (["tag", "session"], TooCoarse, "rolled-up hours do not tell session_id, tags; the ledger does"),
    ],
)
def test_what_cannot_be_told_is_named(by: list[str], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        spend(hours(books(attempt()), MARCH), MARCH, by)


def test_a_ledger_without_a_column_is_named() -> None:
    with pytest.raises(NotALedger, match="the ledger is without team"):
        spend(books(attempt()).drop("team"), MARCH, ["team"])


def test_no_rows_are_a_row_of_zeros_or_none_at_all() -> None:
    assert columns(spend(books(), MARCH), "calls", "cost_nano", "unpriced", "share") == [(0, 0, 0, None)]
    assert spend(books(), MARCH, ["model"]).is_empty()
    assert spend(books(), MARCH, ["key", "end_user"], "day", top=3).is_empty()


# ── Against adding up row by row ────────────────────────────────────────────────────────────────────────────────────────

BY: dict[str, Callable[[Row], Any] | str] = {
    "key": lambda row: row["key_id"] or None,
    "team": "team",
    "end_user": "end_user",
    "model": "model",
    "provider": "provider",
    "deployment": "deployment",
    "session": "session_id",
    "outcome": "outcome",
}


def bucket_of(window: Window, every: Every) -> Callable[[Row], Any]:
    buckets = window.buckets(every)
    return lambda row: next(bucket.start for bucket in buckets if bucket.start <= row["started"] < bucket.end)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.integers(0, 80),
    by=st.lists(st.sampled_from(sorted(BY)), max_size=2, unique=True),
    every=st.sampled_from([None, *EVERY]),
    zone=st.sampled_from(["UTC", BERLIN, "Asia/Kathmandu", "America/Havana", "Australia/Lord_Howe"]),
    since=st.integers(0, 20 * 24 * 60),
)
def test_spend_is_what_adding_up_row_by_row_says(
    seed: int, size: int, by: list[str], every: Every | None, zone: str, since: int
) -> None:
    rows = by_chance(seed, size, start=datetime(2026, 3, 1, tzinfo=UTC))
    window = Window(START + timedelta(minutes=since), START + timedelta(days=30), zone)
    told = spend(books(rows), window, by, every)

    functions = [BY[name] for name in by]
    expected = grouped(seen(rows, window), *([bucket_of(window, every)] if every else []), *functions)
    if not by:
        expected = (
            {(bucket.start,): [] for bucket in window.buckets(every)} | expected if every else expected or {(): []}
        )
    keys = [name for name in told.columns if name in ("time", *by)]
    found = {tuple(row[name] for name in keys): row for row in told.to_dicts()}
    assert len(found) == told.height
    assert set(found) == {tuple(each) for each in expected}
    for key, mine in expected.items():
        row = found[key]
        assert (row["cost_nano"], row["unpriced"]) == money(mine)
        assert row["calls"] == len({each["call_id"] for each in mine if each["answered"]})
        assert row["attempts"] == sum(each["attempt"] is not None for each in mine)
        assert row["failed"] == sum(each["answered"] and each["outcome"] in ("failed", "rejected") for each in mine)
        assert row["input_tokens"] == sum(each["input_tokens"] for each in mine)
        assert row["output_tokens"] == sum(each["output_tokens"] for each in mine)
        assert row["margin_nano"] == sum(each["margin_nano"] for each in mine)
