"""Bedrock Converse: what is written for which model, and what is read whatever comes."""

from __future__ import annotations

import base64
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol import check
from tollbook.dialects import converse
from tollbook.dialects.converse import invoke
from tollbook.errors import Unsupported, UpstreamError
from tollbook.responses.draft import Draft
from tollbook.responses.seals import seal
from tollbook.transport.frame import Frame

CLAUDE_3 = "anthropic.claude-3-sonnet-20240229-v1:0"
CLAUDE_4_5 = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
CLAUDE_5 = "us.anthropic.claude-sonnet-5"
NOVA = "us.amazon.nova-pro-v1:0"
NOVA_2 = "us.amazon.nova-2-lite-v1:0"
LLAMA = "us.meta.llama4-maverick-17b-instruct-v1:0"
MISTRAL = "us.mistral.pixtral-large-2502-v1:0"
QWEN = "qwen.qwen3-32b-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:000000000000:application-inference-profile/mi1dadi0g15f"

FIND = {"type": "function", "name": "find", "parameters": {"type": "object", "properties": {}}}
CALL = {"type": "function_call", "call_id": "c1", "name": "find", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "found"}
SCHEMA = {
    "type": "json_schema",
    "name": "city",
    "schema": {"type": "object", "properties": {"name": {"type": "string"}}},
}


def write(model: str = CLAUDE_4_5, *, drop: bool = False, **request: Any) -> tuple[dict[str, Any], list[str]]:
    written = converse.write({"input": "Hi", **request}, model, drop=drop)
    return written.body, list(written.notes)


# ---------------------------------------------------------------------------------------------------------- content


def test_neighbours_of_one_role_are_one_message_and_system_messages_are_the_system_prompt() -> None:
    items = [
        {"role": "system", "content": "A"},
        {"role": "user", "content": "B"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "C"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "D"}, {"type": "refusal", "refusal": "E"}]},
        {"role": "developer", "content": "F"},
    ]

    body, notes = write(input=items, instructions="I")

    assert body["system"] == [{"text": "I"}, {"text": "A"}, {"text": "F"}]
    assert body["messages"] == [
        {"role": "user", "content": [{"text": "B"}, {"text": "C"}]},
        {"role": "assistant", "content": [{"text": "D"}, {"text": "E"}]},
    ]
    assert notes == ["input[4].role: adapted (moved to the system prompt)"]


def test_instructions_may_be_a_list_of_messages() -> None:
    body, _ = write(instructions=[{"role": "developer", "content": "A"}, {"type": "message", "content": "B"}])

    assert body["system"] == [{"text": "A"}, {"text": "B"}]


def test_arguments_that_are_no_object_are_wrapped() -> None:
    body, notes = write(input=[{**CALL, "arguments": "[1"}, OUTPUT], tools=[FIND])

    assert body["messages"][0]["content"][0]["toolUse"]["input"] == {"arguments": "[1"}
    assert notes == ["input[0].arguments: adapted (they are no JSON object)"]


def test_a_failed_tool_is_said_to_models_that_understand_it() -> None:
    items = [CALL, {**OUTPUT, "is_error": True}]

    assert write(input=items)[0]["messages"][1]["content"][0]["toolResult"]["status"] == "error"
    assert "status" not in write(LLAMA, input=items)[0]["messages"][1]["content"][0]["toolResult"]


