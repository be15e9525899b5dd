"""Unit economics: the cost of a call, of an end user, of a task, and of a task that succeeded."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analytics.books import MARCH, START, attempt, books, by_chance, grouped, seen, unpriced
from tollbook_analytics import economics


def test_a_success_pays_for_the_failures_as_well() -> None:
    frame = books(
        attempt(task="t1", success=True, cost_nano=300),
        attempt(task="t1", cost_nano=100),
        attempt(task="t2", success=False, cost_nano=400),
        attempt(task="t3", cost_nano=50),
        attempt(success=True, cost_nano=200),
        attempt(cost_nano=1000),
    )
    (row,) = economics(frame, MARCH).to_dicts()

    assert (row["tasks"], row["judged"], row["succeeded"], row["success_share"]) == (4, 3, 2, 2 / 3)
    assert row["nano_per_task"] == round((400 + 400 + 50 + 200) / 4)
    assert row["judged_nano"] == 1000
    assert row["nano_per_success"] == 500


def test_the_latest_outcome_counts() -> None:
    late = START + timedelta(days=3)
    frame = books(
        attempt(task="t1", success=False),
        attempt(task="t1", success=True, started=late),
        attempt(task="t1", started=late),
    )

    assert economics(frame, MARCH)["succeeded"].to_list() == [1]


def test_an_end_user_is_counted_once_and_those_without_one_cost_them_nothing() -> None:
    frame = books(
        attempt(end_user="a", cost_nano=10),
        attempt(end_user="a", cost_nano=20),
        attempt(end_user="b", cost_nano=30),
        attempt(),
    )
    (row,) = economics(frame, MARCH).to_dicts()

    assert (row["users"], row["nano_per_user"], row["nano_per_call"]) == (2, 30, 265)


def test_without_a_success_a_success_has_no_price() -> None:
    (row,) = economics(books(attempt(task="t", success=False)), MARCH).to_dicts()

    assert (row["succeeded"], row["nano_per_success"], row["judged_nano"]) == (0, None, 1000)


def test_what_is_unknown_is_no_unit_price() -> None:
    (row,) = economics(books(unpriced(end_user="a")), MARCH).to_dicts()

    assert (row["cost_nano"], row["nano_per_call"], row["unpriced"]) == (None, None, 1)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 80))
def test_units_are_what_counting_says(seed: int, size: int) -> None:
    rows = by_chance(seed, size)
    told = {row["team"]: row for row in economics(books(rows), MARCH, ["team"]).to_dicts()}

    for (team,), mine in grouped(seen(rows, MARCH), "team").items():
        row = told[team]
        named = [each for each in mine if each["task"] is not None or each["success"] is not None]
        tasks = grouped(named, lambda each: each["task"] or each["call_id"])
        verdicts = {}
        for task, found in tasks.items():
            judged = [each for each in found if each["success"] is not None]
            if judged:
                latest = max(each["started"] for each in judged)
                verdicts[task] = any(each["success"] for each in judged if each["started"] == latest)
        assert (row["tasks"], row["judged"], row["succeeded"]) == (len(tasks), len(verdicts), sum(verdicts.values()))
        assert row["judged_nano"] == sum(each["cost_nano"] or 0 for task in verdicts for each in tasks[task])
        assert row["users"] == len({each["end_user"] for each in mine} - {None})
