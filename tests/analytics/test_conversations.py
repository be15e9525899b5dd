"""Conversations: what a chain cost, how its context grew, and what of it was sent again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

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
    seen,
    unpriced,
)
from tollbook_analytics import ReportError, conversation, conversations, turns


def turn(number: int, sent: int, said: int, **fields: Any) -> Row:
    """The n-th turn of the conversation r1."""
    before = {"previous_response_id": f"r{number - 1}"} if number > 1 else {}
    told: Row = {
        "response_id": f"r{number}",
        "session_id": "r1",
        "turn": number,
        "started": START + timedelta(minutes=number),
    }
    return attempt(**told | before | {"uncached_input_tokens": sent, "visible_output_tokens": said} | fields)


CHAIN = [turn(1, 100, 50), turn(2, 180, 40, cost_nano=2000), turn(3, 300, 60, cost_nano=3000)]


def test_a_conversation_is_one_row() -> None:
    (row,) = conversations(books(CHAIN), MARCH).to_dicts()

    assert {name: row[name] for name in ("session", "turns", "cost_nano", "nano_per_turn", "input_tokens", "output_tokens")} == {
        "session": "r1", "turns": 3, "cost_nano": 6000, "nano_per_turn": 2000, "input_tokens": 580, "output_tokens": 150,
    }  # fmt: skip
    assert row["context_growth"] == 3.0
    assert row["repeated_tokens"] == 150 + 220, "the second turn repeats 100 in and 50 out, the third 180 and 40"
    assert row["repeated_share"] == 370 / 580


def test_its_turns_say_what_was_new_and_what_it_had_cost_so_far() -> None:
    told = conversation(books(CHAIN), MARCH, "r1")

    assert told.select("turn", "input_tokens", "new_tokens", "repeated_tokens", "cost_nano", "so_far_nano").rows() == [
        (1, 100, 100, 0, 1000, 1000),
        (2, 180, 30, 150, 2000, 3000),
        (3, 300, 80, 220, 3000, 6000),
    ]


def test_two_answers_to_one_parent_both_repeat_it_and_not_each_other() -> None:
    branch = turn(2, 160, 10, response_id="r2b", previous_response_id="r1", started=START + timedelta(hours=1))

    assert conversation(books(CHAIN[:2], branch), MARCH, "r1")["repeated_tokens"].to_list() == [0, 150, 150]


def test_a_turn_that_was_shortened_repeats_no_more_than_it_sent() -> None:
    assert conversation(books(turn(1, 100, 50), turn(2, 20, 5)), MARCH, "r1")["repeated_tokens"].to_list() == [0, 20]


def test_a_parent_outside_of_the_window_is_not_guessed() -> None:
    (row,) = conversations(books(turn(2, 180, 40)), MARCH).to_dicts()

    assert (row["repeated_tokens"], row["turns"]) == (0, 1)


def test_costs_are_of_all_attempts_and_tokens_of_the_answer() -> None:
    made = call(LOST | {"cost_nano": 70, "uncached_input_tokens": 9}, {"cost_nano": 30}, session_id="s")
    (row,) = conversations(books(made, unpriced(session_id="s")), MARCH).to_dicts()

    assert (row["cost_nano"], row["unpriced"], row["input_tokens"], row["turns"]) == (100, 1, 200, 2)


def test_the_first_by_the_rank_asked_for() -> None:
    frame = books(attempt(session_id="dear", cost_nano=9), (attempt(session_id="long", cost_nano=1) for _ in range(3)))

    assert conversations(frame, MARCH, top=1)["session"].to_list() == ["dear"]
    assert conversations(frame, MARCH, top=1, rank="turns")["session"].to_list() == ["long"]
    with pytest.raises(ReportError, match="conversations cannot be ranked by 'beauty': there is cost_nano, turns"):
        conversations(frame, MARCH, rank="beauty")  # type: ignore[arg-type]


def test_the_nth_turn_has_a_mean_cost() -> None:
    frame = books(CHAIN, attempt(turn=1, cost_nano=3000), attempt(turn=70, cost_nano=9), attempt(turn=50, cost_nano=11))

    assert turns(frame, MARCH).select("turn", "calls", "nano_per_turn").rows() == [
        (1, 2, 2000),
        (2, 1, 2000),
        (3, 1, 3000),
        (50, 2, 10),
    ]


def test_no_conversations_are_no_rows() -> None:
    assert conversations(books(), MARCH).is_empty()
    assert conversation(books(CHAIN), MARCH, "unknown").is_empty()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 80), top=st.integers(1, 5))
def test_conversations_are_what_walking_the_parents_says(seed: int, size: int, top: int) -> None:
    rows = by_chance(seed, size)
    mine = [row for row in seen(rows, MARCH) if row["session_id"] is not None]
    answers = {row["response_id"]: row for row in mine if row["answered"]}
    sessions = grouped(mine, "session_id")
    told = conversations(books(rows), MARCH, top=top).to_dicts()

    dearest = sorted((money(found)[0] or 0 for found in sessions.values()), reverse=True)[:top]
    assert [row["cost_nano"] or 0 for row in told] == dearest
    for row in told:
        chain = [answer for answer in answers.values() if answer["session_id"] == row["session"]]
        repeated = 0
        for answer in chain:
            parent = answers.get(answer["previous_response_id"])
            if parent is not None:
                repeated += min(answer["input_tokens"], parent["input_tokens"] + parent["output_tokens"])
        assert (row["cost_nano"], row["unpriced"]) == money(sessions[row["session"],])
        assert (row["turns"], row["repeated_tokens"]) == (len(chain), repeated)
        assert row["moved"] == sum(answer["replayed"] for answer in chain)