def test_everything_that_cannot_be_said_is_named_at_once_or_dropped() -> None:
    items = [
        {"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/a.png"}]},
        {
            "role": "user",
            "content": [{"type": "input_image", "file_id": "file_1"}, {"type": "input_file", "file_id": "f"}],
        },
        {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/tiff;base64,AAAA"}, "odd"]},
        {"type": "computer_call", "call_id": "c"},
        "odd",
    ]
    tools = [{"type": "file_search", "vector_store_ids": ["v"]}]
    names = [
        "input[0].content[0].image_url",
        "input[1].content[0].file_id",
        "input[1].content[1].file_id",
        "input[2].content[0].image_url",
        "input[2].content[1]",
        "input[3].type=computer_call",
        "input[4]",
        "prompt",
        "tools[0].type=file_search",
    ]

    with pytest.raises(Unsupported) as refused:
        write(input=items, tools=tools, prompt={"id": "p"})
    assert list(refused.value.params) == names

    body, notes = write(drop=True, input=[*items, {"role": "user", "content": "Hi"}], tools=tools, prompt={"id": "p"})
    assert body == {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    assert notes == [f"{name}: dropped" for name in names]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        ({"file_data": "data:text/csv;base64,YSxi", "filename": "a.csv"}, ("document", "csv", "a")),
        ({"file_data": "JVBERi0x"}, ("document", "pdf", "Document")),
        ({"file_data": "aGVsbG8="}, ("document", "txt", "Document")),
        ({"file_data": "data:;base64,iVBORw0KGgo=", "filename": "x.png"}, ("image", "png", None)),
        ({"file_url": "s3://books/a/report.docx"}, ("document", "docx", "report")),
        ({"file_data": "data:video/quicktime;base64,AAAA"}, ("video", "mov", None)),
        ({"file_data": "data:audio/wav;base64,AAAA"}, ("audio", "wav", None)),
    ],
)
def test_files_become_what_they_are(part: dict[str, Any], block: tuple[str, str, str | None]) -> None:
    body, _ = write(input=[{"role": "user", "content": [{"type": "input_file", **part}]}])

    ((name, found),) = body["messages"][0]["content"][0].items()
    assert (name, found["format"], found.get("name")) == block


def test_seals_of_claude_go_to_claude_only() -> None:
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "T"}]}
    sealed = {**thought, "encrypted_content": seal("anthropic", {"signature": "S"})}
    own = {**thought, "encrypted_content": seal("bedrock", {"signature": "N"})}

    claude, notes = write(input=[sealed, {"role": "assistant", "content": "A"}])
    assert claude["messages"][0]["content"][0] == {
        "reasoningContent": {"reasoningText": {"text": "T", "signature": "S"}}
    }
    assert notes == []

    nova, notes = write(NOVA_2, input=[sealed, own, thought, {"role": "assistant", "content": "A"}])
    assert nova["messages"][0]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "T", "signature": "N"}}},
        {"text": "A"},
    ]
    assert notes == ["reasoning: foreign, left out"]


# ------------------------------------------------------------------------------------------------------------ tools


def test_no_tool_means_no_tools_unless_the_history_holds_calls() -> None:
    assert "toolConfig" not in write(tools=[FIND], tool_choice="none")[0]

    body, notes = write(input=[CALL, OUTPUT], tools=[FIND], tool_choice="none")
    assert [t["toolSpec"]["name"] for t in body["toolConfig"]["tools"]] == ["find"]
    assert notes == ["tool_choice: adapted (the tools stay, Converse demands them after a call)"]


@pytest.mark.parametrize(
    ("model", "choice", "expected"),
    [
        (CLAUDE_4_5, "auto", None),
        (CLAUDE_4_5, "required", {"any": {}}),
        (CLAUDE_4_5, {"type": "function", "name": "find"}, {"tool": {"name": "find"}}),
        (MISTRAL, {"type": "function", "name": "find"}, {"any": {}}),
        (NOVA, {"type": "allowed_tools", "mode": "required", "tools": [{"name": "find"}]}, {"any": {}}),
        ("anthropic.claude-opus-5-5", "required", None),
    ],
)
def test_a_choice_is_said_as_far_as_the_model_knows_it(model: str, choice: Any, expected: Any) -> None:
    other = {"type": "function", "name": "other"}

    body, notes = write(model, tools=[FIND, other], tool_choice=choice)

    assert body["toolConfig"].get("toolChoice") == expected
    names = [t["toolSpec"]["name"] for t in body["toolConfig"]["tools"]]
    narrowed = model == MISTRAL or (isinstance(choice, dict) and choice["type"] == "allowed_tools")
    assert names == (["find"] if narrowed else ["find", "other"])
    assert bool(notes) == (model not in (CLAUDE_4_5, NOVA) or narrowed)


def test_novas_own_tools_take_neither_settings_nor_files() -> None:
    tools = [{"type": "web_search_2025_08_26", "filters": {"allowed_domains": ["a.com"]}}, {"type": "code_interpreter"}]

    body, notes = write(NOVA, tools=tools)

    names = [tool["systemTool"]["name"] for tool in body["toolConfig"]["tools"]]
    assert names == ["nova_grounding", "nova_code_interpreter"]
    assert notes == ["tools[0].filters: dropped"]
    with pytest.raises(Unsupported, match=r"tools\[0\]\.container"):
        write(NOVA, tools=[{"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file_1"]}}])


