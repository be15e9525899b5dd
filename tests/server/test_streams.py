"""Streams as they are on the wire, and what happens when their reader leaves."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests import protocol

from .asking import ask, events_of, stream, text_of
from .receiver import ERROR, Collector
from .running import MASTER, Gateway, until
from .upstream import Exchange, Upstream, chat_chunk, native_response

TOOL = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("simulated/echo", {}),
        ("simulated/story", {}),
        ("simulated/reasoner", {"reasoning": {"effort": "low"}}),
        ("simulated/tools", {"tools": [TOOL]}),
        ("simulated/tools", {"tools": [{"type": "custom", "name": "write"}]}),
        ("simulated/story:words=500", {}),
        ("simulated/story", {"max_output_tokens": 16}),
        ("simulated/story:cut=10", {}),
        ("simulated/story:fault=stream,cut=10", {}),
        ("simulated/echo", {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}}}),
    ],
)
@pytest.mark.parametrize("question", ["hello", "ünïcödé 🐦\u2028\u2029 \u0085 data: x"])
def test_every_stream_keeps_the_law(http: httpx.Client, model: str, fields: dict[str, Any], question: str) -> None:
    told = stream(http, model, question, **fields)

    final = protocol.check(told.events)
    assert http.get(f"/v1/responses/{final['id']}").json() == final
    assert told.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert told.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("model", ["simulated/story", "simulated/reasoner", "simulated/tools"])
def test_a_stream_and_a_whole_answer_say_the_same(http: httpx.Client, model: str) -> None:
    def said(response: dict[str, Any]) -> Any:
        """Without what differs from one call to the next."""
        other = {"id", "created_at", "completed_at", "item_id", "call_id"}
        return json.loads(json.dumps(response), object_hook=lambda o: {k: v for k, v in o.items() if k not in other})

    told = stream(http, model, "x", tools=[TOOL])
    whole = ask(http, model, "x", tools=[TOOL]).json()

    assert said(told.events[-1]["response"]) == said(whole)


class Line:
    """A request on a plain socket, to see what is written and when."""

    def __init__(self, plug: socket.socket) -> None:
        self.plug = plug
        self.rest = b""

    def pieces(self) -> Iterator[bytes]:
        """The chunks of a chunked body, each as the server wrote it."""
        while True:
            size = int(self.line(), 16)
            data = self.exactly(size + 2)[:-2]
            if not size:
                return
            yield data

    def line(self) -> bytes:
        while b"\r\n" not in self.rest:
            self._more()
        line, _, self.rest = self.rest.partition(b"\r\n")
        return line

    def exactly(self, size: int) -> bytes:
        while len(self.rest) < size:
            self._more()
        data, self.rest = self.rest[:size], self.rest[size:]
        return data

    def headers(self) -> dict[str, str]:
        assert self.line().startswith(b"HTTP/1.1 200 ")
        found = {}
        while line := self.line():
            name, _, value = line.decode().partition(": ")
            found[name] = value
        return found

    def _more(self) -> None:
        data = self.plug.recv(65536)
        assert data, "the server closed the connection"
        self.rest += data


@contextmanager
def asked(gateway: Gateway, body: dict[str, Any]) -> Iterator[Line]:
    raw = json.dumps(body).encode()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as plug:
        head = f"POST /v1/responses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {MASTER}\r\ncontent-length: {len(raw)}\r\n\r\n"
        plug.sendall(head.encode() + raw)
        yield Line(plug)


def test_each_event_is_one_write_with_plain_line_ends(gateway: Gateway) -> None:
    with asked(gateway, {"model": "simulated/story", "input": "x", "stream": True}) as line:
        line.headers()
        pieces = list(line.pieces())

    assert pieces[-1] == b"data: [DONE]\n\n"
    for piece in pieces:
        assert b"\r" not in piece
        assert piece.endswith(b"\n\n")
        assert piece.count(b"\n\n") == 1
    assert len(events_of(b"".join(pieces))) == len(pieces) - 1


def test_words_are_passed_on_as_they_come(gateway: Gateway) -> None:
    with asked(gateway, {"model": "simulated/story:words=8,gap=100", "input": "x", "stream": True}) as line:
        line.headers()
        times = [time.monotonic() for piece in line.pieces() if b"output_text.delta" in piece]

    assert len(times) == 8
    assert times[-1] - times[0] > 0.5


def test_a_silent_stream_is_kept_alive_with_comments(http: httpx.Client, upstream: Upstream) -> None:
    """The gateway of these tests says something after a second: before the first output, and between two."""

    async def pauses(x: Exchange) -> None:
        await x.head(content="text/event-stream")
        for word in ("one ", "two"):
            await asyncio.sleep(1.2)
            await x.event(chat_chunk({"content": word}))
        await x.event(chat_chunk({}, "stop"))

    upstream.scripts["pauses"] = pauses

    told = stream(http, "chat/pauses")

    assert protocol.check(told.events)["status"] == "completed"
    assert told.raw.count(b": ") >= 2
    before, between = told.raw.split(b"event: response.created")
    assert before == told.raw[: len(before)] == b": keep-alive\n\n"
    assert b"\n\n: keep-alive\n\nevent: response.output_text.delta" in between


def test_an_error_after_the_first_comment_is_told_in_the_stream(http: httpx.Client, gateway: Gateway) -> None:
    told = stream(http, "simulated/story:fault=500,ttft=1300")

    assert told.status == 200
    final = protocol.check(told.events)
    assert final["status"] == "failed"
    assert final["error"]["message"] == "Simulated failure 500."
    assert gateway.call(told.call_id)["outcome"] == "failed"


@pytest.mark.parametrize("status", [429, 500])
def test_an_error_before_the_first_output_is_an_http_status(http: httpx.Client, status: int) -> None:
    told = stream(http, f"simulated/story:fault={status},retry=7")

    assert told.status == status
    assert told.headers["content-type"] == "application/json"
    assert told.headers["retry-after"] == "7"


def test_the_cost_stands_in_the_terminal_event_only_when_it_is_asked_for(http: httpx.Client, gateway: Gateway) -> None:
    plain = stream(http, "simulated/story")
    asked_for = stream(http, "simulated/story", include=["usage.cost"])

    usage = asked_for.events[-1]["response"]["usage"]
    assert "cost" not in plain.events[-1]["response"]["usage"]
    assert usage["cost"] == gateway.call(asked_for.call_id)["cost"]["nano_usd"] / 1e9 > 0
    assert all('"cost":' not in json.dumps(event) for event in asked_for.events[:-1])


# ── A reader who leaves ─────────────────────────────────────────────────────────────────────────────────────────────────


def disconnected(gateway: Gateway, collector: Collector, headers: dict[str, str]) -> dict[str, Any]:
    """The row of a call whose client left: one, and one finished tree of spans, which say so."""
    call = gateway.call(headers["x-tollbook-call-id"])
    assert call["outcome"] == "client_disconnected"
    (attempt,) = call["attempts"]
    assert attempt["outcome"] == "client_disconnected"
    spans = collector.trace(headers["x-tollbook-trace-id"])
    assert len(spans) == 3
    (inference,) = [span for span in spans if "gen_ai.operation.name" in span.attributes]
    assert inference.attributes["tollbook.outcome"] == "client_disconnected"
    assert inference.status == ERROR
    return call


@pytest.mark.parametrize("read", range(1, 13))
def test_a_client_that_hangs_up_at_any_event_ends_the_upstreams_work(
    gateway: Gateway, upstream: Upstream, collector: Collector, read: int
) -> None:
    model = f"leaving-{read}"

    async def speaks(x: Exchange) -> None:
        """As many words as the client will read, and then it would go on for ever."""
        await x.head(content="text/event-stream")
        for _ in range(max(read - 4, 1)):
            await x.event(chat_chunk({"content": "word "}))
        await asyncio.Event().wait()

    upstream.scripts[model] = speaks

    with asked(gateway, {"model": f"chat/{model}", "input": "x", "stream": True}) as line:
        headers = line.headers()
        pieces = line.pieces()
        for _ in range(read):
            next(pieces)
        left = time.monotonic()

    (exchange,) = upstream.of(model)
    assert exchange.gone.wait(3)
    assert exchange.gone_at - left < 0.5
    call = disconnected(gateway, collector, headers)
    assert call["response_id"] is None or call["status"] == 200


@pytest.mark.parametrize("streamed", [False, True])
def test_a_client_that_hangs_up_before_the_first_output_ends_the_upstreams_work(
    gateway: Gateway, http: httpx.Client, upstream: Upstream, collector: Collector, streamed: bool
) -> None:
    model = f"early-{streamed}"

    async def waits(x: Exchange) -> None:
        await asyncio.Event().wait()

    upstream.scripts[model] = waits

    with asked(gateway, {"model": f"chat/{model}", "input": "x", "stream": streamed}):
        until(lambda: upstream.of(model), what="the request")
        left = time.monotonic()

    (exchange,) = upstream.of(model)
    assert exchange.gone.wait(3)
    assert exchange.gone_at - left < 0.5
    named = lambda: [c for c in http.get("/v1/calls?limit=5").json()["data"] if c["model"] == f"chat/{model}"]  # noqa: E731
    (call,) = until(named, what="the row")
    ids = {"x-tollbook-call-id": call["id"], "x-tollbook-trace-id": call["trace_id"]}
    disconnected(gateway, collector, ids)


def test_a_client_that_hangs_up_while_its_answer_is_read_is_booked_as_gone(
    gateway: Gateway, http: httpx.Client, upstream: Upstream
) -> None:
    async def halfway(x: Exchange) -> None:
        await x.head(content_length="1000")
        await x.send(b'{"id":"c1",')
        await asyncio.Event().wait()

    upstream.scripts["halfway"] = halfway

    with asked(gateway, {"model": "chat/halfway", "input": "x"}):
        until(lambda: upstream.of("halfway"), what="the request")

    assert upstream.of("halfway")[0].gone.wait(3)
    named = lambda: [c for c in http.get("/v1/calls?limit=5").json()["data"] if c["model"] == "chat/halfway"]  # noqa: E731
    assert until(named, what="the row")[0]["outcome"] == "client_disconnected"


def test_what_a_client_left_behind_was_not_stored_as_complete(gateway: Gateway, http: httpx.Client) -> None:
    with asked(gateway, {"model": "simulated/story:gap=50", "input": "x", "stream": True}) as line:
        line.headers()
        created = next(line.pieces())
    identifier = json.loads(created.split(b"data: ")[1])["response"]["id"]

    assert http.get(f"/v1/responses/{identifier}").status_code == 404


def test_a_slow_reader_slows_its_own_upstream_only(gateway: Gateway, http: httpx.Client, upstream: Upstream) -> None:
    """A client that does not read holds up the upstream's sender, not the gateway's memory, and nobody else."""
    sent = 0

    async def floods(x: Exchange) -> None:
        nonlocal sent
        await x.head(content="text/event-stream")
        while True:
            await x.event(chat_chunk({"content": "x" * 10_000}))
            sent += 10_000

    upstream.scripts["floods"] = floods

    with asked(gateway, {"model": "chat/floods", "input": "x", "stream": True}) as line:
        line.headers()
        before = -1
        while before != sent:  # until nothing moves any more
            before = sent
            time.sleep(0.3)
        assert text_of(ask(http, "simulated/echo", "meanwhile").json()).startswith("You said: meanwhile")
    assert sent < 60_000_000


# ── Native frames ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_frames_of_a_native_upstream_keep_their_bytes(http: httpx.Client, upstream: Upstream) -> None:
    final = native_response("bytes", provider_extra={"kept": 1.50})
    begun = {**final, "status": "in_progress", "output": [], "usage": None}
    odd = '{"type":"response.telegram.sent" ,  "sequence_number":1, "unknown": [1.0,  2e3, "\\u00e4"]}'

    async def native(x: Exchange) -> None:
        await x.head(content="text/event-stream", x_request_id="req_native")
        await x.event({"type": "response.created", "sequence_number": 0, "response": begun}, "response.created")
        await x.event(odd, "response.telegram.sent")
        await x.event({"type": "response.completed", "sequence_number": 2, "response": final}, "response.completed")

    upstream.scripts["bytes"] = native

    told = stream(http, "native/bytes", telegram={"stop": True})

    assert f"event: response.telegram.sent\ndata: {odd}\n\n".encode() in told.raw
    assert told.events[-1]["response"] == final
    assert told.headers["x-request-id"] == "req_native"
    assert upstream.of("bytes")[0].json["telegram"] == {"stop": True}
    assert http.get("/v1/responses/resp_bytes").json() == final
