"""Prompts and answers for traces and log records, where somebody has asked for that: never by default.

The shape is that of the GenAI conventions: messages of a role and parts
(https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-input-messages.json). What is
captured is redacted first, and then cut: a value holds 32 KiB at the most, a call 128 KiB, and JSON stays whole.

A call's content is taken in two steps. `snapshot` runs on the event loop and only slices texts; `Snapshot.told` redacts and
writes, elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tollbook.call import Call
from tollbook.transport.wire import decode, encode

from . import genai, names

Redact: TypeAlias = Callable[[str], str]
"""Takes out of a text what nobody may see. Called off the event loop, for every text that is captured."""

LONGEST_VALUE = 32 * 1024
LARGEST_CALL = 128 * 1024
"""Characters, of one attribute and of all of a call's."""

_SLICE = 2 * LONGEST_VALUE
_TAIL = 1024
"""A text that was sliced before it was redacted loses so much of its end: half of a secret is not recognised as one."""
_MOST_ITEMS = 500

Json: TypeAlias = Any
Part: TypeAlias = dict[str, Json]


def unredacted(text: str) -> str:
    """What is captured when nothing is to be taken out."""
    return text


@dataclass(slots=True)
class Content:
    """What a call may show. Values by their attribute's name."""

    values: dict[str, list[Json]] = field(default_factory=dict)
    truncated: bool = False

    def as_text(self) -> genai.Attributes:
        """For spans: JSON in strings, which is what backends read there."""
        found: genai.Attributes = {name: encode(value).decode() for name, value in self.values.items()}
        return self._marked(found)

    def structured(self) -> dict[str, Any]:
        """For log records, whose attributes may be lists and mappings."""
        return self._marked(dict(self.values))

    def _marked(self, found: dict[str, Any]) -> dict[str, Any]:
        if self.truncated:
            found[names.CONTENT_TRUNCATED] = True
        return found


class Snapshot:
    """A call's content as it is now: slices of its texts, which nobody changes any more."""

    def __init__(self, call: Call) -> None:
        self._cut = False
        self._left = 2 * LARGEST_CALL
        request, response = call.request, call.response
        self._instructions = self._slice(request.get("instructions"))
        self._output = self._items(response.get("output") or ())
        self._input = self._items(_items(request.get("input")))
        tools = request.get("tools")
        self._tools = self._slice([tool for tool in tools if isinstance(tool, Mapping)]) if tools else None
        self._finish = genai.finish_reason(call)

    def told(self, redact: Redact) -> Content:
        """The messages, redacted and within their bounds."""
        told = _Writing(redact, self._cut)
        if isinstance(self._instructions, str) and self._instructions:
            told.add(names.SYSTEM_INSTRUCTIONS, [{"type": "text", "content": self._instructions}])
        answer: list[Part] = []
        for item in self._output:
            answer += _parts(item)[1]
        if answer:
            told.add(names.OUTPUT_MESSAGES, [{"role": "assistant", "parts": answer, "finish_reason": self._finish}])
        told.add(names.INPUT_MESSAGES, _messages(self._input))
        if self._tools:
            told.add(names.TOOL_DEFINITIONS, self._tools)
        return told.content

    def _items(self, items: Iterable[Any]) -> list[Mapping[str, Any]]:
        """The last items: what a conversation came to says more than how it began."""
        chosen = [item for item in items if isinstance(item, Mapping)]
        self._cut = self._cut or len(chosen) > _MOST_ITEMS
        found = []
        for item in reversed(chosen[-_MOST_ITEMS:]):
            if self._left <= 0:
                self._cut = True
                break
            found.append(self._slice(item))
        return found[::-1]

    def _slice(self, value: Any) -> Any:
        if isinstance(value, str):
            if value.startswith("data:"):  # media: what it is, not what is in it
                return value.partition(",")[0][:100]
            room = min(_SLICE, max(self._left, 0))
            self._left -= len(value)
            if len(value) <= room:
                return value
            self._cut = True
            return _Sliced(value[:room])
        if isinstance(value, Mapping):
            return {str(name): self._slice(each) for name, each in value.items() if name not in _UNSEEN}
        if isinstance(value, (list, tuple)):
            return [self._slice(each) for each in value]
        return value if value is None or isinstance(value, (bool, int, float)) else str(value)[:_SLICE]


class _Sliced(str):
    """A text whose end is missing."""

    __slots__ = ()


_UNSEEN = frozenset({"encrypted_content", "file_data", "b64_json", "result", "input_audio", "logprobs"})
"""Fields that hold sealed or binary content."""


