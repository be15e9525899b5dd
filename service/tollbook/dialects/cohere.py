"""The language of Cohere's Chat API, version 2: https://docs.cohere.com/reference/chat and /reference/chat-stream.

Its messages are those of Chat Completions with thinking blocks and a tool plan; its streams have events of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollbook.errors import Kind, Unsupported, UpstreamError
from tollbook.responses.draft import Draft, Stop
from tollbook.responses.seals import seal
from tollbook.responses.tools import allowed, flat_name, functions, hosted
from tollbook.responses.types import Request
from tollbook.responses.usage import Usage, count
from tollbook.transport.frame import Frame

from . import Written, unsaid
from .chat.history import History
from .chat.manner import Manner
from .chat.refused import BY_STATUS, refusal
from .chat.refused import error as chat_error
from .chat.write import OWN

native = False
inlines_urls: frozenset[str] = frozenset()

_MAKER = "cohere"
_MANNER = Manner(host="Cohere", maker=_MAKER, file="", audio="", returns_reasoning="parts")

_NAMES = {
    "max_output_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "p",
    "top_k": "k",
    "stop": "stop_sequences",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "documents": "documents",
    "citation_options": "citation_options",
    "safety_mode": "safety_mode",
    "priority": "priority",
    "thinking": "thinking",
    "k": "k",
    "p": "p",
}
"""Our parameter -> Cohere's."""

_HANDLED = OWN - {"user", "safety_identifier", "service_tier", "verbosity"}

_ANYWAY = (("service_tier", "auto"), ("service_tier", "default"))

_BUDGETS = {"minimal": 512, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 31000, "max": 31000}
"""Thinking tokens for an effort; Cohere advises at most 31,000 (https://docs.cohere.com/docs/reasoning)."""

_STOPS: dict[str, Stop] = {
    "MAX_TOKENS": "length",
    "ERROR_LIMIT": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}

_BY_STATUS: Mapping[int, Kind] = {**BY_STATUS, 498: "content_filter"}
"""https://docs.cohere.com/reference/errors: 498 is a deny-listed token in the input or the output."""


# ------------------------------------------------------------------------------------------------------------ writing


def write(request: Request, model: str, *, drop: bool = False) -> Written:
    history = _History(_MANNER)
    notes, refused = history.notes, history.refused
    body: dict[str, Any] = {"model": model, "messages": history.messages, "stream": bool(request.get("stream"))}

    history.system(request.get("instructions"))
    source = request.get("input")
    source = [{"role": "user", "content": source}] if isinstance(source, str) else source
    history.items(source if isinstance(source, list) else ())
    if request.get("prompt") is not None:
        refused.append("prompt")
    _tools(request, body, notes, refused)
    _format(request, body, notes, refused)
    _thinking(request, body, notes)
    if request.get("top_logprobs"):
        body["logprobs"] = True
        notes.append("top_logprobs: adapted (only of the chosen tokens)")
    elif unsaid.wants_logprobs(request):
        body["logprobs"] = True
    if request.get("truncation") not in (None, "disabled"):
        notes.append("truncation: dropped")
    for name, value in request.items():
        if value is not None and name in _NAMES:
            body[_NAMES[name]] = [value] if name == "stop" and isinstance(value, str) else value
        elif value is not None and name not in _HANDLED and (name, value) not in _ANYWAY:
            notes.append(f"{name}: dropped")
    if refused and not drop:
        raise Unsupported(refused, _MANNER.host)
    notes += (f"{name}: dropped" for name in refused)
    return Written(body, tuple(dict.fromkeys(notes)))


class _History(History):
    """Chat's messages, with Cohere's own reasoning in Cohere's places."""

    def thought(self, text: str, sealed: dict[str, Any]) -> None:
        message = self.turn()
        if sealed.get("plan"):
            message["tool_plan"] = message.get("tool_plan", "") + text
        else:
            content = message.get("content") or []
            parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
            message["content"] = [*parts, {"type": "thinking", "thinking": text}]


def _tools(request: Request, body: dict[str, Any], notes: list[str], refused: list[str]) -> None:
    """A forced function is the only one that is sent, because Cohere can only force some tool or none."""
    choice, wanted = request.get("tool_choice"), allowed(request)
    if isinstance(choice, dict) and choice.get("type") in ("function", "custom"):
        wanted = {flat_name(str(choice.get("name") or ""), choice.get("namespace"))}
        choice = "required"
        notes.append("tool_choice: adapted (only the chosen tool is sent)")
    elif wanted is not None and isinstance(choice, dict):
        choice = choice.get("mode")
        notes.append("tool_choice: adapted (only the allowed tools are sent)")
    tools = []
    for function, _ in functions(request):
        if wanted is None or function.name in wanted:
            written = {"name": function.name, "description": function.description, "parameters": function.parameters}
            tools.append({"type": "function", "function": {n: v for n, v in written.items() if v != ""}})
            if function.strict:
                body["strict_tools"] = True
    notes += unsaid.members(request)
    refused += (f"tools[{index}].type={tool.get('type')}" for index, tool in hosted(request))
    if not tools:
        return
    body["tools"] = tools
    if choice in ("required", "none"):
        body["tool_choice"] = str(choice).upper()
    elif isinstance(choice, dict):
        notes.append(f"tool_choice.type={choice.get('type')}: dropped")
    if request.get("parallel_tool_calls") is False:
        notes.append("parallel_tool_calls: dropped")


