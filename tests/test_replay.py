"""A stored response told again is a lawful stream of the same response."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import protocol
from tollbook.responses.fold import fold
from tollbook.responses.replay import replay

from .test_draft import ENDS, FACTS, made


@settings(max_examples=200, deadline=None)
@given(st.lists(FACTS, max_size=20), ENDS)
def test_whatever_was_made_is_told_again_as_it_was(facts: list[tuple[Any, ...]], end: str) -> None:
    _, response = made(facts, end, stream=False)
    stored = json.loads(json.dumps(response))

    assert protocol.check(list(replay(stored))) == stored
    assert json.loads(json.dumps(response)) == stored, "what is stored is not changed by telling it"


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_what_still_runs_is_told_as_far_as_it_is(status: str) -> None:
    events = list(replay({"id": "resp_1", "status": status, "output": []}))

    assert [event["type"] for event in events] == ["response.created", "response.in_progress"]
    assert [event["sequence_number"] for event in events] == [0, 1]


@pytest.mark.parametrize(
    "item",
    [
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "AAAA"},
        {"type": "mcp_call", "id": "mcp_1", "name": "f", "arguments": "{}", "server_label": "s"},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"}], "content": None},
        {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "telegram", "stop": 1}]},
        {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": None},
        {"type": "telegram", "id": "tg_1"},
    ],
)
def test_items_of_every_kind_are_told_and_fold_to_themselves(item: dict[str, Any]) -> None:
    response = {"id": "resp_1", "status": "completed", "output": [item]}

    events = list(replay(response))

    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [e["item"] for e in events if e["type"] == "response.output_item.done"] == [item]
    assert fold(events) == response


def test_a_failed_response_ends_with_its_error() -> None:
    error = {"code": "server_error", "message": "it broke"}

    *_, told, failed = replay({"id": "resp_1", "status": "failed", "output": [], "error": error})

    assert told["error"] == {"type": "server_error", "code": "server_error", "message": "it broke", "param": None}
    assert failed["response"]["error"] == error


def test_a_cancelled_response_ends_as_it_is() -> None:
    """The protocol has no event of its own for it; the stream ends after what was made, as the provider's does."""
    events = list(replay({"id": "resp_1", "status": "cancelled", "output": []}))

    assert [event["type"] for event in events] == ["response.created", "response.in_progress"]
