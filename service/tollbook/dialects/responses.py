"""The Responses API itself: what we speak, spoken by the upstream too. Frames and unknown parameters pass untouched.

https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tollbook.errors import Kind, UpstreamError
from tollbook.responses.draft import Draft
from tollbook.responses.seals import sealed
from tollbook.responses.types import TERMINAL, Item, Request, Response
from tollbook.responses.usage import LONG_WRITES, NO_USAGE, Usage, count
from tollbook.transport.frame import Frame

from . import Written, chat

native = True
inlines_urls: frozenset[str] = frozenset()

# The codes of `response.error` and of `error` events (https://platform.openai.com/docs/api-reference/responses/object).
_KINDS: dict[str, Kind] = {
    "rate_limit_exceeded": "rate_limit",
    "insufficient_quota": "rate_limit",
    "context_length_exceeded": "context_length",
    "content_filter": "content_filter",
    "bio_policy": "content_filter",
    "misalignment_policy_violation": "content_filter",
    "invalid_prompt": "bad_request",
    "invalid_request_error": "bad_request",
    "server_is_overloaded": "overloaded",
    "overloaded": "overloaded",
    "overloaded_error": "overloaded",
    "rate_limit_error": "rate_limit",
    "vector_store_timeout": "timeout",
    "model_not_found": "not_found",
    "invalid_api_key": "auth",
}

# Hosted calls that are paid for one by one, by the type of their output item.
_PAID = {
    "web_search_call": "web_search",
    "file_search_call": "file_search",
    "code_interpreter_call": "code_interpreter",
    "image_generation_call": "image_generation",
}

_NUMBER = re.compile(rb'"sequence_number"\s*:\s*(\d+)')

_TICK = Decimal("0.1")
"""nano-USD in one of xAI's cost ticks: 1e-10 USD (https://docs.x.ai/docs/key-information/consumption-and-rate-limits)."""


def write(request: Request, model: str, *, drop: bool = False) -> Written:  # noqa: ARG001 - nothing is beyond it
    """The same request for the upstream's model. Reasoning that a translated provider sealed means nothing here and stays out."""
    body = {**request, "model": model}
    notes: list[str] = []
    if isinstance(body.get("input"), list):
        kept = [_plain(item) for item in body["input"] if not _foreign(item)]
        if len(kept) != len(body["input"]):
            notes.append("reasoning: foreign, left out")
        body["input"] = kept
    return Written(body, notes)


def _foreign(item: Item) -> bool:
    return item.get("type") == "reasoning" and sealed(item.get("encrypted_content"))


def _plain(item: Item) -> Item:
    """An item without what other dialects of ours add to citations; the API refuses members it does not know."""
    content = item.get("content")
    if not isinstance(content, list) or not any(part.get("annotations") for part in content if isinstance(part, dict)):
        return item
    return {**item, "content": [_uncited(part) for part in content]}


def _uncited(part: Any) -> Any:
    annotations = part.get("annotations") if isinstance(part, dict) else None
    if not isinstance(annotations, list) or not any(isinstance(a, dict) and "citation" in a for a in annotations):
        return part
    kept = [
        {k: v for k, v in a.items() if k != "citation" and (a["type"] == "url_citation" or not k.endswith("_index"))}
        if isinstance(a, dict) and "citation" in a
        else a
        for a in annotations
    ]
    return {**part, "annotations": kept}


def reader(draft: Draft, request: Request) -> Reader:  # noqa: ARG001 - the frames say it all
    return Reader(draft)


