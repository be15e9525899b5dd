"""Rules of Gemini's dialect, one literal each. Whole cases are under tests/recordings/gemini."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol import check
from tollbook.dialects import gemini
from tollbook.errors import InvalidRequest, Unsupported, UpstreamError
from tollbook.responses import seals
from tollbook.responses.draft import Draft
from tollbook.transport.frame import Frame
from tollbook.transport.sse import SSEDecoder

FLASH_2, FLASH_3, PRO_2, PRO_3 = "gemini-2.5-flash", "gemini-3-flash-preview", "gemini-2.5-pro", "gemini-3-pro-preview"
FUNCTION = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}


def write(model: str = FLASH_2, *, drop: bool = False, **request: Any) -> Any:
    return gemini.write({"input": "Hello.", **request}, model, drop=drop)


def chunk(*parts: dict[str, Any], finish: str | None = None, **candidate: Any) -> dict[str, Any]:
    content = {"content": {"parts": list(parts), "role": "model"}} if parts else {}
    return {"candidates": [{**content, **({"finishReason": finish} if finish else {}), **candidate}]}


def hear(*chunks: Any, request: dict[str, Any] | None = None) -> tuple[Draft, list[dict[str, Any]]]:
    """The draft and the events of a stream of chunks; a failure ends it as the gateway would."""
    draft = Draft(request or {}, response_id="resp_1")
    reader = gemini.reader(draft, request or {})
    try:
        for event in chunks:
            reader.feed(Frame("", event=event))
        reader.end()
    except UpstreamError as error:
        if not draft.frames:
            draft.begin()
        draft.fail(error)
    return draft, json.loads(json.dumps([frame.event for frame in draft.take()]))


def output(*chunks: Any, **request: Any) -> list[dict[str, Any]]:
    _, events = hear(*chunks, request=request)
    items: list[dict[str, Any]] = check(events)["output"]
    return items


def round_trip(*chunks: Any, model: str = FLASH_3) -> list[dict[str, Any]]:
    """What the next request says of the model's turn."""
    body = gemini.write({"input": [{"role": "user", "content": "?"}, *output(*chunks)]}, model).body
    return [part for content in body["contents"] if content["role"] == "model" for part in content["parts"]]


# ------------------------------------------------------------------------------------------------------ write: settings


@pytest.mark.parametrize(
    ("model", "effort", "config", "note"),
    [
        (FLASH_2, "none", {"thinkingBudget": 0}, None),
        (PRO_2, "none", {"thinkingBudget": 128}, "adapted (128 tokens)"),
        (FLASH_2, "medium", {"thinkingBudget": 8192, "includeThoughts": True}, "adapted (8192 tokens)"),
        (PRO_2, "max", {"thinkingBudget": 32768, "includeThoughts": True}, "adapted (32768 tokens)"),
        (FLASH_3, "none", {"thinkingLevel": "MINIMAL"}, "adapted (level minimal)"),
        (FLASH_3, "medium", {"thinkingLevel": "MEDIUM", "includeThoughts": True}, None),
        (PRO_3, "none", {"thinkingLevel": "LOW"}, "adapted (level low)"),
        (PRO_3, "medium", {"thinkingLevel": "HIGH", "includeThoughts": True}, "adapted (level high)"),
        ("gemini-3.1-pro-preview", "medium", {"thinkingLevel": "MEDIUM", "includeThoughts": True}, None),
        ("gemini-3.8-flash", "minimal", {"thinkingLevel": "LOW", "includeThoughts": True}, "adapted (level low)"),
        ("gemini-flash-latest", "high", {"thinkingLevel": "HIGH", "includeThoughts": True}, None),
    ],
)
def test_effort_is_a_budget_before_gemini_3_and_a_level_from_it_on(
    model: str, effort: str, config: dict[str, Any], note: str | None
) -> None:
    written = write(model, reasoning={"effort": effort})

    assert written.body["generationConfig"]["thinkingConfig"] == config
    assert list(written.notes) == ([f"reasoning.effort: {note}"] if note else [])


