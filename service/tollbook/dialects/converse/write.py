"""A request of the Responses API -> the body of Converse.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

import re
from typing import Any

from tollbook.dialects import Written, unsaid
from tollbook.dialects.messages.schema import ANSWER_TOOL, closed
from tollbook.responses.tools import Function, allowed, flat_name, functions, hosted
from tollbook.responses.types import Request
from tollbook.transport.wire import encode

from . import families
from .content import Block, Conversation, Gaps, cache_point

# Members of Converse that a client may send by their own names (`extra_body`).
_OWN = (
    "guardrailConfig",
    "performanceConfig",
    "requestMetadata",
    "promptVariables",
    "additionalModelResponseFieldPaths",
)

# What the gateway handles itself, and what is read further down. Everything else is tuning without an equivalent.
_KNOWN = frozenset(_OWN) | {
    "additionalModelRequestFields",
    "anthropic_beta",
    "background",
    "client_metadata",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "metadata",
    "model",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "reasoning",
    "service_tier",
    "stop",
    "stop_sequences",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
}

# Said by SDKs without meaning anything.
_DEFAULTS = {"truncation": "disabled", "top_logprobs": 0, "presence_penalty": 0, "frequency_penalty": 0}

# Tools that Nova runs itself (https://docs.aws.amazon.com/nova/latest/nova2-userguide/using-tools.html).
_SYSTEM_TOOLS = {
    "web_search": "nova_grounding",
    "nova_grounding": "nova_grounding",
    "code_interpreter": "nova_code_interpreter",
    "nova_code_interpreter": "nova_code_interpreter",
}

_JSON = "Answer with one JSON object and nothing else."


def write(request: Request, model: str, *, drop: bool = False) -> Written:
    """The body for `model`; whether to stream is said by the URL. Raises Unsupported for content Converse has no words for."""
    gaps = Gaps()
    talk = Conversation(model, gaps)
    talk.begin(request.get("instructions"))
    given = request.get("input")
    talk.add([{"role": "user", "content": given}] if isinstance(given, str) else given or [])
    if request.get("prompt") is not None:
        gaps.missing.append("prompt")
    body = _Body(request, model, talk, gaps).made()
    return Written(body, gaps.settle(drop))


class _Body:
    """One body in the making."""

    def __init__(self, request: Request, model: str, talk: Conversation, gaps: Gaps) -> None:
        self._request = request
        self._model = model
        self._talk = talk
        self._gaps = gaps
        self._tools: list[Block] = []
        self._choice: Block | None = None
        self._output: Block = {}
        self._inference: Block = {}
        self._extra: Block = {}

    def made(self) -> dict[str, Any]:
        self._offer_tools()
        self._format()
        self._limit()
        self._sample()
        self._reason()
        self._parallel()
        self._own_fields()
        config = {"tools": self._tools, "toolChoice": self._choice}
        members = {
            "system": self._talk.system,
            "toolConfig": {name: value for name, value in config.items() if value} if self._tools else None,
            "inferenceConfig": self._inference,
            "additionalModelRequestFields": self._extra,
            "outputConfig": self._output,
            **self._place(),
        }
        if unsaid.wants_logprobs(self._request):
            self._gaps.note(f"include.{unsaid.LOGPROBS}: dropped")
        for name in sorted(self._request.keys() - _KNOWN):
            if self._request[name] not in (None, "", [], {}, _DEFAULTS.get(name)):
                self._gaps.note(f"{name}: dropped")
        return {"messages": self._talk.messages, **{name: value for name, value in members.items() if value}}

    # ------------------------------------------------------------------------------------------------------- tools

    def _offer_tools(self) -> None:
        choice, permitted = self._request.get("tool_choice"), allowed(self._request)
        points = _cached(self._request)
        if permitted is not None:
            self._gaps.note("tool_choice: adapted (only the allowed tools are offered)")
        for function, _ in functions(self._request):
            if permitted is None or function.name in permitted:
                self._tools += [{"toolSpec": self._spec(function)}, *points.get(function.name, ())]
        for note in unsaid.members(self._request, ("cache_control",)):
            self._gaps.note(note)
        for index, tool in hosted(self._request):
            kind = str(tool.get("type"))
            name = _SYSTEM_TOOLS.get("web_search" if kind.startswith("web_search") else kind)
            if name is None or not families.is_nova(self._model):
                self._gaps.missing.append(f"tools[{index}].type={kind}")
                continue
            self._options(tool, f"tools[{index}]")
            self._tools.append({"systemTool": {"name": name}})
        if choice == "none":
            if not self._talk.has_tools:
                self._tools = []
            elif self._tools:
                self._gaps.note("tool_choice: adapted (the tools stay, Converse demands them after a call)")
        elif self._tools:
            self._choose(choice.get("mode") if permitted is not None and isinstance(choice, dict) else choice)
        if self._talk.has_tools and not self._tools:
            # "The toolConfig field must be defined when using toolUse and toolResult content blocks."
            self._gaps.note("tools: adapted (named after the history, Converse demands them after a call)")
            schema = {"json": {"type": "object"}}
            self._tools = [{"toolSpec": {"name": n, "inputSchema": schema}} for n in self._talk.called or ("tool",)]

    def _options(self, tool: Block, place: str) -> None:
        """Nova's own tools take no settings; files for its code would be content."""
        container = tool.get("container")
        if isinstance(container, str) or _object(container).get("file_ids"):
            self._gaps.missing.append(f"{place}.container")
        for name in sorted(_object(container).keys() - {"type", "file_ids"}):
            self._gaps.note(f"{place}.container.{name}: dropped")
        for name in sorted(tool.keys() - {"type", "container"}):
            self._gaps.note(f"{place}.{name}: dropped")

    def _spec(self, function: Function) -> Block:
        schema = {"type": "object", **_object(function.parameters)}
        strict = bool(function.strict) and families.takes_schemas(self._model)
        if function.strict and not strict:
            self._gaps.note("tools.strict: dropped")
        spec: Block = {"name": function.name}
        if function.description:
            spec["description"] = function.description
        spec["inputSchema"] = {"json": self._closed(schema, "tools.parameters") if strict else schema}
        if strict:
            spec["strict"] = True
        return spec

    def _closed(self, schema: Block, name: str) -> Block:
        """The schema as structured outputs take it: closed objects, no bounds. The same subset as Anthropic's own."""
        changed: set[str] = set()
        taken: Block = closed(schema, changed)
        if changed:
            self._gaps.note(f"{name}: adapted ({', '.join(sorted(changed))})")
        return taken

    def _choose(self, choice: Any) -> None:
        """`toolChoice`. "auto" is the default and not said, because some models refuse the member altogether."""
        kind = choice.get("type") if isinstance(choice, dict) else choice
        if kind in (None, "auto"):
            return
        can = families.forced(self._model)
        if can == "none":
            self._gaps.note("tool_choice: dropped (this model cannot be forced)")
        elif kind == "required":
            self._choice = {"any": {}}
        elif kind in ("function", "custom"):
            name = flat_name(str(choice.get("name") or ""), choice.get("namespace"))
            if can == "named":
                self._choice = {"tool": {"name": name}}
                return
            self._gaps.note("tool_choice: adapted (only this tool is offered)")
            self._tools = [t for t in self._tools if t.get("toolSpec", {}).get("name") == name]
            self._choice = {"any": {}}
        elif kind in _SYSTEM_TOOLS or str(kind).startswith("web_search"):
            self._gaps.note("tool_choice: adapted (any tool)")
            self._choice = {"any": {}}
        else:
            self._gaps.note("tool_choice: dropped")

    def _parallel(self) -> None:
        """One call at a time: Converse has no member for it, Claude's own `tool_choice` has."""
        if self._request.get("parallel_tool_calls") is not False or not self._tools:
            return
        if not families.is_claude(self._model):
            self._gaps.note("parallel_tool_calls: dropped")
            return
        choice: Block = {"type": "auto"}
        if self._choice:
            choice = {"type": "tool", **self._choice["tool"]} if "tool" in self._choice else {"type": "any"}
        self._extra["tool_choice"] = {**choice, "disable_parallel_tool_use": True}

    # ------------------------------------------------------------------------------------------------- text, format

    def _format(self) -> None:
        """Structured output: natively, by a tool the model must call, or by asking for it, whichever the model can."""
        text = _object(self._request.get("text"))
        if text.get("verbosity") not in (None, "medium"):
            self._gaps.note("text.verbosity: dropped")
        form = _object(text.get("format"))
        kind, schema = form.get("type"), _object(form.get("schema"))
        if kind == "json_schema" and families.takes_schemas(self._model):
            named = {name: form[name] for name in ("name", "description") if form.get(name)}
            definition = {"schema": encode(self._closed(schema, "text.format.schema")).decode(), **named}
            self._output["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": definition}}
        elif kind == "json_schema" and families.answers_by_tool(self._model):
            alone = not self._tools and families.forced(self._model) == "named"
            description = form.get("description") or "The final answer. Call this once it is known."
            spec = {
                "name": ANSWER_TOOL,
                "description": description,
                "inputSchema": {"json": {"type": "object", **schema}},
            }
            self._tools = [*self._tools, {"toolSpec": spec}]
            self._choice = {"tool": {"name": ANSWER_TOOL}} if alone else {"any": {}}
            self._gaps.note("text.format: adapted (a tool the model must call)")
        elif kind in ("json_schema", "json_object"):
            self._talk.instruct(f"{_JSON} Its JSON schema: {encode(schema).decode()}" if schema else _JSON)
            self._gaps.note("text.format: adapted (the model is asked for JSON)")

    # ------------------------------------------------------------------------------------------------------ tuning

    def _limit(self) -> None:
        if self._request.get("max_output_tokens") is not None:
            self._inference["maxTokens"] = self._request["max_output_tokens"]
        stop = self._request.get("stop_sequences") or self._request.get("stop")
        if stop:
            self._inference["stopSequences"] = [stop] if isinstance(stop, str) else stop

    def _sample(self) -> None:
        given = {n: self._request[n] for n in ("temperature", "top_p", "top_k") if self._request.get(n) is not None}
        takes = families.takes(self._model)
        if takes == "none":
            for name in given:
                self._gaps.note(f"{name}: dropped")
            return
        temperature = given.get("temperature")
        if isinstance(temperature, (int, float)):
            if temperature > 1:
                self._gaps.note("temperature: adapted (1, the highest here)")
            self._inference["temperature"] = min(temperature, 1)
        if "top_p" in given:
            if takes == "one" and temperature is not None:
                self._gaps.note("top_p: dropped (this model takes it only without temperature)")
            else:
                self._inference["topP"] = given["top_p"]
        if "top_k" in given:
            own = (
                {"inferenceConfig": {"topK": given["top_k"]}}
                if families.is_nova(self._model)
                else {"top_k": given["top_k"]}
            )
            self._extra.update(own)

    def _reason(self) -> None:
        if self._request.get("thinking") is not None:
            self._extra["thinking"] = self._request["thinking"]
            return
        asked = _object(self._request.get("reasoning"))
        effort, limit = asked.get("effort"), self._request.get("max_output_tokens")
        summary = (asked.get("summary") or asked.get("generate_summary")) is not None
        for name in sorted(asked.keys() - {"effort", "summary", "generate_summary"}):
            self._gaps.note(f"reasoning.{name}: dropped")
        if summary and not families.summarizes(self._model):
            self._gaps.note("reasoning.summary: dropped")
        if effort is None and not (summary and families.is_claude(self._model)):
            return
        thinking = families.thinking(
            self._model,
            None if effort is None else str(effort),
            summary=summary,
            max_tokens=limit if isinstance(limit, int) else None,
        )
        obstacle = self._obstacle(thinking)
        if thinking is None or obstacle:
            self._gaps.note("reasoning.effort: dropped" + (f" ({obstacle})" if obstacle else ""))
            return
        if thinking.note:
            self._gaps.note(f"reasoning.effort: {thinking.note}")
        self._extra.update(thinking.fields)
        if thinking.effort:
            self._output["effort"] = thinking.effort
        if thinking.max_tokens is not None:
            self._inference.setdefault("maxTokens", thinking.max_tokens)
        names = {"temperature": "temperature", "topP": "top_p", "maxTokens": "max_output_tokens"}
        for name in sorted(thinking.forbids & self._inference.keys()):
            del self._inference[name]
            self._gaps.note(f"{names[name]}: dropped (not together with reasoning)")

    def _obstacle(self, thinking: families.Thinking | None) -> str:
        """Why Claude could not think in this conversation although it can."""
        if thinking is None or not thinking.on or not families.is_claude(self._model):
            return ""
        if self._choice:
            # They exclude each other, and the tool is what the client's code relies on.
            return "a tool is forced"
        if thinking.budgeted and _unthought(self._talk.messages):
            return "the call in the history has no thought of this model"
        return ""

    def _own_fields(self) -> None:
        if self._request.get("anthropic_beta"):
            self._extra["anthropic_beta"] = self._request["anthropic_beta"]
        self._extra.update(_object(self._request.get("additionalModelRequestFields")))

    def _place(self) -> Block:
        """Members about how Bedrock serves the request."""
        fields: Block = {}
        # For the invocation log. Sixteen at the most, a narrow set of characters: the others stay with the gateway.
        metadata = _object(self._request.get("metadata"))
        fitting = {
            k: v for k, v in metadata.items() if isinstance(v, str) and _KEY.fullmatch(k) and _VALUE.fullmatch(v)
        }
        if fitting:
            fields["requestMetadata"] = dict(list(fitting.items())[:16])
        tier = self._request.get("service_tier")
        if tier in ("flex", "priority", "reserved"):
            fields["serviceTier"] = {"type": tier}
        elif tier not in (None, "auto", "default"):
            self._gaps.note("service_tier: dropped")
        return fields | {name: self._request[name] for name in _OWN if self._request.get(name)}


_KEY = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,\-.]{1,256}")
_VALUE = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,\-.]{0,256}")


def _cached(request: Request) -> dict[str, list[Block]]:
    """The cache points after tools that carry `cache_control`."""
    tools = [tool for tool in request.get("tools") or () if isinstance(tool, dict)]
    return {
        str(tool.get("name")): cache_point(tool.get("cache_control")) for tool in tools if tool.get("cache_control")
    }


def _unthought(messages: list[Block]) -> bool:
    """Whether the turn that goes on here called a tool without thinking first: with a budget that is refused."""
    if len(messages) < 2 or not any("toolResult" in block for block in messages[-1]["content"]):
        return False
    return "reasoningContent" not in messages[-2]["content"][0]


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
