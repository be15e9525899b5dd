"""What a provider can do wrong: 502 or 504 in OpenAI's shape, a finished span, a row - and never a hang."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests import protocol

from .asking import Told, ask, error_of, stream
from .receiver import ERROR, Collector
from .running import Gateway
from .upstream import Exchange, Script, Upstream, chat_chunk, chat_stream, chat_whole, good, native_response

QUICK = 4.0
"""Seconds: the hasty deployments wait 0.4 s for the first event, the others 1.5 s, and as long between two events."""


# ── Before the first output: an HTTP error ──────────────────────────────────────────────────────────────────────────────


async def html(x: Exchange) -> None:
    await x.answer(b"<html><body>It works!</body></html>", content="text/html")


async def html_502(x: Exchange) -> None:
    await x.answer(b"<html><body>Bad Gateway</body></html>", status=502, content="text/html")


async def nothing(x: Exchange) -> None:
    await x.answer(b"")


async def closed(x: Exchange) -> None:
    """Not even a status line."""


async def half_a_json(x: Exchange) -> None:
    await x.answer(b'{"id":"c1","choices":[{"mess')


async def half_a_body(x: Exchange) -> None:
    await x.head(content_length="1000")
    await x.send(b'{"id":"c1","choices":[')


async def gzip_garbage(x: Exchange) -> None:
    await x.answer(b"\x1f\x8b\x08\x00garbage garbage garbage", content_encoding="gzip")


async def half_a_gzip(x: Exchange) -> None:
    await x.answer(gzip.compress(b'{"choices":[]}' * 1000)[:40], content_encoding="gzip")


async def gzip_bomb(x: Exchange) -> None:
    await x.answer(gzip.compress(b"[" + b"0," * 60_000_000 + b"0]", compresslevel=1), content_encoding="gzip")


async def endless_headers(x: Exchange) -> None:
    await x.send(b"HTTP/1.1 200 OK\r\n")
    for number in itertools.count():
        await x.send(b"x-%d: y\r\n" % number * 100)


async def a_long_header(x: Exchange) -> None:
    await x.head(x_long="y" * 1_000_000)


async def no_http(x: Exchange) -> None:
    await x.send(b"220 mail.example.com ESMTP\r\n")


async def reset(x: Exchange) -> None:
    x.reset()


async def wrong_shape(x: Exchange) -> None:
    await x.answer({"choices": "none", "output": 3})


async def a_number(x: Exchange) -> None:
    await x.answer(b"3")


async def an_error_with_200(x: Exchange) -> None:
    await x.answer({"error": {"message": "the model is on fire", "type": "server_error", "code": "fire"}})


async def redirect(x: Exchange) -> None:
    await x.head(302, location="http://169.254.169.254/latest/meta-data")


async def endless_body(x: Exchange) -> None:
    await x.head()
    await x.send(b'{"a":"')
    while True:
        await x.send(b"x" * 1_000_000)


async def empty_stream(x: Exchange) -> None:
    await x.head(content="text/event-stream")


async def stream_of_comments(x: Exchange) -> None:
    await x.head(content="text/event-stream")
    await x.send(b": ping\n\n" * 3)


async def only_done(x: Exchange) -> None:
    await x.head(content="text/event-stream")
    await x.event("[DONE]")


async def a_stream_of_html(x: Exchange) -> None:
    await x.head(content="text/event-stream")
    await x.send(b"<html>\n<body>\n</body>\n\n")


async def an_error_frame(x: Exchange) -> None:
    await x.head(content="text/event-stream")
    await x.event({"error": {"message": "the model is on fire", "type": "server_error", "code": None}})


async def gzip_garbage_in_a_stream(x: Exchange) -> None:
    await x.head(content="text/event-stream", content_encoding="gzip")
    await x.send(b"data: not compressed at all\n\n")


async def cut_before_output(x: Exchange) -> None:
    await x.head(content="text/event-stream")
    await x.event(chat_chunk({"role": "assistant"}))


async def hang(x: Exchange) -> None:
    await asyncio.Event().wait()


async def hang_after_headers(x: Exchange) -> None:
    await x.head(content="text/event-stream" if x.json.get("stream") else "application/json")
    await asyncio.Event().wait()


async def slow_drip(x: Exchange) -> None:
    await x.head(content="text/event-stream" if x.json.get("stream") else "application/json")
    while True:
        await x.send(b" ")
        await asyncio.sleep(0.1)


EITHER: list[Script] = [
    html, html_502, nothing, closed, half_a_json, half_a_body, gzip_garbage, half_a_gzip, gzip_bomb, endless_headers,
    a_long_header, no_http, reset, wrong_shape, a_number, an_error_with_200, redirect, endless_body,
]  # fmt: skip
STREAMED: list[Script] = [
    empty_stream, stream_of_comments, only_done, a_stream_of_html, an_error_frame, gzip_garbage_in_a_stream,
    cut_before_output,
]  # fmt: skip
SLOW: list[Script] = [hang, hang_after_headers, slow_drip]
CASES = [
    *((script, False, 502) for script in EITHER),
    *((script, True, 502) for script in EITHER + STREAMED),
    *((script, streamed, 504) for script in SLOW for streamed in (False, True)),
]


@pytest.fixture(autouse=True)
def _goes_on(http: httpx.Client, upstream: Upstream) -> Iterator[None]:
    upstream.scripts["good"] = good
    yield
    assert ask(http, "chat/good").json()["status"] == "completed"


def booked(headers: httpx.Headers, gateway: Gateway, collector: Collector, outcome: str = "failed") -> dict[str, Any]:
    """The call's row, after its spans were found to tell the same: all ended, the failed ones marked."""
    call = gateway.call(headers["x-tollbook-call-id"])
    assert call["outcome"] == outcome
    spans = collector.trace(headers["x-tollbook-trace-id"])
    (inference,) = [span for span in spans if "gen_ai.operation.name" in span.attributes]
    assert inference.attributes["tollbook.outcome"] == outcome
    assert inference.status == ERROR
    attempts = [span for span in spans if span.parent_id == inference.span_id]
    assert len(attempts) == len(call["attempts"]) == int(headers["x-tollbook-attempts"])
    assert all(span.status == ERROR for span in attempts)
    return call