def test_effort_is_dropped_where_the_model_does_not_think() -> None:
    written = write("gemini-2.0-flash", reasoning={"effort": "high", "summary": "auto"})

    assert "generationConfig" not in written.body
    assert set(written.notes) == {"reasoning.effort: dropped", "reasoning.summary: dropped"}


def test_settings_without_an_equivalent_are_named() -> None:
    written = write(truncation="auto", user="u", prompt_cache_key="k", text={"verbosity": "high"}, max_tool_calls=3)

    assert set(written.notes) == {
        "truncation: dropped",
        "user: dropped",
        "prompt_cache_key: dropped",
        "text.verbosity: dropped",
        "max_tool_calls: dropped",
    }


def test_what_the_gateway_does_itself_needs_no_note() -> None:
    written = write(store=False, stream=True, metadata={"a": "b"}, include=[], previous_response_id="resp_1")

    assert written.notes == ()


def test_fields_of_geminis_own_pass() -> None:
    body = write(
        safety_settings=[{"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_NONE"}],
        cachedContent="cachedContents/1",
        generationConfig={"mediaResolution": "MEDIA_RESOLUTION_LOW"},
    ).body

    assert body["safetySettings"][0]["threshold"] == "BLOCK_NONE"
    assert body["cachedContent"] == "cachedContents/1"
    assert body["generationConfig"] == {"mediaResolution": "MEDIA_RESOLUTION_LOW"}


def test_json_object_is_a_mime_type() -> None:
    assert write(text={"format": {"type": "json_object"}}).body["generationConfig"] == {
        "responseMimeType": "application/json"
    }


def test_an_instruction_alone_is_asked_with_an_empty_content() -> None:
    body = write(instructions="Tell a joke.", input=[]).body

    assert body["contents"] == [{"role": "user", "parts": [{"text": ""}]}]


# ------------------------------------------------------------------------------------------------------ write: contents


def test_everything_unsayable_is_named_at_once() -> None:
    request = {
        "input": [
            {"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}, {"type": "input_hologram"}]},
            {"type": "computer_call", "call_id": "c"},
        ],
        "tools": [{"type": "mcp", "server_label": "m"}, {"type": "file_search", "vector_store_ids": ["vs_1"]}],
        "prompt": {"id": "pmpt_1"},
    }

    with pytest.raises(Unsupported) as raised:
        gemini.write(request, FLASH_2)

    assert raised.value.params == (
        "input[0].content[0].file_id",
        "input[0].content[1].type=input_hologram",
        "input[1].type=computer_call",
        "tools[0].type=mcp",
        "tools[1].vector_store_ids",
        "prompt",
    )
    assert set(gemini.write(request, FLASH_2, drop=True).notes) == {f"{name}: dropped" for name in raised.value.params}


def test_an_output_to_no_call_is_the_clients_error() -> None:
    with pytest.raises(InvalidRequest, match="call_id 'c9'"):
        write(input=[{"type": "function_call_output", "call_id": "c9", "output": "x"}])


@pytest.mark.parametrize(
    ("output", "response"),
    [
        ('{"celsius": 22}', {"celsius": 22}),
        ("sunny", {"output": "sunny"}),
        ("42", {"output": "42"}),
        ('{"output": 1, "unit": "C"}', {"output": {"output": 1, "unit": "C"}}),
    ],
)
def test_a_result_is_an_object(output: str, response: dict[str, Any]) -> None:
    items = [
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": output},
    ]

    part = write(input=items).body["contents"][1]["parts"][0]

    assert part == {"functionResponse": {"name": "look", "id": "c1", "response": response}}


def test_images_in_results_are_parts_of_the_result_from_gemini_3_on() -> None:
    items = [
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {
            "type": "function_call_output",
            "call_id": "c1",
            "output": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}],
        },
    ]
    image = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}

    result = write(FLASH_3, input=items).body["contents"][1]["parts"][0]["functionResponse"]
    older = write(FLASH_2, input=items).body["contents"]

    assert result["parts"] == [image]
    assert older[2] == {"role": "user", "parts": [image]}


