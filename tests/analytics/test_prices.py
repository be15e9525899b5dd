"""Whether prices can be trusted: what has none, what is stale, what moved, and what the provider's bill says."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analytics.books import (
    LOST,
    MARCH,
    START,
    Window,
    attempt,
    books,
    by_chance,
    call,
    day_in,
    grouped,
    money,
    seen,
)
from tests.analytics.books import unpriced as without_price
from tollbook_analytics import ReportError, drift, reconcile, unpriced, versions

DAY = timedelta(days=1)


def test_what_has_no_price_is_told_with_why_and_since_when() -> None:
    frame = books(
        attempt(),
        without_price(started=START + DAY, price_version="v1/no rate:web_search"),
        without_price(provider="local", upstream_model="llama", started=START + 2 * DAY),
        without_price(provider="local", upstream_model="llama", started=START + 5 * DAY),
        call(LOST | {"cost_status": "unpriced", "cost_nano": None, "usage_source": "none"}, {}),
    )
    told = unpriced(frame, MARCH)

    assert told.select("provider", "upstream_model", "why", "attempts", "share").rows() == [
        ("local", "llama", None, 2, 1.0),
        ("openai", "gpt-5", "v1/no rate:web_search", 1, 1 / 4),
    ]
    assert [f"{first:%d} {last:%d}" for first, last in told.select("first", "last").rows()] == ["03 06", "02 02"]


def test_a_version_that_runs_on_after_a_newer_one_is_stale() -> None:
    used = [("v1", 1), ("v2", 5), ("v1", 7), ("v2", 8)]
    frame = books(
        [attempt(price_version=version, price_source="catalogue", started=START + day * DAY) for version, day in used],
        [
            attempt(provider="azure", price_version=version, price_source="catalogue", started=START + day * DAY)
            for version, day in used[:2]
        ],
    )
    told = versions(frame, MARCH)

    assert told.select("provider", "price_version", "attempts", "stale").rows() == [
        ("azure", "v2", 1, False), ("azure", "v1", 1, False), ("openai", "v2", 2, False), ("openai", "v1", 2, True),
    ]  # fmt: skip


def priced(day: int, rate: int, **fields: Any) -> dict[str, Any]:
    """A million tokens at noon of a day in March, at a rate in nano-USD for a million."""
    return attempt(
        started=START + (day - 1) * DAY,
        uncached_input_tokens=10**6,
        visible_output_tokens=0,
        cost_nano=rate,
        cost_input_nano=rate,
        **fields,
    )


def test_a_price_that_moved_is_told_on_the_day_it_did() -> None:
    frame = books(
        [priced(day, 1_000) for day in (1, 2, 3)],
        [priced(day, 750) for day in (6, 7)],
        priced(6, 5, upstream_model="other"),
    )
    told = drift(frame, MARCH)

    assert [
        (f"{time:%d}", *rest)
        for time, *rest in told.select("time", "upstream_model", "kind", "before", "after", "change_share").rows()
    ] == [
        ("06", "gpt-5", "input", 1_000, 750, -0.25),
    ]
    assert drift(frame, MARCH, least=0.3).is_empty()


def test_a_price_out_of_nothing_is_a_change_too() -> None:
    told = drift(books(priced(1, 0), priced(2, 9)), MARCH)

    assert told.select("before", "after", "change_share").rows() == [(0, 9, None)]


def test_unpriced_tokens_move_no_price() -> None:
    frame = books(priced(1, 1000), priced(2, 1000), without_price(started=START + DAY, uncached_input_tokens=10**9))

    assert drift(frame, MARCH).is_empty()
    with pytest.raises(ReportError, match="the least change to tell is above 0"):
        drift(frame, MARCH, least=0)


def bill(*rows: tuple[date, str, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"date": pl.Date, "model": pl.String, "cost_nano": pl.Int64}, orient="row")


def test_each_day_and_model_has_a_finding() -> None:
    days = [date(2026, 3, number) for number in range(1, 8)]
    made = [START + number * DAY for number in range(7)]
    frame = books(
        attempt(started=made[0], cost_nano=1000),
        attempt(started=made[1], cost_nano=1000),
        attempt(started=made[3], cost_nano=1000),
        without_price(started=made[4]),
        attempt(started=made[5], cost_nano=600),
        attempt(started=made[6], cost_nano=600, usage_source="estimated"),
    )
    statement = bill(
        *((day, "gpt-5", nano) for day, nano in zip(days, (1004, 2000, 500, 0, 800, 1000, 1000), strict=True))
    )
    told = reconcile(frame, MARCH, statement)

    assert told.select("booked_nano", "billed_nano", "difference_nano", "covered_share", "finding").rows() == [
        (1000, 1004, 4, 1000 / 1004, "agrees"),
        (1000, 2000, 1000, 0.5, "differs"),
        (0, 500, 500, 0.0, "not booked"),
        (1000, 0, -1000, None, "not billed"),
        (None, 800, None, None, "unpriced in the books"),
        (600, 1000, 400, 0.6, "differs"),
        (600, 1000, 400, 0.6, "estimated usage"),
    ]


def test_a_bill_by_day_alone_is_compared_with_everything_of_the_day() -> None:
    frame = books(attempt(upstream_model="a"), attempt(upstream_model="b"))
    told = reconcile(frame, MARCH, bill((date(2026, 3, 1), "", 1500), (date(2026, 3, 1), "", 500)).drop("model"))

    assert told.select("booked_nano", "billed_nano", "finding").rows() == [(2000, 2000, "agrees")]


def test_days_of_the_bill_outside_of_the_window_are_not_compared() -> None:
    assert reconcile(books(), MARCH, bill((date(2026, 2, 28), "gpt-5", 7), (date(2026, 4, 1), "gpt-5", 7))).is_empty()


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (pl.DataFrame({"day": [1]}), "the statement is without date, cost_nano"),
        (pl.DataFrame({"date": [date(2026, 3, 1)], "cost_nano": [0.5]}), "cost_nano of the statement has fractions"),
        (pl.DataFrame({"date": ["tomorrow"], "cost_nano": [1]}), "the statement cannot be read"),
        (
            pl.DataFrame({"date": [None, date(2026, 3, 1)], "cost_nano": [1, None]}),
            "2 rows of the statement lack a date or a cost",
        ),
    ],
)
def test_a_statement_that_cannot_be_used_is_named(statement: pl.DataFrame, says: str) -> None:
    with pytest.raises(ReportError, match=says):
        reconcile(books(), MARCH, statement)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 60), zone=st.sampled_from(["UTC", "Asia/Kathmandu"]))
def test_a_bill_that_is_the_books_agrees_everywhere(seed: int, size: int, zone: str) -> None:
    rows = by_chance(seed, size)
    window = Window(START + DAY, START + 25 * DAY, zone)
    days = grouped(seen(rows, window), day_in(zone), "upstream_model")
    statement = bill(*((day, model, money(found)[0] or 0) for (day, model), found in days.items()))
    told = reconcile(books(rows), window, statement)

    assert set(told.filter(pl.col("unpriced") == 0)["finding"]) <= {"agrees"}
    assert set(told["difference_nano"].drop_nulls()) <= {0}
