"""Events become the response that they tell, as a client would put it together."""

from __future__ import annotations

from typing import Any

import pytest

from tollbook.responses.fold import Fold, fold

EMPTY = {"id": "resp_1", "status": "in_progress", "output": []}


def _message(text: str, status: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": [part] if text else []}


TOLD: list[dict[str, Any]] = [
    {"type": "response.created", "response": EMPTY},
    {"type": "response.output_item.added", "output_index": 0, "item": _message("", "in_progress")},
    {
        "type": "response.content_part.added",
        "output_index": 0,
        "content_index": 0,
        "part": {"type": "output_text", "text": "", "annotations": []},
    },
    {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "hel"},
    {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "lo"},
    {
        "type": "response.output_text.annotation.added",
        "output_index": 0,
        "content_index": 0,
        "annotation_index": 0,
        "annotation": {"type": "url_citation"},
    },
]


def test_a_text_grows_with_its_deltas() -> None:
    folding, seen = Fold(), []
    for event in TOLD:
        folding.feed(event)
        items = folding.response["output"]
        seen.append(items[0]["content"][0]["text"] if items and items[0]["content"] else None)

    assert seen == [None, None, "", "hel", "hello", "hello"]
    assert folding.response["output"][0]["content"][0]["annotations"] == [{"type": "url_citation"}]


def test_events_are_not_changed_by_being_folded() -> None:
    before = repr(TOLD)

    fold([*TOLD, {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "!"}])

    assert repr(TOLD) == before


@pytest.mark.parametrize(
    ("kind", "item", "field"),
    [
        ("response.function_call_arguments.delta", {"type": "function_call", "arguments": ""}, "arguments"),
        ("response.custom_tool_call_input.delta", {"type": "custom_tool_call", "input": ""}, "input"),
    ],
)
def test_calls_grow_in_their_own_field(kind: str, item: dict[str, Any], field: str) -> None:
    events = [
        {"type": "response.created", "response": EMPTY},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        *({"type": kind, "output_index": 0, "delta": piece} for piece in ('{"a"', ":1}")),
    ]

    assert fold(events)["output"][0][field] == '{"a":1}'


def test_summaries_and_contents_of_a_thought_do_not_mix() -> None:
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": EMPTY},
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "summary": []}},
        {
            "type": "response.reasoning_summary_part.added",
            "output_index": 0,
            "summary_index": 0,
            "part": {"type": "summary_text", "text": ""},
        },
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "short"},
        {
            "type": "response.content_part.added",
            "output_index": 0,
            "content_index": 0,
            "part": {"type": "reasoning_text", "text": ""},
        },
        {"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0, "delta": "long"},
    ]

    (item,) = fold(events)["output"]
    assert item["summary"] == [{"type": "summary_text", "text": "short"}]
    assert item["content"] == [{"type": "reasoning_text", "text": "long"}]


def test_the_finished_item_counts_and_the_terminal_event_tells_the_rest() -> None:
    done = _message("hello", "completed")
    final = {"id": "resp_1", "status": "completed", "output": [done], "usage": {"total_tokens": 3}}
    events = [
        *TOLD,
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {"type": "response.completed", "response": final},
    ]

    assert fold(events) == final


def test_unknown_events_are_passed_over() -> None:
    assert fold([*TOLD, {"type": "response.telegram.sent"}, {"type": "keepalive"}, {}]) == fold(TOLD)


def test_a_terminal_event_alone_is_enough() -> None:
    final = {"id": "resp_1", "status": "completed", "output": [_message("x", "completed")]}

    assert fold([{"type": "response.completed", "response": final}]) == final