def test_gemini_3_gets_the_documented_stand_in_for_a_missing_signature_in_the_present_turn_only() -> None:
    call = {"type": "function_call", "name": "look", "arguments": "{}"}
    items = [
        {**call, "call_id": "c1"},
        {"type": "function_call_output", "call_id": "c1", "output": "a"},
        {"role": "user", "content": "And now?"},
        {**call, "call_id": "c2"},
        {**call, "call_id": "c3"},
    ]

    contents = write(FLASH_3, input=items).body["contents"]

    assert "thoughtSignature" not in contents[0]["parts"][0]
    assert [part.get("thoughtSignature") for part in contents[3]["parts"]] == ["skip_thought_signature_validator", None]


def test_arguments_cut_by_a_limit_do_not_break_the_next_request() -> None:
    written = write(input=[{"type": "function_call", "call_id": "c", "name": "look", "arguments": '{"a": '}])

    assert written.body["contents"][0]["parts"][0]["functionCall"]["args"] == {}
    assert "input[0].arguments: dropped (not a JSON object)" in written.notes


def test_a_later_system_message_moves_to_the_front_and_says_so() -> None:
    written = write(input=[{"role": "user", "content": "Hi"}, {"role": "developer", "content": "Be kind."}])

    assert written.body["systemInstruction"] == {"parts": [{"text": "Be kind."}]}
    assert written.notes == ("input[1].role: adapted (moved to the system instruction)",)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://youtu.be/x", True),
        ("gs://bucket/a.png", True),
        ("https://generativelanguage.googleapis.com/v1beta/files/a", True),
        ("https://example.com/youtube.com/a.png", False),
        ("http://youtube.com/x", False),
        ("https://[", False),
    ],
)
def test_gemini_reads_only_its_own_addresses(url: str, kept: bool) -> None:
    assert gemini.keeps_url(url) is kept


# --------------------------------------------------------------------------------------------------------- write: tools


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("auto", None),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "name": "look"}, {"mode": "ANY", "allowedFunctionNames": ["look"]}),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "look"}]},
            {"mode": "ANY", "allowedFunctionNames": ["look"]},
        ),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "look"}]},
            {"mode": "VALIDATED", "allowedFunctionNames": ["look"]},
        ),
    ],
)
def test_tool_choice_is_a_mode(choice: Any, config: dict[str, Any] | None) -> None:
    body = write(tools=[FUNCTION], tool_choice=choice).body

    assert body.get("toolConfig", {}).get("functionCallingConfig") == config


def test_a_strict_function_is_validated() -> None:
    body = write(tools=[{**FUNCTION, "strict": True}]).body

    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}


def test_before_modes_could_limit_names_only_permitted_functions_are_declared() -> None:
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "look"}]}
    body = write("gemini-2.0-flash", tools=[FUNCTION, {**FUNCTION, "name": "hide"}], tool_choice=choice).body

    assert [declared["name"] for declared in body["tools"][0]["functionDeclarations"]] == ["look"]


def test_hosted_tools_are_geminis_own() -> None:
    tools = [
        {"type": "web_search", "filters": {"blocked_domains": ["example.com"]}},
        {"type": "code_interpreter", "container": {"type": "auto"}},
        {"type": "file_search", "vector_store_ids": ["fileSearchStores/s"], "max_num_results": 3},
        {"type": "url_context"},
        {"type": "google_maps", "enableWidget": True},
    ]

    assert write(tools=tools).body["tools"] == [
        {"googleSearch": {"excludeDomains": ["example.com"]}},
        {"codeExecution": {}},
        {"fileSearch": {"fileSearchStoreNames": ["fileSearchStores/s"], "topK": 3}},
        {"urlContext": {}},
        {"googleMaps": {"enableWidget": True}},
    ]


