"""Answers as ASGI applications: JSON, errors, event streams. Each watches whether its client is still there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from math import ceil
from typing import TYPE_CHECKING, Any, cast

from tollbook.call import Call
from tollbook.errors import TollbookError, UpstreamError
from tollbook.gateway import Answer
from tollbook.transport.sse import COMMENT, DONE, write
from tollbook.transport.wire import encode

if TYPE_CHECKING:
    from litestar.types import Receive, Scope, Send

KEEP_ALIVE = 15.0
"""Seconds of silence after which a stream gets a comment, so that no proxy on the way gives it up; $TOLLBOOK_KEEP_ALIVE
says others."""

LONGEST_WAIT = 86_400.0
"""Seconds that a client is told to wait at the most: a provider that says 9e9 means "not today"."""

_JSON = (b"content-type", b"application/json")


def headers_of(call: Call) -> dict[str, str]:
    """What every answer says about its call."""
    found = {"x-tollbook-call-id": call.id, "x-request-id": call.id}
    if call.trace_id:
        found["x-tollbook-trace-id"] = call.trace_id
    if call.model:
        found["x-tollbook-model"] = call.model
    attempt = call.attempt
    if attempt is not None:
        found |= attempt.headers
        found["x-tollbook-deployment"] = attempt.deployment
        found["x-tollbook-provider"] = attempt.provider
        if attempt.upstream_request_id:
            found["x-request-id"] = attempt.upstream_request_id
        found.pop("retry-after", None)  # told on success too by some; it is a client's business only with an error
    if call.limits:
        # Half of the provider's limits beside half of ours would be neither.
        found = {name: value for name, value in found.items() if not name.startswith("x-ratelimit-")} | {**call.limits}
    found["x-tollbook-attempts"] = str(len(call.attempts))
    if call.continuity:
        found["x-tollbook-continuity"] = call.continuity
    if call.notes:
        found["x-tollbook-notes"] = "; ".join(call.notes)
    if call.ended is not None and call.operation == "create":
        cost = call.cost
        if cost.usd is not None:
            found["x-tollbook-cost"] = cost.usd
        found["x-tollbook-cost-status"] = cost.status
    return found


def raw_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI wants them. What could end a header line is replaced."""
    return [
        (name.lower().encode("latin-1"), " ".join(value.split()).encode("latin-1", "replace")[:8000])
        for name, value in headers.items()
    ]


async def send_json(send: Send, status: int, body: Any, headers: Mapping[str, str]) -> None:
    """A complete JSON answer."""
    raw = body if isinstance(body, bytes) else encode(body)
    fields = [_JSON, (b"content-length", b"%d" % len(raw)), *raw_headers(headers)]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": raw, "more_body": False})


async def send_error(send: Send, error: TollbookError, headers: Mapping[str, str]) -> None:
    """An error in OpenAI's envelope, with the headers that clients act on."""
    fields = {**headers, **error.headers}
    if isinstance(error, UpstreamError) and error.request_id:
        fields["x-request-id"] = error.request_id
    fields.pop("retry-after", None)  # the provider's own words may be anything; what they mean is in `retry_after`
    if error.retry_after is not None:
        fields["retry-after"] = str(ceil(min(max(error.retry_after, 1.0), LONGEST_WAIT)))
    if error.status == 401:
        fields["www-authenticate"] = "Bearer"
    await send_json(send, error.status, error.envelope(), fields)


class Json:
    """The answer to one call: `work` is done while the client is there, and cancelled when it leaves."""

    def __init__(self, call: Call, work: Callable[[], Awaitable[Any]]) -> None:
        self._call = call
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        async def answer() -> None:
            try:
                body = await self._work()
            except TollbookError as error:
                await send_error(send, error, headers_of(self._call))
            else:
                await send_json(send, 200, body, headers_of(self._call))

        await _while_connected(answer(), receive)


class Events:
    """A streamed response: one event per write, a comment when it is silent for long.

    The status waits for the first output, so that an error before it is an HTTP error; after `keep_alive` seconds without
    any it is sent all the same, and a later error is told in the stream.
    """

    def __init__(self, answer: Answer, *, keep_alive: float = KEEP_ALIVE) -> None:
        self._answer = answer
        self._keep_alive = keep_alive
        self._started = False
        self._last = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        self._last = time.monotonic()

        async def keep_alive() -> None:
            while True:
                silent = time.monotonic() - self._last
                if silent < self._keep_alive:
                    await asyncio.sleep(self._keep_alive - silent)
                    continue
                await self._start(send)
                self._last = time.monotonic()
                await send({"type": "http.response.body", "body": COMMENT, "more_body": True})

        keeper = asyncio.create_task(keep_alive())
        try:
            await _while_connected(self._stream(send), receive)
        finally:
            keeper.cancel()

    async def _stream(self, send: Send) -> None:
        frames = cast("Any", self._answer.frames)
        try:
            async with aclosing(frames):
                await self._give(frames, send)
        except TollbookError as error:
            if not self._started:
                self._started = True
                await send_error(send, error, headers_of(self._answer.call))
                return
            for kind, event in _failed(error, self._answer.call):
                await send({"type": "http.response.body", "body": _event(kind, event), "more_body": True})
        await self._start(send)  # a stream that is resumed at its end has no events left
        await send({"type": "http.response.body", "body": DONE, "more_body": False})

    async def _give(self, frames: AsyncIterator[Any], send: Send) -> None:
        async for batch in frames:
            if not batch:
                continue
            await self._start(send)
            for frame in batch:
                body = write(frame)
                self._answer.call.bytes_out += len(body)
                await send({"type": "http.response.body", "body": body, "more_body": True})
            self._last = time.monotonic()

    async def _start(self, send: Send) -> None:
        if self._started:
            return
        self._started = True
        fields = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            *raw_headers(headers_of(self._answer.call)),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": fields})


def _failed(error: TollbookError, call: Call) -> list[tuple[str, dict[str, Any]]]:
    """A whole failed stream, for a failure after the status had to be sent and before any event was."""
    from tollbook.responses.draft import Draft

    draft = Draft({"model": call.model}, created_at=call.started // 1_000_000_000)
    draft.begin()
    draft.fail(error)
    return [(frame.type, frame.event) for frame in draft.take()]


def _event(kind: str, event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), encode(event))


async def _while_connected(work: Any, receive: Receive) -> None:
    """Do the work; cancel it when the client hangs up."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
    finally:
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
