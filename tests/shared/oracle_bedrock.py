"""Amazon Bedrock: Converse and ConverseStream (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html),
and InvokeModel, whose bodies are each vendor's own."""

from __future__ import annotations

import json
from typing import Any

from . import oracle_anthropic
from .oracle import Failure, Said, Stop, Tokens, ToolCall, call, number, tally
from .oracle_error import kind_of

_STOP: dict[str, Stop] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}

_HOSTED = {"nova_code_interpreter": "code", "nova_grounding": "web_search"}


def said(recording: Any) -> Said:
    events = recording.events()
    if recording.data["body_kind"] == "json":
        whole = events[0][1]
        return of_message(whole["output"]["message"]["content"], whole.get("stopReason"), whole.get("usage"))
    return of_events(events)


def of_events(events: list[tuple[str | None, Any]]) -> Said:
    """Blocks by contentBlockIndex; text, reasoning and citation blocks have no start."""
    blocks: dict[int, dict[str, Any]] = {}
    reason, usage, failure = None, None, None
    for name, event in events:
        if name is not None and name.endswith("Exception"):
            failure = Failure(kind=kind_of(None, name), message=event.get("message") or "")
        elif name == "contentBlockStart":
            blocks[event["contentBlockIndex"]] = json.loads(json.dumps(event["start"]))
        elif name == "contentBlockDelta":
            block = blocks.setdefault(event["contentBlockIndex"], {})
            delta = event["delta"]
            if "text" in delta:
                block["text"] = block.get("text", "") + delta["text"]
            if "toolUse" in delta:
                use = block["toolUse"]
                use["input"] = use.get("input", "") + (delta["toolUse"].get("input") or "")
            if "reasoningContent" in delta:
                reasoning = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {"text": ""})
                reasoning["text"] += delta["reasoningContent"].get("text") or ""
            if "citation" in delta:
                block.setdefault("citations", []).append(delta["citation"])
        elif name == "messageStop":
            reason = event.get("stopReason")
        elif name == "metadata":
            usage = event.get("usage")
    content = [blocks[index] for index in sorted(blocks)]
    return of_message(content, reason, usage, failure=failure)


def of_message(
    content: list[dict[str, Any]], reason: str | None, usage: dict[str, Any] | None, *, failure: Failure | None = None
) -> Said:
    text, reasoning = "", ""
    calls: list[ToolCall] = []
    hosted, citations = [], set()
    for block in content:
        text += block.get("text") or ""
        cited = block.get("citationsContent") or {}
        text += "".join(part.get("text") or "" for part in cited.get("content") or [])
        for citation in [*(block.get("citations") or []), *(cited.get("citations") or [])]:
            web = (citation.get("location") or {}).get("web") or {}
            name = web.get("url") or citation.get("source") or citation.get("title")
            if name:
                citations.add(name)
        thought = (block.get("reasoningContent") or {}).get("reasoningText") or {}
        reasoning += thought.get("text") or ""
        use = block.get("toolUse")
        if use and use.get("type") == "server_tool_use":
            hosted.append(_HOSTED[use["name"]])
        elif use:
            calls.append(call(use["name"], use.get("input")))
    return Said(
        text=text,
        reasoning=reasoning,
        calls=tuple(calls),
        citations=frozenset(citations),
        stop=_STOP.get(reason or "", "error"),
        tokens=_tokens(usage),
        hosted=tally(hosted),
        failure=failure,
        truncated=reason is None and failure is None,
    )


def _tokens(usage: dict[str, Any] | None) -> Tokens | None:
    if not usage:
        return None
    read = number(usage.get("cacheReadInputTokens") or usage.get("cacheReadInputTokenCount"))
    written = number(usage.get("cacheWriteInputTokens") or usage.get("cacheWriteInputTokenCount"))
    return Tokens(
        input=number(usage.get("inputTokens")) + read + written,
        output=number(usage.get("outputTokens")),
        cached=read,
        cache_write=written,
    )


def speaks_messages(recording: Any) -> bool:
    """Whether an InvokeModel answer is in Anthropic's Messages format: others have formats of their own."""
    first = recording.events()[0][1]
    return isinstance(first, dict) and first.get("type") in ("message", "message_start")


def invoked(recording: Any) -> Said:
    """An InvokeModel answer of Claude's Messages API. Raises ValueError for the formats of other vendors."""
    if not speaks_messages(recording):
        raise ValueError(f"{recording.model} answers InvokeModel in a format of its own")
    events = [event for _, event in recording.events()]
    if recording.data["body_kind"] == "json":
        return oracle_anthropic.of_message(events[0])
    return oracle_anthropic.of_events(events)