@pytest.mark.parametrize("family", ["chat", "native"])
@pytest.mark.parametrize(
    ("script", "streamed", "status"), CASES, ids=[f"{s.__name__}-{'streamed' if t else 'whole'}" for s, t, _ in CASES]
)
def test_before_the_first_output_a_broken_upstream_is_an_http_error(
    gateway: Gateway,
    http: httpx.Client,
    upstream: Upstream,
    collector: Collector,
    family: str,
    script: Script,
    streamed: bool,
    status: int,
) -> None:
    upstream.scripts[script.__name__] = script
    place = f"hasty-{family}" if status == 504 else family
    began = time.monotonic()

    answer = ask(http, f"{place}/{script.__name__}", stream=streamed)

    assert answer.status_code == status, answer.text
    assert time.monotonic() - began < QUICK
    error = error_of(answer)
    assert error["type"] == "server_error"
    call = booked(answer.headers, gateway, collector)
    assert call["status"] == status
    assert call["error"]["message"] == error["message"]


def _failed(told: Told) -> dict[str, Any]:
    """The nested error of a stream that ends with it and `response.failed`."""
    final = protocol.check(told.events)
    assert final["status"] == "failed"
    error: dict[str, Any] = told.events[-2]["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert final["error"] == {"code": error["code"], "message": error["message"]}
    return error


# ── After the first output: an error in the stream ──────────────────────────────────────────────────────────────────────


async def cut(x: Exchange) -> None:
    await x.head(content="text/event-stream")
    await x.event(chat_chunk({"content": "half a "}))
    await asyncio.sleep(0.1)  # what comes in one piece with the first output is before it


async def reset_midway(x: Exchange) -> None:
    await cut(x)
    x.reset()


async def cut_in_a_frame(x: Exchange) -> None:
    await cut(x)
    await x.send(b'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"sente')


async def error_midway(x: Exchange) -> None:
    await cut(x)
    await x.event({"error": {"message": "the model is on fire", "type": "server_error", "code": None}})


async def garbage_midway(x: Exchange) -> None:
    await cut(x)
    await x.event("{not json")


async def silence_midway(x: Exchange) -> None:
    await cut(x)
    await asyncio.Event().wait()


async def chunk_cut(x: Exchange) -> None:
    """Chunked encoding that says more bytes are coming than come."""
    await x.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    event = b'data: {"choices":[{"index":0,"delta":{"content":"half a "}}]}\n\n'
    await x.send(b"%x\r\n%b\r\nffff\r\ndata: {" % (len(event), event))


@pytest.mark.parametrize(
    "script", [cut, reset_midway, cut_in_a_frame, error_midway, garbage_midway, silence_midway, chunk_cut]
)
def test_a_stream_that_breaks_ends_with_an_error_and_response_failed(
    gateway: Gateway, http: httpx.Client, upstream: Upstream, collector: Collector, script: Script
) -> None:
    upstream.scripts[script.__name__] = script

    told = stream(http, f"chat/{script.__name__}")

    error = _failed(told)
    final = told.events[-1]["response"]
    assert final["output"][0]["content"][0]["text"] == "half a "
    assert final["output"][0]["status"] == "incomplete"
    call = booked(told.headers, gateway, collector)
    assert call["error"]["message"] == error["message"]
    assert http.get(f"/v1/responses/{final['id']}").json()["status"] == "failed"


def test_a_chat_stream_cut_at_any_byte_ends_lawfully(http: httpx.Client, upstream: Upstream) -> None:
    chunks = [chat_chunk({"role": "assistant"}), *(chat_chunk({"content": word}) for word in ("häl", "lo ", "🐦"))]
    wire = b"".join(
        b"data: " + httpx.Response(200, json=c).content + b"\n\n" for c in [*chunks, chat_chunk({}, "stop")]
    )
    wire += b"data: [DONE]\n\n"
    statuses = []
    for place in range(0, len(wire), 17):

        async def cut_here(x: Exchange, place: int = place) -> None:
            await x.head(content="text/event-stream")
            await x.send(wire[:place])

        upstream.scripts["cut-here"] = cut_here
        told = stream(http, "chat/cut-here")
        if told.status == 200:
            statuses.append(protocol.check(told.events)["status"])
        else:
            assert told.status == 502
    # Without the provider's word that it has finished, a text is not complete, however it looks.
    assert statuses.index("completed") == len(statuses) - statuses.count("completed") > 10


def test_a_native_stream_cut_at_any_byte_ends_lawfully(http: httpx.Client, upstream: Upstream) -> None:
    final = native_response("cut")
    item, part = final["output"][0], final["output"][0]["content"][0]
    empty = {**part, "text": ""}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**final, "status": "in_progress", "output": [], "usage": None}},
        {"type": "response.in_progress", "response": {**final, "status": "in_progress", "output": [], "usage": None}},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "status": "in_progress", "content": []},
        },
        {
            "type": "response.content_part.added",
            "item_id": item["id"],
            "output_index": 0,
            "content_index": 0,
            "part": empty,
        },
        {
            "type": "response.output_text.delta",
            "item_id": item["id"],
            "output_index": 0,
            "content_index": 0,
            "delta": "hello",
        },
        {
            "type": "response.output_text.done",
            "item_id": item["id"],
            "output_index": 0,
            "content_index": 0,
            "text": "hello",
        },
        {
            "type": "response.content_part.done",
            "item_id": item["id"],
            "output_index": 0,
            "content_index": 0,
            "part": part,
        },
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": final},
    ]
    wire = b"".join(
        f"event: {e['type']}\ndata: ".encode() + httpx.Response(200, json={**e, "sequence_number": n}).content + b"\n\n"
        for n, e in enumerate(events)
    )
    endings = []
    for place in range(0, len(wire), 61):

        async def cut_here(x: Exchange, place: int = place) -> None:
            await x.head(content="text/event-stream")
            await x.send(wire[:place])

        upstream.scripts["native-cut"] = cut_here
        told = stream(http, "native/native-cut", store=False)
        if told.status == 200:
            assert [e["sequence_number"] for e in told.events] == list(range(len(told.events)))
            assert [e["type"] for e in told.events[-2:]] == ["error", "response.failed"]
            assert told.events[-1]["response"]["id"] == "resp_cut"
            endings.append(told.events[-1]["response"]["status"])
        else:
            assert told.status == 502
    assert len(endings) > 10


