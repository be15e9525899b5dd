"""What a client can say, one thing at a time: every parameter, item, content part, tool and tool choice of the API.

A probe is asked with and without the one thing; what became of it is read from what was sent (see truth.py).
https://platform.openai.com/docs/api-reference/responses/create, as the SDK has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

IMAGE = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = "data:application/pdf;base64,JVBERi0xLjQKJSVFT0YK"
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEA"

PARENT = "{parent}"
"""Stands for the id of an earlier response of the same target."""
FILES = "{files}"
"""Stands for the address of a web server that has pictures and papers."""
OUTPUT = {"type": "{output}"}
"""As an item: stands for the whole output of that earlier response."""
ANSWER = {"type": "{answer}"}
"""As an item: stands for its message alone."""
REFERENCE = {"type": "{reference}"}
"""As an item: stands for an `item_reference` to that message."""

# Why a thing may change nothing in what is sent, without a note.
KEPT = "the gateway's own: it stands in the response and in the books"
BOOKKEEPING = "what a client tells the host about itself"
FRAMING = "the gateway's own: it writes the client's stream itself"
SHOWN = "the gateway's own: what a provider tells of it is in the answer, asked for or not"
NORMAL = "what happens anyway"
LABEL = "a label of the client's own without effect on the answer"
ALWAYS = "always so where nothing is sent"
TURNED_OFF = "nothing is sent to a model that does not think unless it is asked to"


@dataclass(frozen=True, kw_only=True)
class Probe:
    """`asked` goes over `base`, and both over a request that says hello."""

    name: str
    asked: Mapping[str, Any]
    base: Mapping[str, Any] = field(default_factory=dict)
    unsent: str = ""
    """Why it is right that a target's body does not change and no note is made, where that is so."""


@dataclass(frozen=True, kw_only=True)
class Group:
    title: str
    about: str
    probes: tuple[Probe, ...]


HELLO = {"role": "user", "content": [{"type": "input_text", "text": "Hello."}]}
THANKS = {"role": "user", "content": [{"type": "input_text", "text": "Thank you."}]}

_WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
_TIME = {**_WEATHER, "name": "time", "description": "The time in a city."}
_SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}
_CALL = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Rome"}'}
_RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}


def _with(name: str, value: Any, *, base: Any = None, unsent: str = "", label: str = "") -> Probe:
    """A parameter; a value that is told apart from others of it is in the name."""
    shown = label or (f"`{name}: {value}`" if isinstance(value, str) and base == "" else f"`{name}`")
    return Probe(name=shown, asked={name: value}, base=base or {}, unsent=unsent)


def _each(name: str, *values: str, **unsent: str) -> tuple[Probe, ...]:
    """A parameter by its values."""
    return tuple(Probe(name=f"`{name}: {v}`", asked={name: v}, unsent=unsent.get(v, "")) for v in values)


def _inside(outer: str, name: str, value: Any, *, unsent: str = "") -> Probe:
    shown = f"`{outer}.{name}: {value}`" if isinstance(value, str) else f"`{outer}.{name}`"
    return Probe(name=shown, asked={outer: {name: value}}, unsent=unsent)


def _format(member: str, value: Any, *, unsent: str = "") -> Probe:
    form = {"type": "json_schema", "name": "answer", "schema": _SCHEMA}
    return Probe(
        name=f"`text.format.{member}`",
        base={"text": {"format": {n: v for n, v in form.items() if n != member}}},
        asked={"text": {"format": {**form, member: value}}},
        unsent=unsent,
    )


_INCLUDE = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
)