class Reader:
    """Relays frames; reads the first, the last and finished items."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._expected = 0
        self._error: UpstreamError | None = None
        """What an `error` event said: the `response.failed` behind it may still hold the usage."""

    def feed(self, frame: Frame) -> None:
        if frame.raw == b"[DONE]":
            return
        if not frame.type or frame.type == "message":
            frame = _typed(frame)
        if not frame.type:
            return  # no event of this protocol
        if frame.type == "error":
            self._error = _in_band(_event(frame))
            return
        if self._error is not None and frame.type != "response.failed":
            raise self._error
        if frame.type in TERMINAL:
            response = _event(frame).get("response")
            if not isinstance(response, dict):
                raise UpstreamError("The upstream ended its stream without a response.", "server")
            self._heard(response)
            if frame.type == "response.failed":
                self._draft.response = response
                raise self._error or _failure(response)
            self._draft.stop("length" if frame.type == "response.incomplete" else "stop")
        self._draft.relay(self._numbered(frame))

    def whole(self, body: Any) -> None:
        if not isinstance(body, dict) or "output" not in body:
            if isinstance(body, dict) and body.get("error"):
                raise _in_band(body)
            raise UpstreamError("The upstream answered something that is not a response.", "server")
        self._heard(body)
        self._draft.adopt(body)
        if body.get("status") == "failed":
            raise _failure(body)

    def end(self) -> None:
        if self._error is not None:
            raise self._error
        self._draft.end()

    def _heard(self, response: Response) -> None:
        self._draft.usage(read_usage(response))
        self._draft.served(tier=response.get("service_tier"), upstream_id=response.get("id"))

    def _numbered(self, frame: Frame) -> Frame:
        """The frame as it came, if its number is the next one; some hosts number from 1, or not at all."""
        found = _NUMBER.search(frame.raw)
        if found is None or int(found[1]) != self._expected:
            frame = Frame(frame.type, event={**_event(frame), "sequence_number": self._expected})
        self._expected += 1
        return frame


def error(status: int, body: bytes, headers: Mapping[str, str]) -> UpstreamError:
    """A refusal: the same bodies as those of Chat Completions."""
    return chat.error(status, body, headers)


def read_usage(response: Response) -> Usage:
    """Tokens of a native Response in disjoint kinds. `total_tokens` tells whether reasoning is counted inside the output."""
    usage = response.get("usage")
    if not isinstance(usage, dict):
        return NO_USAGE
    into = usage.get("input_tokens_details") or {}
    out = usage.get("output_tokens_details") or {}
    all_input, all_output = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
    read = min(count(into.get("cached_tokens")), all_input)
    written = min(count(into.get("cache_write_tokens")), all_input - read)
    audio = min(count(into.get("audio_tokens")), all_input - read - written)
    reasoning = count(out.get("reasoning_tokens"))
    audio_out = min(count(out.get("audio_tokens")), all_output)
    visible = all_output - audio_out - reasoning
    if visible < 0:
        reasoning, visible = all_output - audio_out, 0
    lifetimes = into.get("cache_write_tokens_details")
    longer = min(count(lifetimes.get("ttl_12h_tokens")), written) if isinstance(lifetimes, dict) else 0
    return Usage(
        input=all_input - read - written - audio,
        cache_read=read,
        cache_write=written - longer,
        cache_write_1h=longer,
        input_audio=audio,
        output=visible,
        reasoning=reasoning,
        output_audio=audio_out,
        tools=_tools(response),
        reported_cost=_reported_cost(usage),
        units={LONG_WRITES: longer} if longer else {},
    )


def _tools(response: Response) -> dict[str, int]:
    """Hosted calls that are paid for. Of web searches those that search: opening a page and looking into one are free
    (https://platform.openai.com/docs/pricing#built-in-tools), and `tool_usage`, where it is told, knows what is billed."""
    tools: dict[str, int] = {}
    for item in response.get("output") or ():
        name = _PAID.get(str(item.get("type"))) if isinstance(item, dict) else None
        if name is None:
            continue
        action = item.get("action") if name == "web_search" else None
        if isinstance(action, dict) and action.get("type", "search") != "search":
            continue
        tools[name] = tools.get(name, 0) + 1
    told = response.get("tool_usage")
    searches = told.get("web_search") if isinstance(told, dict) else None
    if isinstance(searches, dict) and "num_requests" in searches:
        billed = count(searches["num_requests"])
        tools.pop("web_search", None)
        if billed:
            tools["web_search"] = billed
    return tools


def _reported_cost(usage: dict[str, Any]) -> int | None:
    """nano-USD, where the host tells its own price: OpenRouter in USD, xAI in ticks."""
    ticks, usd = usage.get("cost_in_usd_ticks"), usage.get("cost")
    if isinstance(ticks, int) and not isinstance(ticks, bool):
        return round(ticks * _TICK)
    if isinstance(usd, (int, float)) and not isinstance(usd, bool) and 0 <= usd < 1e9:
        return int((Decimal(str(usd)) * 1_000_000_000).to_integral_value())
    return None


def _typed(frame: Frame) -> Frame:
    """A frame whose host leaves `event:` out: the data says the type."""
    event = _event(frame)
    kind = event.get("type")
    if not isinstance(kind, str):
        kind = "error" if "error" in event else ""
    return Frame(kind, frame.raw, event)


def _event(frame: Frame) -> dict[str, Any]:
    try:
        event = frame.event
    except ValueError as broken:
        raise UpstreamError(f"The upstream sent an event that is not JSON: {broken}.", "server") from None
    if not isinstance(event, dict):
        raise UpstreamError("The upstream sent an event that is not an object.", "server")
    return event


def _in_band(event: dict[str, Any]) -> UpstreamError:
    """An `error` event, nested as the specification has it or flat as the SDKs know it."""
    inner = event.get("error")
    inner = inner if isinstance(inner, dict) else {**event, "message": inner or event.get("message")}
    return _told(inner)


def _failure(response: Response) -> UpstreamError:
    return _told(response.get("error") or {})


def _told(told: dict[str, Any]) -> UpstreamError:
    code = str(told.get("code") or told.get("type") or "server_error")
    kind = _KINDS.get(code) or _KINDS.get(str(told.get("type"))) or "server"
    param = told.get("param")
    return UpstreamError(
        str(told.get("message") or "The upstream failed."),
        kind,
        code=code,
        param=param if isinstance(param, str) else None,
    )
