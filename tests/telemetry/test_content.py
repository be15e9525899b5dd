"""Content, where it was asked for: in the conventions' shape, redacted before it is cut, and within its bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollbook.telemetry.content import LARGEST_CALL, LONGEST_VALUE, Snapshot, unredacted

from .making import call

INPUT, OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"

CONVERSATION: list[dict[str, Any]] = [
    {"role": "user", "content": "What is the weather?"},
    {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "I need a tool."}],
        "encrypted_content": "sealed",
    },
    {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city": "Ulm"}'},
    {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "And here?"},
            {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo"},
            {"type": "input_image", "image_url": "https://example.test/a.png"},
            {"type": "input_file", "file_id": "file_1"},
        ],
    },
]
ANSWER = [
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "Ulm"}},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Sunny."}]},
]


def told(request: dict[str, Any], output: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    content = Snapshot(call(request=request, response={"output": output})).told(options.get("redact", unredacted))
    texts = {name: value for name, value in content.as_text().items() if isinstance(value, str)}
    return {name: json.loads(value) for name, value in texts.items()} | {"cut": content.truncated}


def test_items_become_messages_of_roles_and_parts() -> None:
    found = told(
        {"input": CONVERSATION, "instructions": "Be brief.", "tools": [{"type": "function", "name": "weather"}]}, ANSWER
    )

    assert found == {
        "gen_ai.system_instructions": [{"type": "text", "content": "Be brief."}],
        "gen_ai.tool.definitions": [{"type": "function", "name": "weather"}],
        INPUT: [
            {"role": "user", "parts": [{"type": "text", "content": "What is the weather?"}]},
            {
                "role": "assistant",
                "parts": [
                    {"type": "reasoning", "content": "I need a tool."},
                    {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Ulm"}},
                ],
            },
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "sunny"}]},
            {
                "role": "user",
                "parts": [
                    {"type": "text", "content": "And here?"},
                    {"type": "blob", "modality": "image", "mime_type": "image/png", "content": ""},
                    {"type": "uri", "modality": "image", "mime_type": None, "uri": "https://example.test/a.png"},
                    {"type": "file", "modality": "document", "mime_type": None, "file_id": "file_1"},
                ],
            },
        ],
        OUTPUT: [
            {
                "role": "assistant",
                "parts": [
                    {
                        "type": "server_tool_call",
                        "id": "ws_1",
                        "name": "web_search",
                        "server_tool_call": {"type": "web_search", "action": {"query": "Ulm"}},
                    },
                    {"type": "text", "content": "Sunny."},
                ],
                "finish_reason": "stop",
            }
        ],
        "cut": False,
    }


def test_a_plain_text_is_a_users_message() -> None:
    assert told({"input": "hello"}, [])[INPUT] == [{"role": "user", "parts": [{"type": "text", "content": "hello"}]}]


def test_redaction_comes_first_also_where_a_secret_lies_across_the_cut() -> None:
    secret = "sk-live-canary-0123456789"
    texts = ["x" * (LONGEST_VALUE - 10) + secret + "y" * 100, "x" * (2 * LONGEST_VALUE - 10) + secret, f"a {secret} b"]

    for text in texts:
        found = told({"input": text}, [], redact=lambda each: each.replace(secret, "[gone]"))
        assert not any(secret[:n] in json.dumps(found) for n in range(4, len(secret)))


def test_every_text_is_redacted_wherever_it_stands() -> None:
    seen: list[str] = []

    def redact(text: str) -> str:
        seen.append(text)
        return "[gone]"

    found = told({"input": CONVERSATION, "instructions": "Be brief."}, ANSWER, redact=redact)

    assert {"What is the weather?", "I need a tool.", "sunny", "And here?", "Be brief.", "Sunny."} <= set(seen)
    for text in ("weather?", "sunny", "Sunny", "brief", "Ulm", "sealed"):
        assert text not in json.dumps(found)


@pytest.mark.parametrize("size", [LONGEST_VALUE, 10 * LONGEST_VALUE])
def test_a_value_has_its_bound_and_stays_json(size: int) -> None:
    content = Snapshot(call(request={"input": "ü" * size}, response={"output": []})).told(unredacted)

    text = str(content.as_text()[INPUT])
    assert len(text) <= LONGEST_VALUE
    assert len(json.loads(text)[0]["parts"][0]["content"]) > LONGEST_VALUE // 8
    assert content.as_text()["tollbook.content.truncated"] is True


def test_of_a_long_conversation_the_end_is_told() -> None:
    turns = [{"role": ("user", "assistant")[n % 2], "content": f"turn {n} " + "x" * 1000} for n in range(500)]

    found = told({"input": turns}, [])

    assert found["cut"]
    assert found[INPUT][-1]["parts"][0]["content"].startswith("turn 499 ")
    assert 10 < len(found[INPUT]) < 40


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
_kinds = st.sampled_from(
    ["message", "function_call", "function_call_output", "reasoning", "compaction", "web_search_call", "odd", None]
)
_odd = st.dictionaries(
    st.sampled_from(["type", "role", "content", "arguments", "output", "summary", "call_id", "name"]), _json, max_size=6
)


@settings(max_examples=60)
@given(st.lists(st.tuples(_kinds, _odd), max_size=5), _json, _json)
def test_whatever_a_client_sends_it_is_told_within_the_bounds(
    items: list[tuple[str | None, dict[str, Any]]], instructions: Any, tools: Any
) -> None:
    odd = [{**item, "type": kind} for kind, item in items]
    request = {"input": odd, "instructions": instructions, "tools": tools if isinstance(tools, list) else None}

    content = Snapshot(call(request=request, response={"output": odd})).told(unredacted)

    told = content.as_text()
    assert sum(len(value) for value in told.values() if isinstance(value, str)) <= LARGEST_CALL
    for name, value in told.items():
        if name.startswith("gen_ai."):
            json.loads(str(value))
