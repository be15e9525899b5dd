"""A provider that does as it is told: raw sockets, so that it can also speak HTTP as badly as a broken one does.

A script is an async function of an `Exchange`; the model's name in the request's body chooses it. What stays in an
exchange afterwards tells what was asked and when the gateway hung up.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, Self

Script = Callable[["Exchange"], Awaitable[None]]


class Exchange:
    """One request and the connection to answer it on."""

    def __init__(self, head: bytes, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, _, rest = head.partition(b"\r\n")
        self.method, self.path, _ = line.decode("latin-1").split(" ", 2)
        pairs = (field.partition(b":") for field in rest.split(b"\r\n") if field)
        self.headers = {name.decode("latin-1").lower(): value.strip().decode("latin-1") for name, _, value in pairs}
        self.body = body
        self.json: Any = json.loads(body) if body else None
        self.gone = threading.Event()
        """Set when the gateway has closed the connection while the script was still at work."""
        self.gone_at = 0.0
        self.ended = threading.Event()
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def head(self, status: int = 200, content: str = "application/json", **headers: str) -> None:
        """Status and headers; the body ends with the connection."""
        lines = [f"HTTP/1.1 {status} Told", f"content-type: {content}", "connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join([*lines, "", ""]).encode())

    async def answer(self, body: Any, status: int = 200, content: str = "application/json", **headers: str) -> None:
        """A complete answer; what is not bytes is sent as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.head(status, content, content_length=str(len(raw)), **headers)
        await self.send(raw)

    async def event(self, data: Any, name: str = "") -> None:
        """One server-sent event."""
        text = data if isinstance(data, str) else json.dumps(data)
        await self.send((f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode())

    def reset(self) -> None:
        """Break the connection with RST instead of FIN."""
        plug = self._writer.get_extra_info("socket")
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def watch(self) -> None:
        """Notice the other side's end of the connection."""
        while await self._reader.read(65536):
            pass
        if not self.ended.is_set():
            self.gone_at = time.monotonic()
            self.gone.set()


class Upstream:
    """The server, in a thread with a loop of its own. `scripts` by model name; `exchanges` in order of arrival."""

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {}
        self.exchanges: list[Exchange] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def of(self, model: str) -> list[Exchange]:
        """The exchanges of one model."""
        return [e for e in self.exchanges if isinstance(e.json, dict) and e.json.get("model") == model]

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**26))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next((int(f[15:]) for f in head.lower().split(b"\r\n") if f.startswith(b"content-length:")), 0)
            exchange = Exchange(head[:-4], await reader.readexactly(length), reader, writer)
        except asyncio.IncompleteReadError:
            writer.close()  # a connection that was opened in advance and never used
            return
        self.exchanges.append(exchange)
        model = exchange.json.get("model") if isinstance(exchange.json, dict) else None
        script = self.scripts.get(str(model), _unknown)
        work = asyncio.ensure_future(script(exchange))
        watcher = asyncio.ensure_future(exchange.watch())
        try:
            await asyncio.wait((work, watcher), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                exchange.ended.set()
            for task in (work, watcher):
                task.cancel()
            await asyncio.gather(work, watcher, return_exceptions=True)
        finally:
            writer.close()


async def _unknown(exchange: Exchange) -> None:
    await exchange.answer({"error": {"message": "no script", "type": "test", "code": None}}, status=418)


# ── What a well-behaved provider says ───────────────────────────────────────────────────────────────────────────────────


def chat_chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One chunk of a Chat Completions stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice], **more}


CHAT_USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def chat_whole(text: str = "hello") -> dict[str, Any]:
    """A whole chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [choice],
        "usage": CHAT_USAGE,
    }


async def chat_stream(exchange: Exchange, *words: str, gap: float = 0.0) -> None:
    """A whole stream of one text."""
    await exchange.head(content="text/event-stream")
    for word in words or ("hello",):
        await exchange.event(chat_chunk({"content": word}))
        if gap:
            await asyncio.sleep(gap)
    await exchange.event({**chat_chunk({}, "stop"), "usage": CHAT_USAGE})
    await exchange.event("[DONE]")


async def good(exchange: Exchange) -> None:
    """Answers as asked, streamed or whole."""
    if exchange.json.get("stream"):
        await chat_stream(exchange, "hel", "lo")
    else:
        await exchange.answer(chat_whole())


def native_response(identifier: str, text: str = "hello", **fields: Any) -> dict[str, Any]:
    """A whole Response, as OpenAI sends it."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    item = {"id": f"msg_{identifier}", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    usage = {
        "input_tokens": 11,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 18,
    }
    return {
        "id": f"resp_{identifier}",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "gpt-4o-mini-2024-07-18",
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage,
        "error": None,
        "incomplete_details": None,
        "metadata": {},
        **fields,
    }
