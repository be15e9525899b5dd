"""A Responses request -> the body of POST /chat/completions."""

from __future__ import annotations

from typing import Any

from tollbook.dialects import Written, unsaid
from tollbook.errors import Unsupported
from tollbook.responses.tools import Function, allowed, flat_name, functions, hosted
from tollbook.responses.types import Request
from tollbook.transport.wire import encode

from .history import History
from .manner import Manner

OWN = frozenset(
    {
        "model",
        "input",
        "instructions",
        "stream",
        "stream_options",
        "store",
        "include",
        "metadata",
        "previous_response_id",
        "conversation",
        "background",
        "background_options",
        "client_metadata",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_output_tokens",
        "temperature",
        "top_p",
        "top_logprobs",
        "text",
        "reasoning",
        "prompt",
        "user",
        "safety_identifier",
        "service_tier",
        "truncation",
        "verbosity",
    }
)
"""What is handled here by name, or is the gateway's own business."""

_OPENROUTER_FILTERS = {"allowed_domains": "allowed_domains", "blocked_domains": "excluded_domains"}
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def write(request: Request, model: str, manner: Manner, *, drop: bool) -> Written:
    """The body in the host's manner. Raises Unsupported naming all content without an equivalent, unless `drop`."""
    writing = _Writing(request, model, manner)
    writing.messages()
    writing.tools()
    writing.parameters()
    writing.reasoning()
    writing.caller()
    writing.further()
    if writing.refused and not drop:
        raise Unsupported(writing.refused, manner.host)
    writing.notes += (f"{name}: dropped" for name in writing.refused)
    return Written(writing.body, tuple(dict.fromkeys(writing.notes)))