# ── Trying again, and elsewhere ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("script", [html, reset, half_a_json, empty_stream, an_error_frame])
def test_a_fallback_before_the_first_output_is_invisible(
    gateway: Gateway, http: httpx.Client, upstream: Upstream, script: Script, streamed: bool
) -> None:
    upstream.scripts[script.__name__] = script

    answer = stream(http, f"falls/{script.__name__}") if streamed else ask(http, f"falls/{script.__name__}")

    if isinstance(answer, Told):
        assert protocol.check(answer.events)["status"] == "completed"
    else:
        assert answer.json()["status"] == "completed"
    assert answer.headers["x-tollbook-attempts"] == "2"
    assert answer.headers["x-tollbook-provider"] == "simulated"
    call = gateway.call(answer.headers["x-tollbook-call-id"])
    assert [attempt["reason"] for attempt in call["attempts"]] == ["initial", "fallback"]
    assert [attempt["outcome"] for attempt in call["attempts"]] == ["failed", "completed"]
    assert call["outcome"] == "completed"


def test_an_upstream_that_recovers_is_tried_again(gateway: Gateway, http: httpx.Client, upstream: Upstream) -> None:
    answers = iter([closed, html_502, good])

    async def recovers(x: Exchange) -> None:
        await next(answers)(x)

    upstream.scripts["recovers"] = recovers

    answer = ask(http, "retried/recovers")

    assert answer.json()["status"] == "completed"
    assert answer.headers["x-tollbook-attempts"] == "3"
    call = gateway.call(answer.headers["x-tollbook-call-id"])
    assert [attempt["reason"] for attempt in call["attempts"]] == ["initial", "retry", "retry"]