def test_a_limit_on_domains_does_not_vanish() -> None:
    with pytest.raises(Unsupported, match="allowed_domains"):
        write(tools=[{"type": "web_search", "filters": {"allowed_domains": ["example.com"]}}])


# ----------------------------------------------------------------------------------------------------------------- read


def test_signatures_come_back_on_their_parts() -> None:
    thought = {"text": "Hm.", "thought": True}
    call = {"functionCall": {"name": "look", "args": {"a": 1}, "id": "c1"}, "thoughtSignature": "s1"}
    second = {"functionCall": {"name": "look", "args": {}, "id": "c2"}}

    assert round_trip(chunk(thought), chunk(call), chunk(second), chunk({"text": ""}, finish="STOP")) == [
        thought,
        call,
        second,
    ]


def test_a_signature_at_the_end_of_a_streamed_text_comes_back_on_an_empty_part() -> None:
    parts = round_trip(chunk({"text": "A"}), chunk({"text": "b", "thoughtSignature": "s1"}), chunk({"text": "c"}))
    ends = round_trip(chunk({"text": "Abc"}), chunk({"text": "", "thoughtSignature": "s1"}, finish="STOP"))
    bare = round_trip(chunk({"text": "Abc"}), chunk({"thoughtSignature": "s1"}, finish="STOP"))

    assert parts == [{"text": "A"}, {"text": "b", "thoughtSignature": "s1"}, {"text": "c"}]
    assert ends == bare == [{"text": "Abc"}, {"text": "", "thoughtSignature": "s1"}]


def test_an_edited_text_keeps_its_signature_on_an_empty_part() -> None:
    items = output(chunk({"text": "A long answer.", "thoughtSignature": "s1"}, finish="STOP"))
    items[1]["content"][0]["text"] = "Short."

    assert write(FLASH_3, input=items).body["contents"][0]["parts"] == [
        {"text": "Short."},
        {"text": "", "thoughtSignature": "s1"},
    ]


def test_calls_without_their_reasoning_items_still_go_back() -> None:
    items = output(
        chunk({"functionCall": {"name": "look", "args": {}, "id": "c1"}, "thoughtSignature": "s"}, finish="STOP")
    )

    written = write(FLASH_3, input=[item for item in items if item["type"] != "reasoning"])

    assert written.body["contents"][0]["parts"][0]["thoughtSignature"] == "skip_thought_signature_validator"


def test_a_signed_image_comes_back_with_its_signature() -> None:
    image = {"inlineData": {"mimeType": "image/jpeg", "data": "AAAA"}, "thoughtSignature": "s1"}

    items = output(chunk(image, finish="STOP"))

    assert items[1]["type"] == "image_generation_call"
    assert items[1]["result"] == "AAAA"
    assert round_trip(chunk(image, finish="STOP")) == [image]


def test_a_call_without_id_gets_one_that_is_not_sent_back() -> None:
    call = {"functionCall": {"name": "look", "args": {}}}

    items = output(chunk(call, finish="STOP"))

    assert items[0]["call_id"] == "call_gemini_1_0"
    assert round_trip(chunk(call, finish="STOP"), model=FLASH_2) == [call]


def test_reading_goes_on_after_the_first_finish_reason() -> None:
    items = output(chunk({"text": "One"}, finish="STOP"), chunk({"text": " two"}, finish="STOP"))

    assert items[0]["content"][0]["text"] == "One two"


def _counted(total: int) -> dict[str, Any]:
    usage = {"promptTokenCount": 3, "candidatesTokenCount": total, "totalTokenCount": 3 + total}
    return {**chunk({"text": "a"}), "usageMetadata": usage}


def test_the_tokens_of_the_last_chunk_count_however_the_stream_ends() -> None:
    chunks = [_counted(total) for total in range(1, 14)]
    fault = {"error": {"code": 503, "status": "UNAVAILABLE", "message": "Overloaded."}}

    cut, _ = hear(*chunks)
    failed, _ = hear(*chunks, fault)
    whole, _ = hear(*chunks, chunk(finish="STOP"))

    assert [draft.tokens.output for draft in (cut, failed, whole)] == [13, 13, 13]