def test_a_summary_alone_makes_claude_think_and_is_noted_where_there_is_none() -> None:
    thinks, none = write("anthropic.claude-sonnet-4-6", reasoning={"summary": "auto"})
    _, nova = write(NOVA, reasoning={"summary": "auto", "mode": "pro"})

    assert thinks["additionalModelRequestFields"] == {"thinking": {"type": "adaptive", "display": "summarized"}}
    assert none == []
    assert nova == ["reasoning.mode: dropped", "reasoning.summary: dropped"]


def test_what_is_asked_of_the_answer_and_cannot_be_had_is_noted() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo", "detail": "low"}
    said = {"type": "output_text", "text": "Sunny.", "annotations": [{"type": "url_citation", "url": "https://a.com"}]}
    items = [{"role": "user", "content": [image]}, {"role": "assistant", "content": [said]}]

    _, notes = write(input=items, include=["message.output_text.logprobs", "reasoning.encrypted_content"])

    assert notes == [
        "input[0].content[0].detail: dropped",
        "annotations: left out (the text is sent without them)",
        "include.message.output_text.logprobs: dropped",
    ]


def test_calls_of_another_providers_tools_stay_behind_and_its_compaction_does_not() -> None:
    hosted = [{"type": kind, "id": "x"} for kind in ("mcp_approval_request", "tool_search_output", "web_search_call")]

    _, notes = write(input=hosted)

    assert notes == ["mcp_approval_request: left out", "tool_search_output: left out", "web_search_call: left out"]
    with pytest.raises(Unsupported, match=r"input\[0\]\.type=compaction"):
        write(input=[{"type": "compaction", "encrypted_content": "gAAA"}])


def test_strict_schemas_are_closed_as_structured_outputs_demand() -> None:
    parameters = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}

    body, notes = write(tools=[{**FIND, "parameters": parameters, "strict": True}])

    spec = body["toolConfig"]["tools"][0]["toolSpec"]
    assert spec["strict"] is True
    assert spec["inputSchema"]["json"]["additionalProperties"] is False
    assert notes == ["tools.parameters: adapted (additionalProperties, minimum)"]


def test_nova_runs_its_own_tools() -> None:
    body, _ = write(NOVA_2, tools=[{"type": "web_search"}, {"type": "code_interpreter", "container": {"type": "auto"}}])

    assert body["toolConfig"]["tools"] == [
        {"systemTool": {"name": "nova_grounding"}},
        {"systemTool": {"name": "nova_code_interpreter"}},
    ]
    with pytest.raises(Unsupported, match="web_search"):
        write(tools=[{"type": "web_search"}])


# ----------------------------------------------------------------------------------------------------------- tuning


@pytest.mark.parametrize(
    ("model", "native", "tool"),
    [
        (CLAUDE_4_5, True, False),
        (QWEN, True, False),
        (CLAUDE_3, False, True),
        (NOVA, False, True),
        (LLAMA, False, False),
    ],
)
def test_a_schema_is_put_in_the_way_the_model_can_keep_it(model: str, native: bool, tool: bool) -> None:
    body, notes = write(model, text={"format": SCHEMA})

    assert ("outputConfig" in body) is native
    assert ("toolConfig" in body) is tool
    assert ("system" in body) is (not native and not tool)
    if tool:
        assert body["toolConfig"]["toolChoice"] == {"tool": {"name": "respond_with_json"}}
    assert bool(notes)


