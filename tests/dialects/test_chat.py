"""Chat Completions: what is written and what is read, rule by rule. Whole cases are in tests/recordings/chat."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol import check
from tollbook.dialects import chat
from tollbook.dialects.chat.reasoning import ThinkTags
from tollbook.dialects.chat.tokens import read_usage
from tollbook.errors import Unsupported, UpstreamError
from tollbook.providers.hosts import HOSTS
from tollbook.responses.draft import Draft
from tollbook.responses.usage import Usage
from tollbook.transport.frame import Frame

FUNCTION = {"type": "function", "name": "get", "parameters": {"type": "object", "properties": {}}}


def spoken(host: str) -> chat.Chat:
    return chat.Chat(HOSTS[host].manner)


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}], **more}


def heard(
    *chunks: Any, dialect: Any = chat, request: dict[str, Any] | None = None, done: bool = True
) -> tuple[dict[str, Any], Draft]:
    """The Response at the end of a stream of these chunks; the events kept the protocol."""
    request = request or {"model": "m"}
    draft = Draft(request, response_id="resp_00")
    reader = dialect.reader(draft, request)
    for value in chunks:
        reader.feed(Frame("", json.dumps(value).encode()))
    if done:
        reader.feed(Frame("", b"[DONE]"))
    reader.end()
    return check([frame.event for frame in draft.take()]), draft


def output(response: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [item for item in response["output"] if item["type"] == kind]


def call(**fields: Any) -> dict[str, Any]:
    return {"tool_calls": [fields]}


# ------------------------------------------------------------------------------------------------------------ writing


def test_all_content_without_an_equivalent_is_named_at_once() -> None:
    request = {
        "input": [
            {"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}, {"type": "hologram"}]},
            {"type": "computer_call_output", "call_id": "c", "output": {}},
        ],
        "tools": [{"type": "file_search", "vector_store_ids": []}],
        "prompt": {"id": "p"},
    }

    with pytest.raises(Unsupported) as refused:
        chat.write(request, "m")

    assert set(refused.value.params) == {
        "input[0].content[0].file_id",
        "input[0].content[1].type=hologram",
        "input[1].type=computer_call_output",
        "tools[0].type=file_search",
        "prompt",
    }


def test_drop_notes_what_would_have_been_refused() -> None:
    written = chat.write({"input": "Hi", "tools": [{"type": "file_search"}]}, "m", drop=True)

    assert written.notes == ("tools[0].type=file_search: dropped",)
    assert "tools" not in written.body


def test_only_parameters_of_the_model_are_noted_not_those_of_the_gateway() -> None:
    request = {"input": "Hi", "store": False, "metadata": {"a": "b"}, "include": [], "max_tool_calls": 2, "top_k": 4}

    assert chat.write(request, "m").notes == ("max_tool_calls: dropped", "top_k: dropped")
    assert spoken("together_ai").write(request, "m").body["top_k"] == 4


def test_streaming_asks_for_usage_where_the_host_knows_how() -> None:
    request = {"input": "Hi", "stream": True}

    assert chat.write(request, "m").body["stream_options"] == {"include_usage": True}
    assert "stream_options" not in spoken("mistral").write(request, "m").body


def test_hosted_calls_of_the_history_are_left_out_with_a_note() -> None:
    written = chat.write({"input": [{"type": "web_search_call", "id": "ws_1"}, {"role": "user", "content": "Go"}]}, "m")

    assert written.body["messages"] == [{"role": "user", "content": "Go"}]
    assert written.notes == ("web_search_call: left out",)


def test_developer_is_system_where_the_host_does_not_know_it() -> None:
    request = {"input": [{"role": "developer", "content": "Short."}]}

    assert chat.write(request, "m").body["messages"][0]["role"] == "developer"
    assert spoken("groq").write(request, "m").body["messages"][0]["role"] == "system"


def test_turns_of_one_role_are_merged_where_they_must_alternate() -> None:
    request = {
        "instructions": "A",
        "input": [{"role": "system", "content": "B"}, *[{"role": "user", "content": "C"}] * 2],
    }

    assert spoken("perplexity").write(request, "sonar").body["messages"] == [
        {"role": "system", "content": "A\n\nB"},
        {"role": "user", "content": "C\n\nC"},
    ]


def test_reasoning_text_and_calls_of_a_turn_are_one_message() -> None:
    request = {
        "input": [
            {"role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
            {"type": "function_call", "call_id": "a", "name": "get", "arguments": ""},
            {"type": "function_call", "call_id": "b", "name": "get", "namespace": "crm", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "1"},
            {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "2"}]},
        ]
    }

    messages = chat.write(request, "m").body["messages"]

    assert [m["role"] for m in messages] == ["assistant", "tool", "tool"]
    assert messages[0]["content"] == "I look."
    assert [c["function"] for c in messages[0]["tool_calls"]] == [
        {"name": "get", "arguments": "{}"},
        {"name": "crm__get", "arguments": "{}"},
    ]
    assert [m["content"] for m in messages[1:]] == ["1", "2"]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", "auto"),
        ("required", "required"),
        ({"type": "function", "name": "get"}, {"type": "function", "function": {"name": "get"}}),
        ({"type": "custom", "name": "get"}, {"type": "function", "function": {"name": "get"}}),
        ({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "get"}]}, "required"),
    ],
)
def test_tool_choice(choice: Any, sent: Any) -> None:
    request = {"input": "Hi", "tools": [FUNCTION, {**FUNCTION, "name": "other"}], "tool_choice": choice}

    body = chat.write(request, "m").body

    assert body["tool_choice"] == sent
    only_allowed = isinstance(choice, dict) and choice["type"] == "allowed_tools"
    assert len(body["tools"]) == (1 if only_allowed else 2)


@pytest.mark.parametrize(
    ("host", "effort", "sent"),
    [
        ("groq", "high", {"reasoning_effort": "high"}),
        ("mistral", "minimal", {"reasoning_effort": "low"}),
        ("mistral", "none", {"reasoning_effort": "none"}),
        ("openrouter", "none", {"reasoning": {"effort": "none"}}),
        ("deepseek", "none", {"thinking": {"type": "disabled"}}),
        ("deepseek", "high", {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
        ("dashscope", "none", {"enable_thinking": False}),
        ("hosted_vllm", "none", {"chat_template_kwargs": {"enable_thinking": False}}),
    ],
)
def test_reasoning_effort_in_the_words_of_the_host(host: str, effort: str, sent: dict[str, Any]) -> None:
    plain = spoken(host).write({"input": "Hi"}, "m").body

    body = spoken(host).write({"input": "Hi", "reasoning": {"effort": effort}}, "m").body

    assert {name: value for name, value in body.items() if name not in plain} == sent


def test_schema_is_told_in_words_where_only_json_mode_exists() -> None:
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}

    written = spoken("deepseek").write({"input": "Hi", "text": {"format": form}}, "m")

    assert written.body["response_format"] == {"type": "json_object"}
    assert '{"type":"object"}' in written.body["messages"][0]["content"]
    assert written.notes == ("text.format: adapted (JSON mode, the schema is in the instructions)",)


def test_files_in_the_form_of_the_host() -> None:
    def part(host: str, **fields: str) -> dict[str, Any]:
        request = {"input": [{"role": "user", "content": [{"type": "input_file", **fields}]}]}
        found: dict[str, Any] = spoken(host).write(request, "m").body["messages"][0]["content"][0]
        return found

    pdf = "data:application/pdf;base64,JVBERi0="
    assert part("mistral", file_url="https://e.com/a.pdf") == {
        "type": "document_url",
        "document_url": "https://e.com/a.pdf",
    }
    assert part("perplexity", file_data=pdf, filename="a.pdf") == {
        "type": "file_url",
        "file_url": {"url": "JVBERi0="},
        "file_name": "a.pdf",
    }
    assert part("groq", file_data="JVBERi0=", filename="a.pdf")["file"] == {"filename": "a.pdf", "file_data": pdf}
    assert spoken("mistral").inlines_urls == frozenset()
    assert chat.inlines_urls == {"input_file"}


def test_cache_marks_stay_where_the_host_knows_them() -> None:
    mark = {"type": "ephemeral"}
    content = [{"type": "input_text", "text": "Long", "cache_control": mark}]
    request = {"input": [{"role": "user", "content": content}], "tools": [{**FUNCTION, "cache_control": mark}]}

    body = spoken("openrouter").write(request, "m").body

    assert body["messages"][0]["content"] == [{"type": "text", "text": "Long", "cache_control": mark}]
    assert body["tools"][0]["cache_control"] == mark
    assert set(chat.write(request, "m").notes) == {"cache_control: dropped", "tools.cache_control: dropped"}


def test_web_search_in_the_words_of_the_host() -> None:
    request = {"input": "Hi", "tools": [{"type": "web_search", "filters": {"allowed_domains": ["a.com"]}}]}

    assert spoken("openrouter").write(request, "m").body["tools"] == [
        {"type": "openrouter:web_search", "parameters": {"allowed_domains": ["a.com"]}}
    ]
    body = spoken("perplexity").write(request, "sonar").body
    assert body["web_search_options"] == {}
    assert body["search_domain_filter"] == ["a.com"]
    with pytest.raises(Unsupported):
        chat.write(request, "gpt-4o")


def test_where_to_search_is_told_or_refused_and_never_forgotten() -> None:
    filters = {"allowed_domains": ["a.com"], "blocked_domains": ["b.com"]}
    request = {"input": "Hi", "tools": [{"type": "web_search", "filters": filters, "external_web_access": False}]}

    openrouter = spoken("openrouter").write(request, "m")
    perplexity = spoken("perplexity").write(request, "sonar")

    parameters = {"allowed_domains": ["a.com"], "excluded_domains": ["b.com"]}
    assert openrouter.body["tools"] == [{"type": "openrouter:web_search", "parameters": parameters}]
    assert perplexity.body["search_domain_filter"] == ["a.com", "-b.com"]
    assert openrouter.notes == perplexity.notes == ("tools[0].external_web_access: dropped",)
    with pytest.raises(
        Unsupported, match=r"tools\[0\]\.filters\.allowed_domains, tools\[0\]\.filters\.blocked_domains"
    ):
        chat.write(request, "gpt-4o-search-preview")


def test_what_a_tool_says_of_itself_and_no_other_api_knows_is_noted() -> None:
    inner = {**FUNCTION, "output_schema": {"type": "object"}}
    tools = [
        {**FUNCTION, "defer_loading": True},
        {"type": "namespace", "name": "n", "description": "N", "tools": [inner]},
    ]

    notes = chat.write({"input": "Hi", "tools": tools}, "m").notes

    assert notes == (
        "tools[0].defer_loading: dropped",
        "tools[1].description: dropped",
        "tools[1].tools[0].output_schema: dropped",
    )


def test_citations_of_the_history_stay_behind_with_a_note() -> None:
    part = {"type": "output_text", "text": "Sunny.", "annotations": [{"type": "url_citation", "url": "https://a.com"}]}

    written = chat.write({"input": [{"role": "assistant", "content": [part]}]}, "m")

    assert written.body["messages"] == [{"role": "assistant", "content": "Sunny."}]
    assert written.notes == ("annotations: left out (the text is sent without them)",)


def test_a_schemas_description_is_told_where_the_schema_is() -> None:
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "description": "What to say."}

    body = spoken("deepseek").write({"input": "Hi", "text": {"format": form}}, "m").body

    assert body["messages"][0]["content"].endswith('{"type":"object","description":"What to say."}')


@pytest.mark.parametrize(
    ("host", "delta", "returned"),
    [
        ("deepseek", {"reasoning_content": "Hm."}, {"reasoning_content": "Hm."}),
        ("groq", {"reasoning": "Hm."}, {"reasoning": "Hm."}),
        (
            "openrouter",
            {"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "signature": "s"}]},
            {"reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "signature": "s"}]},
        ),
        (
            "mistral",
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]},
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]},
        ),
    ],
)
def test_reasoning_goes_back_to_its_maker_only(host: str, delta: dict[str, Any], returned: dict[str, Any]) -> None:
    dialect = spoken(host)
    answer, _ = heard(
        chunk(delta), chunk(call(index=0, id="c", function={"name": "get"}), "tool_calls"), dialect=dialect
    )
    request = {"input": [*answer["output"], {"type": "function_call_output", "call_id": "c", "output": "1"}]}

    turn = dialect.write(request, "m").body["messages"][0]
    elsewhere = spoken("cerebras").write(request, "m")

    assert turn.items() >= returned.items()
    assert [c["id"] for c in turn["tool_calls"]] == ["c"]
    assert elsewhere.body["messages"][0].keys() == {"role", "tool_calls"}
    assert "reasoning: foreign, left out" in elsewhere.notes


def test_thought_signature_goes_back_to_its_call() -> None:
    dialect = spoken("gemini_openai")
    extra = {"google": {"thought_signature": "sig"}}
    fragment = {"id": "", "type": "function", "function": {"name": "get", "arguments": "{}"}, "extra_content": extra}
    answer, _ = heard(chunk({"tool_calls": [fragment]}, "stop"), dialect=dialect)

    messages = dialect.write({"input": answer["output"]}, "m").body["messages"]

    assert [item["type"] for item in answer["output"]] == ["reasoning", "function_call"]
    assert [c["extra_content"] for c in messages[0]["tool_calls"]] == [extra]


# ------------------------------------------------------------------------------------------------------------ reading


@pytest.mark.parametrize(
    "fragments",
    [
        [
            {"index": 0, "id": "a", "function": {"name": "get", "arguments": '{"x":'}},
            {"index": 0, "function": {"arguments": "1}"}},
        ],
        [
            {"index": 0, "id": "a", "function": {"name": "get", "arguments": ""}},
            {"index": 0, "id": "", "function": {"arguments": '{"x":1}'}},
        ],
        [{"id": "a", "function": {"name": "get", "arguments": '{"x":1}'}}],
        [{"id": "a", "function": {"name": "get"}}, {"function": {"arguments": '{"x":1}'}}],
        [
            {"index": 0, "id": "a", "function": {"arguments": '{"x"'}},
            {"index": 0, "function": {"name": "get", "arguments": ":1}"}},
        ],
        [{"index": 0, "id": "a", "function": {"name": "get", "arguments": {"x": 1}}}],
        [
            {"index": 0, "id": "a", "function": {"name": "get", "arguments": "null"}},
            {"index": 0, "id": "a", "function": {"name": "get", "arguments": '{"x":1}'}},
        ],
    ],
)
def test_fragments_of_a_call_however_they_are_marked(fragments: list[dict[str, Any]]) -> None:
    answer, _ = heard(*(chunk({"tool_calls": [f]}) for f in fragments), chunk({}, "tool_calls"))

    assert [(c["call_id"], c["name"], c["arguments"]) for c in output(answer, "function_call")] == [
        ("a", "get", '{"x":1}')
    ]


@pytest.mark.parametrize("index", [{}, {"index": 0}, None])
def test_calls_without_an_index_of_their_own_are_told_apart(index: dict[str, int] | None) -> None:
    """Gemini gives neither index nor id; some hosts number every call 0."""
    ids = ["", ""] if index is None else ["a", "b"]
    calls = [
        {**(index or {}), "id": i, "function": {"name": n, "arguments": "{}"}} for i, n in zip(ids, "xy", strict=True)
    ]

    answer, _ = heard(chunk({"tool_calls": calls}, "stop"))

    assert [c["name"] for c in output(answer, "function_call")] == ["x", "y"]
    assert len({c["call_id"] for c in output(answer, "function_call")}) == 2


def test_arguments_null_or_missing_are_an_empty_object() -> None:
    for function in ({"name": "get", "arguments": "null"}, {"name": "get"}, {"name": "get", "arguments": None}):
        answer, _ = heard(chunk(call(index=0, id="a", function=function), "tool_calls"))

        assert output(answer, "function_call")[0]["arguments"] == "{}"


@pytest.mark.parametrize(
    ("reason", "status"),
    [("stop", "completed"), ("eos", "completed"), ("length", "incomplete"), ("content_filter", "incomplete")],
)
def test_finish_reasons(reason: str, status: str) -> None:
    answer, draft = heard(chunk({"content": "Hi"}), chunk({}, reason))

    assert answer["status"] == status
    assert draft.stopped == {"eos": "stop"}.get(reason, reason)


def test_stop_beside_calls_means_calls() -> None:
    _, draft = heard(chunk(call(index=0, id="a", function={"name": "get"}), "stop"))

    assert draft.stopped == "tool_calls"


def test_done_ends_a_stream_without_finish_reason_and_nothing_else_does() -> None:
    answer, _ = heard(chunk({"content": "Hi"}))

    assert answer["status"] == "completed"
    with pytest.raises(UpstreamError) as cut:
        heard(chunk({"content": "Hi"}), done=False)
    assert cut.value.kind == "truncated"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"error": {"message": "Slow down", "code": 429}}, "rate_limit"),
        ({"error": {"message": "Slow down", "code": "rate_limit_exceeded"}}, "rate_limit"),
        ({"error": {"message": "Slow down", "code": 502}}, "server"),
        ({"error": "Slow down"}, "server"),
        ({"object": "error", "message": "Slow down", "type": "BadRequestError", "code": 400}, "bad_request"),
        ([{"error": {"code": 503, "message": "Slow down", "status": "UNAVAILABLE"}}], "overloaded"),
        (
            {
                "choices": [
                    {"index": 0, "delta": {}, "finish_reason": "error", "error": {"code": 503, "message": "Slow down"}}
                ]
            },
            "overloaded",
        ),
    ],
)
def test_errors_inside_a_stream(error: Any, kind: str) -> None:
    with pytest.raises(UpstreamError, match="Slow down") as told:
        heard(chunk({"content": "Hi"}), error)

    assert told.value.kind == kind


def test_an_event_that_is_not_json_is_the_servers_fault() -> None:
    reader = chat.reader(Draft({}), {})

    with pytest.raises(UpstreamError) as broken:
        reader.feed(Frame("", b'{"choices": ['))

    assert broken.value.kind == "server"


def test_the_same_reasoning_under_several_names_is_told_once() -> None:
    details = [{"type": "reasoning.text", "text": "Hm", "index": 0}]

    answer, _ = heard(
        chunk({"reasoning": "Hm", "reasoning_content": "Hm", "reasoning_details": details}), chunk({}, "stop")
    )

    assert output(answer, "reasoning")[0]["content"] == [{"type": "reasoning_text", "text": "Hm"}]


def test_summaries_of_reasoning_are_summaries() -> None:
    details = [
        {"type": "reasoning.summary", "summary": "Short", "index": 0},
        {"type": "reasoning.encrypted", "data": "x"},
    ]

    answer, _ = heard(chunk({"reasoning": None, "reasoning_details": details}), chunk({"content": "Hi"}, "stop"))

    assert [part["text"] for part in output(answer, "reasoning")[0]["summary"]] == ["Short"]


@pytest.mark.parametrize("cut", range(1, 30))
def test_think_tags_are_found_wherever_they_are_cut(cut: int) -> None:
    text = "<think>\nwell < </thin>\n</think>\n\nAnswer <think>"
    tags = ThinkTags()

    pieces = [tags.feed(text[:cut]), tags.feed(text[cut:]), tags.flush()]

    assert "".join(thought for thought, _ in pieces) == "well < </thin>\n"
    assert "".join(answer for _, answer in pieces) == "Answer <think>"


def test_think_tags_are_text_unless_the_host_is_known_for_them() -> None:
    chunks = [chunk({"content": "<thi"}), chunk({"content": "nk>a</think>b"}), chunk({}, "stop")]

    plain, _ = heard(*chunks)
    split, _ = heard(*chunks, dialect=chat.Chat(chat.Manner(think_tags=True)))

    assert output(plain, "message")[0]["content"][0]["text"] == "<think>a</think>b"
    assert output(split, "reasoning")[0]["content"][0]["text"] == "a"
    assert output(split, "message")[0]["content"][0]["text"] == "b"


def test_perplexity_points_at_its_sources_by_number() -> None:
    sources = {"citations": ["https://a", "https://b"], "search_results": [{"url": "https://b", "title": "B"}]}

    answer, _ = heard(chunk({"content": "Yes [2]"}, **sources), chunk({"content": "."}, "stop", **sources))

    annotations = output(answer, "message")[0]["content"][0]["annotations"]
    assert [(a["url"], a["title"], a["start_index"], a["end_index"]) for a in annotations] == [
        ("https://a", "https://a", 8, 8),
        ("https://b", "B", 4, 7),
    ]


def test_tools_that_groq_ran_are_hosted_calls_and_counted() -> None:
    search = {"index": 0, "type": "search", "arguments": '{"query":"ruby"}'}
    code = {"index": 1, "type": "python", "arguments": '{"code":"1+1"}', "output": "2"}

    answer, draft = heard(
        chunk({"executed_tools": [search]}),
        chunk({"executed_tools": [{**search, "output": "found"}, code]}),
        chunk({"content": "Hi"}, "stop", x_groq={"usage": {"prompt_tokens": 1, "completion_tokens": 1}}),
    )

    assert output(answer, "web_search_call")[0]["action"]["query"] == "ruby"
    assert output(answer, "code_interpreter_call")[0]["outputs"] == [{"type": "logs", "logs": "2"}]
    assert draft.tokens.tools == {"web_search": 1, "code_interpreter": 1}


def test_a_whole_answer_says_what_the_stream_says() -> None:
    message = {
        "role": "assistant",
        "content": "Hi",
        "tool_calls": [{"id": "a", "function": {"name": "get", "arguments": "{}"}}],
    }
    draft = Draft({"model": "m"}, response_id="resp_00", stream=False)

    chat.reader(draft, {}).whole({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    streamed, _ = heard(chunk({"content": "Hi"}), chunk({"tool_calls": message["tool_calls"]}, "stop"))
    assert draft.response["output"] == streamed["output"]


@pytest.mark.parametrize("body", [None, [], "x", {}, {"choices": None}, {"error": {"message": "no"}}])
def test_a_whole_answer_without_choices_is_an_error(body: Any) -> None:
    with pytest.raises(UpstreamError):
        chat.reader(Draft({}), {}).whole(body)


# -------------------------------------------------------------------------------------------------------------- usage


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param(
            {
                "prompt_tokens": 100,
                "completion_tokens": 30,
                "total_tokens": 130,
                "prompt_tokens_details": {"cached_tokens": 40, "audio_tokens": 10, "cache_write_tokens": 5},
                "completion_tokens_details": {"reasoning_tokens": 12, "audio_tokens": 3},
            },
            Usage(input=45, cache_read=40, cache_write=5, input_audio=10, output=15, reasoning=12, output_audio=3),
            id="openai: subsets",
        ),
        pytest.param(
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 35,
                "cost_in_usd_ticks": 2071250,
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(input=10, output=5, reasoning=20, reported_cost=207125),
            id="xai: reasoning beside completion, cost in ticks",
        ),
        pytest.param(
            {
                "prompt_tokens": 11,
                "completion_tokens": 15,
                "total_tokens": 401,
                "prompt_tokens_details": {"audio_tokens": 375},
            },
            Usage(input=11, input_audio=375, output=15),
            id="mistral: audio beside prompt",
        ),
        pytest.param(
            {"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109},
            Usage(input=35, output=12, reasoning=62),
            id="gemini: thoughts only in the total",
        ),
        pytest.param(
            {
                "prompt_tokens": 28,
                "completion_tokens": 9,
                "total_tokens": 37,
                "cost": 0.000992,
                "completion_tokens_details": {"reasoning_tokens": 69},
            },
            Usage(input=28, output=9, reasoning=69, reported_cost=992000),
            id="vercel: thoughts beside completion and total",
        ),
        pytest.param(
            {"prompt_tokens": 20, "completion_tokens": 1, "prompt_cache_hit_tokens": 16, "prompt_cache_miss_tokens": 4},
            Usage(input=4, cache_read=16, output=1),
            id="deepseek: cache hits",
        ),
        pytest.param(
            {
                "prompt_tokens": 14,
                "completion_tokens": 164,
                "cost": 0,
                "is_byok": True,
                "cost_details": {"upstream_inference_cost": 0.00417},
            },
            Usage(input=14, output=164, reported_cost=4170000),
            id="openrouter: the user's own key",
        ),
        pytest.param(
            {"prompt_tokens": 8, "completion_tokens": 5, "num_search_queries": 3, "cost": {"total_cost": 0.00501}},
            Usage(input=8, output=5, tools={"web_search": 3}, reported_cost=5010000),
            id="perplexity: searches",
        ),
        pytest.param(
            {"prompt_tokens": None, "completion_tokens": "x", "prompt_tokens_details": []}, Usage(), id="nonsense"
        ),
        pytest.param(
            {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 900}},
            Usage(cache_read=5, output=2),
            id="a subset larger than its total",
        ),
    ],
)
def test_usage_in_disjoint_kinds(told: dict[str, Any], expected: Usage) -> None:
    assert read_usage(told, {}) == expected


def test_the_last_usage_counts_and_may_come_anywhere() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": None}

    _, draft = heard(
        chunk({"content": "Hi"}, usage=usage),
        chunk({}, "stop", usage=None),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 7}},
    )

    assert (draft.tokens.input_tokens, draft.tokens.output_tokens) == (3, 7)


# ------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (401, b'{"detail":"Invalid API Key"}', "auth", "Invalid API Key"),
        (422, b'{"detail":[{"msg":"field required","loc":["body"]}]}', "bad_request", "field required"),
        (404, b'{"error":"Specified model not found"}', "not_found", "Specified model not found"),
        (400, b'{"error":{"message":"long","code":"context_length_exceeded"}}', "context_length", "long"),
        (
            400,
            b'{"error":{"message":"f","code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}}',
            "content_filter",
            "f",
        ),
        (413, b'{"error":{"message":"TPM","code":"rate_limit_exceeded"}}', "rate_limit", "TPM"),
        (403, b'{"error":{"message":"flagged","metadata":{"reasons":["x"]}}}', "content_filter", "flagged"),
        (429, b'{"error":{"message":"P","metadata":{"raw":"slow"}}}', "rate_limit", "P: slow"),
        (503, b"<html>down</html>", "overloaded", "The upstream answered with status 503 and no message."),
        (500, b"", "server", "The upstream answered with status 500 and no message."),
        (502, b"bad gateway", "server", "bad gateway"),
    ],
)
def test_error_bodies_of_all_shapes(status: int, body: bytes, kind: str, message: str) -> None:
    error = chat.error(status, body, {})

    assert (error.kind, error.message, error.upstream_status) == (kind, message, status)


def test_retry_after_as_number_date_or_milliseconds() -> None:
    date = {"date": "Sun, 06 Nov 1994 08:49:37 GMT", "Retry-After": "Sun, 06 Nov 1994 08:50:07 GMT"}

    assert chat.error(429, b"", {"retry-after": "20", "x-request-id": "req_1"}).retry_after == 20
    assert chat.error(429, b"", {"retry-after": "20", "retry-after-ms": "1500"}).retry_after == 1.5
    assert chat.error(429, b"", date).retry_after == 30
    assert chat.error(429, b"", {"retry-after": "soon"}).retry_after is None
    assert chat.error(429, b"", {"X-Request-Id": "req_1"}).request_id == "req_1"


# --------------------------------------------------------------------------------------------------------------- fuzz

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 2000)
    | st.text(max_size=5)
    | st.sampled_from(["stop", "length", "text"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def _maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of these fields, each as it should be or anything at all."""
    return st.fixed_dictionaries({}, optional={name: value | JSON for name, value in fields.items()})