def test_a_client_that_leaves_in_the_middle_is_billed_for_nearly_all_of_it() -> None:
    draft = Draft({}, response_id="resp_1")
    reader = gemini.reader(draft, {})

    for total in range(1, 14):
        reader.feed(Frame("", event=_counted(total)))
        assert 0 <= total - draft.tokens.output < 8


def test_what_is_asked_of_a_tool_and_cannot_be_said_is_noted() -> None:
    tools = [
        {"type": "function", "name": "f", "defer_loading": True, "cache_control": {"type": "ephemeral"}},
        {"type": "web_search", "external_web_access": False, "search_context_size": "low"},
        {"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "4g"}},
    ]

    assert write(FLASH_2, tools=tools).notes == (
        "tools[1].external_web_access: dropped",
        "tools[1].search_context_size: dropped",
        "tools[2].container.memory_limit: dropped",
        "tools[0].defer_loading: dropped",
        "tools[0].cache_control: dropped",
    )
    strict = {"type": "function", "name": "f", "strict": True}
    assert write("gemini-2.0-flash", tools=[strict]).notes == ("tools.strict: dropped",)


def test_a_stream_without_finish_reason_was_cut() -> None:
    draft, events = hear(chunk({"text": "One"}))

    assert check(events)["status"] == "failed"
    assert isinstance(draft.error, UpstreamError)
    assert draft.error.kind == "truncated"


def test_a_whole_body_without_finish_reason_was_not() -> None:
    draft = Draft({}, stream=False)
    gemini.reader(draft, {}).whole(chunk({"text": "One"}))

    assert draft.response["status"] == "completed"


@pytest.mark.parametrize(
    ("reason", "status", "detail"),
    [
        ("MAX_TOKENS", "incomplete", "max_output_tokens"),
        ("SAFETY", "incomplete", "content_filter"),
        ("MODEL_ARMOR", "incomplete", "content_filter"),
        ("IMAGE_SAFETY", "incomplete", "content_filter"),
        ("A_NEW_REASON", "completed", None),
    ],
)
def test_finish_reasons(reason: str, status: str, detail: str | None) -> None:
    draft, events = hear(chunk(finish=reason))
    response = check(events)

    assert response["status"] == status
    assert (response["incomplete_details"] or {}).get("reason") == detail
    assert draft.notes == (["finish reason A_NEW_REASON"] if reason == "A_NEW_REASON" else [])


def test_an_invalid_call_fails_unless_the_call_is_there() -> None:
    failed, events = hear(chunk(finish="MALFORMED_FUNCTION_CALL", finishMessage="Malformed function call: print("))
    stands, others = hear(chunk({"functionCall": {"name": "other", "args": {}}}, finish="UNEXPECTED_TOOL_CALL"))

    assert check(events)["error"] == {"code": "malformed_function_call", "message": "Malformed function call: print("}
    assert isinstance(failed.error, UpstreamError)
    assert failed.error.kind == "server"
    assert check(others)["output"][0]["name"] == "other"
    assert stands.stopped == "tool_calls"
    assert stands.notes == ["finish reason UNEXPECTED_TOOL_CALL"]


def test_arguments_by_json_path_are_put_together_even_if_the_end_is_missing() -> None:
    def call(**fields: Any) -> dict[str, Any]:
        return chunk({"functionCall": {"willContinue": True, **fields}})

    items = output(
        call(name="order"),
        call(partialArgs=[{"jsonPath": "$.items[0].name", "stringValue": "ap", "willContinue": True}]),
        call(partialArgs=[{"jsonPath": "$.items[0].name", "stringValue": "ple"}]),
        call(partialArgs=[{"jsonPath": "$.items[0]['the price']", "numberValue": 2.0}]),
        call(
            partialArgs=[
                {"jsonPath": "$.items[1].name", "stringValue": "pear"},
                {"jsonPath": "$.gift", "nullValue": "NULL_VALUE"},
            ]
        ),
        chunk(finish="STOP"),
    )

    assert json.loads(items[0]["arguments"]) == {
        "items": [{"name": "apple", "the price": 2}, {"name": "pear"}],
        "gift": None,
    }


def test_citations_count_bytes_there_and_characters_here() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://example.com", "title": "Example"}}],
        "groundingSupports": [{"segment": {"startIndex": 6, "endIndex": 12}, "groundingChunkIndices": [0, 7]}],
    }

    items = output(
        chunk({"text": "Über "}), chunk({"text": "größe"}), chunk(finish="STOP", groundingMetadata=grounding)
    )

    annotation = items[0]["content"][0]["annotations"][0]
    assert "Über größe"[annotation["start_index"] : annotation["end_index"]] == "größ"
    assert annotation == {"type": "url_citation", "url": "https://example.com", "title": "Example"} | {
        "start_index": 5,
        "end_index": 9,
    }


