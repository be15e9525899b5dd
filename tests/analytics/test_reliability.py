"""Reliability: calls by how they ended, attempts by why they were needed, errors by where they happened."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analytics.books import LOST, MARCH, attempt, books, by_chance, call, grouped, rejected, seen
from tollbook_analytics import errors, reliability


def test_calls_are_told_by_how_they_ended_and_how_they_were_answered() -> None:
    frame = books(
        attempt(),
        call(LOST, {"reason": "retry"}),
        call(LOST, LOST | {"reason": "retry"}, {"reason": "fallback"}),
        attempt(outcome="failed", error_kind="server", attempt_outcome="failed"),
        rejected(),
    )
    (row,) = reliability(frame, MARCH).to_dicts()

    expected = {
        "calls": 5, "completed": 3, "failed": 1, "rejected": 1, "attempts": 7, "retried": 1, "fallen_back": 1, "hedged": 0,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert (row["error_share"], row["attempts_per_call"], row["fallback_share"]) == (2 / 5, 7 / 4, 1 / 4)


def test_errors_of_upstreams_and_of_the_gateway_are_told_apart() -> None:
    frame = books(
        call(LOST, {"reason": "retry"}),
        call(LOST | {"error_kind": "timeout"}, {"reason": "retry"}),
        call(LOST, {"reason": "retry"}),
        rejected(error_code="budget_exceeded"),
    )

    assert errors(frame, MARCH).rows() == [
        ("upstream", "overloaded", 2, 0.5),
        ("gateway", "budget_exceeded", 1, 0.25),
        ("upstream", "timeout", 1, 0.25),
    ]


def test_shares_of_errors_are_of_the_same_group() -> None:
    frame = books(
        call(LOST, {}, model="a"), call(LOST, {}, model="b"), call(LOST | {"error_kind": "auth"}, {}, model="b")
    )
    told = errors(frame, MARCH, ["model"])

    assert {(row["model"], row["error"]): row["share"] for row in told.to_dicts()} == {
        ("a", "overloaded"): 1.0, ("b", "overloaded"): 0.5, ("b", "auth"): 0.5,
    }  # fmt: skip


def test_nothing_went_wrong_is_no_rows() -> None:
    assert errors(books(attempt()), MARCH).is_empty()
    assert reliability(books(), MARCH)["error_share"].to_list() == [None]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 80))
def test_counts_are_what_each_row_tells(seed: int, size: int) -> None:
    rows = by_chance(seed, size)
    mine = seen(rows, MARCH)
    told = {row["provider"]: row for row in reliability(books(rows), MARCH, ["provider"]).to_dicts()}

    for (provider,), of_provider in grouped(mine, "provider").items():
        answers = [row for row in of_provider if row["answered"]]
        row = told[provider]
        for outcome in ("completed", "incomplete", "failed", "rejected", "cancelled", "client_disconnected"):
            assert row[outcome] == sum(answer["outcome"] == outcome for answer in answers)
        for name, reason in (
            ("retried", "retry"),
            ("fallen_back", "fallback"),
            ("hedged", "hedge"),
            ("continued", "continuation"),
        ):
            assert row[name] == sum(answer["reason"] == reason for answer in answers)
        assert row["calls"] == len(answers)
    wrong = [row for row in mine if row["error_kind"] or (row["answered"] and row["outcome"] in ("failed", "rejected"))]
    expected = {key: len(found) for key, found in grouped(wrong, lambda r: r["error_kind"] or r["error_code"]).items()}
    counted = {(error,): times for error, times in errors(books(rows), MARCH).select("error", "times").rows()}
    assert counted == expected