class _Writing:
    """Values on their way into attributes: redacted, then cut, within the bounds of the call."""

    def __init__(self, redact: Redact, cut: bool) -> None:
        self._redact = redact
        self.content = Content(truncated=cut)
        self._left = LARGEST_CALL

    def add(self, name: str, items: list[Json]) -> None:
        """As many of the items as fit; the last ones, which are the latest."""
        kept: list[Json] = []
        room = min(LONGEST_VALUE, self._left)
        for item in reversed(items):
            if room <= 2:
                self.content.truncated = True
                break
            written, size = self._fit(self._redacted(item), room)
            room -= size
            kept.append(written)
        if kept:
            self._left -= min(LONGEST_VALUE, self._left) - room
            self.content.values[name] = kept[::-1]

    def _redacted(self, value: Json) -> Json:
        if isinstance(value, str):
            text = self._redact(str(value))
            return text[:-_TAIL] if isinstance(value, _Sliced) else text
        if isinstance(value, dict):
            return {name: self._redacted(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._redacted(each) for each in value]
        return value

    def _fit(self, value: Json, room: int) -> tuple[Json, int]:
        """The value with its texts cut so that its JSON has no more than `room` characters, and how many it has."""
        size = len(encode(value)) + 1
        share = room
        while size > room and share > 8:
            share //= 2
            value, self.content.truncated = _shortened(value, share), True
            size = len(encode(value)) + 1
        return value, size


def _shortened(value: Json, longest: int) -> Json:
    if isinstance(value, str):
        return value[:longest]
    if isinstance(value, dict):
        return {name: each if name in _STRUCTURE else _shortened(each, longest) for name, each in value.items()}
    if isinstance(value, list):
        return [_shortened(each, longest) for each in value[: max(longest // 8, 1)]]
    return value


_STRUCTURE = frozenset({"role", "type", "finish_reason", "name", "id", "modality", "mime_type"})


def _items(given: Any) -> list[Any]:
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return given if isinstance(given, list) else []


def _messages(items: Iterable[Mapping[str, Any]]) -> list[Json]:
    """Items of the Responses API as messages; what follows each other in one role is one message."""
    found: list[dict[str, Json]] = []
    for item in items:
        role, parts = _parts(item)
        if found and found[-1]["role"] == role:
            found[-1]["parts"] += parts
        elif parts:
            found.append({"role": role, "parts": parts})
    return list(found)


def _parts(item: Mapping[str, Any]) -> tuple[str, list[Part]]:
    """One item: whose it is, and its parts."""
    kind = str(item.get("type") or "message")
    match kind:
        case "message":
            return str(item.get("role") or "user"), _content(item.get("content"))
        case "function_call" | "custom_tool_call":
            arguments = item.get("arguments", item.get("input"))
            call = {"type": "tool_call", "id": item.get("call_id"), "name": item.get("name")}
            return "assistant", [{**call, "arguments": _parsed(arguments)}]
        case "function_call_output" | "custom_tool_call_output":
            return "tool", [{"type": "tool_call_response", "id": item.get("call_id"), "response": item.get("output")}]
        case "reasoning":
            texts = [each.get("text") for each in _mappings(item.get("summary")) + _mappings(item.get("content"))]
            return "assistant", [{"type": "reasoning", "content": text} for text in texts if isinstance(text, str)]
        case "compaction":
            return "assistant", [{"type": "compaction", "id": item.get("id")}]
        case "item_reference":
            return "user", [{"type": "item_reference", "id": item.get("id")}]
        case _ if kind.endswith("_output"):
            return "tool", [{"type": "tool_call_response", "id": item.get("call_id"), "response": item.get("output")}]
        case _:
            told = {name: each for name, each in item.items() if name not in ("id", "type", "status")}
            name = kind.removesuffix("_call")
            call = {"type": "server_tool_call", "id": item.get("id"), "name": name}
            return "assistant", [{**call, "server_tool_call": {"type": name, **told}}]


def _content(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    found: list[Part] = []
    for part in _mappings(content):
        kind = part.get("type")
        if kind in ("input_text", "output_text", "text"):
            found.append({"type": "text", "content": part.get("text")})
        elif kind == "refusal":
            found.append({"type": "text", "content": part.get("refusal")})
        elif kind == "input_image":
            found.append(_media("image", part.get("image_url"), part.get("file_id")))
        elif kind == "input_file":
            found.append(_media("document", part.get("file_url") or part.get("filename"), part.get("file_id")))
        elif kind == "input_audio":
            found.append({"type": "blob", "modality": "audio", "mime_type": None, "content": ""})
        else:
            found.append({name: each for name, each in part.items() if name not in _UNSEEN})
    return found


def _media(modality: str, url: Any, file_id: Any) -> Part:
    if isinstance(file_id, str):
        return {"type": "file", "modality": modality, "mime_type": None, "file_id": file_id}
    if isinstance(url, str) and url.startswith("data:"):
        mime = url[5:].partition(";")[0].partition(",")[0]
        return {"type": "blob", "modality": modality, "mime_type": mime or None, "content": ""}
    return {"type": "uri", "modality": modality, "mime_type": None, "uri": url}


def _parsed(arguments: Any) -> Json:
    if isinstance(arguments, str) and not isinstance(arguments, _Sliced):
        try:
            return decode(arguments)
        except ValueError:
            return arguments
    return arguments


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, (list, tuple)) else []
