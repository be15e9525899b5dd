"""One law for every stream of every provider."""

from __future__ import annotations

from typing import Any

from tollbook.responses.fold import fold
from tollbook.responses.types import TERMINAL

_DELTAS = {
    # delta type -> (done type, field of the done event)
    "response.output_text.delta": ("response.output_text.done", "text"),
    "response.refusal.delta": ("response.refusal.done", "refusal"),
    "response.reasoning_text.delta": ("response.reasoning_text.done", "text"),
    "response.reasoning_summary_text.delta": ("response.reasoning_summary_text.done", "text"),
    "response.function_call_arguments.delta": ("response.function_call_arguments.done", "arguments"),
    "response.custom_tool_call_input.delta": ("response.custom_tool_call_input.done", "input"),
}


def check(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Assert the law and answer the final Response.

    Numbers run from 0 without gaps; the first event is `response.created`; one response id throughout; items and parts
    are added once, before their deltas, and done once; deltas add up to what the done event says; the last event is the
    only terminal one; an `error` is followed by `response.failed`; folding the events gives the final Response.
    """
    assert events, "a stream has events"
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    kinds = [e["type"] for e in events]
    assert kinds[0] == "response.created"
    assert [k for k in kinds if k in TERMINAL] == kinds[-1:], "exactly one terminal event, the last"
    assert kinds.count("error") <= 1
    if "error" in kinds:
        assert kinds[-2:] == ["error", "response.failed"]
    assert len({e["response"]["id"] for e in events if "response" in e}) == 1

    items: dict[int, dict[str, Any]] = {}
    done: set[int] = set()
    parts: dict[tuple[Any, ...], bool] = {}
    texts: dict[tuple[Any, ...], str] = {}
    for event in events:
        kind = event["type"]
        index = event.get("output_index")
        if kind == "response.output_item.added":
            assert index == len(items), "items are numbered in the order they are added"
            items[index] = event["item"]
            assert event["item"]["id"]
        elif kind == "response.output_item.done":
            assert index in items
            assert index not in done
            assert event["item"]["type"] == items[index]["type"]
            assert event["item"]["id"] == items[index]["id"]
            assert event["item"].get("status", "completed") in ("completed", "incomplete", "failed")
            assert all(parts[place] for place in parts if place[0] == index), "parts are done before their item"
            done.add(index)
        elif index is not None:
            assert index in items, f"{kind} before its item"
            assert index not in done, f"{kind} after its item"
            assert event.get("item_id", items[index]["id"]) == items[index]["id"]
        if kind in ("response.content_part.added", "response.reasoning_summary_part.added"):
            place = _place(event)
            assert place not in parts
            parts[place] = False
        elif kind in ("response.content_part.done", "response.reasoning_summary_part.done"):
            place = _place(event)
            assert parts[place] is False
            parts[place] = True
        elif kind in _DELTAS:
            key = (kind, *_place(event))
            texts[key] = texts.get(key, "") + event["delta"]
        else:
            for delta, (finished, field) in _DELTAS.items():
                if kind == finished:
                    assert texts.pop((delta, *_place(event)), "") == event[field], f"deltas add up to {finished}"
    assert not texts, "each delta has its done"
    assert done == set(items), "each added has its done"

    final: dict[str, Any] = events[-1]["response"]
    assert kinds[-1] == "response." + final["status"]
    assert _open(fold(events)) == _open(final)
    return final


def _open(response: dict[str, Any]) -> dict[str, Any]:
    """Without `encrypted_content`: OpenAI encrypts it anew for the terminal event."""
    output = [{k: v for k, v in item.items() if k != "encrypted_content"} for item in response["output"]]
    return {**response, "output": output}


def _place(event: dict[str, Any]) -> tuple[Any, ...]:
    summary = "summary" if "summary_index" in event else "content"
    return (event.get("output_index"), summary, event.get("summary_index", event.get("content_index")))