def test_citations_stay_with_the_message_that_they_are_about() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://example.com/1"}}, {"web": {"uri": "https://example.com/2"}}],
        "groundingSupports": [
            {"segment": {"endIndex": 3, "text": "One"}, "groundingChunkIndices": [0]},
            {"segment": {"startIndex": 3, "endIndex": 6, "text": "Two"}, "groundingChunkIndices": [1]},
        ],
    }
    code = [{"executableCode": {"code": "1"}}, {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "no"}}]

    items = output(chunk({"text": "One"}, *code, {"text": "Two"}, finish="STOP", groundingMetadata=grounding))

    assert [item["type"] for item in items] == ["message", "code_interpreter_call", "reasoning", "message"]
    assert items[1]["status"] == "failed"
    assert [a["url"] for a in items[0]["content"][0]["annotations"]] == ["https://example.com/1"]
    assert [(a["url"], a["start_index"], a["end_index"]) for a in items[3]["content"][0]["annotations"]] == [
        ("https://example.com/2", 0, 3)
    ]


def test_a_search_that_only_the_grounding_tells_of_is_a_call() -> None:
    grounding = {"webSearchQueries": ["a", "b"], "groundingChunks": [{"web": {"uri": "https://example.com"}}]}
    pages = {"urlMetadata": [{"retrievedUrl": "https://example.com/page"}]}

    whole = output(chunk({"text": "Yes."}, finish="STOP", groundingMetadata=grounding, urlContextMetadata=pages))
    streamed, _ = hear(chunk({"text": "Yes."}), chunk(finish="STOP", groundingMetadata=grounding))

    assert [item["type"] for item in whole] == ["web_search_call", "web_search_call", "message"]
    assert whole[0]["action"]["queries"] == ["a", "b"]
    assert whole[1]["action"] == {"type": "open_page", "url": "https://example.com/page"}
    assert [item["type"] for item in streamed.response["output"]] == ["message", "web_search_call"]


def test_pieces_of_audio_are_one_part() -> None:
    def piece(data: str) -> dict[str, Any]:
        return chunk({"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": data}})

    (item,) = output(piece("AA=="), piece("AQI="), chunk(finish="STOP"))

    assert item["content"] == [
        {"type": "output_audio", "data": "AAEC", "transcript": "", "mime_type": "audio/L16;codec=pcm;rate=24000"}
    ]


def test_usage_is_disjoint_and_adds_up() -> None:
    metadata = {
        "promptTokenCount": 1000,
        "cachedContentTokenCount": 600,
        "toolUsePromptTokenCount": 50,
        "candidatesTokenCount": 30,
        "thoughtsTokenCount": 20,
        "totalTokenCount": 1100,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 700},
            {"modality": "AUDIO", "tokenCount": 200},
            {"modality": "IMAGE", "tokenCount": 100},
        ],
        "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 500}, {"modality": "AUDIO", "tokenCount": 100}],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 25}],
        "serviceTier": "priority",
    }

    draft, _ = hear({**chunk({"text": "x"}, finish="STOP"), "usageMetadata": metadata})
    tokens = draft.tokens

    assert (tokens.input, tokens.input_audio, tokens.input_image) == (250, 100, 100)
    assert (tokens.cache_read, tokens.cache_read_audio) == (500, 100)
    assert (tokens.output, tokens.output_image, tokens.reasoning) == (5, 25, 20)
    assert tokens.total_tokens == 1100
    assert draft.served_tier == "priority"


