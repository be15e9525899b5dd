"""Response -> events: a stored response told again, whole texts as single deltas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .types import Event, Item, Response

_TEXTS = {
    # part type -> (name in events, field, index name)
    "output_text": ("output_text", "text", "content_index"),
    "refusal": ("refusal", "refusal", "content_index"),
    "reasoning_text": ("reasoning_text", "text", "content_index"),
    "summary_text": ("reasoning_summary_text", "text", "summary_index"),
}

_ARGUMENTS = {
    "function_call": ("function_call_arguments", "arguments"),
    "custom_tool_call": ("custom_tool_call_input", "input"),
    "mcp_call": ("mcp_call_arguments", "arguments"),
}


def replay(response: Response) -> Iterator[Event]:
    """The events of a complete response, numbered from 0; for one still in progress, those before its end."""
    for number, event in enumerate(_events(response)):
        yield {"type": event.pop("type"), "sequence_number": number, **event}


def _events(response: Response) -> Iterator[Event]:
    begun = {**response, "status": "in_progress", "output": [], "usage": None, "completed_at": None, "error": None}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(response.get("output") or ()):
        yield from _item(index, item)
    status = response.get("status")
    if status == "failed":
        error = response.get("error") or {}
        told = {"type": "server_error", "code": error.get("code"), "message": error.get("message"), "param": None}
        yield {"type": "error", "error": told}
    if status in ("completed", "incomplete", "failed"):
        yield {"type": f"response.{status}", "response": response}


def _item(index: int, item: Item) -> Iterator[Event]:
    place = {"output_index": index, "item_id": item.get("id")}
    empty: Item = {**item}
    if "status" in empty:
        empty["status"] = "in_progress"
    holders = [name for name in ("summary", "content") if isinstance(item.get(name), list)]
    kind, field = _ARGUMENTS.get(str(item.get("type")), ("", ""))
    for name in holders:
        empty[name] = []
    if field:
        empty[field] = ""
    yield {"type": "response.output_item.added", "output_index": index, "item": empty}
    for name in holders:
        for number, part in enumerate(item[name]):
            yield from _part(place, number, part)
    if field:
        text = item.get(field) or ""
        if text:
            yield {"type": f"response.{kind}.delta", **place, "delta": text}
        yield {"type": f"response.{kind}.done", **place, field: text}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _part(place: dict[str, Any], number: int, part: dict[str, Any]) -> Iterator[Event]:
    kind, field, index_name = _TEXTS.get(str(part.get("type")), ("", "", "content_index"))
    here = {**place, index_name: number}
    bracket = "reasoning_summary_part" if index_name == "summary_index" else "content_part"
    empty = {**part, field: ""} if field else part
    if "annotations" in empty:
        empty["annotations"] = []
    yield {"type": f"response.{bracket}.added", **here, "part": empty}
    if field:
        logprobs = {"logprobs": part.get("logprobs") or []} if kind == "output_text" else {}
        if part.get(field):
            yield {"type": f"response.{kind}.delta", **here, "delta": part[field], **logprobs}
        for count, annotation in enumerate(part.get("annotations") or ()):
            yield {
                "type": "response.output_text.annotation.added",
                **here,
                "annotation_index": count,
                "annotation": annotation,
            }
        yield {"type": f"response.{kind}.done", **here, field: part.get(field) or "", **logprobs}
    yield {"type": f"response.{bracket}.done", **here, "part": part}
