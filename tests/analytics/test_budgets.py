"""Budgets: what is spent of them, at which pace, and when they will be gone; days and months are those of a place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analytics.books import Window, attempt, books, by_chance, seen, unpriced
from tollbook_analytics import ReportError, budgets, burn_down
from tollbook_analytics.budgets import BUDGETS

NOW = datetime(2026, 3, 11, tzinfo=UTC)
DAY = timedelta(days=1)


def limits(*rows: dict[str, Any]) -> pl.DataFrame:
    whole = {"name": "b", "scope": "all", "subject": None, "limit_nano": 100, "window": "month"}
    return pl.DataFrame([whole | row for row in rows], schema=dict(BUDGETS))


def even(nano: int) -> pl.LazyFrame:
    """So much on each noon of the ten days of March that are over."""
    return books(attempt(started=NOW - DAY * number + DAY / 2, cost_nano=nano) for number in range(1, 11))


def only(frame: pl.DataFrame) -> dict[str, Any]:
    (row,) = frame.to_dicts()
    return row


def test_at_an_even_pace_a_budget_is_gone_when_it_should_be() -> None:
    """2 a day since 1 March: of 40, 20 are left at the first moment of the 11th, at a pace of 14 in the 6.5 days of the
    look back."""
    row = only(budgets(even(2), limits({"limit_nano": 40}), NOW))

    assert (row["spent_nano"], row["left_nano"], row["used_share"], row["state"]) == (20, 20, 0.5, "at risk")
    assert row["pace_nano"] == int(14 / 6.5)
    assert row["projected_nano"] == 20 + row["pace_nano"] * 21
    assert row["breach"] == NOW + DAY * 20 / row["pace_nano"]
    assert (row["since"], row["resets"]) == (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))


def test_what_lasts_until_the_period_ends_is_within() -> None:
    row = only(budgets(even(2), limits({"limit_nano": 90}), NOW))

    assert (row["state"], row["breach"]) == ("within", None)


def test_a_breach_is_told_to_the_hour() -> None:
    row = only(budgets(even(2), limits({"limit_nano": 7}), NOW))

    assert (row["state"], row["left_nano"]) == ("breached", -13)
    assert row["breach"] == datetime(2026, 3, 4, 12, tzinfo=UTC), "the fourth noon"


@pytest.mark.parametrize(
    ("window", "spent"), [("day", 0), ("week", 4), ("month", 20), ("total", 20), ("24h", 2), ("3d", 6)]
)
def test_each_window_counts_its_own_stretch(window: str, spent: int) -> None:
    row = only(budgets(even(2), limits({"limit_nano": 1000, "window": window}), NOW))

    assert row["spent_nano"] == spent


def test_a_month_begins_at_the_midnight_of_its_place() -> None:
    frame = books(attempt(started=datetime(2026, 2, 28, 23, 30, tzinfo=UTC)))

    assert only(budgets(frame, limits({}), NOW, "Europe/Berlin"))["spent_nano"] == 1000
    assert only(budgets(frame, limits({}), NOW, "UTC"))["spent_nano"] == 0
    assert only(budgets(frame, limits({}), NOW, "Asia/Kathmandu"))["spent_nano"] == 1000


def test_budgets_are_for_whom_they_name() -> None:
    frame = books(
        attempt(key_id="k1", key_alias="ada's", model="gpt-5", cost_nano=1),
        attempt(key_id="k2", key_alias="bob's", model="gpt-4", cost_nano=10),
        attempt(key_id="k3", key_alias=None, model="claude", cost_nano=100),
    )
    named = [
        ("key", "k1", 1),
        ("key", "bob's", 10),
        ("model", "gpt-*", 11),
        ("model", None, 111),
        ("end_user", "nobody", 0),
        ("key", "k*", 111),
    ]
    told = budgets(
        frame, limits(*({"name": f"{scope} {who}", "scope": scope, "subject": who} for scope, who, _ in named)), NOW
    )

    assert dict(told.select("name", "spent_nano").rows()) == {f"{scope} {who}": nano for scope, who, nano in named}


def test_unknown_costs_make_what_is_spent_a_lower_bound() -> None:
    row = only(budgets(books(unpriced(), attempt()), limits({"limit_nano": 5000}), NOW))

    assert (row["spent_nano"], row["unpriced"]) == (1000, 1)


def test_a_budget_burns_down_day_by_day() -> None:
    told = burn_down(even(2), limits({"limit_nano": 31}), NOW)

    assert told["cost_nano"].to_list() == [2] * 10
    assert told["left_nano"].to_list() == list(range(29, 10, -2))
    assert told["even_nano"].to_list() == list(range(30, 20, -1))


def test_the_days_of_a_burn_down_are_those_of_the_place() -> None:
    frame = books(attempt(started=datetime(2026, 3, 2, 18, 20, tzinfo=UTC)))
    told = burn_down(frame, limits({}), NOW, "Asia/Kathmandu").filter(pl.col("cost_nano") > 0)

    assert [f"{time:%d}" for time in told["time"]] == ["03"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"name": None}, "budget number 1 has no name"),
        ({"scope": "planet"}, "budget b is for 'planet': there is all, key"),
        ({"limit_nano": 0}, "budget b has no limit above 0"),
        ({"limit_nano": None}, "budget b has no limit above 0"),
        ({"window": "0d"}, "budget b has the window '0d'"),
        ({"window": None}, "budget b has the window None"),
    ],
)
def test_a_budget_that_cannot_be_is_named(row: dict[str, Any], says: str) -> None:
    with pytest.raises(ReportError, match=says):
        budgets(books(), limits(row), NOW)


def test_a_table_that_is_none_of_budgets_is_refused() -> None:
    with pytest.raises(ReportError, match="budgets are without scope, subject, limit_nano, window"):
        budgets(books(), pl.DataFrame({"name": ["b"]}), NOW)
    with pytest.raises(ReportError, match="budgets cannot be read"):
        budgets(books(), limits({}).with_columns(limit_nano=pl.lit("ten")), NOW)


def test_no_budgets_are_no_rows() -> None:
    assert budgets(books(), limits(), NOW).is_empty()
    assert burn_down(books(), limits(), NOW).is_empty()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), hours=st.integers(1, 29 * 24), limit=st.integers(1, 10**9))
def test_spent_left_and_breach_are_what_adding_up_in_order_says(seed: int, hours: int, limit: int) -> None:
    rows, now = by_chance(seed, 60), datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=hours)
    row = only(budgets(books(rows), limits({"limit_nano": limit}), now))

    so_far, passed = 0, None
    for each in sorted(seen(rows, Window(datetime(2026, 3, 1, tzinfo=UTC), now)), key=lambda each: each["started"]):
        so_far += each["cost_nano"] or 0
        passed = passed or (each["started"].replace(minute=0, second=0, microsecond=0) if so_far >= limit else None)
    assert (row["spent_nano"], row["left_nano"]) == (so_far, limit - so_far)
    assert (row["state"] == "breached") == (passed is not None)
    if passed:
        assert row["breach"] == passed
    elif row["breach"]:
        assert now < row["breach"] <= row["resets"]