@pytest.mark.parametrize(
    ("model", "effort", "fields", "output"),
    [
        (CLAUDE_4_5, "low", {"thinking": {"type": "enabled", "budget_tokens": 2048}}, None),
        (CLAUDE_4_5, "none", None, None),
        (CLAUDE_5, "high", {"thinking": {"type": "adaptive"}}, {"effort": "high"}),
        (CLAUDE_5, "none", {"thinking": {"type": "disabled"}}, None),
        (CLAUDE_3, "high", None, None),
        (NOVA_2, "high", {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}, None),
        (NOVA_2, "none", {"reasoningConfig": {"type": "disabled"}}, None),
        ("openai.gpt-oss-120b-1:0", "xhigh", {"reasoning_effort": "high"}, None),
        ("openai.gpt-5.6-luna", "none", {"reasoning": {"effort": "none"}}, None),
        ("deepseek.v3-v1:0", "high", {"reasoning_effort": "high"}, None),
        ("us.deepseek.r1-v1:0", "high", None, None),
        (PROFILE, "high", None, None),
    ],
)
def test_effort_is_said_in_the_words_of_the_family(model: str, effort: str, fields: Any, output: Any) -> None:
    body, _ = write(model, reasoning={"effort": effort})

    assert body.get("additionalModelRequestFields") == fields
    assert body.get("outputConfig") == output


def test_a_thinking_budget_leaves_room_within_the_clients_limit() -> None:
    body, notes = write(reasoning={"effort": "high"}, max_output_tokens=4000)
    assert body["additionalModelRequestFields"]["thinking"]["budget_tokens"] == 2000
    assert body["inferenceConfig"] == {"maxTokens": 4000}
    assert notes == ["reasoning.effort: adapted (budget of 2000 tokens)"]

    body, notes = write(reasoning={"effort": "high"}, max_output_tokens=500)
    assert "additionalModelRequestFields" not in body
    assert notes == ["reasoning.effort: dropped (max_output_tokens is not above 1024)"]


def test_claude_does_not_think_where_that_would_be_refused() -> None:
    asked = {"reasoning": {"effort": "high"}, "tools": [FIND]}

    assert write(**asked, tool_choice="required")[1] == ["reasoning.effort: dropped (a tool is forced)"]
    assert write(**asked, input=[CALL, OUTPUT])[1] == [
        "reasoning.effort: dropped (the call in the history has no thought of this model)"
    ]
    assert "thinking" in write(CLAUDE_5, **asked, input=[CALL, OUTPUT])[0]["additionalModelRequestFields"]


def test_sampling_is_said_as_far_as_the_model_takes_it() -> None:
    both = {"temperature": 1.5, "top_p": 0.5}

    assert write(LLAMA, **both)[0]["inferenceConfig"] == {"temperature": 1, "topP": 0.5}
    assert write(**both)[0]["inferenceConfig"] == {"temperature": 1}
    assert write(CLAUDE_5, **both) == (
        {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]},
        ["temperature: dropped", "top_p: dropped"],
    )


def test_members_of_converse_pass_and_tuning_without_an_equivalent_is_noted() -> None:
    body, notes = write(
        guardrailConfig={"guardrailIdentifier": "g", "guardrailVersion": "1"},
        additionalModelRequestFields={"anthropic_beta": ["context-1m-2025-08-07"]},
        performanceConfig={"latency": "optimized"},
        service_tier="priority",
        prompt_cache_key="k",
        max_tool_calls=3,
        top_logprobs=0,
        truncation="disabled",
        metadata={"team": "a b", "bad key!": "x", "long": "y" * 300},
    )

    assert body["guardrailConfig"]["guardrailIdentifier"] == "g"
    assert body["additionalModelRequestFields"] == {"anthropic_beta": ["context-1m-2025-08-07"]}
    assert body["performanceConfig"] == {"latency": "optimized"}
    assert body["serviceTier"] == {"type": "priority"}
    assert body["requestMetadata"] == {"team": "a b"}
    assert notes == ["max_tool_calls: dropped", "prompt_cache_key: dropped"]


def test_claude_in_invoke_model_has_version_and_flags_in_the_body() -> None:
    written = invoke.write({"input": "Hi", "stream": True, "model": "smart"}, CLAUDE_4_5)

    assert written.body["anthropic_version"] == "bedrock-2023-05-31"
    assert "model" not in written.body
    assert "stream" not in written.body
    assert "anthropic-beta" not in written.headers


# ---------------------------------------------------------------------------------------------------------- reading


def delta(index: int, **fields: Any) -> Frame:
    return Frame("contentBlockDelta", event={"contentBlockIndex": index, "delta": fields})


def start(index: int, **fields: Any) -> Frame:
    return Frame("contentBlockStart", event={"contentBlockIndex": index, "start": fields})


