"""Whatever the check of a request lets through, every dialect can write: it is sent, or refused, but never breaks."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tollbook.dialects import Dialect, chat, cohere, converse, gemini, messages, responses
from tollbook.errors import InvalidRequest, TollbookError
from tollbook.responses import request as requests
from tollbook.responses.draft import Draft

_PARTS = [
    {"type": "input_text", "text": "x"},
    {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
    {"type": "input_file", "file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"},
]
_FUNCTION = {
    "type": "function",
    "name": "f",
    "description": "d",
    "parameters": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
    "strict": True,
}
RICH: dict[str, Any] = {
    "model": "m",
    "input": [
        {"type": "message", "role": "user", "content": _PARTS},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "s"}],
            "content": [{"type": "reasoning_text", "text": "t"}],
            "encrypted_content": "e",
        },
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "id": "fc_1"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "o"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "y", "annotations": []}]},
        {"type": "custom_tool_call", "call_id": "d", "name": "g", "input": "{}"},
        {"type": "custom_tool_call_output", "call_id": "d", "output": "o"},
    ],
    "instructions": "i",
    "tools": [
        _FUNCTION,
        {"type": "custom", "name": "g", "format": {"type": "text"}},
        {"type": "web_search", "user_location": {"type": "approximate", "country": "DE"}, "search_context_size": "low"},
        {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "q"}]},
        {"type": "code_interpreter", "container": {"type": "auto"}},
        {"type": "mcp", "server_label": "l", "server_url": "https://x", "allowed_tools": ["a"]},
    ],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {
        "format": {"type": "json_schema", "name": "n", "schema": {"type": "object", "properties": {"a": {}}}},
        "verbosity": "low",
    },
    "metadata": {"a": "b"},
    "include": ["reasoning.encrypted_content"],
    "stop": ["x"],
    "max_output_tokens": 100,
    "temperature": 1.0,
    "service_tier": "auto",
    "prompt_cache_key": "k",
    "user": "u",
    "max_tool_calls": 3,
    "stream_options": {"include_obfuscation": False},
    "logit_bias": {"1": 2},
}
JUNK: tuple[Any, ...] = (None, 3, True, "", "x", [], {}, ["a"], {"a": 1}, [None], [{}], {"type": ["a"]}, 10**30)
DIALECTS: dict[str, Dialect] = {
    "chat": chat.Chat(chat.Manner()),
    "responses": responses,
    "messages": messages,
    "gemini": gemini,
    "converse": converse,
    "cohere": cohere,
}


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*path, key)
        yield from _places(inner, (*path, key))


def _spoilt(path: tuple[Any, ...], junk: Any) -> dict[str, Any]:
    request = copy.deepcopy(RICH)
    *way, last = path
    holder: Any = request
    for key in way:
        holder = holder[key]
    holder[last] = junk
    return request


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS.keys())
def test_a_request_with_one_wrong_value_is_written_or_refused(dialect: Dialect) -> None:
    written = refused = 0
    for path in _places(RICH):
        for junk in JUNK:
            try:
                request = requests.check(_spoilt(path, junk))
                dialect.reader(Draft(request), request)
                dialect.write(request, "claude-sonnet-4-5", drop=True)
                written += 1
            except InvalidRequest:
                refused += 1
            except TollbookError as error:
                raise AssertionError(f"{path} = {junk!r}") from error
            except Exception as fault:
                raise AssertionError(f"{path} = {junk!r} broke the dialect") from fault
    assert written > 300
    assert refused > 300