def test_a_traffic_type_alone_is_no_usage() -> None:
    first = {**chunk({"text": "x"}), "usageMetadata": {"trafficType": "ON_DEMAND_FLEX"}}

    draft, _ = hear(first)

    assert draft.tokens.source == "none"
    assert draft.served_tier == "flex"


def test_log_probabilities_are_told_with_the_text() -> None:
    result = {"chosenCandidates": [{"token": "é", "logProbability": -0.5}], "topCandidates": [None]}

    (item,) = output(chunk({"text": "é"}, finish="STOP", logprobsResult=result))

    assert item["content"][0]["logprobs"] == [{"token": "é", "logprob": -0.5, "bytes": [195, 169], "top_logprobs": []}]


# --------------------------------------------------------------------------------------------------------------- errors


def failure(status: int, name: str, *details: dict[str, Any]) -> UpstreamError:
    body = {"error": {"code": status, "message": "No.", "status": name, "details": list(details)}}
    return gemini.error(status, json.dumps(body).encode(), {})


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (400, "INVALID_ARGUMENT", "bad_request"),
        (401, "UNAUTHENTICATED", "auth"),
        (403, "PERMISSION_DENIED", "auth"),
        (404, "NOT_FOUND", "not_found"),
        (429, "RESOURCE_EXHAUSTED", "rate_limit"),
        (500, "INTERNAL", "server"),
        (503, "UNAVAILABLE", "overloaded"),
        (504, "DEADLINE_EXCEEDED", "timeout"),
        (499, "CANCELLED", "server"),
        (502, "", "server"),
        (418, "", "bad_request"),
    ],
)
def test_kind_follows_from_the_status(status: int, name: str, kind: str) -> None:
    error = failure(status, name)

    assert (error.kind, error.message, error.upstream_status) == (kind, "No.", status)


def test_a_wrong_key_is_a_400_with_a_reason() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}

    error = failure(400, "INVALID_ARGUMENT", info)

    assert (error.kind, error.status) == ("auth", 401)


def test_retry_time_and_request_id_are_in_the_details() -> None:
    error = failure(
        429,
        "RESOURCE_EXHAUSTED",
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "48.9s"},
        {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "req-7"},
    )

    assert (error.retry_after, error.request_id) == (48.9, "req-7")


@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad Gateway</html>", b"[]", b"null", b'{"error": "no"}', b"\xff{", b"[{}]"]
)
def test_an_error_body_may_be_anything(body: bytes) -> None:
    error = gemini.error(503, body, {"Retry-After": "7"})

    assert (error.kind, error.retry_after) == ("overloaded", 7.0)
    assert error.message


def test_an_error_between_the_chunks_keeps_kind_and_message() -> None:
    raw = b'data: {"candidates":[{"content":{"parts":[{"text":"One"}]}}]}\r\n\r\n'
    raw += b'{\n  "error": {\n    "code": 503,\n    "message": "Overloaded.",\n    "status": "UNAVAILABLE"\n  }\n}\n'
    decoder = SSEDecoder()
    frames = [*decoder.feed(raw), *decoder.flush()]
    draft = Draft({})
    reader = gemini.reader(draft, {})
    reader.feed(frames[0])

    with pytest.raises(UpstreamError, match="Overloaded") as raised:
        reader.feed(frames[1])

    assert raised.value.kind == "overloaded"


