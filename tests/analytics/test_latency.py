"""Percentiles: exact for few, within a stated bound for many, and the same however the histograms were merged."""

from __future__ import annotations

import math
import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analytics.books import MARCH, Row, attempt, books, by_chance, grouped, rejected, seen, unpriced
from tollbook_analytics import TooCoarse, latency, latency_bands, latency_cost
from tollbook_analytics.histogram import BOUND, bucket, percentiles
from tollbook_analytics.latency import EXACT_ROWS
from tollbook_analytics.rollup import hours, latencies


def nearest_rank(values: list[float], percent: int) -> float:
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def test_percentiles_are_by_nearest_rank() -> None:
    frame = books(attempt(duration_ms=float(number), first_output_ms=None) for number in range(1, 101))
    told = {row["metric"]: row for row in latency(frame, MARCH).to_dicts()}

    assert {name: told["duration_ms"][name] for name in ("count", "p50", "p95", "p99", "error_bound")} == {
        "count": 100, "p50": 50.0, "p95": 95.0, "p99": 99.0, "error_bound": 0.0,
    }  # fmt: skip
    assert "first_output_ms" not in told


def test_tokens_a_second_are_those_after_the_first_output_where_it_was_streamed() -> None:
    spoken = {"duration_ms": 2500.0, "first_output_ms": 500.0, "visible_output_tokens": 100}
    frame = books(attempt(stream=True, model="streamed", **spoken), attempt(stream=False, model="whole", **spoken))
    told = latency(frame, MARCH, ["model"]).filter(pl.col("metric") == "tokens_per_second")

    assert dict(zip(told["model"], told["p50"], strict=True)) == {"streamed": 50.0, "whole": 40.0}


def test_only_answered_calls_waited() -> None:
    frame = books(
        rejected(), attempt(outcome="failed"), attempt(outcome="client_disconnected"), attempt(answered=False)
    )

    assert latency(frame, MARCH).is_empty()
    assert latency(frame, MARCH, exact=False).is_empty()


def test_impossible_times_are_left_out() -> None:
    odd = [attempt(duration_ms=value) for value in (0.0, -5.0, math.inf, math.nan, None)]
    told = {row["metric"]: row for row in latency(books(odd, attempt(duration_ms=7.0)), MARCH, exact=False).to_dicts()}

    assert told["duration_ms"]["count"] == 1


@given(st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=200), st.sampled_from([1, 50, 95, 99, 100]))
def test_a_percentile_of_buckets_is_within_the_bound(values: list[float], percent: int) -> None:
    counts = pl.DataFrame({"value": values}).select(
        bucket(pl.col("value")).alias("bucket"), pl.lit(1, pl.Int64).alias("rows")
    )
    told = percentiles(counts, [], [percent])[f"p{percent}"].item()
    exact = nearest_rank(values, percent)

    assert abs(told - exact) <= exact * BOUND * (1 + 1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 80), by=st.sampled_from([[], ["model"], ["provider", "model"]]))
def test_exact_percentiles_histograms_and_rolled_up_hours_agree(seed: int, size: int, by: list[str]) -> None:
    rows = by_chance(seed, size)
    frame = books(rows)
    keys = [*by, "metric"]

    def told(frame: pl.LazyFrame, **options: Any) -> dict[tuple[Any, ...], Row]:
        return {tuple(row[name] for name in keys): row for row in latency(frame, MARCH, by, **options).to_dicts()}

    exact, histogram, rolled = told(frame), told(frame, exact=False), told(latencies(frame, MARCH))
    assert histogram == rolled
    assert set(exact) == set(histogram)
    answers = [r for r in seen(rows, MARCH) if r["answered"] and r["outcome"] in ("completed", "incomplete")]
    for key, mine in grouped(answers, *by).items():
        durations = [row["duration_ms"] for row in mine]
        for percent in (50, 95, 99):
            row = exact[*key, "duration_ms"]
            assert row[f"p{percent}"] == nearest_rank(durations, percent)
    for key, row in exact.items():
        assert row["count"] == histogram[key]["count"]
        for name in ("p50", "p95", "p99"):
            assert abs(row[name] - histogram[key][name]) <= row[name] * BOUND * (1 + 1e-9)


def test_many_calls_are_told_from_histograms() -> None:
    few, many = (
        books(attempt()).join(pl.LazyFrame({"n": range(EXACT_ROWS + more)}), how="cross").drop("n") for more in (0, 1)
    )

    assert set(latency(few, MARCH)["error_bound"]) == {0.0}
    assert set(latency(many, MARCH)["error_bound"]) == {BOUND}


def test_days_have_percentiles_of_their_own() -> None:
    frame = books(attempt(duration_ms=10.0), attempt(duration_ms=30.0))
    told = latency(frame, MARCH, every="day").filter(pl.col("metric") == "duration_ms")

    assert [(f"{time:%m-%d}", p50) for time, p50 in told.select("time", "p50").rows()] == [("03-01", 10.0)]


def test_hours_of_sums_have_no_percentiles() -> None:
    with pytest.raises(TooCoarse, match="do not tell"):
        latency(hours(books(attempt()), MARCH), MARCH)


def test_a_key_needs_the_ledger() -> None:
    with pytest.raises(TooCoarse, match="rolled-up hours do not tell key_id"):
        latency(latencies(books(attempt()), MARCH), MARCH, ["key"])


def test_speed_stands_beside_price() -> None:
    frame = books(
        attempt(model="fast", duration_ms=1000.0, cost_nano=9000), attempt(model="fast", duration_ms=1000.0, cost_nano=11_000),
        attempt(model="slow", duration_ms=8000.0, cost_nano=100), unpriced(model="slow", duration_ms=8000.0),
        unpriced(model="llama"),
    )  # fmt: skip
    told = {row["model"]: row for row in latency_cost(frame, MARCH).to_dicts()}

    assert [(name, row["calls"], row["cost_nano"], row["unpriced"], row["nano_per_call"]) for name, row in told.items()] == [
        ("fast", 2, 20_000, 0, 10_000), ("slow", 2, 100, 1, 100), ("llama", 1, None, 1, None),
    ]  # fmt: skip
    assert told["slow"]["duration_ms_p50"] == pytest.approx(8000, rel=BOUND)
    assert latency_cost(frame, MARCH).equals(latency_cost(latencies(frame, MARCH), MARCH))


def test_bands_hold_every_answered_call_once() -> None:
    chance = random.Random(4)
    rows = [attempt(duration_ms=chance.lognormvariate(8, 2)) for _ in range(200)]
    told = latency_bands(books(rows), MARCH)

    assert told["calls"].sum() == 200
    assert told["cost_nano"].sum() == 200_000
    assert told["from_ms"].to_list()[:3] == [0, 250, 500]
    for row in told.to_dicts():
        inside = [
            r
            for r in rows
            if row["from_ms"] * (1 + BOUND) <= r["duration_ms"] < (row["to_ms"] or math.inf) * (1 - BOUND)
        ]
        near = [
            r
            for r in rows
            if row["from_ms"] * (1 - BOUND) <= r["duration_ms"] < (row["to_ms"] or math.inf) * (1 + BOUND)
        ]
        assert len(inside) <= row["calls"] <= len(near)
