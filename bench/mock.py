"""A fast upstream: native Responses and Chat Completions, JSON and streams of 200 deltas; also swallows OTLP.

Deltas come one by one, GAP milliseconds apart, as a model's do: sent at once they would be read at once, and nobody would
have to handle them singly.

GAP=10 uvicorn bench.mock:app
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

DELTAS = 200
TEXT = "word " * DELTAS
GAP = float(os.environ.get("GAP", "10")) / 1000

_RESPONSE: dict[str, Any] = {
    "id": "resp_bench",
    "object": "response",
    "created_at": 1_700_000_000,
    "status": "completed",
    "model": "gpt-4o-mini-2024-07-18",
    "output": [
        {
            "id": "msg_bench",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": TEXT, "annotations": [], "logprobs": []}],
        }
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": DELTAS,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": DELTAS + 20,
    },
}

_CHAT: dict[str, Any] = {
    "id": "chatcmpl-bench",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 20, "completion_tokens": DELTAS, "total_tokens": DELTAS + 20},
}


def _event(kind: str, number: int, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, "sequence_number": number, **fields}, separators=(",", ":"))
    return f"event: {kind}\ndata: {data}\n\n".encode()


def _native_stream() -> list[bytes]:
    begun = {**_RESPONSE, "status": "in_progress", "output": [], "usage": None}
    item = _RESPONSE["output"][0]
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    events = [
        _event("response.created", 0, response=begun),
        _event("response.in_progress", 1, response=begun),
        _event("response.output_item.added", 2, output_index=0, item={**item, "content": [], "status": "in_progress"}),
        _event("response.content_part.added", 3, **place, part={"type": "output_text", "text": "", "annotations": []}),
    ]
    events += [_event("response.output_text.delta", 4 + n, **place, delta="word ", logprobs=[]) for n in range(DELTAS)]
    number = 4 + DELTAS
    events += [
        _event("response.output_text.done", number, **place, text=TEXT, logprobs=[]),
        _event("response.content_part.done", number + 1, **place, part=item["content"][0]),
        _event("response.output_item.done", number + 2, output_index=0, item=item),
        _event("response.completed", number + 3, response=_RESPONSE),
    ]
    return events


def _chat_stream() -> list[bytes]:
    head = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "model": _CHAT["model"]}
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]} for _ in range(DELTAS)
    ]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    chunks.append({**head, "choices": [], "usage": _CHAT["usage"]})
    return [b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n" for chunk in chunks] + [
        b"data: [DONE]\n\n"
    ]


_WHOLE = {"responses": json.dumps(_RESPONSE).encode(), "completions": json.dumps(_CHAT).encode(), "traces": b"{}"}
_STREAMS = {"responses": _native_stream(), "completions": _chat_stream()}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers by the last segment of the path; the body's `"stream":true` decides the form."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    kind = scope["path"].rpartition("/")[2]
    streamed = b'"stream":true' in body.replace(b" ", b"")
    media = b"text/event-stream" if streamed and kind in _STREAMS else b"application/json"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", media)]})
    if streamed and kind in _STREAMS:
        for piece in _STREAMS[kind]:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(GAP)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    else:
        await send({"type": "http.response.body", "body": _WHOLE.get(kind, b"{}"), "more_body": False})
