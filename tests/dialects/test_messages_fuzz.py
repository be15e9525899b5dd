"""Anthropic Messages: whatever comes from outside, the protocol is kept."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol import check
from tollbook.dialects import messages
from tollbook.errors import InvalidRequest, UpstreamError
from tollbook.responses.draft import Draft
from tollbook.responses.seals import seal

from .test_messages import CALL, LOOK, RESULT, START, STOP, hear

SOUND: list[dict[str, Any]] = [
    START,
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": "", "citations": []}},
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "citations_delta", "citation": {"type": "page_location", "document_title": "d"}},
    },
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "é 🌙"}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": '{"query": "q"}'},
    },
    {"type": "content_block_stop", "index": 2},
    {
        "type": "content_block_start",
        "index": 3,
        "content_block": {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"url": "u"}]},
    },
    {"type": "content_block_stop", "index": 3},
    {
        "type": "content_block_start",
        "index": 4,
        "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}},
    },
    {"type": "content_block_delta", "index": 4, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "content_block_stop", "index": 4},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5, "iterations": [{}]}},
    STOP,
]

ODD = st.sampled_from([None, 0, -1, 1.5, True, "", "x", [], [None], {}, {"type": "new"}, {"type": ["y"]}])


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [place for key, child in children for place in _places(child, (*path, key))]


def _spoilt(value: Any, data: st.DataObject) -> Any:
    """A copy in which a few values are odd, absent, or have unknown company."""
    value = copy.deepcopy(value)
    for _ in range(data.draw(st.integers(1, 4))):
        places = _places(value)
        *path, last = data.draw(st.sampled_from(places))
        holder = value
        for key in path:
            holder = holder[key]
        if isinstance(holder, dict) and data.draw(st.booleans()):
            holder["a_new_field"] = copy.deepcopy(data.draw(ODD))
            if data.draw(st.booleans()):
                del holder[last]
        else:
            holder[last] = copy.deepcopy(data.draw(ODD))
    return value


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_a_spoilt_stream_never_breaks_the_protocol(data: st.DataObject) -> None:
    hear(_spoilt(SOUND, data), text={"format": {"type": "json_schema"}})


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_spoilt_answer_is_read_or_is_the_upstreams_fault(data: st.DataObject) -> None:
    body = {
        "type": "message",
        "content": [
            {"type": "text", "text": "a", "citations": [{"type": "char_location", "url": "u"}]},
            {"type": "server_tool_use", "id": "s", "name": "bash_code_execution", "input": {"command": "ls"}},
            {
                "type": "bash_code_execution_tool_result",
                "tool_use_id": "s",
                "content": {"stdout": "x", "content": [{}]},
            },
            {"type": "mcp_tool_use", "id": "m", "name": "n", "server_name": "v", "input": {}},
            {
                "type": "mcp_tool_result",
                "tool_use_id": "m",
                "is_error": False,
                "content": [{"type": "text", "text": "t"}],
            },
        ],
        "stop_reason": "end_turn",
        "stop_details": {"explanation": "e"},
        "container": {"id": "c"},
        "usage": {
            "input_tokens": 1,
            "cache_creation": {"ephemeral_1h_input_tokens": 1},
            "server_tool_use": {"a_requests": 1},
        },
    }
    draft = Draft({"input": "a"})
    try:
        messages.reader(draft, {"input": "a"}).whole(_spoilt(body, data))
    except UpstreamError:
        return
    check([json.loads(json.dumps(frame.event)) for frame in draft.frames])


REQUEST = {
    "input": [
        {"role": "developer", "content": "a"},
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "b"}, {"type": "input_image", "image_url": "https://x"}],
        },
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "c"}],
            "encrypted_content": seal("anthropic", {"signature": "s"}),
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [
                {
                    "type": "output_text",
                    "text": "d",
                    "annotations": [{"start_index": 0, "end_index": 1, "citation": {}}],
                }
            ],
        },
        {**CALL},
        {
            **RESULT,
            "output": [{"type": "input_text", "text": "e"}, {"type": "input_file", "file_data": "data:text/plain,f"}],
        },
        {"type": "web_search_call", "action": {}},
    ],
    "instructions": "g",
    "tools": [
        LOOK,
        {"type": "mcp", "server_label": "l", "server_url": "https://y", "headers": {"h": "i"}, "allowed_tools": ["j"]},
        {"type": "web_search", "filters": {"allowed_domains": ["k"]}, "user_location": {"city": "l"}},
        {"type": "code_interpreter", "container": {"type": "auto"}},
    ],
    "tool_choice": {"type": "function", "name": "look"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {"m": {"type": "string"}}}}},
    "temperature": 1,
    "stop": ["n"],
    "prompt_cache_key": "o",
    "context_management": [{"type": "compaction"}],
}


@settings(max_examples=120, deadline=None)
@given(
    st.data(), st.sampled_from(["claude-3-haiku-20240307", "claude-sonnet-4-5", "claude-opus-5-5", "claude-haiku-5-5"])
)
def test_a_spoilt_request_is_written_or_refused(data: st.DataObject, model: str) -> None:
    spoilt = _spoilt({"model": model, **REQUEST}, data)
    spoilt = {k: v for k, v in spoilt.items() if type(v) is type(REQUEST.get(k))}  # as the gateway checks them
    for name in ("input", "tools"):
        spoilt[name] = [entry for entry in spoilt.get(name, []) if isinstance(entry, dict)]
    for item in spoilt["input"]:
        if isinstance(item.get("content"), list):
            item["content"] = [part for part in item["content"] if isinstance(part, dict)]
    try:
        written = messages.write(spoilt, model, drop=data.draw(st.booleans()))
    except InvalidRequest:
        return
    json.dumps(written.body)
