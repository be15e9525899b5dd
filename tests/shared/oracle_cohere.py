"""Cohere v2 Chat: https://docs.cohere.com/reference/chat and .../chat-stream. A tool plan is reasoning that is shown."""

from __future__ import annotations

from typing import Any

from .oracle import Said, Stop, Tokens, call, number

_STOP: dict[str, Stop] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "TOOL_CALL": "tool_calls",
    "MAX_TOKENS": "length",
    "ERROR": "error",
    "TIMEOUT": "error",
}


def said(recording: Any) -> Said:
    events = [event for _, event in recording.events() if isinstance(event, dict)]
    if recording.data["body_kind"] == "json":
        whole = events[0]
        return _of_message(whole["message"], whole["finish_reason"], whole.get("usage") or {})
    content: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    citations: list[dict[str, Any]] = []
    plan, reason = "", None
    usage: dict[str, Any] = {}
    for event in events:
        kind = event["type"]
        message = (event.get("delta") or {}).get("message") or {}
        if kind in ("content-start", "content-delta"):
            content.append(message["content"])
        elif kind == "tool-plan-delta":
            plan += message["tool_plan"]
        elif kind == "tool-call-start":
            calls.append({"name": message["tool_calls"]["function"]["name"], "arguments": ""})
        elif kind == "tool-call-delta":
            calls[-1]["arguments"] += message["tool_calls"]["function"]["arguments"]
        elif kind == "citation-start":
            citations.append(message["citations"])
        elif kind == "message-end":
            reason, usage = event["delta"]["finish_reason"], event["delta"].get("usage") or {}
    whole = {
        "content": content,
        "tool_plan": plan,
        "tool_calls": [{"function": c} for c in calls],
        "citations": citations,
    }
    return _of_message(whole, reason, usage)


def _of_message(message: dict[str, Any], reason: str | None, usage: dict[str, Any]) -> Said:
    content = message.get("content") or []
    functions = [item["function"] for item in message.get("tool_calls") or []]
    calls = [call(function["name"], function.get("arguments")) for function in functions]
    tokens = usage.get("tokens") or {}
    names = set()
    for citation in message.get("citations") or []:
        for source in citation.get("sources") or []:
            document = source.get("document") or {}
            name = document.get("url") or document.get("title") or source.get("id")
            if name:
                names.add(name)
    return Said(
        text="".join(part.get("text") or "" for part in content),
        reasoning=(message.get("tool_plan") or "") + "".join(part.get("thinking") or "" for part in content),
        calls=tuple(calls),
        citations=frozenset(names),
        stop=_STOP[reason] if reason else "error",
        tokens=Tokens(
            input=number(tokens.get("input_tokens")) + number(tokens.get("image_tokens")),
            output=number(tokens.get("output_tokens")),
            cached=number(usage.get("cached_tokens")),
            reasoning=number(tokens.get("reasoning_tokens")),
        )
        if tokens
        else None,
        truncated=reason is None,
    )
