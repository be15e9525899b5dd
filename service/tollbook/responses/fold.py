"""Events -> Response: what a client that keeps the stream's events would end up with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .types import LIFECYCLE, TERMINAL, Event, Item, Response


def fold(events: Iterable[Event]) -> Response:
    """The Response that these events tell. For a whole stream it equals the terminal event's own Response."""
    folding = Fold()
    for event in events:
        folding.feed(event)
    return folding.response


class Fold:
    """The same, event by event: `response` is what is known so far."""

    def __init__(self) -> None:
        self.response: Response = {"output": []}
        self._items: list[Item] = []

    def feed(self, event: Event) -> None:
        kind = event.get("type", "")
        if kind in LIFECYCLE:
            self.response = {**event["response"], "output": self._items}
        elif kind in TERMINAL:
            # Everything but the items is only known here; the items are the ones that were told.
            self.response = {**event["response"], "output": self._items or event["response"].get("output") or []}
        elif kind == "response.output_item.added":
            self._items.append(_copy(event["item"]))
        elif kind == "response.output_item.done":
            self._items[event["output_index"]] = event["item"]
        elif kind in _GROWING:
            holder, place, field = _GROWING[kind]
            item = self._items[event["output_index"]]
            target = item if holder is None else item[holder][event[place]]
            target[field] = target.get(field, "") + event["delta"]
        elif kind in ("response.content_part.added", "response.reasoning_summary_part.added"):
            holder = "summary" if "summary_index" in event else "content"
            self._items[event["output_index"]].setdefault(holder, []).append(_copy(event["part"]))
        elif kind == "response.output_text.annotation.added":
            part = self._items[event["output_index"]]["content"][event["content_index"]]
            part.setdefault("annotations", []).append(event["annotation"])


_GROWING: dict[str, tuple[str | None, str, str]] = {
    "response.output_text.delta": ("content", "content_index", "text"),
    "response.refusal.delta": ("content", "content_index", "refusal"),
    "response.reasoning_text.delta": ("content", "content_index", "text"),
    "response.reasoning_summary_text.delta": ("summary", "summary_index", "text"),
    "response.function_call_arguments.delta": (None, "", "arguments"),
    "response.custom_tool_call_input.delta": (None, "", "input"),
}


def _copy(value: dict[str, Any]) -> dict[str, Any]:
    return {
        k: [dict(x) if isinstance(x, dict) else x for x in v] if isinstance(v, list) else v for k, v in value.items()
    }