def test_after_the_first_output_nothing_is_tried_again(http: httpx.Client, upstream: Upstream) -> None:
    upstream.scripts["cut-once"] = cut

    told = stream(http, "retried/cut-once")

    assert _failed(told)["code"] == "upstream_truncated"
    assert len(upstream.of("cut-once")) == 1


def test_a_request_that_the_provider_refuses_is_not_tried_again(http: httpx.Client, upstream: Upstream) -> None:
    async def refuses(x: Exchange) -> None:
        await x.answer({"error": {"message": "bad tool", "type": "invalid_request_error", "code": None}}, status=400)

    upstream.scripts["refuses"] = refuses

    answer = ask(http, "retried/refuses")

    assert answer.status_code == 400
    assert "bad tool" in error_of(answer)["message"]
    assert len(upstream.of("refuses")) == 1


def test_an_upstream_that_answers_a_stream_with_json_is_understood(http: httpx.Client, upstream: Upstream) -> None:
    async def whole(x: Exchange) -> None:
        await x.answer(chat_whole("all at once"))

    async def streamed(x: Exchange) -> None:
        await chat_stream(x, "bit ", "by ", "bit")

    upstream.scripts |= {"always-whole": whole, "always-streamed": streamed}

    told = stream(http, "chat/always-whole")
    answer = ask(http, "chat/always-streamed").json()

    assert protocol.check(told.events)["output"][0]["content"][0]["text"] == "all at once"
    assert answer["output"][0]["content"][0]["text"] == "bit by bit"