def _format(request: Request, body: dict[str, Any], notes: list[str], refused: list[str]) -> None:
    text = request.get("text")
    if not isinstance(text, dict):
        return
    if text.get("verbosity") not in (None, "medium"):
        notes.append("text.verbosity: dropped")
    form = text.get("format")
    form = form if isinstance(form, dict) else {}
    kind = form.get("type")
    if kind == "json_object":
        body["response_format"] = {"type": "json_object"}
    elif kind == "json_schema":
        schema = unsaid.described(form.get("schema") or {}, form.get("description"))
        body["response_format"] = {"type": "json_object", "json_schema": schema}
    elif kind not in (None, "text"):
        refused.append(f"text.format.type={kind}")


def _thinking(request: Request, body: dict[str, Any], notes: list[str]) -> None:
    reasoning = request.get("reasoning")
    if not isinstance(reasoning, dict):
        return
    notes += (f"reasoning.{name}: dropped" for name, value in reasoning.items() if name != "effort" and value)
    effort = reasoning.get("effort")
    if effort == "none":
        body["thinking"] = {"type": "disabled"}
    elif effort in _BUDGETS:
        body["thinking"] = {"type": "enabled", "token_budget": _BUDGETS[effort]}
        notes.append(f"reasoning.effort: adapted ({_BUDGETS[effort]} tokens)")


# ------------------------------------------------------------------------------------------------------------ reading


def reader(draft: Draft, request: Request) -> CohereReader:  # noqa: ARG001 - the answer says all it needs
    return CohereReader(draft)


