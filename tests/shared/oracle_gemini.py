"""Gemini generateContent and streamGenerateContent, on AI Studio and Vertex: https://ai.google.dev/api/generate-content."""

from __future__ import annotations

import re
from typing import Any

from .oracle import Failure, Said, Stop, Tokens, ToolCall, call, number, tally

_STOP: dict[str, Stop] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "MODEL_ARMOR"),
        "content_filter",
    ),
}


def said(recording: Any) -> Said:
    chunks = [event for _, event in recording.events() if isinstance(event, dict)]
    text, reasoning, reason = "", "", None
    calls: list[ToolCall] = []
    partial: dict[str, Any] | None = None
    partial_name = ""
    hosted, citations = [], set()
    blocked = False
    usage: dict[str, Any] = {}
    message = ""
    for chunk in chunks:
        blocked = blocked or bool((chunk.get("promptFeedback") or {}).get("blockReason"))
        counts = chunk.get("usageMetadata") or {}
        if any(name.endswith("TokenCount") for name in counts):
            usage = counts  # cumulative; Vertex tells only `trafficType` until the last chunk
        candidates = [c for c in chunk.get("candidates") or [] if c.get("index", 0) == 0]
        for candidate in candidates[:1]:
            reason = candidate.get("finishReason") or reason
            message = candidate.get("finishMessage") or message
            citations |= _cited(candidate.get("groundingMetadata") or {})
            for part in (candidate.get("content") or {}).get("parts") or []:
                if "text" in part and part.get("thought"):
                    reasoning += part["text"]
                elif "text" in part:
                    text += part["text"]
                elif "executableCode" in part:
                    hosted.append("code")
                elif "functionCall" in part:
                    function = part["functionCall"]
                    if (
                        "partialArgs" in function
                        or function.get("willContinue")
                        or (partial is not None and not function)
                    ):
                        # https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling,
                        # "streaming function call arguments": pieces by JSON path, an empty call ends them.
                        if partial is None:
                            partial, partial_name = {}, function.get("name", "")
                        for piece in function.get("partialArgs") or []:
                            _place(partial, piece)
                        if not function.get("willContinue"):
                            calls.append(call(partial_name, partial))
                            partial = None
                    else:
                        calls.append(call(function["name"], function.get("args")))
    if partial is not None:
        calls.append(call(partial_name, partial))
    failure, truncated = None, False
    stop: Stop = "error"
    if reason in _STOP:
        stop = _STOP[reason]
    elif reason == "UNEXPECTED_TOOL_CALL" and calls:
        stop = "tool_calls"  # the call is there, only no such function was declared: the client can tell the model so
    elif reason is not None:
        failure = Failure(kind="server", message=message)
    elif blocked:
        stop = "content_filter"
    elif recording.data["body_kind"] == "json" and chunks and chunks[0].get("candidates"):
        stop = "stop"  # a whole answer is whole; the speech models leave the reason out
    else:
        truncated = True
    return Said(
        text=text,
        reasoning=reasoning,
        calls=tuple(calls),
        citations=frozenset(citations),
        stop=stop,
        tokens=_tokens(usage),
        hosted=tally(hosted),
        failure=failure,
        truncated=truncated,
    )


def _cited(grounding: dict[str, Any]) -> set[str]:
    """Sources that some part of the text is attributed to."""
    chunks = grounding.get("groundingChunks") or []
    found = set()
    for support in grounding.get("groundingSupports") or []:
        for index in support.get("groundingChunkIndices") or []:
            if index < len(chunks):
                source = chunks[index].get("web") or chunks[index].get("retrievedContext") or {}
                name = source.get("uri") or source.get("title")
                if name:
                    found.add(name)
    return found


def _place(arguments: dict[str, Any], piece: dict[str, Any]) -> None:
    """Put one piece (`$.operations[0].action` = ...) where it belongs; pieces of a string are joined."""
    steps: list[str | int] = [
        int(index) if index else name for name, index in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", piece["jsonPath"])
    ]
    value: Any = next((piece[k] for k in ("stringValue", "numberValue", "boolValue") if k in piece), None)
    here: Any = arguments
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        if isinstance(here, list):
            assert isinstance(step, int)
            while len(here) <= step:
                here.append(None)
            old = here[step]
        else:
            old = here.get(step)
        if following is None:
            new = old + value if isinstance(old, str) and isinstance(value, str) else value
        else:
            new = old if old is not None else [] if isinstance(following, int) else {}
        here[step] = new
        here = new


def _tokens(usage: dict[str, Any]) -> Tokens | None:
    if not usage:
        return None
    thoughts = number(usage.get("thoughtsTokenCount"))
    return Tokens(
        input=number(usage.get("promptTokenCount")) + number(usage.get("toolUsePromptTokenCount")),
        output=number(usage.get("candidatesTokenCount")) + thoughts,
        cached=number(usage.get("cachedContentTokenCount")),
        reasoning=thoughts,
    )