FUNCTIONS = _maybe(name=st.sampled_from(["f", ""]), arguments=st.sampled_from(["", "{}", "null", '{"a":']))
CALLS = _maybe(index=st.integers(0, 2), id=st.sampled_from(["a", "b", ""]), function=FUNCTIONS)
DETAILS = _maybe(
    type=st.sampled_from(["reasoning.text", "reasoning.summary"]), text=st.text(max_size=3), index=st.integers(0, 1)
)
DELTAS = _maybe(
    content=st.text(max_size=4)
    | st.lists(_maybe(type=st.sampled_from(["text", "thinking"]), text=st.text(max_size=3))),
    reasoning=st.text(max_size=3),
    reasoning_details=st.lists(DETAILS, max_size=2),
    refusal=st.text(max_size=3),
    tool_calls=st.lists(CALLS, max_size=3),
    function_call=FUNCTIONS,
    images=st.lists(JSON, max_size=2),
    audio=_maybe(transcript=st.text(max_size=3)),
    annotations=st.lists(_maybe(type=st.just("url_citation"), url_citation=_maybe(url=st.text())), max_size=2),
    executed_tools=st.lists(_maybe(index=st.integers(0, 1), type=st.sampled_from(["search", "python"])), max_size=2),
)
CHOICES = _maybe(
    index=st.integers(0, 1), delta=DELTAS, finish_reason=st.sampled_from(["stop", "length", None]), logprobs=JSON
)
CHUNKS = _maybe(
    id=st.text(max_size=3),
    model=st.text(max_size=3),
    choices=st.lists(CHOICES, max_size=2),
    usage=_maybe(prompt_tokens=st.integers(), prompt_tokens_details=_maybe(cached_tokens=st.integers())),
    citations=st.lists(st.text(max_size=3), max_size=2),
    x_groq=JSON,
)


@given(st.lists(CHUNKS | JSON, max_size=6))
def test_whatever_comes_the_protocol_is_kept(chunks: list[Any]) -> None:
    draft = Draft({"model": "m"})
    reader = chat.reader(draft, {})
    try:
        for value in chunks:
            reader.feed(Frame("", json.dumps(value).encode()))
        reader.end()
    except UpstreamError as error:
        if not draft.frames:
            draft.begin()
        draft.fail(error)

    check([frame.event for frame in draft.take()])


@given(
    st.integers(400, 599),
    JSON | st.dictionaries(st.sampled_from(["error", "detail", "message", "code", "metadata"]), JSON),
)
def test_whatever_an_error_says_it_is_read(status: int, body: Any) -> None:
    error = chat.error(status, json.dumps(body).encode(), {})

    assert error.message
    assert error.upstream_status == status