class CohereReader:
    """Events of a stream; a whole answer is told as the same pieces."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._began = False
        self._thoughts: list[str] = []
        self._planned = False
        self._citations: list[dict[str, Any]] = []
        self._calls = 0

    def feed(self, frame: Frame) -> None:
        if frame.raw.strip() == b"[DONE]":
            return
        try:
            event = frame.event
        except ValueError as error:
            raise UpstreamError(f"The upstream sent an event that is not JSON: {error}", "server") from None
        if not isinstance(event, dict):
            return
        kind = event.get("type")
        if kind == "error" or (not isinstance(kind, str) and "message" in event):
            raise refusal(event, by_status=_BY_STATUS)
        self._begin()
        delta = _dict(event.get("delta"))
        message = _dict(delta.get("message"))
        key = ("call", str(event.get("index")))
        match kind:
            case "message-start":
                self._identify(event)
            case "content-start" | "content-delta":
                self._content(message.get("content"), event.get("logprobs"))
            case "tool-plan-delta":
                self._think(message.get("tool_plan"), plan=True)
            case "tool-call-start":
                self._call(key, _dict(message.get("tool_calls")))
            case "tool-call-delta":
                arguments = _dict(_dict(message.get("tool_calls")).get("function")).get("arguments")
                self._draft.arguments(key, arguments if isinstance(arguments, str) else "")
            case "tool-call-end":
                self._draft.close(key)
            case "citation-start":
                self._cite(message.get("citations"))
            case "message-end":
                self._end(delta)

    def whole(self, body: Any) -> None:
        if not isinstance(body, dict) or not isinstance(body.get("message"), dict):
            if isinstance(body, dict) and isinstance(body.get("message"), str):
                raise refusal(body, by_status=_BY_STATUS)
            raise UpstreamError("The upstream's answer holds no message.", "server")
        message = body["message"]
        self._begin()
        self._identify(body)
        self._think(message.get("tool_plan"), plan=True)
        content = message.get("content")
        for part in content if isinstance(content, list) else [content]:
            self._content({"text": part} if isinstance(part, str) else part, body.get("logprobs"))
        for citation in _list(message.get("citations")):
            self._cite(citation)
        for index, call in enumerate(_list(message.get("tool_calls"))):
            key = ("call", str(index))
            self._call(key, _dict(call))
            self._draft.close(key)
        self._end(body)
        self.end()

    def end(self) -> None:
        if self._began:
            self._seal()
            self._annotate()
        if self._citations:
            self._draft.notes.append("citations: left out (no text)")
        self._draft.end()

    # ------------------------------------------------------------------------------------------------------- pieces

    def _begin(self) -> None:
        if not self._began:
            self._began = True
            self._draft.begin()

    def _identify(self, holder: dict[str, Any]) -> None:
        identifier = holder.get("id")
        self._draft.served(upstream_id=identifier if isinstance(identifier, str) else None)

    def _content(self, content: Any, logprobs: Any) -> None:
        content = _dict(content)
        self._think(content.get("thinking"), plan=False)
        text = content.get("text")
        if isinstance(text, str) and text:
            self._seal()
            self._draft.text(text, _logprobs(logprobs))
            self._annotate()

    def _think(self, text: Any, *, plan: bool) -> None:
        if isinstance(text, str) and text:
            if self._planned != plan:
                self._seal()
            self._planned = plan
            self._thoughts.append(text)
            self._draft.reasoning(text)

    def _seal(self) -> None:
        """The reasoning so far is complete. A plan and thinking go back in different places."""
        if self._thoughts:
            content: dict[str, Any] = {"text": "".join(self._thoughts)}
            self._draft.seal(seal(_MAKER, {**content, "plan": True} if self._planned else content))
            self._thoughts.clear()

    def _call(self, key: tuple[str, str], call: dict[str, Any]) -> None:
        self._draft.close(key)  # a call that never ended, and another in its place
        self._seal()
        self._annotate()
        function, identifier = _dict(call.get("function")), call.get("id")
        if not (isinstance(identifier, str) and identifier):
            identifier = f"call_{self._draft.response['id'].rpartition('_')[2]}_{self._calls}"
        self._calls += 1
        self._draft.call(key, call_id=identifier, name=str(function.get("name") or ""))
        arguments = function.get("arguments")
        self._draft.arguments(key, arguments if isinstance(arguments, str) else "")

    def _cite(self, citation: Any) -> None:
        """A citation of the text; those of thinking and of plans have no place in a message."""
        citation = _dict(citation)
        if citation.get("type") in (None, "TEXT_CONTENT"):
            self._citations.extend(_annotation(citation, _dict(source)) for source in _list(citation.get("sources")))
            self._annotate()

    def _annotate(self) -> None:
        if self._draft.position:
            for annotation in self._citations:
                self._draft.annotation(annotation)
            self._citations.clear()

    def _end(self, holder: dict[str, Any]) -> None:
        usage = holder.get("usage")
        if isinstance(usage, dict):
            self._draft.usage(_usage(usage))
        reason = holder.get("finish_reason")
        if reason in ("ERROR", "TIMEOUT"):
            told = holder.get("error")
            message = told if isinstance(told, str) and told else f"The upstream stopped: {reason}."
            raise UpstreamError(message, "timeout" if reason == "TIMEOUT" else "server")
        if isinstance(reason, str):
            self._draft.stop(_STOPS.get(reason, "stop"))


def _annotation(citation: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    """A source with a URL is a page; any other document or tool result is a file with the source's id."""
    document = _dict(source.get("document")) or _dict(source.get("tool_output"))
    identifier = str(source.get("id") or document.get("id") or "")
    title = document.get("title")
    url = document.get("url")
    start, end = count(citation.get("start")), count(citation.get("end"))
    if isinstance(url, str) and url:
        return {
            "type": "url_citation",
            "url": url,
            "title": title if isinstance(title, str) else url,
            "start_index": start,
            "end_index": end,
        }
    name = title if isinstance(title, str) and title else identifier
    return {"type": "file_citation", "file_id": identifier, "filename": name, "index": end}


def _usage(usage: dict[str, Any]) -> Usage:
    """`tokens` are what the model read and wrote; `billed_units` leave Cohere's own prompt out.

    Images are counted beside `input_tokens`: with one image, `billed_units` is its tokens and the text's.
    """
    tokens = _dict(usage.get("tokens"))
    told, written = count(tokens.get("input_tokens")), count(tokens.get("output_tokens"))
    cached = min(told, count(usage.get("cached_tokens")))
    reasoning = min(written, count(tokens.get("reasoning_tokens")))
    return Usage(
        input=told - cached,
        cache_read=cached,
        input_image=count(tokens.get("image_tokens")),
        output=written - reasoning,
        reasoning=reasoning,
    )


def _logprobs(logprobs: Any) -> list[Any] | None:
    """Cohere gives a text chunk with one probability for each of its tokens, but not the tokens' own text."""
    found = []
    for entry in _list(logprobs) or [logprobs]:
        text, chances = _dict(entry).get("text"), _list(_dict(entry).get("logprobs"))
        if isinstance(text, str) and len(chances) == 1 and isinstance(chances[0], (int, float)):
            found.append({"token": text, "bytes": list(text.encode()), "logprob": chances[0], "top_logprobs": []})
    return found or None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


# ------------------------------------------------------------------------------------------------------------- errors


def error(status: int, body: bytes, headers: Mapping[str, str]) -> UpstreamError:
    """`{"id", "message", "error_type"}`; the id is the request's."""
    return chat_error(status, body, headers, by_status=_BY_STATUS)