def stop(index: int) -> Frame:
    return Frame("contentBlockStop", event={"contentBlockIndex": index})


def ended(reason: str) -> Frame:
    return Frame("messageStop", event={"stopReason": reason})


USAGE = Frame("metadata", event={"usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}})


def hear(*frames: Frame, model: str = CLAUDE_4_5, **request: Any) -> dict[str, Any]:
    draft = Draft(request, model=model)
    reader = converse.reader(draft, request)
    try:
        for frame in frames:
            reader.feed(frame)
        reader.end()
    except UpstreamError as error:
        if not draft.frames:
            draft.begin()
        draft.fail(error)
    return check([frame.event for frame in draft.take()])


@pytest.mark.parametrize(
    ("reason", "status", "detail"),
    [
        ("end_turn", "completed", None),
        ("stop_sequence", "completed", None),
        ("a_new_reason", "completed", None),
        ("max_tokens", "incomplete", "max_output_tokens"),
        ("model_context_window_exceeded", "incomplete", "max_output_tokens"),
        ("guardrail_intervened", "incomplete", "content_filter"),
        ("content_filtered", "incomplete", "content_filter"),
        ("malformed_model_output", "failed", None),
        ("malformed_tool_use", "failed", None),
    ],
)
def test_stop_reasons(reason: str, status: str, detail: str | None) -> None:
    response = hear(delta(0, text="A"), stop(0), ended(reason), USAGE)

    assert response["status"] == status
    assert (response["incomplete_details"] or {}).get("reason") == detail
    assert response["usage"]["total_tokens"] == 7


def test_an_answer_without_metadata_is_complete_and_one_without_its_stop_is_not() -> None:
    whole = hear(delta(0, text="A"), ended("end_turn"))
    assert (whole["status"], whole["usage"]) == ("completed", None)

    cut = hear(delta(0, text="A"), stop(0))
    assert (cut["status"], cut["error"]["code"]) == ("failed", "upstream_truncated")


def test_a_call_that_the_token_limit_cut_is_incomplete() -> None:
    use = {"toolUseId": "t", "name": "find"}

    response = hear(
        start(0, toolUse=use), delta(0, toolUse={"input": '{"a'}), stop(0), ended("max_tokens"), tools=[FIND]
    )

    assert response["output"][0]["status"] == "incomplete"
    assert response["output"][0]["arguments"] == '{"a'


def test_calls_may_come_interleaved() -> None:
    one, two = {"toolUseId": "a", "name": "one"}, {"toolUseId": "b", "name": "two"}

    response = hear(
        start(0, toolUse=one),
        start(1, toolUse=two),
        delta(1, toolUse={"input": '{"b":'}),
        delta(0, toolUse={"input": '{"a":1}'}),
        delta(1, toolUse={"input": "2}"}),
        stop(1),
        stop(0),
        ended("tool_use"),
    )

    assert [(i["call_id"], i["arguments"]) for i in response["output"]] == [("a", '{"a":1}'), ("b", '{"b":2}')]


def test_reasoning_without_signature_is_a_summary_without_a_seal() -> None:
    response = hear(
        delta(0, reasoningContent={"text": "one"}),
        stop(0),
        delta(1, reasoningContent={"text": "two"}),
        stop(1),
        delta(2, text="A"),
        ended("end_turn"),
        model="us.deepseek.r1-v1:0",
    )

    assert [part["text"] for part in response["output"][0]["summary"]] == ["one", "two"]
    assert "encrypted_content" not in response["output"][0]


def test_sealed_reasoning_comes_back_as_it_was() -> None:
    redacted = base64.b64encode(b"EuBx==").decode()
    response = hear(
        delta(0, reasoningContent={"text": "thought", "signature": None}),
        delta(0, reasoningContent={"signature": "Esig"}),
        stop(0),
        delta(1, reasoningContent={"redactedContent": redacted}),
        stop(1),
        delta(2, text="A"),
        stop(2),
        ended("end_turn"),
    )

    body, notes = write(input=[*response["output"], {"role": "user", "content": "B"}])

    assert body["messages"][0]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "thought", "signature": "Esig"}}},
        {"reasoningContent": {"redactedContent": redacted}},
        {"text": "A"},
    ]
    assert notes == []


