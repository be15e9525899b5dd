"""The sums of the overview page: they are exact, and what is unknown is counted, never added as 0."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from tollbook_analytics.calls import SCHEMA, calls, spend

_KINDS = (
    "input", "cache_read", "cache_write", "cache_write_1h", "input_audio", "input_image", "cache_read_audio",
    "output", "reasoning", "output_audio", "output_image",
)  # fmt: skip


def call(number: int, nano: int | None, **fields: Any) -> dict[str, Any]:
    """A call as `GET /v1/calls` tells it, with what the report reads."""
    usage = dict.fromkeys(_KINDS, 0) | {"input": 10, "cache_read": 5, "output": 3, "reasoning": 2}
    status = "unpriced" if nano is None else "priced"
    return {
        "id": f"call_{number}",
        "started": f"2026-03-0{number}T10:00:00.000001Z",
        "ended": f"2026-03-0{number}T10:00:01.500001Z",
        "operation": "create",
        "model": "gpt",
        "key_alias": None,
        "key_id": "",
        "end_user": None,
        "outcome": "completed",
        "usage": usage,
        "cost": {"status": status, "nano_usd": nano},
    } | fields


def test_money_adds_up_in_integers_beyond_what_a_float_can_hold() -> None:
    large = 2**53
    (total,) = spend(calls([call(1, large), call(2, 1), call(3, 1)])).collect().to_dicts()

    assert total["cost_nano"] == large + 2
    assert float(large) + 1 + 1 == large, "a float would have lost them"


def test_an_unknown_cost_is_counted_and_adds_nothing() -> None:
    (total,) = spend(calls([call(1, 700), call(2, None), call(3, None)])).collect().to_dicts()

    assert total == {
        "calls": 3,
        "failed": 0,
        "input_tokens": 45,
        "output_tokens": 15,
        "cost_nano": 700,
        "unpriced": 2,
    }


def test_groups_come_dearest_first_and_keep_those_without_a_name() -> None:
    told = [
        call(1, 5, end_user="ada"),
        call(2, 9),
        call(3, 1, end_user="ada", outcome="failed"),
        call(4, 6, end_user="bob"),
    ]
    rows = spend(calls(told), "end_user").collect()

    assert rows["end_user"].to_list() == [None, "ada", "bob"]
    assert rows["cost_nano"].to_list() == [9, 6, 6]
    assert rows["failed"].to_list() == [0, 1, 0]


@pytest.mark.parametrize(
    ("alias", "key_id", "shown"), [("alice", "key_1", "alice"), (None, "key_1", "key_1"), (None, "", None)]
)
def test_a_key_is_named_by_its_alias_else_its_id(alias: str | None, key_id: str, shown: str | None) -> None:
    rows = calls([call(1, 0, key_alias=alias, key_id=key_id)]).collect()

    assert rows["key"].to_list() == [shown]


def test_no_calls_are_a_frame_of_the_same_shape() -> None:
    frame = calls([])

    assert frame.collect_schema() == pl.Schema(SCHEMA)
    assert spend(frame).collect()["calls"].to_list() == [0]
    assert spend(frame, "model").collect().is_empty()


def test_times_are_utc_to_the_microsecond() -> None:
    (row,) = calls([call(1, 0, ended=None)]).collect().to_dicts()

    assert row["started"].isoformat() == "2026-03-01T10:00:00.000001+00:00"
    assert row["ended"] is None