PARAMETERS = Group(
    title="Parameters",
    about="Everything that a request may hold beside its input and its tools. Where several values behave differently, "
    "each has a row.",
    probes=(
        _with("instructions", "Be brief."),
        _with("previous_response_id", PARENT),
        _with("conversation", "conv_1"),
        _with("prompt", {"id": "pmpt_1", "variables": {"city": "Rome"}}),
        *(Probe(name=f"`include: {value}`", asked={"include": [value]}, unsent=SHOWN) for value in _INCLUDE),
        Probe(name="`include: message.output_text.logprobs`", asked={"include": ["message.output_text.logprobs"]}),
        _with("store", True, unsent=KEPT, label="`store: true`"),
        _with("store", False, unsent=KEPT, label="`store: false`"),
        _with("metadata", {"team": "blue"}, unsent=KEPT),
        _with("background", True),
        Probe(
            name="`background_options`",
            base={"background": True},
            asked={"background_options": {"completion_window": "2h"}},
        ),
        _with("stream", True, label="`stream: true`"),
        Probe(
            name="`stream_options.include_obfuscation`",
            base={"stream": True},
            asked={"stream_options": {"include_obfuscation": False}},
            unsent=FRAMING,
        ),
        _with("max_output_tokens", 3000),
        _with("max_tool_calls", 3),
        Probe(
            name="`parallel_tool_calls: true`",
            base={"tools": [_WEATHER]},
            asked={"parallel_tool_calls": True},
            unsent=NORMAL,
        ),
        Probe(name="`parallel_tool_calls: false`", base={"tools": [_WEATHER]}, asked={"parallel_tool_calls": False}),
        _with("temperature", 0.5),
        Probe(name="`temperature` above 1", asked={"temperature": 1.5}),
        _with("top_p", 0.97),
        _with("top_logprobs", 2),
        *_each("truncation", "auto", "disabled", disabled=NORMAL),
        Probe(name="`text.format: text`", asked={"text": {"format": {"type": "text"}}}, unsent=NORMAL),
        Probe(name="`text.format: json_object`", asked={"text": {"format": {"type": "json_object"}}}),
        Probe(
            name="`text.format: json_schema`",
            asked={"text": {"format": {"type": "json_schema", "name": "answer", "schema": _SCHEMA}}},
        ),
        _format("name", "answer_of_today", unsent=LABEL),
        _format("description", "The answer."),
        _format("strict", True, unsent=ALWAYS),
        _inside("text", "verbosity", "low"),
        _inside("text", "verbosity", "medium", unsent=NORMAL),
        _inside("text", "verbosity", "high"),
        _with("verbosity", "low"),
        _inside("reasoning", "effort", "none", unsent=TURNED_OFF),
        _inside("reasoning", "effort", "high"),
        _inside("reasoning", "summary", "auto"),
        Probe(
            name="`reasoning.summary` with an effort",
            base={"reasoning": {"effort": "high"}},
            asked={"reasoning": {"effort": "high", "summary": "auto"}},
            unsent=ALWAYS,
        ),
        Probe(
            name="`reasoning.generate_summary`",
            base={"reasoning": {"effort": "high"}},
            asked={"reasoning": {"effort": "high", "generate_summary": "auto"}},
            unsent=ALWAYS,
        ),
        _inside("reasoning", "mode", "pro"),
        _inside("reasoning", "context", "all_turns"),
        *_each(
            "service_tier",
            "auto",
            "default",
            "flex",
            "scale",
            "priority",
            "fast",
            "ultrafast",
            auto=NORMAL,
            default=NORMAL,
        ),
        _with("prompt_cache_key", "thread-1"),
        _with("prompt_cache_options", {"mode": "explicit", "ttl": "30m"}),
        _with("prompt_cache_retention", "24h", label="`prompt_cache_retention`"),
        Probe(
            name="`prompt_cache_retention` with a key",
            base={"prompt_cache_key": "thread-1"},
            asked={"prompt_cache_retention": "24h"},
        ),
        _with("context_management", [{"type": "compaction", "compact_threshold": 100000}]),
        _with("moderation", {"model": "omni-moderation-latest"}),
        _with("safety_identifier", "user-1"),
        _with("user", "user-1"),
        _with("access_programs", {"cyber": True}),
        _with("image", {"context_compression": "auto"}),
        _with("client_metadata", {"session_id": "1"}, unsent=BOOKKEEPING),
    ),
)

EXTRA = Group(
    title="Parameters of other APIs",
    about="What clients send as `extra_body` because the target knows it.",
    probes=(
        _with("top_k", 20),
        _with("stop", ["END"]),
        _with("seed", 7),
        _with("presence_penalty", 0.5),
        _with("frequency_penalty", 0.5),
        _with("logit_bias", {"50256": -100}),
        _with("thinking", {"type": "enabled", "budget_tokens": 2048}),
    ),
)


def _item(name: str, *items: Any, base: tuple[Any, ...] = (), unsent: str = "") -> Probe:
    """Items between a greeting and thanks."""
    return Probe(
        name=name,
        base={"tools": [_WEATHER], "input": [HELLO, *base, THANKS]},
        asked={"input": [HELLO, *items, THANKS]},
        unsent=unsent,
    )


def _call(kind: str, **fields: Any) -> Probe:
    return _item(f"`{kind}`", {"type": kind, "id": f"{kind[:2]}_1", "status": "completed", **fields})


