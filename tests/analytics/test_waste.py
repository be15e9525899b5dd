"""Waste: every attempt in vain is of one kind, and all of them together are what the first page shows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analytics.books import LOST, MARCH, Row, attempt, books, by_chance, call, grouped, money, rejected, seen
from tollbook_analytics import overview, waste

CANCELLED = {"attempt_outcome": "cancelled"}


@pytest.mark.parametrize(
    ("rows", "kinds"),
    [
        (call(LOST, {"reason": "retry"}), {"retried": 1}),
        (call(LOST, LOST | {"reason": "retry"}, {"reason": "fallback"}), {"retried": 1, "fallback": 1}),
        (call(CANCELLED, {"reason": "hedge"}), {"hedged": 1}),
        (call({"answered": True}, CANCELLED | {"answered": False, "reason": "hedge"}), {"hedged": 1}),
        (call(LOST, {"reason": "hedge"}), {"hedged": 1}),
        (call(LOST, {"reason": "continuation"}), {}),
        (
            call(LOST, {"reason": "retry", "attempt_outcome": "failed"}, outcome="failed", finish="error"),
            {"retried": 1, "failed": 1},
        ),
        ([attempt(outcome="incomplete", finish="length")], {"truncated": 1}),
        ([attempt(outcome="incomplete", finish="content_filter")], {"refused": 1}),
        ([attempt(outcome="failed", error_kind="content_filter", finish="error")], {"refused": 1}),
        ([attempt(outcome="cancelled", finish=None)], {"cancelled": 1}),
        ([attempt(outcome="client_disconnected", finish=None)], {"disconnected": 1}),
        ([rejected()], {}),
        ([attempt()], {}),
    ],
)
def test_an_attempt_in_vain_has_one_kind(rows: list[Row], kinds: dict[str, int]) -> None:
    told = waste(books(rows), MARCH)

    assert dict(zip(told["waste"], told["attempts"], strict=True)) == kinds


def test_waste_is_told_in_money_and_as_a_share_of_all_spend() -> None:
    frame = books(call(LOST | {"cost_nano": 250}, {"reason": "retry", "cost_nano": 750}))
    (row,) = waste(frame, MARCH).to_dicts()

    assert (row["waste"], row["cost_nano"], row["of_nano"], row["share"]) == ("retried", 250, 1000, 0.25)


def test_the_share_is_of_the_same_group() -> None:
    frame = books(
        attempt(model="a", outcome="cancelled", cost_nano=1),
        attempt(model="a", cost_nano=3),
        attempt(model="b", cost_nano=96),
    )
    (row,) = waste(frame, MARCH, ["model"]).to_dicts()

    assert (row["model"], row["share"]) == ("a", 0.25)


def by_hand(row: Row, rows: list[Row]) -> str | None:
    """The kind of waste, as a story."""
    if row["reason"] is None:
        return None
    if not row["answered"]:
        after = next(
            (r["reason"] for r in rows if (r["call_id"], r["attempt"]) == (row["call_id"], row["attempt"] + 1)), None
        )
        if after == "continuation":
            return None
        if row["attempt_outcome"] == "cancelled" or "hedge" in (row["reason"], after):
            return "hedged"
        return "fallback" if after == "fallback" else "retried"
    if "content_filter" in (row["finish"], row["error_kind"]):
        return "refused"
    kinds = {
        "failed": "failed",
        "incomplete": "truncated",
        "cancelled": "cancelled",
        "client_disconnected": "disconnected",
    }
    return kinds.get(row["outcome"])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 80))
def test_waste_is_what_each_row_tells(seed: int, size: int) -> None:
    rows = by_chance(seed, size)
    mine = seen(rows, MARCH)
    told = {(row["team"], row["waste"]): row for row in waste(books(rows), MARCH, ["team"]).to_dicts()}

    expected: dict[Any, list[Row]] = grouped(mine, "team", lambda row: by_hand(row, mine))
    assert set(told) == {key for key in expected if key[1]}
    for key, row in told.items():
        assert (row["cost_nano"], row["unpriced"]) == money(expected[key])
        assert row["attempts"] == len(expected[key])
    (page, _) = overview(books(rows), {"all": MARCH}).to_dicts()
    assert page["wasted_nano"] == sum(row["cost_nano"] or 0 for row in told.values())
