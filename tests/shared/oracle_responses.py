"""The Responses API: https://platform.openai.com/docs/api-reference/responses. Also reads what the gateway answers."""

from __future__ import annotations

from typing import Any

from .oracle import Failure, Said, Stop, Tokens, ToolCall, call, number, tally
from .oracle_error import kind_of

_HOSTED = {
    "web_search_call": "web_search",
    "code_interpreter_call": "code",
    "file_search_call": "file_search",
    "mcp_call": "mcp",
}

_ENDS = ("response.completed", "response.incomplete", "response.failed")


def said(recording: Any) -> Said:
    events = [event for _, event in recording.events() if isinstance(event, dict)]
    if recording.data["body_kind"] == "json":
        return of_response(events[0])
    final: dict[str, Any] | None = None
    done: list[Any] = []
    failure = None
    for event in events:
        kind = event.get("type")
        if kind == "response.output_item.done":
            done.append(event["item"])
        elif kind in _ENDS:
            final = event["response"]
        elif kind == "error":
            nested = event.get("error")
            error = nested if isinstance(nested, dict) else event
            failure = Failure(
                kind=kind_of(None, error.get("code"), error.get("type")), message=error.get("message") or ""
            )
    if final is None:
        return of_response({"status": "in_progress", "output": done}, failure=failure, truncated=failure is None)
    return of_response({**final, "output": final.get("output") or done}, failure=failure)


def of_response(response: dict[str, Any], *, failure: Failure | None = None, truncated: bool = False) -> Said:
    """What a Response object says."""
    text, reasoning, refusal = "", "", None
    calls: list[ToolCall] = []
    hosted, citations = [], set()
    for item in response.get("output") or []:
        kind = item.get("type")
        if kind == "message":
            for part in item.get("content") or []:
                if part.get("type") == "output_text":
                    text += part.get("text") or ""
                    for annotation in part.get("annotations") or []:
                        citations.update(names_of(annotation))
                elif part.get("type") == "refusal":
                    refusal = (refusal or "") + (part.get("refusal") or "")
        elif kind == "reasoning":
            for part in [*(item.get("summary") or []), *(item.get("content") or [])]:
                reasoning += part.get("text") or ""
        elif kind == "function_call":
            calls.append(call(item["name"], item.get("arguments")))
        elif kind == "custom_tool_call":
            calls.append(ToolCall(name=item["name"], arguments=item.get("input")))
        elif kind in _HOSTED:
            hosted.append(_HOSTED[kind])
    status = response.get("status")
    stop: Stop = "stop"
    if status == "incomplete":
        reason = (response.get("incomplete_details") or {}).get("reason")
        stop = "content_filter" if reason == "content_filter" else "length"
    elif status == "queued":
        stop = "queued"
    elif status not in ("completed", None):
        stop = "error"
    error = response.get("error")
    if status == "failed" and failure is None and isinstance(error, dict):
        failure = Failure(kind=kind_of(None, error.get("code")), message=error.get("message") or "")
    return Said(
        text=text,
        reasoning=reasoning,
        calls=tuple(calls),
        citations=frozenset(citations),
        stop=stop,
        refusal=refusal,
        tokens=_tokens(response.get("usage")),
        hosted=tally(hosted),
        failure=failure,
        truncated=truncated,
    )


def names_of(annotation: dict[str, Any]) -> set[str]:
    """Everything that an annotation calls its source by."""
    inner = annotation.get("url_citation")
    places = [annotation, inner] if isinstance(inner, dict) else [annotation]
    keys = ("url", "title", "filename", "file_id")
    return {place[key] for place in places for key in keys if isinstance(place.get(key), str) and place[key]}


def _tokens(usage: Any) -> Tokens | None:
    if not isinstance(usage, dict):
        return None
    read = usage.get("input_tokens_details") or {}
    written = usage.get("output_tokens_details") or {}
    return Tokens(
        input=number(usage.get("input_tokens")),
        output=number(usage.get("output_tokens")),
        cached=number(read.get("cached_tokens")),
        cache_write=number(read.get("cache_write_tokens")),
        reasoning=number(written.get("reasoning_tokens")),
    )