ITEMS = Group(
    title="Input items",
    about="The history of a conversation, item by item.",
    probes=(
        Probe(name="a text as `input`", base={"input": "Hello."}, asked={"input": "Good morning."}),
        _item("message without `type`", {"role": "user", "content": "And hello again."}),
        _item("`message` of the user", {"type": "message", "role": "user", "content": "And hello again."}),
        _item("`message` of the assistant", {"type": "message", "role": "assistant", "content": "Good day."}),
        _item(
            "`phase` of such a message",
            {"type": "message", "role": "assistant", "content": "Good day.", "phase": "commentary"},
            base=({"type": "message", "role": "assistant", "content": "Good day."},),
            unsent="it tells a client where to show a text; the text itself is sent",
        ),
        _item("`message` of the system", {"type": "message", "role": "system", "content": "Be brief."}),
        _item("`message` of the developer", {"type": "message", "role": "developer", "content": "Be brief."}),
        _item("`reasoning` of the same provider", OUTPUT, base=(ANSWER,)),
        _item(
            "`reasoning` of another provider",
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "tbk1.somebody.e30="},
        ),
        _item("`item_reference`", REFERENCE),
        _item("`function_call` and its output", _CALL, _RESULT),
        _item(
            "`function_call.namespace`",
            {**_CALL, "namespace": "sky"},
            _RESULT,
            base=(_CALL, _RESULT),
        ),
        _item(
            "output with an image",
            _CALL,
            {
                **_RESULT,
                "output": [{"type": "input_text", "text": "sunny"}, {"type": "input_image", "image_url": IMAGE}],
            },
            base=(_CALL, {**_RESULT, "output": [{"type": "input_text", "text": "sunny"}]}),
        ),
        _item(
            "output with a file",
            _CALL,
            {
                **_RESULT,
                "output": [
                    {"type": "input_text", "text": "sunny"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": PDF},
                ],
            },
            base=(_CALL, {**_RESULT, "output": [{"type": "input_text", "text": "sunny"}]}),
        ),
        _item(
            "`custom_tool_call` and its output",
            {"type": "custom_tool_call", "call_id": "call_2", "name": "shell", "input": "ls"},
            {"type": "custom_tool_call_output", "call_id": "call_2", "output": "a.txt"},
        ),
        _call("web_search_call", action={"type": "search", "query": "weather"}),
        _call("file_search_call", queries=["weather"], results=None),
        _call("code_interpreter_call", code="1+1", container_id="cntr_1", outputs=[{"type": "logs", "logs": "2"}]),
        _call("image_generation_call", result=IMAGE.partition(",")[2]),
        _call("mcp_call", server_label="wiki", name="read", arguments="{}", output="text"),
        _call("mcp_list_tools", server_label="wiki", tools=[]),
        _call("mcp_approval_request", server_label="wiki", name="read", arguments="{}"),
        _call("mcp_approval_response", approval_request_id="mcpr_1", approve=True),
        _call("computer_call", call_id="call_3", action={"type": "screenshot"}, pending_safety_checks=[]),
        _call("computer_call_output", call_id="call_3", output={"type": "computer_screenshot", "image_url": IMAGE}),
        _call("local_shell_call", call_id="call_4", action={"type": "exec", "command": ["ls"], "env": {}}),
        _call("local_shell_call_output", call_id="call_4", output="a.txt"),
        _call("shell_call", call_id="call_5", action={"commands": ["ls"]}),
        _call("shell_call_output", call_id="call_5", output=[{"stdout": "a.txt"}]),
        _call("apply_patch_call", call_id="call_6", operation={"type": "delete_file", "path": "a"}),
        _call("apply_patch_call_output", call_id="call_6", output="done"),
        _call("tool_search_call", call_id="call_7", arguments={"query": "sky"}),
        _call("tool_search_output", call_id="call_7", tools=[_TIME]),
        _call("additional_tools", tools=[_TIME]),
        _call("configuration_update", reasoning={"effort": "low"}),
        _call("compaction", encrypted_content="gAAA"),
        _call("compaction_trigger"),
        _call("program", code="1"),
        _call("program_output", output="1"),
        _call("an_item_of_tomorrow"),
    ),
)


def _part(name: str, base: dict[str, Any] | None = None, unsent: str = "", **part: Any) -> Probe:
    """A part behind the text of a user's message; with `base`, that part in another form."""
    text = {"type": "input_text", "text": "Look."}
    before = [text, base] if base else [text]
    return Probe(
        name=name,
        base={"input": [{"role": "user", "content": before}]},
        asked={"input": [{"role": "user", "content": [text, part]}]},
        unsent=unsent,
    )


_CITED = {"type": "output_text", "text": "It is sunny."}