class _Writing:
    """One body in the making."""

    def __init__(self, request: Request, model: str, manner: Manner) -> None:
        self._request = request
        self._manner = manner
        self._history = History(manner)
        self.notes = self._history.notes
        self.refused = self._history.refused
        self.body: dict[str, Any] = {"model": model, "messages": self._history.messages}

    def messages(self) -> None:
        self._history.system(self._request.get("instructions"))
        self._output_format()
        source = self._request.get("input")
        if isinstance(source, str):
            source = [{"role": "user", "content": source}]
        self._history.items(source if isinstance(source, list) else ())
        if self._request.get("prompt") is not None:
            self.refused.append("prompt")

    def _output_format(self) -> None:
        """`text.format`; where `response_format` takes no schema, the schema is told in the instructions."""
        form = self._text().get("format")
        form = form if isinstance(form, dict) else {}
        match form.get("type"):
            case None | "text":
                pass
            case "json_object":
                self.body["response_format"] = {"type": "json_object"}
            case "json_schema" if self._manner.json_schema:
                schema = {n: form[n] for n in ("name", "description", "schema", "strict") if form.get(n) is not None}
                self.body["response_format"] = {"type": "json_schema", "json_schema": {"name": "response", **schema}}
            case "json_schema":
                self.body["response_format"] = {"type": "json_object"}
                schema_text = encode(unsaid.described(form.get("schema") or {}, form.get("description"))).decode()
                self._history.system(f"Answer with one JSON object that follows this JSON schema:\n{schema_text}")
                self.notes.append("text.format: adapted (JSON mode, the schema is in the instructions)")
            case other:
                self.refused.append(f"text.format.type={other}")

    # -------------------------------------------------------------------------------------------------------- tools

    def tools(self) -> None:
        permitted = allowed(self._request)
        tools: list[dict[str, Any]] = [
            {"type": "function", "function": _function(function)}
            for function, _ in functions(self._request)
            if permitted is None or function.name in permitted
        ]
        self._cached(tools)
        self.notes += unsaid.members(self._request, ("cache_control",))
        for index, tool in hosted(self._request):
            self._hosted(index, tool, tools)
        if permitted is not None:
            self.notes.append("tool_choice: adapted (only the allowed tools are sent)")
        if tools:
            self.body["tools"] = tools
            self._choice()
            self._parallel()

    def _cached(self, tools: list[dict[str, Any]]) -> None:
        """Marks of prompt caching on functions (extra members that a client sends)."""
        marks = {
            tool.get("name"): tool["cache_control"]
            for tool in self._request.get("tools") or ()
            if tool.get("cache_control")
        }
        if marks and not self._manner.cache_control:
            self.notes.append("tools.cache_control: dropped")
        elif marks:
            for tool in tools:
                if tool["function"]["name"] in marks:
                    tool["cache_control"] = marks[tool["function"]["name"]]

    def _hosted(self, index: int, tool: dict[str, Any], tools: list[dict[str, Any]]) -> None:
        kind, manner = str(tool.get("type") or ""), self._manner
        if manner.own_tools and kind.startswith(manner.own_tools):
            tools.append(tool)
        elif kind.startswith("web_search") and manner.web_search == "openrouter":
            tools.append(_openrouter_search(tool))
            self._search_notes(index, tool)
        elif kind.startswith("web_search") and manner.web_search == "options" and _searches(self.body["model"]):
            self.body["web_search_options"] = _search_options(tool)
            self._search_filters(index, tool)
            self._search_notes(index, tool)
        else:
            self.refused.append(f"tools[{index}].type={kind}")

    def _search_filters(self, index: int, tool: dict[str, Any]) -> None:
        """Where to search. It is content: an answer from elsewhere would be wrong, so a host without filters is not asked.

        https://docs.perplexity.ai/guides/search-domain-filters: one list, the blocked ones with a minus.
        """
        filters = tool.get("filters")
        filters = filters if isinstance(filters, dict) else {}
        domains = [*_texts(filters.get("allowed_domains")), *(f"-{d}" for d in _texts(filters.get("blocked_domains")))]
        if domains and "search_domain_filter" in self._manner.passes:
            self.body["search_domain_filter"] = domains
        elif domains:
            self.refused += (f"tools[{index}].filters.{name}" for name in filters if filters[name])

    def _search_notes(self, index: int, tool: dict[str, Any]) -> None:
        for name in sorted(tool.keys() - {"type", "search_context_size", "user_location", "filters"}):
            if tool[name] is not None:
                self.notes.append(f"tools[{index}].{name}: dropped")

    def _choice(self) -> None:
        choice = self._request.get("tool_choice")
        if isinstance(choice, str):
            self.body["tool_choice"] = choice
        elif isinstance(choice, dict):
            kind = choice.get("type")
            if kind in ("function", "custom"):
                name = flat_name(str(choice.get("name") or ""), choice.get("namespace"))
                self.body["tool_choice"] = {"type": "function", "function": {"name": name}}
            elif kind == "allowed_tools":
                self.body["tool_choice"] = choice.get("mode") or "auto"
            else:
                self.notes.append(f"tool_choice.type={kind}: dropped")

    def _parallel(self) -> None:
        parallel = self._request.get("parallel_tool_calls")
        if parallel is not None and self._manner.parallel_tool_calls:
            self.body["parallel_tool_calls"] = parallel
        elif parallel is False:
            self.notes.append("parallel_tool_calls: dropped")

    # --------------------------------------------------------------------------------------------------- parameters

    def parameters(self) -> None:
        request, body = self._request, self.body
        for name in ("temperature", "top_p"):
            if request.get(name) is not None:
                body[name] = request[name]
        if request.get("max_output_tokens") is not None:
            body[self._manner.max_tokens] = request["max_output_tokens"]
        if request.get("top_logprobs"):
            body["logprobs"], body["top_logprobs"] = True, request["top_logprobs"]
        elif unsaid.wants_logprobs(request):
            body["logprobs"] = True
        if request.get("truncation") not in (None, "disabled"):
            self.notes.append("truncation: dropped")
        if request.get("stream"):
            body["stream"] = True
            if self._manner.stream_options:
                body["stream_options"] = {"include_usage": True}

    def reasoning(self) -> None:
        reasoning, manner = self._request.get("reasoning"), self._manner
        if not isinstance(reasoning, dict):
            return
        self.notes += (f"reasoning.{name}: dropped" for name, value in reasoning.items() if name != "effort" and value)
        effort = reasoning.get("effort")
        if not isinstance(effort, str):
            return
        off = effort == "none"
        match manner.effort:
            case "none":
                self.notes.append("reasoning.effort: dropped")
            case "switch":
                self.body["enable_thinking"] = not off
                if not off:
                    self.notes.append("reasoning.effort: adapted (thinking on)")
            case "thinking" if off:
                self.body["thinking"] = {"type": "disabled"}
            case "template" if off:
                self.body["chat_template_kwargs"] = {"enable_thinking": False}
            case form:
                known = _nearest(effort, manner.efforts)
                if known != effort:
                    self.notes.append(f"reasoning.effort: adapted ({known})")
                if form == "thinking":
                    self.body["thinking"] = {"type": "enabled"}
                if form == "object":
                    self.body["reasoning"] = {"effort": known}
                else:
                    self.body["reasoning_effort"] = known

    def caller(self) -> None:
        """Who asks, how urgently, and how many words are wanted."""
        request = self._request
        for name in ("user", "safety_identifier"):
            self._pass(name, request.get(name))
        tier = request.get("service_tier")
        if "service_tier" in self._manner.passes or tier not in ("auto", "default"):
            self._pass("service_tier", tier)
        verbosity = self._text().get("verbosity", request.get("verbosity"))
        if verbosity != "medium" or "verbosity" in self._manner.passes:
            self._pass("verbosity", verbosity, called="text.verbosity")

    def further(self) -> None:
        """Everything else: sent if the host knows it by this name."""
        for name, value in self._request.items():
            if name not in OWN:
                self._pass(name, value)

    def _pass(self, name: str, value: Any, *, called: str = "") -> None:
        if value is None:
            return
        if name in self._manner.passes:
            self.body[name] = value
        else:
            self.notes.append(f"{called or name}: dropped")

    def _text(self) -> dict[str, Any]:
        text = self._request.get("text")
        return text if isinstance(text, dict) else {}