def test_code_that_nova_ran_comes_back_as_it_was() -> None:
    printed = {"json": {"stdOut": "4", "stdErr": "", "exitCode": 0, "isError": False}}
    use = {"toolUseId": "tooluse_1", "name": "nova_code_interpreter", "type": "server_tool_use"}
    result = {"toolUseId": "tooluse_1", "type": "nova_code_interpreter_result", "status": "success"}
    response = hear(
        start(0, toolUse=use),
        delta(0, toolUse={"input": '{"snippet": "2+2"}'}),
        stop(0),
        start(1, toolResult=result),
        delta(1, toolResult=[printed]),
        stop(1),
        delta(2, text="4"),
        ended("end_turn"),
        model=NOVA_2,
    )
    assert response["output"][0]["code"] == "2+2"
    assert response["output"][0]["outputs"] == [{"type": "logs", "logs": "4"}]

    body, notes = write(NOVA_2, input=response["output"])

    assert body["messages"][0]["content"][:2] == [
        {"toolUse": {**use, "input": {"snippet": "2+2"}}},
        {"toolResult": {**result, "content": [printed]}},
    ]
    assert notes == ["tools: adapted (named after the history, Converse demands them after a call)"]


def test_usage_of_the_cache_is_told_apart_by_lifetime() -> None:
    usage = {
        "inputTokens": 10,
        "outputTokens": 5,
        "totalTokens": 145,
        "cacheReadInputTokens": 100,
        "cacheWriteInputTokens": 30,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 20}, {"ttl": "5m", "inputTokens": 10}, None],
    }
    draft = Draft({})
    reader = converse.reader(draft, {})
    reader.whole({"output": {"message": {"content": None}}, "stopReason": "end_turn", "usage": usage})

    assert (draft.tokens.input, draft.tokens.cache_read) == (10, 100)
    assert (draft.tokens.cache_write, draft.tokens.cache_write_1h) == (10, 20)
    assert draft.tokens.total_tokens == usage["totalTokens"]


# ----------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        ({"type": "throttlingException", "message": "slow"}, "rate_limit", "slow"),
        ({"type": "modelStreamErrorException", "message": "x", "originalStatusCode": 529}, "overloaded", "x"),
        ({"type": "modelStreamErrorException", "message": "x", "originalStatusCode": 500}, "server", "x"),
        ({"type": "internalServerException", "message": "x"}, "server", "x"),
        ({"type": "serviceUnavailableException", "message": "x"}, "overloaded", "x"),
        ({"type": "validationException", "message": "x"}, "bad_request", "x"),
        ({"type": "modelTimeoutException", "message": "x"}, "timeout", "x"),
        ({"type": "novelException", "message": None}, "server", "Bedrock ended the stream: novelException."),
    ],
)
@pytest.mark.parametrize("dialect", [converse, invoke])
def test_exceptions_inside_a_stream(dialect: Any, event: dict[str, Any], kind: str, message: str) -> None:
    reader = dialect.reader(Draft({}), {})

    with pytest.raises(UpstreamError) as failed:
        reader.feed(Frame("exception", event=event))
    assert (failed.value.kind, failed.value.message) == (kind, message)


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "message"),
    [
        (400, b'{"message":"m"}', {"X-Amzn-ErrorType": "ValidationException:http://x/"}, "bad_request", "m"),
        (403, b'{"Message":"m"}', {}, "auth", "m"),
        (403, b'{"message":"m"}', {"x-amzn-errortype": "ExpiredTokenException"}, "auth", "m"),
        (429, b'{"message":"m"}', {"x-amzn-errortype": "ModelNotReadyException"}, "overloaded", "m"),
        (429, b"", {}, "rate_limit", "Bedrock answered 429."),
        (424, b'{"message":"m"}', {"x-amzn-errortype": "ModelErrorException"}, "server", "m"),
        (408, b"", {}, "timeout", "Bedrock answered 408."),
        (404, b'{"__type":"a.b#ResourceNotFoundException","message":"m"}', {}, "not_found", "m"),
        (503, b"<html>no</html>", {"content-type": "text/html"}, "overloaded", "Bedrock answered 503."),
        (500, b"plain words \xff", {}, "server", "plain words \ufffd"),
        (400, b'["odd"]', {}, "bad_request", "Bedrock answered 400."),
    ],
)
def test_refusals(status: int, body: bytes, headers: dict[str, str], kind: str, message: str) -> None:
    error = converse.error(status, body, {**headers, "x-amzn-RequestId": "r1", "Retry-After": "7"})

    assert (error.kind, error.message, error.upstream_status) == (kind, message, status)
    assert (error.request_id, error.retry_after) == ("r1", 7.0)