PARTS = Group(
    title="Content parts",
    about="In a message of the user, but for the last three, which the assistant said.",
    probes=(
        _part("`input_text`", type="input_text", text="And now?"),
        _part("`input_image` as data", type="input_image", image_url=IMAGE),
        _part("`input_image` by URL", type="input_image", image_url=f"{FILES}/cat.png"),
        _part("`input_image.file_id`", type="input_image", file_id="file_1"),
        _part(
            "`input_image.detail: low`",
            {"type": "input_image", "image_url": IMAGE},
            type="input_image",
            image_url=IMAGE,
            detail="low",
        ),
        _part("`input_file` as data (PDF)", type="input_file", filename="a.pdf", file_data=PDF),
        _part(
            "`input_file` as data (text)",
            type="input_file",
            filename="a.txt",
            file_data="data:text/plain;base64,SGVsbG8u",
        ),
        _part("`input_file` by URL", type="input_file", file_url=f"{FILES}/paper.pdf"),
        _part("`input_file.file_id`", type="input_file", file_id="file_1"),
        _part("`input_audio`", type="input_audio", input_audio={"data": WAV, "format": "wav"}),
        _part(
            "`cache_control` on a part",
            {"type": "input_text", "text": "And now?"},
            type="input_text",
            text="And now?",
            cache_control={"type": "ephemeral"},
        ),
        _part("`a_part_of_tomorrow`", type="a_part_of_tomorrow"),
        _item(
            "`refusal`",
            {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "I will not."}]},
        ),
        _item("`output_text`", {"type": "message", "role": "assistant", "content": [_CITED]}),
        _item(
            "its `annotations`",
            {
                "type": "message",
                "role": "assistant",
                "content": [
                    {
                        **_CITED,
                        "annotations": [
                            {
                                "type": "url_citation",
                                "url": "https://example.com",
                                "title": "Weather",
                                "start_index": 0,
                                "end_index": 12,
                            }
                        ],
                    }
                ],
            },
            base=({"type": "message", "role": "assistant", "content": [_CITED]},),
        ),
    ),
)


def _tool(kind: str, **fields: Any) -> Probe:
    tool = {"type": kind, **fields}
    return Probe(name=f"`{kind}`", base={"tools": [_TIME]}, asked={"tools": [_TIME, tool]})


def _member(tool: dict[str, Any], name: str, value: Any, *, shown: str = "", unsent: str = "") -> Probe:
    return Probe(
        name=f"`{shown or tool['type'] + '.' + name}`",
        base={"tools": [tool]},
        asked={"tools": [{**tool, name: value}]},
        unsent=unsent,
    )


_SEARCH = {"type": "web_search"}
_CODE = {"type": "code_interpreter", "container": {"type": "auto"}}
_MCP = {
    "type": "mcp",
    "server_label": "wiki",
    "server_url": "https://wiki.example/mcp",
    "require_approval": "never",
}
_STORES = {"type": "file_search", "vector_store_ids": ["fileSearchStores/papers"]}

