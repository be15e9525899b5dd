"""What every answer says about its call: the same as the row, as `GET /v1/calls/{id}` and as the span."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from .asking import Told, ask, stream
from .receiver import Collector
from .running import Gateway
from .upstream import Exchange, Upstream, chat_whole


def one_story(headers: httpx.Headers, gateway: Gateway, collector: Collector) -> dict[str, Any]:
    """The row of the call, after headers, row and spans were found to agree on everything that they share."""
    call = gateway.call(headers["x-tollbook-call-id"])
    spans = collector.trace(headers["x-tollbook-trace-id"])
    (inference,) = [span for span in spans if span.attributes.get("gen_ai.operation.name") == "chat"]
    told = inference.attributes
    last = call["attempts"][-1]

    assert headers["x-tollbook-model"] == call["model"] == told["gen_ai.request.model"]
    assert headers["x-tollbook-deployment"] == last["deployment"] == told["tollbook.deployment.id"]
    assert headers["x-tollbook-provider"] == last["provider"]
    assert headers["x-tollbook-trace-id"] == call["trace_id"] == inference.trace_id
    assert call["span_id"] == inference.span_id
    assert told["tollbook.attempts"] == len(call["attempts"])
    assert told["tollbook.outcome"] == call["outcome"]
    assert told["tollbook.cost.status"] == call["cost"]["status"]
    assert told.get("gen_ai.response.id") == call["response_id"]
    lines = [line["amount_nano"] for attempt in call["attempts"] for line in attempt["cost"]["lines"]]
    if call["cost"]["nano_usd"] is None:
        assert "tollbook.cost.total" not in told
    else:
        assert told["tollbook.cost.total"] == told["gen_ai.usage.cost"] == call["cost"]["nano_usd"] / 1e9
        assert sum(lines) == call["cost"]["nano_usd"]
    return call


def test_a_whole_answer_tells_its_cost(gateway: Gateway, http: httpx.Client, collector: Collector) -> None:
    answer = ask(http, "simulated/story")

    call = one_story(answer.headers, gateway, collector)
    usage = answer.json()["usage"]
    assert answer.headers["x-tollbook-cost"] == call["cost"]["usd"]
    assert answer.headers["x-tollbook-cost-status"] == call["cost"]["status"] == "priced"
    assert answer.headers["x-tollbook-attempts"] == "1"
    assert call["cost"]["nano_usd"] == usage["input_tokens"] * 2_500 + usage["output_tokens"] * 10_000


def test_a_stream_tells_its_cost_in_the_books(gateway: Gateway, http: httpx.Client, collector: Collector) -> None:
    told = stream(http, "simulated/story")

    call = one_story(told.headers, gateway, collector)
    usage = told.events[-1]["response"]["usage"]
    assert "x-tollbook-cost" not in told.headers
    assert call["cost"]["nano_usd"] == usage["input_tokens"] * 2_500 + usage["output_tokens"] * 10_000
    assert call["events"] == len(told.events)
    assert 0 < call["bytes_out"] <= len(told.raw)


def test_retries_are_all_in_the_bill(gateway: Gateway, http: httpx.Client, collector: Collector) -> None:
    answer = ask(http, "again/story:fault=500,fails=1,words=5")

    call = one_story(answer.headers, gateway, collector)
    assert answer.headers["x-tollbook-attempts"] == "2"
    assert [attempt["outcome"] for attempt in call["attempts"]] == ["failed", "completed"]
    assert call["attempts"][0]["cost"]["nano_usd"] is None
    assert answer.headers["x-tollbook-cost"] == call["cost"]["usd"]


def test_an_unknown_price_is_unpriced_and_never_nothing(
    gateway: Gateway, http: httpx.Client, collector: Collector, upstream: Upstream
) -> None:
    async def whole(x: Exchange) -> None:
        await x.answer(chat_whole())

    upstream.scripts["nobody-prices-me"] = whole

    answer = ask(http, "unpriced/nobody-prices-me")

    call = one_story(answer.headers, gateway, collector)
    assert answer.headers["x-tollbook-cost-status"] == "unpriced"
    assert "x-tollbook-cost" not in answer.headers
    assert call["cost"]["usd"] is None
    assert call["usage"]["input"] == 11


RATES = {
    "x_ratelimit_limit_requests": "100",
    "x_ratelimit_remaining_requests": "99",
    "x_ratelimit_reset_tokens": "6m0s",
    "openai_processing_ms": "123",
    "openai_version": "2020-10-01",
    "x_request_id": "req_upstream",
    "x_codex_primary_used_percent": "3",
    "set_cookie": "session=secret",
    "server": "upstream/1.0",
}


@pytest.mark.parametrize("streamed", [False, True])
def test_what_clients_act_on_is_forwarded_and_nothing_else(
    http: httpx.Client, upstream: Upstream, streamed: bool
) -> None:
    async def rated(x: Exchange) -> None:
        if x.json.get("stream"):
            await x.send(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n")
            await x.send("".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in RATES.items()).encode() + b"\r\n")
            await x.event({"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]})
        else:
            await x.answer(chat_whole(), **RATES)

    upstream.scripts["rated"] = rated

    answer: httpx.Response | Told = stream(http, "chat/rated") if streamed else ask(http, "chat/rated")

    for name, value in RATES.items():
        if name not in ("set_cookie", "server"):
            assert answer.headers[name.replace("_", "-")] == value
    assert "set-cookie" not in answer.headers
    assert "server" not in answer.headers


@pytest.mark.parametrize("streamed", [False, True])
def test_a_refusal_keeps_its_request_id_and_its_waiting_time(
    gateway: Gateway, http: httpx.Client, upstream: Upstream, streamed: bool
) -> None:
    async def full(x: Exchange) -> None:
        error = {"message": "slow down", "type": "tokens", "code": "rate_limit_exceeded", "param": None}
        await x.answer({"error": error}, 429, x_request_id="req_full", retry_after="17", retry_after_ms="16500")

    upstream.scripts["full"] = full

    answer = ask(http, "chat/full", stream=streamed)

    assert answer.status_code == 429
    assert answer.headers["x-request-id"] == "req_full"
    assert answer.headers["retry-after"] == "17"
    assert answer.headers["retry-after-ms"] == "16500"
    assert answer.headers["x-should-retry"] == "false"
    call = gateway.call(answer.headers["x-tollbook-call-id"])
    assert call["attempts"][0]["upstream_request_id"] == "req_full"
    assert call["error"]["kind"] == "rate_limit"


@pytest.mark.parametrize(
    ("said", "told"),
    [("9e9", "86400"), ("99999999999", "86400"), ("Sun, 06 Nov 1994 08:49:37 GMT", "1"), ("0.2", "1"), ("soon", None)],
)
def test_a_waiting_time_is_told_in_whole_seconds_of_at_most_a_day(
    http: httpx.Client, upstream: Upstream, said: str, told: str | None
) -> None:
    async def busy(x: Exchange) -> None:
        await x.answer({"error": {"message": "slow down"}}, 429, retry_after=said)

    upstream.scripts["busy"] = busy

    answer = ask(http, "chat/busy", num_retries=0)

    assert answer.status_code == 429
    assert answer.headers.get("retry-after") in (told, None if told == "1" else told)


def test_headers_of_an_upstream_cannot_break_ours(http: httpx.Client, upstream: Upstream) -> None:
    async def strange(x: Exchange) -> None:
        await x.send(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n")
        await x.send("x-request-id: räq\t🐦\x7f\r\nx-ratelimit-ümlaut: 1\r\n".encode())
        await x.send(b"x-ratelimit-long: " + b"y" * 7000 + b"\r\n\r\n")
        await x.send(httpx.Response(200, json=chat_whole()).content)

    upstream.scripts["strange"] = strange

    answer = ask(http, "chat/strange")

    assert answer.status_code in (200, 502)
    assert answer.headers["x-tollbook-call-id"].startswith("call_")


def test_every_answer_names_its_call(gateway: Gateway, http: httpx.Client) -> None:
    identifier = ask(http, "simulated/echo").json()["id"]
    one = f"/v1/responses/{identifier}"
    answers = [
        http.get(one),
        http.get(f"{one}?stream=true"),
        http.get(f"{one}/input_items"),
        http.post(f"{one}/cancel"),
        http.post("/v1/responses/input_tokens", json={"model": "simulated/echo", "input": "x"}),
        http.get("/v1/models"),
        http.delete(one),
        http.get(one),
        http.post("/v1/responses", content=b"{"),
    ]

    calls = [answer.headers["x-tollbook-call-id"] for answer in answers]
    assert len(set(calls)) == len(calls)
    assert all(len(answer.headers["x-tollbook-trace-id"]) == 32 for answer in answers)
    assert all(answer.headers["x-request-id"] for answer in answers)


def test_a_note_tells_what_a_model_had_no_words_for(gateway: Gateway, http: httpx.Client) -> None:
    answer = ask(http, "simulated/echo", top_logprobs=3, prompt_cache_retention="24h", max_tool_calls=3)

    assert answer.status_code == 200
    notes = answer.headers["x-tollbook-notes"]
    assert "max_tool_calls" in notes
    assert gateway.call(answer.headers["x-tollbook-call-id"])["notes"] == notes.split("; ")
