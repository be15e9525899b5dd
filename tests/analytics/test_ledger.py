"""The frame that reports read: whatever a reader made of it, it has the ledger's columns and types, or is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from tests.analytics.books import MARCH, attempt, books
from tollbook_analytics import NotALedger, Overflow, ledger, spend
from tollbook_analytics.ledger import CALL, COSTS, LEDGER, REQUIRED, TOKENS, empty


def test_what_readers_make_of_the_types_is_put_right() -> None:
    frame = books(attempt(tags=["a"])).with_columns(
        pl.col("started", "attempt_started").dt.replace_time_zone(None),
        pl.col("model", "outcome").cast(pl.Categorical),
        pl.col("cost_nano").cast(pl.Decimal(38, 0)),
        pl.col("status").cast(pl.Int16),
        pl.col("duration_ms").cast(pl.Float32),
        pl.col("tags").cast(pl.List(pl.Categorical)),
        pl.lit(None).alias("task"),
    )
    read = ledger(frame)

    assert read.collect_schema() == pl.Schema(LEDGER)
    assert read.collect().equals(
        books(attempt(tags=["a"])).collect().with_columns(read.collect()["call_id", "response_id", "session_id"])
    )


def test_times_of_another_zone_are_the_same_moments() -> None:
    frame = books(attempt()).with_columns(
        pl.col("started").dt.convert_time_zone("Asia/Kathmandu").dt.cast_time_unit("ns")
    )

    assert ledger(frame).collect()["started"].to_list() == [datetime(2026, 3, 1, 12, tzinfo=UTC)]


def test_columns_that_older_books_have_not_are_null() -> None:
    read = ledger(books(attempt()).drop("success", "task", "turn", "margin_nano"))

    assert read.collect().row(0, named=True)["success"] is None
    assert spend(read, MARCH)["cost_nano"].to_list() == [1000]


def test_everything_that_is_wrong_is_named_at_once() -> None:
    frame = books(attempt()).drop("cost_nano", "call_id").with_columns(started=pl.lit("noon"), attempts=pl.lit(1.5))

    with pytest.raises(
        NotALedger, match=r"without call_id, cost_nano and with other types in started \(String\), attempts \(Float64\)"
    ):
        ledger(frame)


def test_a_number_that_does_not_fit_is_not_cut() -> None:
    frame = ledger(books(attempt()).with_columns(cost_nano=pl.lit(2**63).cast(pl.Decimal(38, 0))))

    with pytest.raises(pl.exceptions.PolarsError):
        spend(frame, MARCH)


def test_sums_of_tokens_are_guarded_too() -> None:
    huge = [attempt(uncached_input_tokens=2**62, input_tokens=2**62, cost_input_nano=0) for _ in range(2)]

    with pytest.raises(Overflow, match="the sum of input_tokens does not fit"):
        spend(books(huge), MARCH)


def test_an_empty_ledger_has_every_column() -> None:
    assert empty().collect_schema() == pl.Schema(LEDGER)
    assert set(LEDGER) >= REQUIRED
    assert {*CALL, *TOKENS, *COSTS} <= set(LEDGER)
