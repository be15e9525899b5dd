"""Everything that providers do wrong, as scripts for the upstream of tests/server/upstream.py."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping

from tests.server.upstream import CHAT_USAGE, Exchange, Script, chat_chunk, chat_whole

WORDS = ("It ", "was ", "a ", "dark ", "night ")


def streamed(exchange: Exchange) -> bool:
    return bool(exchange.json.get("stream"))


async def stall(exchange: Exchange) -> None:
    """Accepts and says nothing at all."""
    await asyncio.sleep(30)


async def stall_after_head(exchange: Exchange) -> None:
    await exchange.head(content="text/event-stream" if streamed(exchange) else "application/json")
    await asyncio.sleep(30)


def refuse(status: int, **headers: str) -> Script:
    async def script(exchange: Exchange) -> None:
        body = {"error": {"message": f"refused {status}", "type": "x", "code": None}}
        await exchange.answer(body, status, **headers)

    return script


async def reset(exchange: Exchange) -> None:
    exchange.reset()


async def error_frame(exchange: Exchange) -> None:
    """200, and then an error where the answer should be."""
    error = {"error": {"message": "no capacity", "type": "server_error", "code": 503}}
    if streamed(exchange):
        await exchange.head(content="text/event-stream")
        await exchange.event(error)
    else:
        await exchange.answer(error)


async def empty(exchange: Exchange) -> None:
    """200 and no body."""
    await exchange.answer(b"", content="text/event-stream" if streamed(exchange) else "application/json")


async def html(exchange: Exchange) -> None:
    await exchange.answer(b"<html>It works!</html>", content="text/html")


async def drip(exchange: Exchange) -> None:
    """A byte now and then, which never becomes an event."""
    await exchange.head(content="text/event-stream" if streamed(exchange) else "application/json")
    while True:
        await exchange.send(b":" if streamed(exchange) else b" ")
        await asyncio.sleep(0.04)


def body_of(exchange: Exchange) -> bytes:
    """A right answer's bytes."""
    if not streamed(exchange):
        return json.dumps(chat_whole("".join(WORDS))).encode()
    events = [chat_chunk({"content": word}) for word in WORDS] + [{**chat_chunk({}, "stop"), "usage": CHAT_USAGE}]
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"


def cut(at: int) -> Script:
    """A right answer that ends after so many bytes."""

    async def script(exchange: Exchange) -> None:
        body = body_of(exchange)
        content = "text/event-stream" if streamed(exchange) else "application/json"
        await exchange.head(content=content, content_length=str(len(body)))
        await exchange.send(body[: at if streamed(exchange) else at // 3])
        await asyncio.sleep(0.02)

    return script


async def reset_later(exchange: Exchange) -> None:
    """As `cut`, but with a reset."""
    await exchange.head(content="text/event-stream" if streamed(exchange) else "application/json")
    await exchange.send(body_of(exchange)[: 300 if streamed(exchange) else 100])
    await asyncio.sleep(0.05)
    exchange.reset()


async def error_frame_later(exchange: Exchange) -> None:
    """Two words, then an error in the stream."""
    if not streamed(exchange):
        await error_frame(exchange)
        return
    await exchange.head(content="text/event-stream")
    for word in WORDS[:2]:
        await exchange.event(chat_chunk({"content": word}))
    await asyncio.sleep(0.1)  # in a packet of its own: what comes with the error in one is never given to the client
    await exchange.event({"error": {"message": "broke", "type": "server_error", "code": 500}})


async def drip_later(exchange: Exchange) -> None:
    """Two words, then comments for ever."""
    if not streamed(exchange):
        await drip(exchange)
        return
    await exchange.head(content="text/event-stream")
    for word in WORDS[:2]:
        await exchange.event(chat_chunk({"content": word}))
    while True:
        await exchange.send(b": still here\n\n")
        await asyncio.sleep(0.04)


async def right(exchange: Exchange) -> None:
    """What should be."""
    await exchange.answer(body_of(exchange), content="text/event-stream" if streamed(exchange) else "application/json")


EARLY: Mapping[str, Script] = {
    "stall": stall,
    "stall-after-head": stall_after_head,
    "429": refuse(429),
    "429-retry-after": refuse(429, retry_after="0.05"),
    "429-retry-after-9e9": refuse(429, retry_after="9e9"),
    "429-retry-after-past": refuse(429, retry_after="Sun, 06 Nov 1994 08:49:37 GMT"),
    "500": refuse(500),
    "529": refuse(529),
    "401": refuse(401),
    "reset": reset,
    "error-frame": error_frame,
    "empty": empty,
    "html": html,
    "drip": drip,
    "cut-0": cut(0),
    "cut-40": cut(40),
}
"""Faults before the first output, streamed or not."""

LATE: Mapping[str, Script] = {
    "cut-300": cut(300),
    "cut-700": cut(700),
    "reset-later": reset_later,
    "error-frame-later": error_frame_later,
    "drip-later": drip_later,
}
"""Faults after it, when streamed."""

SCRIPTS: Mapping[str, Script] = {**EARLY, **LATE, "right": right}

UNREACHABLE = ("tls-refused", "connection-refused")
"""Faults of the place, not of the answer."""


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