def _function(function: Function) -> dict[str, Any]:
    written: dict[str, Any] = {"name": function.name}
    if function.description:
        written["description"] = function.description
    written["parameters"] = function.parameters
    if function.strict is not None:
        written["strict"] = function.strict
    return written


def _searches(model: str) -> bool:
    """Whether this is one of the models that search (https://platform.openai.com/docs/guides/tools-web-search)."""
    return "search" in model or model.startswith("sonar")


def _search_options(tool: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if tool.get("search_context_size") is not None:
        options["search_context_size"] = tool["search_context_size"]
    place = tool.get("user_location")
    if isinstance(place, dict):
        options["user_location"] = {
            "type": "approximate",
            "approximate": {name: value for name, value in place.items() if name != "type" and value is not None},
        }
    return options


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _openrouter_search(tool: dict[str, Any]) -> dict[str, Any]:
    """https://openrouter.ai/docs/guides/features/server-tools/web-search"""
    parameters: dict[str, Any] = {
        n: tool[n] for n in ("search_context_size", "user_location") if tool.get(n) is not None
    }
    filters = tool.get("filters")
    for name, theirs in _OPENROUTER_FILTERS.items():
        if isinstance(filters, dict) and filters.get(name):
            parameters[theirs] = filters[name]
    return {"type": "openrouter:web_search", **({"parameters": parameters} if parameters else {})}


def _nearest(effort: str, efforts: tuple[str, ...]) -> str:
    """The effort itself if the host knows it, otherwise the nearest one; of two, the greater."""
    if not efforts or effort in efforts or effort not in _EFFORTS:
        return effort
    wanted = _EFFORTS.index(effort)
    candidates = [e for e in efforts if e != "none"] or list(efforts)
    return min(candidates, key=lambda e: (abs(_EFFORTS.index(e) - wanted), -_EFFORTS.index(e)))