# ------------------------------------------------------------------------------------------------------------- fuzz

_SCALARS = st.none() | st.booleans() | st.integers(-3, 5) | st.floats(allow_nan=False) | st.text(max_size=8)
_NAMES = st.sampled_from(
    [
        *(
            "text",
            "toolUse",
            "toolResult",
            "reasoningContent",
            "citation",
            "image",
            "input",
            "signature",
            "name",
            "type",
        ),
        *(
            "redactedContent",
            "toolUseId",
            "source",
            "bytes",
            "location",
            "web",
            "url",
            "title",
            "json",
            "stdOut",
            "status",
        ),
        *(
            "citationsContent",
            "content",
            "citations",
            "reasoningText",
            "usage",
            "stopReason",
            "inputTokens",
            "cacheDetails",
        ),
    ]
)
_VALUES = st.recursive(
    _SCALARS
    | st.sampled_from(["server_tool_use", "nova_grounding", "nova_code_interpreter", "error", "https://x.test/"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)
_KINDS = ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata", "?"]
_EVENTS = st.builds(
    lambda kind, index, inner, more: Frame(
        kind, event={"contentBlockIndex": index, "start": inner, "delta": inner, **more}
    ),
    st.sampled_from(_KINDS),
    st.integers(0, 2) | _SCALARS,
    st.dictionaries(_NAMES, _VALUES, max_size=3),
    st.dictionaries(_NAMES, _VALUES, max_size=2),
)


@given(st.lists(_EVENTS, max_size=12), st.sampled_from([CLAUDE_4_5, NOVA]))
def test_no_stream_breaks_the_protocol(frames: list[Frame], model: str) -> None:
    hear(*frames, model=model, text={"format": SCHEMA}, tools=[FIND])


@given(st.lists(st.dictionaries(_NAMES, _VALUES, max_size=3), max_size=5) | _VALUES, _VALUES)
def test_no_body_breaks_the_protocol(content: Any, usage: Any) -> None:
    draft = Draft({})
    converse.reader(draft, {}).whole({"output": {"message": {"content": content}}, "stopReason": usage, "usage": usage})

    assert check([frame.event for frame in draft.take()])["status"] in ("completed", "incomplete")


def test_what_is_no_answer_is_an_error_of_the_upstream() -> None:
    for body in (None, [], {"message": "x"}, {"output": {"message": None}}):
        with pytest.raises(UpstreamError, match="not a Converse response"):
            converse.reader(Draft({}), {}).whole(body)
    with pytest.raises(UpstreamError, match="not JSON"):
        converse.reader(Draft({}), {}).feed(Frame("messageStart", b"{"))


_WORDS = st.sampled_from(
    ["message", "user", "assistant", "function_call", "function_call_output", "reasoning", "system"]
)
_FIELDS = [
    "type",
    "role",
    "content",
    "output",
    "call_id",
    "arguments",
    "summary",
    "encrypted_content",
    "name",
    "outputs",
]
_PARTS = st.dictionaries(
    st.sampled_from(["type", "text", "image_url", "file_data", "filename", "cache_control", "input_audio"]),
    _VALUES | st.sampled_from(["input_text", "input_image", "input_file", "input_audio", "data:image/png;base64,AA=="]),
    max_size=4,
)
_ITEMS = st.dictionaries(st.sampled_from(_FIELDS), _VALUES | _WORDS | st.lists(_PARTS, max_size=2), max_size=5)


@given(st.lists(_ITEMS, max_size=5), st.sampled_from([CLAUDE_4_5, NOVA_2, LLAMA]))
def test_no_history_is_too_odd_to_be_written_or_refused(items: list[dict[str, Any]], model: str) -> None:
    body, _ = write(model, drop=True, input=items)

    roles = [message["role"] for message in body["messages"]]
    assert all(one != two for one, two in pairwise(roles))
    assert all(message["content"] for message in body["messages"])
