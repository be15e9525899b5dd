"""Cohere v2 Chat, rule by rule. Whole cases are in tests/recordings/cohere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol import check
from tollbook.dialects import cohere
from tollbook.errors import Unsupported, UpstreamError
from tollbook.responses.draft import Draft
from tollbook.transport.frame import Frame

FUNCTION = {"type": "function", "name": "get", "parameters": {"type": "object", "properties": {}}}


def heard(*events: Any) -> tuple[dict[str, Any], Draft]:
    draft = Draft({"model": "m"}, response_id="resp_00")
    reader = cohere.reader(draft, {})
    for event in events:
        reader.feed(Frame(str(event.get("type")), json.dumps(event).encode()))
    reader.end()
    return check([frame.event for frame in draft.take()]), draft


def said(**message: Any) -> dict[str, Any]:
    return {"message": message}


END = {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}


def test_a_forced_function_is_the_only_one_that_is_sent() -> None:
    request = {
        "input": "Hi",
        "tools": [FUNCTION, {**FUNCTION, "name": "other"}],
        "tool_choice": {"type": "function", "name": "other"},
    }

    written = cohere.write(request, "command-a")

    assert [tool["function"]["name"] for tool in written.body["tools"]] == ["other"]
    assert written.body["tool_choice"] == "REQUIRED"
    assert written.notes == ("tool_choice: adapted (only the chosen tool is sent)",)


def test_what_cohere_has_no_words_for() -> None:
    request = {
        "input": [{"role": "user", "content": [{"type": "input_file", "file_data": "data:application/pdf;base64,JV"}]}],
        "tools": [{"type": "web_search"}],
        "service_tier": "flex",
        "prompt_cache_key": "k",
    }

    with pytest.raises(Unsupported) as refused:
        cohere.write(request, "command-a")

    assert refused.value.params == ("input[0].content[0].type=input_file", "tools[0].type=web_search")
    assert cohere.write(request, "command-a", drop=True).notes[:2] == (
        "service_tier: dropped",
        "prompt_cache_key: dropped",
    )


@pytest.mark.parametrize(
    ("effort", "thinking"),
    [("none", {"type": "disabled"}), ("medium", {"type": "enabled", "token_budget": 8192})],
)
def test_effort_is_a_budget_and_none_is_off(effort: str, thinking: dict[str, Any]) -> None:
    assert cohere.write({"input": "Hi", "reasoning": {"effort": effort}}, "m").body["thinking"] == thinking


def test_plan_and_thinking_go_back_to_their_places() -> None:
    answer, _ = heard(
        {"type": "tool-plan-delta", "delta": said(tool_plan="I ask.")},
        {"type": "content-delta", "index": 0, "delta": said(content={"thinking": "Hm."})},
        {"type": "tool-call-start", "index": 0, "delta": said(tool_calls={"id": "a", "function": {"name": "get"}})},
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}},
    )

    (message,) = cohere.write({"input": answer["output"]}, "m").body["messages"]

    assert message["tool_plan"] == "I ask."
    assert message["content"] == [{"type": "thinking", "thinking": "Hm."}]
    assert message["tool_calls"][0]["function"] == {"name": "get", "arguments": "{}"}


def test_a_citation_before_its_text_waits_and_one_of_thinking_is_passed_over() -> None:
    source = {"type": "document", "id": "d", "document": {"title": "Doc"}}
    answer, _ = heard(
        {"type": "citation-start", "delta": said(citations={"start": 0, "end": 2, "sources": [source]})},
        {
            "type": "citation-start",
            "delta": said(citations={"type": "PLAN", "start": 0, "end": 2, "sources": [source]}),
        },
        {"type": "content-delta", "index": 0, "delta": said(content={"text": "Hi"})},
        END,
    )

    assert answer["output"][0]["content"][0]["annotations"] == [
        {"type": "file_citation", "file_id": "d", "filename": "Doc", "index": 2}
    ]


def test_images_are_counted_beside_input_tokens() -> None:
    tokens = {"input_tokens": 34, "output_tokens": 70, "reasoning_tokens": 10, "image_tokens": 259}

    _, draft = heard({"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {"tokens": tokens}}})

    usage = draft.tokens
    assert (usage.input, usage.input_image, usage.output, usage.reasoning) == (34, 259, 60, 10)


@pytest.mark.parametrize(("reason", "kind"), [("ERROR", "server"), ("TIMEOUT", "timeout")])
def test_an_answer_that_ends_with_an_error_is_one(reason: str, kind: str) -> None:
    with pytest.raises(UpstreamError, match="broke") as failed:
        heard({"type": "message-end", "delta": {"finish_reason": reason, "error": "broke"}})

    assert failed.value.kind == kind


def test_a_stream_without_its_end_is_cut() -> None:
    with pytest.raises(UpstreamError) as cut:
        heard({"type": "content-delta", "index": 0, "delta": said(content={"text": "Hi"})})

    assert cut.value.kind == "truncated"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"id":"1","message":"too many tokens","error_type":"TOO_MANY_TOKENS"}', "context_length"),
        (401, b'{"message":"invalid api token"}', "auth"),
        (429, b'{"message":"slow"}', "rate_limit"),
        (498, b'{"message":"blocked"}', "content_filter"),
        (500, b"", "server"),
    ],
)
def test_errors(status: int, body: bytes, kind: str) -> None:
    assert cohere.error(status, body, {}).kind == kind


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 99) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
NAMES = ["content-start", "content-delta", "tool-plan-delta", "tool-call-start", "tool-call-delta", "tool-call-end"]
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "content": JSON | st.fixed_dictionaries({}, optional={"text": JSON, "thinking": JSON}),
        "tool_plan": JSON,
        "tool_calls": JSON | st.fixed_dictionaries({}, optional={"id": JSON, "function": JSON}),
        "citations": JSON | st.fixed_dictionaries({}, optional={"sources": st.lists(JSON), "start": JSON}),
    },
)
EVENTS = st.fixed_dictionaries(
    {"type": st.sampled_from([*NAMES, "citation-start", "message-end", "else"])},
    optional={
        "index": st.integers(0, 2) | JSON,
        "delta": JSON
        | st.fixed_dictionaries({}, optional={"message": MESSAGES | JSON, "finish_reason": JSON, "usage": JSON}),
    },
)


@given(st.lists(EVENTS, max_size=6))
def test_whatever_comes_the_protocol_is_kept(events: list[dict[str, Any]]) -> None:
    draft = Draft({"model": "m"})
    reader = cohere.reader(draft, {})
    try:
        for event in events:
            reader.feed(Frame(event["type"], json.dumps(event).encode()))
        reader.end()
    except UpstreamError as error:
        if not draft.frames:
            draft.begin()
        draft.fail(error)

    check([frame.event for frame in draft.take()])


def test_a_schemas_description_is_told_where_the_schema_is_and_defaults_need_no_note() -> None:
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "description": "What to say."}
    request = {"input": "Hi", "text": {"format": form, "verbosity": "medium"}, "service_tier": "default"}

    written = cohere.write(request, "command-a")

    assert written.body["response_format"]["json_schema"] == {"type": "object", "description": "What to say."}
    assert written.notes == ()