def test_an_error_first_begins_nothing() -> None:
    draft = Draft({})

    with pytest.raises(UpstreamError):
        gemini.reader(draft, {}).feed(Frame("", event=[{"error": {"code": 500, "message": "x"}}]))

    assert draft.frames == []


# ----------------------------------------------------------------------------------------------------------------- fuzz

JUNK = (
    st.none() | st.booleans() | st.integers(-2, 9) | st.text(max_size=4) | st.just([]) | st.just({}) | st.just([None])
)
BLOB = st.fixed_dictionaries(
    {}, optional={"mimeType": st.sampled_from(["audio/x", "image/png", ""]) | JUNK, "data": JUNK}
)
CALL = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("look") | JUNK,
        "args": st.just({"a": 1}) | JUNK,
        "id": st.sampled_from(["a", "b"]) | JUNK,
        "willContinue": JUNK,
        "partialArgs": st.lists(
            st.fixed_dictionaries({"jsonPath": st.sampled_from(["$.a[0]", "$.a.b", "$", "x"]), "stringValue": JUNK})
        ),
        "toolType": st.sampled_from(["FILE_SEARCH", "GOOGLE_SEARCH_WEB", "URL_CONTEXT", "NEW"]) | JUNK,
        "code": JUNK,
    },
)
PART = JUNK | st.fixed_dictionaries(
    {},
    optional={
        "text": st.text(max_size=5) | JUNK,
        "thought": JUNK,
        "thoughtSignature": st.just("c2ln") | JUNK,
        "inlineData": BLOB | JUNK,
        **dict.fromkeys(
            ("functionCall", "executableCode", "codeExecutionResult", "toolCall", "toolResponse"), CALL | JUNK
        ),
    },
)
SUPPORT = st.fixed_dictionaries(
    {"segment": st.fixed_dictionaries({}, optional={"startIndex": JUNK, "endIndex": JUNK, "text": JUNK}) | JUNK},
    optional={"groundingChunkIndices": st.lists(st.integers(-1, 3)) | JUNK},
)
GROUNDING = JUNK | st.fixed_dictionaries(
    {},
    optional={
        "webSearchQueries": st.lists(JUNK) | JUNK,
        "groundingChunks": st.lists(JUNK | st.just({"web": {"uri": "https://example.com"}})) | JUNK,
        "groundingSupports": st.lists(SUPPORT | JUNK) | JUNK,
    },
)
CANDIDATE = JUNK | st.fixed_dictionaries(
    {"content": JUNK | st.fixed_dictionaries({"parts": st.lists(PART, max_size=4) | JUNK})},
    optional={
        "index": JUNK,
        "finishReason": st.sampled_from(["STOP", "MAX_TOKENS", "UNEXPECTED_TOOL_CALL"]) | JUNK,
        "groundingMetadata": GROUNDING,
        "urlContextMetadata": JUNK,
        "logprobsResult": JUNK,
    },
)
CHUNK = JUNK | st.fixed_dictionaries(
    {"candidates": st.lists(CANDIDATE, max_size=2) | JUNK},
    optional={
        "usageMetadata": JUNK
        | st.dictionaries(st.sampled_from(["promptTokenCount", "totalTokenCount", "serviceTier"]), JUNK),
        "promptFeedback": JUNK,
        "modelVersion": JUNK,
        "error": JUNK,
        "news": JUNK,
    },
)


@settings(max_examples=300, deadline=None)
@given(st.lists(CHUNK, max_size=5))
def test_nothing_that_arrives_breaks_the_protocol_or_the_next_request(chunks: list[Any]) -> None:
    _, events = hear(*chunks)

    items = check(events)["output"]
    written = gemini.write({"input": [{"role": "user", "content": "?"}, *items]}, FLASH_3)
    json.dumps(written.body)


def test_a_foreign_seal_is_left_out_with_a_note() -> None:
    other = {"type": "reasoning", "summary": [], "encrypted_content": seals.seal("anthropic", {"signature": "x"})}

    assert write(input=[other, {"role": "user", "content": "?"}]).notes == ("reasoning: foreign, left out",)
