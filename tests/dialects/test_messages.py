"""Anthropic Messages: the rules that the golden cases do not show."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tests.protocol import check
from tests.shared.library import ABSENT, entries, library, present
from tollbook.dialects import Written, messages
from tollbook.dialects.messages.claude import UNKNOWN, claude
from tollbook.errors import Unsupported, UpstreamError
from tollbook.responses.draft import Draft
from tollbook.responses.seals import seal, unseal
from tollbook.transport.frame import Frame

CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "seen"}
LOOK = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}


def write(model: str = "claude-sonnet-4-5", drop: bool = False, **request: Any) -> Written:
    return messages.write({"model": model, "input": "Hi", **request}, model, drop=drop)


def hear(events: list[Any], **request: Any) -> Draft:
    """The draft after this stream; an error of the upstream ends it as failed."""
    asked = {"model": "m", "input": "Hi", **request}
    draft = Draft(asked)
    reader = messages.reader(draft, asked)
    try:
        for event in events:
            reader.feed(Frame(event.get("type", "") if isinstance(event, dict) else "", event=event))
        reader.end()
    except UpstreamError as error:
        if not draft.frames:
            draft.begin()
        draft.fail(error)
    check([json.loads(json.dumps(frame.event)) for frame in draft.frames])
    return draft


def answer(*blocks: dict[str, Any], reason: str | None = "end_turn", **message: Any) -> Draft:
    """The draft after this whole answer."""
    asked = {"model": "m", "input": "Hi"}
    draft = Draft(asked)
    body = {"type": "message", "id": "msg_1", "content": list(blocks), "stop_reason": reason, **message}
    messages.reader(draft, asked).whole(body)
    check([json.loads(json.dumps(frame.event)) for frame in draft.frames])
    return draft


START = {
    "type": "message_start",
    "message": {"id": "msg_1", "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}},
}
STOP = {"type": "message_stop"}


# ------------------------------------------------------------------------------------------------------------- models


@pytest.mark.parametrize(
    ("model", "thinking", "most"),
    [
        ("claude-3-opus-20240229", "none", 4096),
        ("claude-3-5-sonnet@20240620", "none", 8192),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", "budget", 32000),
        ("claude-sonnet-4-20250514", "budget", 32000),
        ("claude-opus-4-1-20250805", "budget", 32000),
        ("claude-4-5-haiku", "budget", 64000),
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", "budget", 64000),
        ("claude-sonnet-4-6", "adaptive", 64000),
        ("claude-opus-4-6", "adaptive", 128000),
        ("claude-opus-5", "adaptive", 128000),
        ("claude-mythos-preview", "adaptive", 128000),
    ],
)
def test_a_model_is_known_by_the_version_in_its_name(model: str, thinking: str, most: int) -> None:
    assert claude(model).thinking == thinking
    assert claude(model).max_output == most


def test_a_name_that_tells_nothing_gets_only_what_was_there_from_the_beginning() -> None:
    assert claude("arn:aws:bedrock:us-east-1:1:application-inference-profile/x") == UNKNOWN


# ----------------------------------------------------------------------------------------------------------- thinking


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("claude-haiku-4-5", "low", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        ("claude-haiku-4-5", "none", {}),
        ("claude-opus-4-6", "xhigh", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        ("claude-opus-4-8", "xhigh", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}),
        ("claude-opus-4-8", "minimal", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        ("claude-opus-4-8", "none", {}),
        ("claude-sonnet-5", "none", {"thinking": {"type": "disabled"}}),
        ("claude-sonnet-5-5", "none", {"thinking": {"type": "between_tools"}}),
        ("claude-opus-5-5", "none", {"output_config": {"effort": "low"}}),
        ("claude-3-haiku-20240307", "high", {}),
    ],
)
def test_effort_becomes_what_the_model_takes(model: str, effort: str, expected: dict[str, Any]) -> None:
    body = write(model, reasoning={"effort": effort}).body

    assert {k: body[k] for k in ("thinking", "output_config") if k in body} == expected


@pytest.mark.parametrize(("limit", "budget", "sent"), [(40000, 16384, 40000), (6000, 3000, 6000), (500, 1024, 1524)])
def test_a_budget_stays_within_the_limit_or_the_limit_is_raised(limit: int, budget: int, sent: int) -> None:
    written = write(reasoning={"effort": "high"}, max_output_tokens=limit)

    assert written.body["thinking"]["budget_tokens"] == budget
    assert written.body["max_tokens"] == sent
    assert any(note.startswith("max_output_tokens: adapted") for note in written.notes) is (sent != limit)


def test_what_is_asked_of_the_answer_and_cannot_be_had_is_noted() -> None:
    include = ["message.output_text.logprobs", "reasoning.encrypted_content"]

    written = write(include=include, reasoning={"mode": "pro", "context": "all_turns"})

    assert written.notes == [
        "reasoning.context: dropped",
        "reasoning.mode: dropped",
        "include.message.output_text.logprobs: dropped",
    ]


def test_a_schemas_description_is_told_where_the_schema_is() -> None:
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "description": "What to say."}

    schema = write(text={"format": form}).body["output_config"]["format"]["schema"]

    assert schema["description"] == "What to say."


def test_citations_of_another_provider_stay_behind_with_a_note() -> None:
    part = {"type": "output_text", "text": "Sunny.", "annotations": [{"type": "url_citation", "url": "https://a.com"}]}

    written = write(input=[{"role": "assistant", "content": [part]}])

    assert written.body["messages"] == [{"role": "assistant", "content": "Sunny."}]
    assert written.notes == ["annotations: left out (the text is sent without them)"]


def test_a_foreign_compaction_is_refused_because_it_holds_the_conversation() -> None:
    with pytest.raises(Unsupported, match=r"input\[0\]\.type=compaction"):
        write(input=[{"type": "compaction", "encrypted_content": "gAAA"}])


def test_a_summary_alone_makes_the_model_think_and_show_it() -> None:
    assert write("claude-opus-4-8", reasoning={"summary": "auto"}).body["thinking"] == {
        "type": "adaptive",
        "display": "summarized",
    }


def test_thinking_by_budget_gives_way_to_a_forced_tool() -> None:
    written = write(reasoning={"effort": "high"}, tools=[LOOK], tool_choice={"type": "function", "name": "look"})

    assert "thinking" not in written.body
    assert written.body["tool_choice"] == {"type": "tool", "name": "look"}
    assert "reasoning: dropped (a tool is forced, and both together are refused)" in written.notes


def test_thinking_by_budget_does_not_begin_in_the_middle_of_a_tool_loop() -> None:
    history = [{"role": "user", "content": "Look"}, CALL, RESULT]

    assert "thinking" not in write(reasoning={"effort": "low"}, input=history).body
    signed = {"type": "reasoning", "summary": [], "encrypted_content": seal("anthropic", {"signature": "s"})}
    assert "thinking" in write(reasoning={"effort": "low"}, input=[history[0], signed, *history[1:]]).body
    assert "thinking" in write("claude-opus-4-6", reasoning={"effort": "low"}, input=history).body


def test_bound_thinking_that_no_longer_fits_is_ignored_instead_of_refused() -> None:
    signed = {"type": "reasoning", "summary": [], "encrypted_content": seal("anthropic", {"signature": "s"})}
    history = [
        {"role": "user", "content": "a"},
        signed,
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]

    written = write("claude-opus-5-5", input=history)

    assert written.body["thinking"]["block_binding"] == {"prefix_mismatch_behavior": "drop_block"}
    assert written.headers == {"anthropic-beta": "thinking-binding-controls-2026-08-01"}
    off = write("claude-haiku-5-5", input=history, reasoning={"effort": "none"})
    assert off.body["messages"][1] == {"role": "assistant", "content": "b"}


# ----------------------------------------------------------------------------------------------------------- sampling


def test_sampling_is_left_out_where_the_model_or_thinking_forbids_it() -> None:
    asked = {"temperature": 0.5, "top_p": 0.9, "top_k": 5}

    assert {**asked, **write("claude-sonnet-4-0", **asked).body}.items() >= asked.items()
    assert not asked.keys() & write("claude-opus-4-7", **asked).body.keys()
    assert not asked.keys() & write(reasoning={"effort": "low"}, **asked).body.keys()
    assert asked.keys() & write("claude-sonnet-4-5", **asked).body.keys() == {"temperature", "top_k"}


def test_temperature_ends_at_one() -> None:
    written = write("claude-3-haiku-20240307", temperature=1.7)

    assert written.body["temperature"] == 1
    assert "temperature: adapted (1, the highest)" in written.notes


# -------------------------------------------------------------------------------------------------------------- tools


def test_everything_that_cannot_be_said_is_named_at_once() -> None:
    request: dict[str, Any] = {
        "input": [
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "mp3"}}]},
            {"type": "computer_call", "call_id": "c"},
            {"type": "foo"},
        ],
        "tools": [{"type": "file_search"}, {"type": "image_generation"}],
        "prompt": {"id": "pmpt_1"},
    }

    with pytest.raises(Unsupported) as refused:
        write(**request)

    assert refused.value.params == (
        "input[0].content[0].type=input_audio",
        "input[1].type=computer_call",
        "input[2].type=foo",
        "tools[0].type=file_search",
        "tools[1].type=image_generation",
        "prompt",
    )
    assert {f"{name}: dropped" for name in refused.value.params} <= set(write(drop=True, **request).notes)


def test_a_tool_server_whose_calls_must_be_approved_is_refused() -> None:
    server = {
        "type": "mcp",
        "server_label": "wiki",
        "server_url": "https://wiki.example.com",
        "require_approval": "always",
    }

    with pytest.raises(Unsupported, match="require_approval"):
        write(tools=[server])


def test_anthropics_own_tools_pass_as_they_are() -> None:
    computer = {"type": "computer_20250124", "name": "computer", "display_width_px": 800, "display_height_px": 600}

    written = write(tools=[computer])

    assert written.body["tools"] == [computer]
    assert written.headers == {"anthropic-beta": "computer-use-2025-01-24"}


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        ("auto", None, {"type": "auto"}),
        ("none", None, {"type": "none"}),
        ("none", False, {"type": "none"}),
        ("required", None, {"type": "any"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"type": "function", "name": "look"},
            False,
            {"type": "tool", "name": "look", "disable_parallel_tool_use": True},
        ),
        ({"type": "web_search_preview"}, None, {"type": "tool", "name": "web_search"}),
    ],
)
def test_tool_choice(choice: Any, parallel: bool | None, expected: dict[str, Any] | None) -> None:
    body = write(tools=[LOOK, {"type": "web_search_preview"}], tool_choice=choice, parallel_tool_calls=parallel).body

    assert body.get("tool_choice") == expected


def test_only_allowed_tools_are_sent() -> None:
    other = {**LOOK, "name": "other"}
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "look"}]}

    body = write(tools=[LOOK, other, {"type": "web_search"}], tool_choice=choice).body

    assert [tool["name"] for tool in body["tools"]] == ["look"]
    assert body["tool_choice"] == {"type": "any"}


def test_a_model_that_cannot_be_forced_is_asked_instead() -> None:
    written = write("claude-opus-5-5", tools=[LOOK], tool_choice="required")

    assert written.body["tool_choice"] == {"type": "auto"}
    assert "tool_choice: adapted (auto: this model cannot be forced)" in written.notes


def test_no_more_strict_tools_than_are_accepted() -> None:
    tools = [{**LOOK, "name": f"t{n}", "strict": True} for n in range(21)]

    written = write(tools=tools)

    assert not any("strict" in tool for tool in written.body["tools"])
    assert "tools.strict: dropped (more than 20 strict tools)" in written.notes


# ------------------------------------------------------------------------------------------------------- conversation


def test_results_come_first_in_their_turn_and_parallel_ones_share_it() -> None:
    second = {**CALL, "call_id": "c2"}
    history = [
        {"role": "user", "content": "Go"},
        CALL,
        second,
        RESULT,
        {"role": "user", "content": "Well?"},
        {**RESULT, "call_id": "c2"},
    ]

    turns = write(input=history).body["messages"]

    assert [block["type"] for block in turns[1]["content"]] == ["tool_use", "tool_use"]
    assert [block["type"] for block in turns[2]["content"]] == ["tool_result", "tool_result", "text"]


@pytest.mark.parametrize(("model", "turns"), [("claude-sonnet-4-5", 3), ("claude-opus-4-8", 4)])
def test_a_late_system_message_stands_in_the_conversation_or_moves_to_the_front(model: str, turns: int) -> None:
    history = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": "c"},
    ]

    written = write(model, input=history)

    assert len(written.body["messages"]) == turns
    if turns == 4:
        assert written.body["messages"][3] == {"role": "system", "content": "Be kind."}
    else:
        assert written.body["system"] == "Be kind."
        assert written.notes == ["input[2].role: adapted (moved to the system prompt)"]


def test_half_a_call_stays_in_the_history_as_its_text() -> None:
    written = write(input=[{"role": "user", "content": "Go"}, {**CALL, "arguments": '{"a": "b'}, RESULT])

    assert written.body["messages"][1]["content"][0]["input"] == {"arguments": '{"a": "b'}
    assert written.notes == ["input[1].arguments: adapted (not a JSON object, sent as its text)"]


def test_text_without_a_visible_character_is_not_sent() -> None:
    assert write(input=[{"role": "user", "content": "a"}, {"role": "assistant", "content": " \n"}]).body[
        "messages"
    ] == [{"role": "user", "content": "a"}]


def test_citations_whose_text_was_changed_are_left_behind() -> None:
    note = {"type": "url_citation", "start_index": 5, "end_index": 90, "citation": {"type": "page_location"}}
    part = {"type": "output_text", "text": "Short.", "annotations": [note]}

    turns = write(input=[{"role": "user", "content": "a"}, {"role": "assistant", "content": [part]}]).body["messages"]

    assert turns[1] == {"role": "assistant", "content": "Short."}


def test_breakpoints_of_the_client_are_kept_and_none_is_added() -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    content = [{"type": "input_text", "text": "a", "cache_control": mark}]

    written = write(
        input=[{"role": "user", "content": content}], tools=[{**LOOK, "cache_control": mark}], prompt_cache_key="k"
    )

    assert written.body["messages"][0]["content"] == [{"type": "text", "text": "a", "cache_control": mark}]
    assert written.body["tools"][0]["cache_control"] == mark
    assert written.notes == ["prompt_cache_key: dropped (the request has its own breakpoints)"]


def test_what_only_anthropic_knows_passes() -> None:
    body = write(
        thinking={"type": "enabled", "budget_tokens": 2000},
        max_output_tokens=4000,
        context_management=[{"type": "compaction", "compact_threshold": 60000}],
        anthropic_beta="context-1m-2025-08-07",
        cache_control={"type": "ephemeral"},
    )

    assert body.body["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    assert body.body["cache_control"] == {"type": "ephemeral"}
    assert body.body["context_management"] == {
        "edits": [{"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 60000}}]
    }
    assert body.headers == {"anthropic-beta": "compact-2026-01-12,context-1m-2025-08-07"}


# ------------------------------------------------------------------------------------------------------------- reader


def test_usage_takes_the_last_value_of_each_field() -> None:
    draft = hear(
        [
            {
                "type": "message_start",
                "message": {"usage": {"input_tokens": 10, "cache_read_input_tokens": 500, "output_tokens": 1}},
            },
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn"},
                "usage": {"cache_read_input_tokens": 0, "output_tokens": 7},
            },
            STOP,
        ]
    )

    assert (draft.tokens.input_tokens, draft.tokens.cache_read, draft.tokens.output_tokens) == (10, 0, 7)


def test_usage_kinds_add_up_and_hosted_calls_are_counted() -> None:
    tokens = answer(
        usage={
            "input_tokens": 1,
            "cache_creation_input_tokens": 20,
            "cache_creation": {"ephemeral_5m_input_tokens": 15, "ephemeral_1h_input_tokens": 5},
            "cache_read_input_tokens": 300,
            "output_tokens": 50,
            "output_tokens_details": {"thinking_tokens": 40},
            "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0, "code_execution_requests": 1},
        }
    ).tokens

    assert (tokens.input, tokens.cache_write, tokens.cache_write_1h, tokens.cache_read) == (1, 15, 5, 300)
    assert (tokens.output, tokens.reasoning) == (10, 40)
    assert tokens.total_tokens == 371
    assert tokens.tools == {"web_search": 2, "code_execution": 1}


@pytest.mark.parametrize(
    ("reason", "status", "why"),
    [
        ("end_turn", "completed", None),
        ("stop_sequence", "completed", None),
        ("pause_turn", "completed", None),
        ("something_new", "completed", None),
        ("max_tokens", "incomplete", "max_output_tokens"),
        ("model_context_window_exceeded", "incomplete", "max_output_tokens"),
    ],
)
def test_stop_reasons(reason: str, status: str, why: str | None) -> None:
    response = answer({"type": "text", "text": "a"}, reason=reason).response

    assert response["status"] == status
    assert response["incomplete_details"] == ({"reason": why} if why else None)


def test_a_refusal_without_words_gets_some() -> None:
    content = answer(reason="refusal", stop_details=None).response["output"][0]["content"]

    assert content == [{"type": "refusal", "refusal": "The model declined to answer this request."}]


def test_a_call_that_the_limit_cut_is_incomplete() -> None:
    draft = hear(
        [
            START,
            {
                "type": "content_block_start",
                "index": 0,
                "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}},
            },
            {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"a'}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 9}},
            STOP,
        ]
    )

    assert draft.response["output"][0]["status"] == "incomplete"
    assert draft.response["output"][0]["arguments"] == '{"a'


def test_a_program_that_waits_for_a_tool_can_go_on_in_its_container() -> None:
    caller = {"type": "code_execution_20250825", "tool_id": "srvtoolu_1"}
    draft = answer(
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "code_execution", "input": {"code": "look()"}},
        {"type": "tool_use", "id": "c1", "name": "look", "input": {}, "caller": caller},
        reason="tool_use",
        container={"id": "container_1"},
    )
    output = draft.response["output"]
    assert [item["type"] for item in output] == [
        "code_interpreter_call",
        "reasoning",
        "reasoning",
        "function_call",
        "reasoning",
    ]

    body = write(input=[{"role": "user", "content": "Go"}, *output, RESULT]).body

    assert body["container"] == "container_1"
    assert [block["type"] for block in body["messages"][1]["content"]] == ["server_tool_use", "tool_use"]
    assert body["messages"][1]["content"][1]["caller"] == caller


def test_a_failed_search_is_a_failed_item() -> None:
    draft = answer(
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "s",
            "content": {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"},
        },
    )

    assert draft.response["output"][0]["status"] == "failed"
    assert draft.response["output"][0]["action"]["query"] == "q"


def test_blocks_that_nothing_else_can_hold_are_sealed() -> None:
    compaction = {"type": "compaction", "content": "All that was said."}
    [item, _] = answer(compaction, {"type": "text", "text": "Hi"}).response["output"]

    assert unseal("anthropic", item["encrypted_content"]) == {"blocks": [compaction]}
    follow_up = write(input=[{"role": "user", "content": "a"}, item, {"role": "user", "content": "b"}])
    assert follow_up.body["messages"][1] == {"role": "assistant", "content": [compaction]}
    assert follow_up.headers == {"anthropic-beta": "compact-2026-01-12"}


def test_without_message_stop_the_answer_was_cut() -> None:
    draft = hear(
        [START, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}]
    )

    assert draft.response["status"] == "failed"
    assert isinstance(draft.error, UpstreamError)
    assert draft.error.kind == "truncated"


@pytest.mark.parametrize("body", [None, [], "text", {}, {"content": None}, {"type": "message", "content": 1}])
def test_a_whole_answer_that_is_no_message_is_the_upstreams_fault(body: Any) -> None:
    with pytest.raises(UpstreamError) as failure:
        messages.reader(Draft({"input": "a"}), {"input": "a"}).whole(body)

    assert failure.value.kind == "server"


# -------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("status", "kind_of_error", "kind"),
    [
        (400, "invalid_request_error", "bad_request"),
        (401, "authentication_error", "auth"),
        (402, "billing_error", "auth"),
        (403, "permission_error", "auth"),
        (404, "not_found_error", "not_found"),
        (413, "request_too_large", "bad_request"),
        (429, "rate_limit_error", "rate_limit"),
        (500, "api_error", "server"),
        (504, "timeout_error", "timeout"),
        (529, "overloaded_error", "overloaded"),
        (529, "something_new", "overloaded"),
        (418, "something_new", "bad_request"),
    ],
)
def test_error_kinds(status: int, kind_of_error: str, kind: str) -> None:
    body = {"type": "error", "error": {"type": kind_of_error, "message": "No."}, "request_id": "req_1"}

    error = messages.error(status, json.dumps(body).encode(), {"Retry-After": "7"})

    assert (error.kind, error.message, error.request_id, error.upstream_status) == (kind, "No.", "req_1", status)
    assert error.retry_after == 7


@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"[]", b"null", b'{"error": null}', b"\xff"])
def test_an_error_body_may_be_anything(body: bytes) -> None:
    error = messages.error(502, body, {"request-id": "req_2"})

    assert (error.kind, error.request_id) == ("server", "req_2")
    assert error.message


def test_a_date_to_retry_after_counts_from_the_answers_own_date() -> None:
    headers = {"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}

    assert messages.error(429, b"", headers).retry_after == 30
    assert messages.error(429, b"", {"retry-after": "soon"}).retry_after is None


def test_the_words_of_other_places_are_kept() -> None:
    vertex = b'[{"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED"}}]'

    assert (messages.error(429, vertex, {}).kind, messages.error(429, vertex, {}).message) == (
        "rate_limit",
        "Quota exceeded.",
    )
    assert messages.error(400, b'{"message": "Bad model."}', {"x-amzn-requestid": "r"}).message == "Bad model."


def test_an_exception_of_bedrocks_event_stream_has_its_kind() -> None:
    reader = messages.reader(Draft({"input": "a"}), {"input": "a"})

    with pytest.raises(UpstreamError) as failure:
        reader.feed(Frame("exception", event={"type": "throttlingException", "message": "Too many tokens."}))

    assert (failure.value.kind, failure.value.message) == ("rate_limit", "Too many tokens.")


# ---------------------------------------------------------------------------------------------------- recorded answers


@pytest.mark.recordings
@pytest.mark.skipif(not present(), reason=ABSENT)
def test_recorded_answers_go_back_to_anthropic_as_they_came() -> None:
    """Block by block, for every recorded answer: what was signed, encrypted or cited must not change."""
    compared = 0
    for entry in entries():
        if entry["api"] != "anthropic.messages" or entry["status"] != 200 or entry["streaming"]:
            continue
        [(_, body)] = library()[entry["id"]].events()
        if body.get("stop_reason") == "refusal" or not body["content"]:
            continue
        draft = Draft({"input": "Hi"})
        messages.reader(draft, {"input": "Hi"}).whole(copy.deepcopy(body))

        turns = write(input=[{"role": "user", "content": "Hi"}, *draft.response["output"]]).body["messages"]

        sent = turns[1]["content"]
        sent = [{"type": "text", "text": sent}] if isinstance(sent, str) else sent
        assert _joined(sent) == _joined(body["content"]), entry["id"]
        compared += 1
    assert compared > 50


def _joined(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Blocks without what says nothing: cuts between plain texts, empty members, the usual caller."""
    found: list[dict[str, Any]] = []
    for block in blocks:
        kept = {
            name: value
            for name, value in block.items()
            if value not in (None, []) and not (name == "caller" and value == {"type": "direct"})
        }
        before = found[-1] if found else {}
        plain = kept["type"] == before.get("type") == "text" and "citations" not in kept
        if plain and (not kept["text"].strip() or "citations" not in before):
            before["text"] += kept["text"]
        else:
            found.append(kept)
    return found
