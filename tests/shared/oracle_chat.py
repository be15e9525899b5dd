"""Chat Completions, as OpenAI documents it (https://platform.openai.com/docs/api-reference/chat) and as others speak it.

Only the first choice is read: a Response has one answer. Reasoning is looked for in the places that hosts put it:
`reasoning_content` (DeepSeek, xAI, Z.ai, llama.cpp ...), `reasoning` (Groq, OpenRouter, Ollama ...), `reasoning_details`
(OpenRouter's structured form; it repeats `reasoning`), and `thinking` parts of the content (Mistral). `<think>` tags
inside the content are text: the provider did not set them apart.
"""

from __future__ import annotations

from typing import Any

from .oracle import Failure, Said, Stop, Tokens, ToolCall, call, number, tally
from .oracle_error import codes_of, kind_of, message_of

_STOP: dict[str, Stop] = {"length": "length", "content_filter": "content_filter", "max_tokens": "length"}


def said(recording: Any) -> Said:
    chunks: list[dict[str, Any]] = []
    finished = False
    failure: Failure | None = None
    for _, event in recording.events():
        if event == "[DONE]" or (isinstance(event, str) and event.strip() == "[DONE]"):
            finished = True
        elif isinstance(event, dict):
            if event.get("error"):
                codes = codes_of(event, {})
                status = event["error"].get("status_code") if isinstance(event["error"], dict) else None
                failure = Failure(kind=kind_of(status, *codes), message=message_of(event))
            chunks.append(event)

    whole = "message" if recording.data["body_kind"] == "json" else "delta"
    text, reasoning, refusal, reason = "", "", None, None
    calls: list[dict[str, Any]] = []
    citations: set[str] = set()
    hosted: list[str] = []
    for chunk in chunks:
        citations |= _sources(chunk)
        for choice in [c for c in chunk.get("choices") or [] if c.get("index", 0) == 0][:1]:
            # `finish_details` is what the first vision models had in its place.
            told = choice.get("finish_reason", (choice.get("finish_details") or {}).get("type"))
            reason = told if told is not None else reason
            # Perplexity has both: beside each delta the message so far, beside the message an empty delta.
            message = choice.get(whole) or {}
            visible, thought = _content(message.get("content"))
            text += visible or ((message.get("audio") or {}).get("transcript") or "")
            reasoning += _reasoning(message) or thought
            if message.get("refusal"):
                refusal = (refusal or "") + message["refusal"]
            for annotation in message.get("annotations") or []:
                url = (annotation.get("url_citation") or {}).get("url")
                if url:
                    citations.add(url)
            executed = message.get("executed_tools") or []
            hosted += ["web_search" if tool.get("type") == "search" else "code" for tool in executed]
            for piece in message.get("tool_calls") or []:
                _grow(calls, piece)
            function = message.get("function_call") or {}
            if function.get("name") or (function.get("arguments") and calls):
                _grow(calls, {"index": 0, "function": function})

    if reason is not None:
        finished = True
    stop = _STOP.get(reason or "", "stop")
    if refusal is not None and stop == "stop":
        stop = "refusal"
    return Said(
        text=text,
        reasoning=reasoning,
        calls=tuple(_finished(c) for c in calls),
        citations=frozenset(citations),
        stop=stop,
        refusal=refusal,
        tokens=_tokens(chunks),
        hosted=tally(hosted),
        failure=failure,
        truncated=not finished and failure is None,
    )


def _content(content: Any) -> tuple[str, str]:
    """Visible text and thinking in a content, which is text, nothing, or Mistral's list of parts."""
    if not isinstance(content, list):
        return content or "", ""
    text, thinking = "", ""
    for part in content:
        if part.get("type") == "text":
            text += part["text"]
        elif part.get("type") == "thinking":
            thinking += "".join(inner.get("text") or "" for inner in part.get("thinking") or [])
    return text, thinking


def _reasoning(message: dict[str, Any]) -> str:
    plain = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(plain, str) and plain:
        return plain
    details = message.get("reasoning_details") or []
    return "".join(detail.get("text") or detail.get("summary") or "" for detail in details)


def _grow(calls: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    """A piece of a tool call: by index; without one, a new name begins a new call."""
    function = piece.get("function") or {}
    index = piece.get("index")
    place = next((c for c in calls if index is not None and c["index"] == index), None)
    if place is None and index is None and calls and not function.get("name"):
        place = calls[-1]
    if place is None:
        place = {"index": index, "name": "", "arguments": ""}
        calls.append(place)
    place["name"] = place["name"] or function.get("name") or ""
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        place["arguments"] += arguments
    elif arguments is not None:
        place["arguments"] = arguments


def _finished(piece: dict[str, Any]) -> ToolCall:
    return call(piece["name"], piece["arguments"])


def _sources(chunk: dict[str, Any]) -> set[str]:
    """Perplexity's sources of the whole answer."""
    return {url for url in chunk.get("citations") or [] if isinstance(url, str)}


def _tokens(chunks: list[dict[str, Any]]) -> Tokens | None:
    usage: dict[str, Any] | None = None
    for chunk in chunks:
        for place in (chunk.get("usage"), (chunk.get("x_groq") or {}).get("usage")):
            if isinstance(place, dict) and place.get("prompt_tokens") is not None:
                usage = place
    if usage is None:
        return None
    read = usage.get("prompt_tokens_details") or {}
    written = usage.get("completion_tokens_details") or {}
    prompt, completion = number(usage.get("prompt_tokens")), number(usage.get("completion_tokens"))
    reasoning = number(written.get("reasoning_tokens")) or number(usage.get("reasoning_tokens"))
    cached = next(
        (
            number(count)
            for count in (
                read.get("cached_tokens"),
                usage.get("prompt_cache_hit_tokens"),
                usage.get("cached_tokens"),
                usage.get("cache_read_input_tokens"),
                usage.get("num_cached_tokens"),
            )
            if count
        ),
        0,
    )
    # What the total has beyond its two parts was left out of one of them.
    rest = number(usage.get("total_tokens")) - prompt - completion
    audio = number(read.get("audio_tokens"))
    if rest > 0 and rest == audio:
        prompt += audio  # Mistral counts audio apart
    elif rest > 0 and rest == reasoning:
        completion += reasoning  # xAI counts reasoning apart
    elif rest > 0:
        completion += rest  # Gemini's compatible endpoint tells thoughts in the total only
        reasoning = reasoning or rest
    elif reasoning > completion:
        completion += reasoning  # Vercel's gateway leaves Gemini's thoughts out of the total as well
    return Tokens(
        input=prompt,
        output=completion,
        cached=cached if cached <= prompt else None,  # Grok on Azure counts a hidden prompt as cached only
        cache_write=number(read.get("cache_write_tokens")) or number(usage.get("cache_creation_input_tokens")),
        reasoning=reasoning,
    )
