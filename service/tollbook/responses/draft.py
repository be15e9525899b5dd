"""The Responses protocol, once.

A dialect tells a `Draft` what the model did - it said this, it thought that, it calls a tool - and the draft answers
with the right events: it owns item ids, indexes, sequence numbers and the added/delta/done bracket around everything.
A native Responses upstream speaks the protocol itself; its frames are relayed and only what the record needs is read.

The events come out in `draft.frames`; whoever drives the reader takes them from there.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Literal

from tollbook.errors import TollbookError, UpstreamError
from tollbook.transport.frame import Frame

from .ids import MakeId, make_id
from .replay import replay
from .skeleton import skeleton
from .tools import Origin, free_text, origins
from .types import LIFECYCLE, TERMINAL, Event, Item, Part, Request, Response
from .usage import NO_USAGE, Usage

Stop = Literal["stop", "tool_calls", "length", "content_filter"]
"""Why the model stopped. A refusal is `refusal(text)` and then "stop"."""

# Hosted tool calls announce their progress with events of their own; the item itself only brackets them.
_PROGRESS: dict[str, tuple[str, ...]] = {
    "web_search_call": ("in_progress", "searching", "completed"),
    "file_search_call": ("in_progress", "searching", "completed"),
    "code_interpreter_call": ("in_progress", "interpreting", "completed"),
    "image_generation_call": ("in_progress", "generating", "completed"),
    "mcp_call": ("in_progress", "completed"),
    "mcp_list_tools": ("in_progress", "completed"),
}


class Draft:
    """One Response in the making.

    `request` is the client's request (its parameters are echoed); `items_before` counts the items that others made of the same
    response. `stream=False` skips the events nobody will read:
    a whole body is told to the same draft, only the response is kept. `created_at` is in seconds since 1970.
    """

    def __init__(
        self,
        request: Request,
        *,
        response_id: str | None = None,
        model: str = "",
        created_at: float = 0.0,
        make_id: MakeId = make_id,
        items_before: int = 0,
        clock: Callable[[], float] | None = None,
        stream: bool = True,
    ) -> None:
        self.frames: list[Frame] = []
        """Events that were not taken yet, in order."""
        self.has_output = False
        """Whether a frame beyond the lifecycle events exists: from here on a failure cannot be hidden."""
        self.done = False
        """Whether the terminal event is in `frames` (or was)."""
        self.stopped: Stop | None = None
        """Why the model stopped, once the dialect told."""
        self.tokens: Usage = NO_USAGE
        self.error: TollbookError | None = None
        self.served_tier: str | None = None
        """The service tier that the provider says it used; it prices the call."""
        self.upstream_id: str | None = None
        self.notes: list[str] = []
        """What the reader had to leave out or change, one word or two each."""

        self._request = request
        self._items_made = items_before
        self._clock = clock or (lambda: created_at)
        self._stream = stream
        self._number = 0
        self._begun = False
        self._native = False
        self._origins: dict[str, Origin] = origins(request)
        self._entries: list[_Entry] = []
        self._serial: _Entry | None = None
        self._keyed: dict[Hashable, _Entry] = {}
        self.response: Response = skeleton(request, response_id or make_id("resp"), model, created_at)
        """The Response as far as it is known; complete when `done`."""
        self._stem = self.response["id"].partition("_")[2]

    # ------------------------------------------------------------------------------------------ what the model did

    def begin(self) -> None:
        """The answer has begun. Told before anything else; told again, it says nothing new."""
        if self._begun:
            return
        self._begun = True
        self._emit("response.created", {"response": self._snapshot()})
        self._emit("response.in_progress", {"response": self._snapshot()})

    def served(self, *, model: str | None = None, tier: str | None = None, upstream_id: str | None = None) -> None:
        """Who answered: the exact model, the service tier and the provider's own id, as far as they are told."""
        if model:
            self.response["model"] = model
        if tier:
            self.served_tier = self.response["service_tier"] = tier
        if upstream_id:
            self.upstream_id = upstream_id

    @property
    def served_model(self) -> str | None:
        """The exact model that answered, as far as the provider says."""
        model = self.response.get("model")
        return model if isinstance(model, str) and model else None

    @property
    def position(self) -> int:
        """Characters in the open text part: where an annotation would start."""
        entry = self._serial
        return (
            entry.length if entry is not None and entry.part is not None and entry.part["type"] == "output_text" else 0
        )

    def text(self, delta: str, logprobs: list[Any] | None = None) -> None:
        """Visible text. Consecutive pieces are one part of one message, wherever the provider cut them."""
        if not delta:
            return
        entry = self._part("output_text")
        entry.pieces.append(delta)
        entry.length += len(delta)
        if logprobs and entry.part is not None:
            entry.part.setdefault("logprobs", []).extend(logprobs)
        if self._stream:
            self._emit(
                "response.output_text.delta",
                {
                    "item_id": entry.item["id"],
                    "output_index": entry.index,
                    "content_index": entry.part_index,
                    "delta": delta,
                    "logprobs": logprobs or [],
                },
            )

    def refusal(self, delta: str) -> None:
        """Text in which the model declines."""
        if not delta:
            return
        entry = self._part("refusal")
        entry.pieces.append(delta)
        self._delta("response.refusal.delta", entry, "content_index", delta)

    def annotation(self, annotation: dict[str, Any]) -> None:
        """A citation in the open text part, as one of OpenAI's annotation objects; indexes count characters."""
        entry = self._part("output_text")
        assert entry.part is not None
        annotations = entry.part["annotations"]
        annotations.append(annotation)
        if self._stream:
            self._emit(
                "response.output_text.annotation.added",
                {
                    "item_id": entry.item["id"],
                    "output_index": entry.index,
                    "content_index": entry.part_index,
                    "annotation_index": len(annotations) - 1,
                    "annotation": annotation,
                },
            )

    def reasoning(self, delta: str) -> None:
        """Raw reasoning text, where the provider shows it."""
        if not delta:
            return
        entry = self._reasoning("content")
        entry.pieces.append(delta)
        self._delta("response.reasoning_text.delta", entry, "content_index", delta)

    def summary(self, delta: str, *, new_part: bool = False) -> None:
        """A summary of the reasoning, made by the provider. `new_part` begins another paragraph of its own."""
        if not delta:
            return
        if new_part and self._serial is not None and self._serial.field == "summary":
            self._close_part(self._serial)
        entry = self._reasoning("summary")
        entry.pieces.append(delta)
        self._delta("response.reasoning_summary_text.delta", entry, "summary_index", delta)

    def seal(self, encrypted: str, *, apart: bool = False) -> None:
        """What only its maker can read about the open reasoning item; `apart` makes an item of its own."""
        open_item = self._serial.item if self._serial is not None else None
        if apart or open_item is None or open_item["type"] != "reasoning" or "encrypted_content" in open_item:
            self._finish_serial()
            self._open_reasoning()
        assert self._serial is not None
        self._serial.item["encrypted_content"] = encrypted
        if apart:
            self._finish_serial()

    def call(self, key: Hashable, *, call_id: str, name: str) -> None:
        """The model calls a tool that the client runs. `key` is whatever the provider tells calls apart by."""
        self._finish_serial()
        origin = self._origins.get(name)
        if origin is not None and origin.custom:
            item: Item = {
                "id": self._item_id("ctc"),
                "type": "custom_tool_call",
                "status": "in_progress",
                "call_id": call_id,
                "name": origin.name,
                "input": "",
            }
        else:
            item = {
                "id": self._item_id("fc"),
                "type": "function_call",
                "status": "in_progress",
                "call_id": call_id,
                "name": origin.name if origin else name,
                "arguments": "",
            }
        if origin is not None and origin.namespace:
            item["namespace"] = origin.namespace
        self._keyed[key] = self._add(item)

    def arguments(self, key: Hashable, delta: str) -> None:
        """A piece of the JSON text of a call's arguments. Told for an unknown key, it is ignored."""
        entry = self._keyed.get(key)
        if entry is None or not delta:
            return
        entry.pieces.append(delta)
        if self._stream and entry.item["type"] == "function_call":
            self._emit(
                "response.function_call_arguments.delta",
                {"item_id": entry.item["id"], "output_index": entry.index, "delta": delta},
            )

    def has(self, key: Hashable) -> bool:
        """Whether a call or hosted item with this key is open."""
        return key in self._keyed

    def item(self, key: Hashable, item: Item) -> None:
        """A tool call that the provider runs itself (web search, code execution ...) has begun; `close` ends it.

        `item` is one of OpenAI's output items without `id` and `status`.
        """
        self._finish_serial()
        prefix = {
            "web_search_call": "ws",
            "file_search_call": "fs",
            "code_interpreter_call": "ci",
            "image_generation_call": "ig",
            "message": "msg",
        }
        entry = self._add(
            {"id": self._item_id(prefix.get(item["type"], item["type"].split("_")[0])), "status": "in_progress", **item}
        )
        self._keyed[key] = entry
        for step in _PROGRESS.get(item["type"], ())[:-1]:
            self._step(entry, step)

    def close(self, key: Hashable, **changes: Any) -> None:
        """The call or hosted item is complete; `changes` are fields that became known on the way."""
        entry = self._keyed.pop(key, None)
        if entry is not None:
            entry.item.update(changes)
            self._finish(entry, changes.get("status", "completed"))

    def usage(self, usage: Usage) -> None:
        """Tokens so far. Told again, the last one counts: providers repeat and correct them."""
        self.tokens = usage

    def stop(self, reason: Stop) -> None:
        """The model stopped, and why. More may still be told until `end`."""
        self.stopped = reason

    def end(self) -> None:
        """Nothing more will come. Raises UpstreamError("truncated") when no reason to stop was told: the line was cut."""
        if self.done:
            return
        if self.stopped is None:
            raise UpstreamError("The upstream closed the connection before the answer was complete.", "truncated")
        incomplete = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(self.stopped)
        self._finish_all("incomplete" if incomplete else "completed")
        self.response["status"] = "incomplete" if incomplete else "completed"
        self.response["incomplete_details"] = {"reason": incomplete} if incomplete else None
        if not incomplete:
            self.response["completed_at"] = int(self._clock())
        self._terminal("response.incomplete" if incomplete else "response.completed")

    def fail(self, error: TollbookError) -> None:
        """The answer ends here, honestly: an `error` event, then `response.failed` with all that had come.

        The nested form of the error event is the one that every client notices (see the Open Responses specification).
        """
        if self.done:
            return
        self.error = error
        if not self._native:
            self._finish_all("incomplete")
        if self._stream:
            self._emit("error", {"error": error.to_wire()})
        self.response["status"] = "failed"
        self.response["error"] = {"code": error.code or error.type, "message": error.message}
        self._terminal("response.failed")

    # ------------------------------------------------------------------------------------------------ native frames

    def relay(self, frame: Frame) -> None:
        """A frame of an upstream that speaks Responses itself: it keeps its bytes.

        Lifecycle and terminal frames and finished items are read for the record; deltas are not. Raises UpstreamError for a
        response without an id or items.
        """
        self._native = True
        self._number += 1
        kind = frame.type
        if kind in LIFECYCLE or kind in TERMINAL:
            response = frame.event.get("response")
            if isinstance(response, dict):
                done_items, self.response = self.response["output"], _native(response)
                if not response.get("output"):
                    response["output"] = done_items
        elif kind == "response.output_item.done" and isinstance(frame.event.get("item"), dict):
            self.response["output"].append(frame.event["item"])
        if kind not in LIFECYCLE:
            self.has_output = True
        if kind in TERMINAL:
            self.done = True
        self.frames.append(frame)

    def adopt(self, response: Response) -> None:
        """A whole Response of an upstream that speaks Responses itself; it ends the draft. Raises UpstreamError as `relay`.

        To a client that streams it is told as events.
        """
        self._native = True
        self.response = _native(response)
        if self._stream:
            self.frames += [Frame(event["type"], event=event) for event in replay(self.response)]
        self.has_output = self.done = True

    @property
    def tokens_heard(self) -> int:
        """About how many tokens the model has said so far: four characters make one, or one event of a native upstream."""
        return self._number if self._native else -(-sum(map(len, self.texts_heard)) // 4)

    @property
    def texts_heard(self) -> list[str]:
        """What the model has said so far; nothing of a native upstream's frames, which are passed on unread."""
        texts = [piece for entry in self._entries for piece in entry.pieces]
        parts = [
            p for e in self._entries for f in ("content", "summary") for p in e.item.get(f) or () if p is not e.part
        ]
        return texts + [part.get("text") or part.get("refusal") or "" for part in parts]

    def take(self) -> list[Frame]:
        """The frames since the last time."""
        frames, self.frames = self.frames, []
        return frames

    # ------------------------------------------------------------------------------------------------------ inside

    def _item_id(self, prefix: str) -> str:
        """Item ids extend their response's id, so that an `item_reference` leads to its response (`ids.response_of`)."""
        self._items_made += 1
        return f"{prefix}_{self._stem}{self._items_made:03x}"

    def _emit(self, kind: str, fields: Event) -> None:
        if not self._stream:
            return
        event: Event = {"type": kind, "sequence_number": self._number}
        event.update(fields)
        self._number += 1
        self.frames.append(Frame(kind, event=event))

    def _delta(self, kind: str, entry: _Entry, index_name: str, delta: str) -> None:
        if self._stream:
            self._emit(
                kind,
                {
                    "item_id": entry.item["id"],
                    "output_index": entry.index,
                    index_name: entry.part_index,
                    "delta": delta,
                },
            )

    def _snapshot(self) -> Response:
        return {**self.response, "output": [dict(e.item) for e in self._entries]}

    def _add(self, item: Item) -> _Entry:
        self.has_output = True
        entry = _Entry(item, len(self._entries))
        self._entries.append(entry)
        if self._stream:
            self._emit("response.output_item.added", {"output_index": entry.index, "item": _copy(item)})
        return entry

    def _part(self, kind: Literal["output_text", "refusal"]) -> _Entry:
        """The open message with an open part of this kind."""
        entry = self._serial
        if entry is None or entry.item["type"] != "message":
            self._finish_serial()
            entry = self._serial = self._add(
                {
                    "id": self._item_id("msg"),
                    "type": "message",
                    "status": "in_progress",
                    "role": "assistant",
                    "content": [],
                }
            )
            entry.field = "content"
        if entry.part is None or entry.part["type"] != kind:
            self._close_part(entry)
            part: Part = (
                {"type": "refusal", "refusal": ""}
                if kind == "refusal"
                else {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            )
            self._open_part(entry, part)
        return entry

    def _reasoning(self, field: Literal["content", "summary"]) -> _Entry:
        """The open reasoning item with an open part in this field."""
        entry = self._serial
        if entry is None or entry.item["type"] != "reasoning" or entry.item.get("encrypted_content"):
            self._finish_serial()
            entry = self._open_reasoning()
        if entry.part is None or entry.field != field:
            self._close_part(entry)
            entry.field = field
            self._open_part(entry, {"type": "reasoning_text" if field == "content" else "summary_text", "text": ""})
        return entry

    def _open_reasoning(self) -> _Entry:
        self._serial = entry = self._add(
            {"id": self._item_id("rs"), "type": "reasoning", "status": "in_progress", "summary": []}
        )
        return entry

    def _open_part(self, entry: _Entry, part: Part) -> None:
        parts = entry.item.setdefault(entry.field, [])
        entry.part, entry.part_index, entry.pieces, entry.length = part, len(parts), [], 0
        parts.append(part)
        if self._stream:
            kind = (
                "response.reasoning_summary_part.added" if entry.field == "summary" else "response.content_part.added"
            )
            self._emit(kind, {**self._place(entry), "part": _copy(part)})

    def _place(self, entry: _Entry) -> Event:
        index_name = "summary_index" if entry.field == "summary" else "content_index"
        return {"item_id": entry.item["id"], "output_index": entry.index, index_name: entry.part_index}

    def _close_part(self, entry: _Entry) -> None:
        part = entry.part
        if part is None:
            return
        entry.part = None
        text = "".join(entry.pieces)
        place = self._place(entry)
        if part["type"] == "refusal":
            part["refusal"] = text
            self._emit("response.refusal.done", {**place, "refusal": text})
        else:
            part["text"] = text
            kind = {
                "output_text": "output_text",
                "reasoning_text": "reasoning_text",
                "summary_text": "reasoning_summary_text",
            }[part["type"]]
            done: Event = {**place, "text": text}
            if part["type"] == "output_text":
                done["logprobs"] = part["logprobs"]
            self._emit(f"response.{kind}.done", done)
        if self._stream:
            kind = "response.reasoning_summary_part.done" if entry.field == "summary" else "response.content_part.done"
            self._emit(kind, {**place, "part": _copy(part)})

    def _step(self, entry: _Entry, step: str) -> None:
        self._emit(f"response.{entry.item['type']}.{step}", {"item_id": entry.item["id"], "output_index": entry.index})

    def _finish_serial(self) -> None:
        if self._serial is not None:
            entry, self._serial = self._serial, None
            self._finish(entry, "completed")

    def _finish_all(self, last: Literal["completed", "incomplete"]) -> None:
        """Close what is open. Only the last item may be incomplete (Open Responses, item life cycle)."""
        if last == "incomplete" and self._entries:
            ending = self._entries[-1]
            open_keys = [key for key, entry in self._keyed.items() if entry is not ending]
            for key in open_keys:
                self.close(key)
            if self._serial is ending or ending in self._keyed.values():
                self._serial = None
                self._keyed.clear()
                self._finish(ending, "incomplete")
                return
        for key in list(self._keyed):
            self.close(key)
        self._finish_serial()

    def _finish(self, entry: _Entry, status: str) -> None:
        item = entry.item
        kind = item["type"]
        self._close_part(entry)
        place = {"item_id": item["id"], "output_index": entry.index}
        if kind == "function_call":
            text = "".join(entry.pieces)
            if not text.strip() and status == "completed":
                # A call without arguments arrives as no JSON at all; clients parse what they get.
                text = "{}"
                self._emit("response.function_call_arguments.delta", {**place, "delta": text})
            item["arguments"] = text
            self._emit("response.function_call_arguments.done", {**place, "name": item["name"], "arguments": text})
        elif kind == "custom_tool_call":
            item["input"] = free_text("".join(entry.pieces))
            if item["input"]:
                self._emit("response.custom_tool_call_input.delta", {**place, "delta": item["input"]})
            self._emit("response.custom_tool_call_input.done", {**place, "input": item["input"]})
        elif kind in _PROGRESS and status == "completed":
            self._step(entry, _PROGRESS[kind][-1])
        item["status"] = status
        if self._stream:
            self._emit("response.output_item.done", {"output_index": entry.index, "item": _copy(item)})

    def _terminal(self, kind: str) -> None:
        if not self._native:
            self.response["output"] = [e.item for e in self._entries]
            if self.tokens.source != "none":
                self.response["usage"] = self.tokens.to_wire()
        self.done = True
        self._emit(kind, {"response": self.response})


class _Entry:
    """One output item while it grows: `part` is the open part in `item[field]`, `pieces` its text so far."""

    __slots__ = ("field", "index", "item", "length", "part", "part_index", "pieces")

    def __init__(self, item: Item, index: int) -> None:
        self.item = item
        self.index = index
        self.field = "content"
        self.part: Part | None = None
        self.part_index = 0
        self.pieces: list[str] = []
        self.length = 0


def _native(response: Response) -> Response:
    """The same, if it has what the record relies on. Raises UpstreamError."""
    output = response.get("output") or []
    if not isinstance(response.get("id"), str) or not isinstance(output, list):
        raise UpstreamError("The upstream answered something that is not a response.", "server")
    if not all(isinstance(item, dict) for item in output):
        raise UpstreamError("The upstream answered with output that is not made of items.", "server")
    return response


def _copy(value: dict[str, Any]) -> dict[str, Any]:
    """Enough of a copy that a later change of the item does not reach an event that was already made."""
    return {
        k: [dict(x) if isinstance(x, dict) else x for x in v] if isinstance(v, list) else v for k, v in value.items()
    }
