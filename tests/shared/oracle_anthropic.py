"""Anthropic Messages, on Anthropic, Vertex and Bedrock: https://docs.claude.com/en/api/messages and .../streaming."""

from __future__ import annotations

import json
from typing import Any

from .oracle import Failure, Said, Stop, Tokens, call, number, tally
from .oracle_error import kind_of

_STOP: dict[str, Stop] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}

_HOSTED = {
    "web_search": "web_search",
    "code_execution": "code",
    "bash_code_execution": "code",
    "text_editor_code_execution": "code",
}


def said(recording: Any) -> Said:
    events = [event for _, event in recording.events()]
    if recording.data["body_kind"] == "json":
        return of_message(events[0])
    return of_events(events)


def of_events(events: list[Any]) -> Said:
    """A stream, put together to the message that it delivers."""
    message: dict[str, Any] = {"content": [], "usage": {}}
    pieces: dict[int, list[str]] = {}
    failure = None
    ended = False
    for event in events:
        kind = event.get("type") if isinstance(event, dict) else None
        if kind == "message_start":
            message = {**event["message"], "content": [], "usage": dict(event["message"].get("usage") or {})}
        elif kind == "content_block_start":
            message["content"].append(dict(event["content_block"]))
            pieces[event["index"]] = []
        elif kind == "content_block_delta":
            block, delta = message["content"][event["index"]], event["delta"]
            if delta["type"] == "text_delta":
                block["text"] += delta["text"]
            elif delta["type"] == "thinking_delta":
                block["thinking"] += delta["thinking"]
            elif delta["type"] == "citations_delta":
                block["citations"] = [*(block.get("citations") or []), delta["citation"]]
            elif delta["type"] == "input_json_delta":
                pieces[event["index"]].append(delta["partial_json"])
        elif kind == "message_delta":
            message.update(event["delta"])
            # Cumulative: the last value of each field is the truth.
            message["usage"].update({k: v for k, v in (event.get("usage") or {}).items() if v is not None})
        elif kind == "message_stop":
            ended = True
        elif kind == "error":
            error = event["error"]
            failure = Failure(kind=kind_of(None, error.get("type")), message=error.get("message") or "")
    for index, block in enumerate(message["content"]):
        text = "".join(pieces.get(index, []))
        if text:
            # Not JSON where max_tokens cut it; then the block is not even stopped.
            try:
                block["input"] = json.loads(text)
            except ValueError:
                block["input"] = text
    return of_message(message, failure=failure, truncated=not ended and failure is None)


def of_message(message: dict[str, Any], *, failure: Failure | None = None, truncated: bool = False) -> Said:
    text, reasoning = "", ""
    calls, hosted, citations = [], [], set()
    for block in message.get("content") or []:
        kind = block["type"]
        if kind == "text":
            text += block["text"]
            for citation in block.get("citations") or []:
                name = citation.get("url") or citation.get("source") or citation.get("document_title")
                name = name or citation.get("title")
                if name:
                    citations.add(name)
        elif kind == "thinking":
            reasoning += block["thinking"]
        elif kind == "tool_use":
            calls.append(call(block["name"], block.get("input")))
        elif kind == "server_tool_use" and block["name"] in _HOSTED:
            hosted.append(_HOSTED[block["name"]])
        elif kind == "mcp_tool_use":
            hosted.append("mcp")
    reason = message.get("stop_reason")
    refusal = None
    if reason == "refusal":
        refusal = (message.get("stop_details") or {}).get("explanation") or ""
    return Said(
        text=text,
        reasoning=reasoning,
        calls=tuple(calls),
        citations=frozenset(citations),
        stop=_STOP[reason] if reason else "error",
        refusal=refusal,
        tokens=_tokens(message.get("usage") or {}),
        hosted=tally(hosted),
        failure=failure,
        truncated=truncated,
    )


def _tokens(usage: dict[str, Any]) -> Tokens | None:
    if not usage:
        return None
    written, read = number(usage.get("cache_creation_input_tokens")), number(usage.get("cache_read_input_tokens"))
    details = usage.get("output_tokens_details") or {}
    return Tokens(
        input=number(usage.get("input_tokens")) + written + read,
        output=number(usage.get("output_tokens")),
        cached=read,
        cache_write=written,
        reasoning=number(details.get("thinking_tokens")),
    )
