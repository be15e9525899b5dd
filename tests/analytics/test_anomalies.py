"""Anomalies: the runaway is found and explained, and quiet days stay quiet."""

from __future__ import annotations

import math
import random
from datetime import timedelta
from statistics import median

import pytest

from tests.analytics.books import MARCH, START, Row, Window, attempt, books
from tollbook_analytics import ReportError, anomalies
from tollbook_analytics.anomalies import Judge, judged
from tollbook_analytics.rollup import hours

DAYS = 60


def quiet(chance: random.Random) -> list[float]:
    """What a key costs on each of 60 days without anything being wrong: from a call a week to a thousand a day, few of
    them dear, with weekends or without, on a level that wanders."""
    calls_a_day, spread, price = (
        10 ** chance.uniform(-0.7, 3),
        chance.choice((0.3, 0.8, 1.3)),
        10 ** chance.uniform(6, 8.5),
    )
    weekly, wander, found = chance.random() < 0.6, 0.0, []
    for day in range(DAYS):
        wander += chance.gauss(0, 0.05)
        usual = calls_a_day * math.exp(wander) * ((1, 1.05, 1.1, 1, 0.9, 0.35, 0.3)[day % 7] if weekly else 1)
        calls = max(0, round(chance.gauss(usual, math.sqrt(usual)))) if usual > 50 else _poisson(chance, usual)
        each = [chance.lognormvariate(0, spread) for _ in range(min(calls, 200))]
        found.append(sum(each) * price * calls / len(each) if each else 0.0)
    return found


def _poisson(chance: random.Random, mean: float) -> int:
    limit, product, many = math.exp(-mean), chance.random(), 0
    while product > limit:
        product *= chance.random()
        many += 1
    return many


def test_quiet_keys_have_at_most_one_false_flag_in_a_hundred_days_and_runaways_are_found() -> None:
    flags = found = keys = 0
    for seed in range(3):
        chance = random.Random(seed)
        series = [quiet(chance) for _ in range(60)]
        usual = median(sum(each[day] for each in series) for day in range(DAYS))
        for values in series:
            keys += 1
            flags += len(judged(values, usual, Judge()))
            runaway = [*values[:45], values[45] + 5 * max(values) + usual / 20, *values[46:]]
            found += 45 in [flag.day for flag in judged(runaway, usual, Judge())]

    assert flags / (keys * DAYS) <= 0.01
    assert found / keys >= 0.97


def test_a_runaway_is_flagged_for_as_long_as_it_is_news() -> None:
    values = [100.0 + day % 3 for day in range(20)] + [1000.0] * 20
    flagged = [flag.day for flag in judged(values, 1000.0, Judge(usual_after=5))]

    assert flagged == [20, 21, 22, 23, 24], "after five days it is what is usual"


def test_two_days_after_a_spike_are_measured_by_the_days_before_it() -> None:
    values = [100.0] * 14 + [900.0, 100.0, 900.0]

    assert [(flag.day, flag.expected) for flag in judged(values, 100.0, Judge())] == [(14, 100.0), (16, 100.0)]


@pytest.mark.parametrize(
    ("values", "usual"),
    [
        ([0.0] * 30, 0.0),
        ([], 100.0),
        ([100.0] * 28 + [115.0], 100.0),  # a little more
        ([0.0, 0.0, 50.0] * 10 + [55.0], 100.0),  # rare, but no rarity
        ([1.0] * 28 + [100.0], 1e6),  # a hundredfold of what nobody notices
    ],
)
def test_what_is_not_out_of_the_ordinary(values: list[float], usual: float) -> None:
    assert judged(values, usual, Judge()) == []


def test_somebody_new_is_flagged_only_for_much() -> None:
    assert judged([10.0, 10.0], 100.0, Judge(), new=True) == []
    assert [flag.day for flag in judged([60.0], 100.0, Judge(), new=True)] == [0]
    assert judged([60.0], 100.0, Judge()) == [], "it was there when the books began"


def usual_traffic() -> list[Row]:
    """Two keys, two users and two models, each hour of the first twenty days 10 nano-dollars."""
    return [
        attempt(
            started=START + timedelta(hours=hour),
            key_id=key,
            key_alias=f"{key}'s",
            end_user=user,
            model=model,
            cost_nano=10,
        )
        for hour in range(20 * 24)
        for key, user, model in (("ada", "u1", "gpt"), ("ada", "u2", "claude"), ("bob", "u1", "claude"))
    ]


RUNAWAY = [
    attempt(
        started=START + timedelta(days=18, hours=7),
        key_id="ada",
        key_alias="ada's",
        end_user="u2",
        model="gpt",
        cost_nano=nano,
    )
    for nano in (4000, 4200)
] + [
    attempt(
        started=START + timedelta(days=18, hours=8),
        key_id="ada",
        key_alias="ada's",
        end_user="u1",
        model="claude",
        cost_nano=1800,
    )
]


def test_a_jump_is_told_with_what_it_was_made_of() -> None:
    told = anomalies(books(usual_traffic(), RUNAWAY), MARCH, ["key"])
    (row,) = told.to_dicts()

    assert (f"{row['time']:%m-%d}", row["by"], row["subject"], row["key_alias"]) == ("03-19", "key", "ada", "ada's")
    assert (row["cost_nano"], row["expected_nano"], row["jump_nano"]) == (10_480, 480, 10_000)
    assert row["words"] == "end user u2 + model gpt = 82% of the jump; end user u1 + model claude = 18% of the jump"
    assert row["contributors"][0] == {
        "key": None, "end_user": "u2", "model": "gpt", "cost_nano": 8200, "jump_nano": 8200, "share": 0.82,
    }  # fmt: skip


def test_every_dimension_is_looked_at_for_itself() -> None:
    told = anomalies(books(usual_traffic(), RUNAWAY), MARCH)

    assert set(told.select("by", "subject").rows()) == {
        ("key", "ada"), ("end_user", "u2"), ("end_user", "u1"), ("model", "gpt"), ("model", "claude"),
    }  # fmt: skip
    assert told["jump_nano"].is_sorted(descending=True)


def test_days_are_those_of_the_place() -> None:
    window = Window(MARCH.start, MARCH.end, "Pacific/Auckland")
    (row,) = anomalies(books(usual_traffic(), RUNAWAY), window, ["key"]).to_dicts()

    assert f"{row['time']:%Y-%m-%d %H:%M %z}" == "2026-03-19 00:00 +1300"


def test_rolled_up_hours_tell_the_same_but_for_end_users() -> None:
    frame = books(usual_traffic(), RUNAWAY)
    told = anomalies(hours(frame, MARCH), MARCH)

    assert set(told["by"]) == {"key", "model"}
    assert told.filter(by="key").select("cost_nano", "jump_nano").rows() == [(10_480, 10_000)]
    assert told.filter(by="key")["words"].to_list() == ["model gpt = 82% of the jump; model claude = 18% of the jump"]


def test_quiet_books_have_no_anomalies() -> None:
    assert anomalies(books(usual_traffic()), Window(MARCH.start, START + timedelta(days=20))).is_empty()
    assert anomalies(books(), MARCH).is_empty()


def test_a_judge_needs_sense() -> None:
    with pytest.raises(ReportError, match="a judge of anomalies needs"):
        Judge(days=3)
