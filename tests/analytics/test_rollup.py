"""Rolled-up hours tell the same to the last nano-dollar as the ledger, in any zone and however they are pieced together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analytics.books import MARCH, START, attempt, books, by_chance
from tollbook_analytics import TooCoarse, Window, cache, errors, overview, reliability, spend, tokens, unpriced, waste
from tollbook_analytics.ledger import LEDGER
from tollbook_analytics.rollup import HOURS, LATENCIES, composed, hours, latencies
from tollbook_analytics.window import EVERY, Every

Report = Callable[[pl.LazyFrame, Window, list[str], Every | None], pl.DataFrame]

REPORTS: dict[str, Report] = {
    "spend": spend,
    "tokens": tokens,
    "cache": cache,
    "waste": waste,
    "reliability": reliability,
    "errors": errors,
}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.integers(0, 60),
    name=st.sampled_from(sorted(REPORTS)),
    by=st.lists(
        st.sampled_from(["key", "team", "model", "provider", "deployment", "outcome"]), max_size=2, unique=True
    ),
    every=st.sampled_from([None, *EVERY]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe"]),
    edges=st.tuples(st.integers(0, 15 * 24 * 60), st.integers(15 * 24 * 60, 31 * 24 * 60)),
    until=st.integers(0, 31 * 24 * 60),
)
def test_hours_where_they_can_and_the_ledger_where_they_cannot_tell_the_same(
    seed: int,
    size: int,
    name: str,
    by: list[str],
    every: Every | None,
    zone: str,
    edges: tuple[int, int],
    until: int,
) -> None:
    frame, report = books(by_chance(seed, size)), REPORTS[name]
    window = Window(*(START + timedelta(minutes=edge) for edge in edges), zone)
    rolled = hours(frame, MARCH).collect().lazy()
    mixed = composed(frame, rolled, window.edges(every), until=START + timedelta(minutes=until))

    assert report(mixed, window, by, every).equals(report(frame, window, by, every))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(0, 60))
def test_whole_hours_need_no_ledger(seed: int, size: int) -> None:
    frame = books(by_chance(seed, size))
    rolled = hours(frame, MARCH)
    window = Window(START + timedelta(days=2), START + timedelta(days=20, hours=3), "Europe/Berlin")

    for report in REPORTS.values():
        assert report(rolled, window, ["model"], "day").equals(report(frame, window, ["model"], "day"))
    assert unpriced(rolled, MARCH).drop("first", "last").equals(unpriced(frame, MARCH).drop("first", "last"))
    page = overview(rolled, {"w": window}, latencies=latencies(frame, MARCH))
    assert page.drop("newest").equals(overview(frame, {"w": window}).drop("newest"))


def test_pieces_of_an_hour_and_a_correction_add_up() -> None:
    """Whoever keeps the hours only appends: two drains of one hour are two rows, and so is what was found out later."""
    early, late = books(attempt(cost_nano=5)), books(attempt(cost_nano=7))
    correction = hours(early, MARCH).with_columns(
        pl.lit(0, pl.Int64).alias("rows"), pl.lit(2, pl.Int64).alias("cost_nano")
    )
    rolled = pl.concat([hours(early, MARCH), hours(late, MARCH), correction])

    assert spend(rolled, MARCH).select("calls", "cost_nano").rows() == [(2, 14)]


def test_an_edge_inside_of_an_hour_is_refused_rather_than_rounded() -> None:
    rolled = hours(books(attempt()), MARCH)
    kathmandu = Window(START, START + timedelta(days=2), "Asia/Kathmandu")

    with pytest.raises(TooCoarse, match="an edge is inside of one"):
        spend(rolled, Window(START, START + timedelta(minutes=90)))
    with pytest.raises(TooCoarse, match="in Asia/Kathmandu by day"):
        spend(rolled, kathmandu, every="day")
    assert spend(rolled, kathmandu)["calls"].to_list() == [1], "without days there is no edge but those of the window"


def test_the_tables_are_what_they_are_said_to_be() -> None:
    frame = books(by_chance(1, 50))

    assert hours(frame, MARCH).collect_schema() == pl.Schema(HOURS)
    assert latencies(frame, MARCH).collect_schema() == pl.Schema(LATENCIES)
    assert hours(pl.LazyFrame(schema=dict(LEDGER)), MARCH).collect().is_empty()


def test_equal_attempts_of_an_hour_are_one_row() -> None:
    hour = datetime(2026, 3, 5, 7, tzinfo=UTC)
    rows = [attempt(started=hour + timedelta(minutes=number), cost_nano=number) for number in range(60)]

    (row,) = hours(books(rows), MARCH).collect().to_dicts()
    assert (row["hour"], row["rows"], row["cost_nano"]) == (hour, 60, sum(range(60)))