TOOLS = Group(
    title="Tools",
    about="Tool types, and below them what a tool may say of itself.",
    probes=(
        _tool("function", **{n: v for n, v in _WEATHER.items() if n != "type"}),
        _tool("custom", name="shell", description="Runs a command."),
        _tool("namespace", name="sky", description="The sky.", tools=[_WEATHER]),
        _tool("web_search"),
        _tool("web_search_2025_08_26"),
        _tool("web_search_preview"),
        _tool("web_search_preview_2025_03_11"),
        Probe(
            name="`file_search`",
            base={"tools": [_TIME]},
            asked={"tools": [_TIME, {**_STORES, "vector_store_ids": ["vs_1"]}]},
        ),
        Probe(name="`file_search` of a Gemini store", base={"tools": [_TIME]}, asked={"tools": [_TIME, _STORES]}),
        _tool("code_interpreter", container={"type": "auto"}),
        _tool("image_generation"),
        Probe(name="`mcp`", base={"tools": [_TIME]}, asked={"tools": [_TIME, _MCP]}),
        _tool("computer"),
        _tool("computer_use_preview", display_width=1024, display_height=768, environment="browser"),
        _tool("local_shell"),
        _tool("shell"),
        _tool("apply_patch"),
        _tool("tool_search"),
        _tool("programmatic_tool_calling"),
        _tool("a_tool_of_tomorrow"),
        _member(_WEATHER, "description", "Tells the weather."),
        _member(_WEATHER, "strict", True),
        _member(_WEATHER, "strict", False, shown="function.strict: false", unsent=NORMAL),
        _member(_WEATHER, "defer_loading", True),
        _member(_WEATHER, "allowed_callers", ["programmatic_tool_calling"]),
        _member(_WEATHER, "async", True),
        _member(_WEATHER, "output_schema", {"type": "object"}),
        _member(_WEATHER, "cache_control", {"type": "ephemeral"}),
        _member({"type": "custom", "name": "shell"}, "description", "Runs a command."),
        _member(
            {"type": "custom", "name": "shell"},
            "format",
            {"type": "grammar", "syntax": "regex", "definition": "[a-z]+"},
        ),
        _member(
            {"type": "namespace", "name": "sky", "tools": [_WEATHER]},
            "description",
            "Everything about the sky.",
        ),
        _member(_SEARCH, "search_context_size", "high"),
        _member(_SEARCH, "user_location", {"type": "approximate", "city": "Rome", "country": "IT"}),
        _member(_SEARCH, "filters", {"allowed_domains": ["example.com"]}, shown="web_search.filters.allowed_domains"),
        _member(_SEARCH, "filters", {"blocked_domains": ["example.com"]}, shown="web_search.filters.blocked_domains"),
        _member(_SEARCH, "external_web_access", False),
        _member(_CODE, "container", "cntr_1", shown="code_interpreter.container: cntr_1"),
        _member(
            _CODE, "container", {"type": "auto", "file_ids": ["file_1"]}, shown="code_interpreter.container.file_ids"
        ),
        _member(
            _CODE, "container", {"type": "auto", "memory_limit": "4g"}, shown="code_interpreter.container.memory_limit"
        ),
        _member(_MCP, "allowed_tools", ["read"]),
        _member(_MCP, "authorization", "token"),
        _member(_MCP, "headers", {"x-team": "blue"}),
        _member(_MCP, "require_approval", "always"),
        _member(_MCP, "server_description", "A wiki."),
        _member(_MCP, "defer_loading", True),
        _member(_STORES, "max_num_results", 3),
        _member(_STORES, "ranking_options", {"score_threshold": 0.5}),
        _member(_STORES, "filters", {"type": "eq", "key": "year", "value": 2026}),
    ),
)


def _choice(name: str, choice: Any, tools: tuple[Any, ...] = (_WEATHER, _TIME), unsent: str = "") -> Probe:
    return Probe(name=name, base={"tools": list(tools)}, asked={"tool_choice": choice}, unsent=unsent)


_NAMED = {"type": "function", "name": "weather"}

CHOICES = Group(
    title="Tool choice",
    about="With two functions, or with the tool that the row names.",
    probes=(
        _choice("`auto`", "auto", unsent=NORMAL),
        _choice("`none`", "none"),
        _choice("`required`", "required"),
        _choice("a function", _NAMED),
        _choice("a custom tool", {"type": "custom", "name": "shell"}, ({"type": "custom", "name": "shell"}, _TIME)),
        _choice(
            "a function in a namespace",
            {"type": "function", "name": "weather", "namespace": "sky"},
            ({"type": "namespace", "name": "sky", "tools": [_WEATHER]}, _TIME),
        ),
        _choice("allowed tools, `auto`", {"type": "allowed_tools", "mode": "auto", "tools": [_NAMED]}),
        _choice("allowed tools, `required`", {"type": "allowed_tools", "mode": "required", "tools": [_NAMED]}),
        _choice("`web_search`", {"type": "web_search"}, (_SEARCH, _TIME)),
        _choice("`code_interpreter`", {"type": "code_interpreter"}, (_CODE, _TIME)),
        _choice("`mcp`", {"type": "mcp", "server_label": "wiki"}, (_MCP, _TIME)),
        _choice("`shell`", {"type": "shell"}, ({"type": "shell"}, _TIME)),
        _choice("`apply_patch`", {"type": "apply_patch"}, ({"type": "apply_patch"}, _TIME)),
        _choice("`a_choice_of_tomorrow`", {"type": "a_choice_of_tomorrow"}),
    ),
)

GROUPS = (PARAMETERS, EXTRA, ITEMS, PARTS, TOOLS, CHOICES)

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

BY_MODEL = Group(
    title="What depends on the model",
    about="The same parameter at models of different generations.",
    probes=(
        *(_inside("reasoning", "effort", effort, unsent=TURNED_OFF) for effort in EFFORTS),
        _inside("reasoning", "summary", "auto"),
        _with("temperature", 0.5),
        Probe(name="`top_p` beside `temperature`", base={"temperature": 0.5}, asked={"top_p": 0.97}),
        _choice("`tool_choice: required`", "required"),
        Probe(
            name="`text.format: json_schema`",
            asked={"text": {"format": {"type": "json_schema", "name": "answer", "schema": _SCHEMA}}},
        ),
        _member(_WEATHER, "strict", True),
    ),
)
