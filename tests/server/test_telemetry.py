"""One tree of spans per call, received over OTLP by a real collector - or not received, which costs nobody anything."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tollbook.storage import facts

from .asking import ask, stream, text_of
from .receiver import CLIENT, SERVER, Collector, Span, points
from .running import MASTER, Gateway, running, until
from .upstream import Exchange, Upstream, chat_whole, native_response

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def tree(spans: list[Span], root_parent: str = "") -> tuple[Span, Span, list[Span]]:
    """SERVER, inference and attempts, after every parent was found; exactly one span has none here."""
    known = {span.span_id for span in spans}
    roots = [span for span in spans if span.parent_id == root_parent]
    assert len(roots) == 1
    assert all(span.parent_id in known for span in spans if span not in roots)
    (server,) = roots
    assert server.kind == SERVER
    (inference,) = [span for span in spans if span.parent_id == server.span_id]
    assert inference.kind == CLIENT
    attempts = [span for span in spans if span.parent_id == inference.span_id]
    assert len(attempts) == len(spans) - 2
    assert all(server.start <= span.start <= span.end for span in (inference, *attempts))
    return server, inference, attempts


def spans_of(answer: object, collector: Collector) -> list[Span]:
    headers: httpx.Headers = answer.headers  # type: ignore[attr-defined]
    return collector.trace(headers["x-tollbook-trace-id"])


@pytest.mark.parametrize("streamed", [False, True])
def test_a_call_is_a_server_an_inference_and_its_attempts(
    http: httpx.Client, collector: Collector, streamed: bool
) -> None:
    model = f"again/story:fault=500,fails=2,words={8 + streamed}"
    answer = stream(http, model) if streamed else ask(http, model)

    server, inference, attempts = tree(spans_of(answer, collector))
    assert server.name == "POST /v1/responses"
    assert server.attributes["http.route"] == "/v1/responses"
    assert server.attributes["http.response.status_code"] == 200
    assert inference.name == f"chat {model}"
    assert [span.name for span in attempts] == ["POST"] * 3
    assert [span.attributes["tollbook.attempt.number"] for span in attempts] == [1, 2, 3]
    assert [span.attributes.get("http.request.resend_count") for span in attempts] == [None, 1, 2]
    assert [span.attributes.get("error.type") for span in attempts] == ["server", "server", None]


@pytest.mark.parametrize("model", ["simulated/story", "again/story:fault=500,fails=1"])
def test_usage_and_cost_stand_on_exactly_one_span(http: httpx.Client, collector: Collector, model: str) -> None:
    spans = spans_of(stream(http, model), collector)

    for name in ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.cost", "tollbook.cost.total"):
        assert sum(name in span.attributes for span in spans) == 1


@pytest.mark.parametrize(
    ("method", "path", "template"),
    [
        ("GET", "/v1/responses/{id}", "/v1/responses/{response_id}"),
        ("GET", "/openai/v1/responses/{id}", "/openai/v1/responses/{response_id}"),
        ("GET", "/responses/{id}/input_items", "/responses/{response_id}/input_items"),
        ("POST", "/v1/responses/{id}/cancel", "/v1/responses/{response_id}/cancel"),
        ("GET", "/v1/models/org/team/deep", "/v1/models/{model}"),
        ("GET", "/v1/calls/{id}", "/v1/calls/{call_id}"),
    ],
)
def test_spans_are_named_by_the_template_of_their_route(
    http: httpx.Client, collector: Collector, method: str, path: str, template: str
) -> None:
    identifier = ask(http, "simulated/echo").json()["id"]

    answer = http.request(method, path.format(id=identifier))

    (server,) = [span for span in spans_of(answer, collector) if span.kind == SERVER]
    assert server.name == f"{method} {template}"
    assert server.attributes["http.route"] == template
    assert server.attributes["url.path"] == path.format(id=identifier)


def test_reading_a_response_has_no_usage_and_links_to_its_making(http: httpx.Client, collector: Collector) -> None:
    made = ask(http, "simulated/echo")
    _, making, _ = tree(spans_of(made, collector))

    got = http.get(f"/v1/responses/{made.json()['id']}")

    _, fetch, attempts = tree(spans_of(got, collector))
    assert fetch.name == "fetch_response"
    assert not any(name.startswith(("gen_ai.usage", "tollbook.cost")) for name in fetch.attributes)
    assert attempts == []
    assert fetch.links == ((making.trace_id, making.span_id, {"gen_ai.response.id": made.json()["id"]}),)


def test_the_callers_trace_goes_on_here(http: httpx.Client, collector: Collector) -> None:
    answer = ask(http, "simulated/echo", extra=None)
    traced = http.post(
        "/v1/responses",
        json={"model": "simulated/echo", "input": "x"},
        headers={"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"},
    )

    tree(spans_of(answer, collector))
    assert traced.headers["x-tollbook-trace-id"] == TRACE
    mine = [s for s in spans_of(traced, collector) if s.attributes.get("tollbook.request.id")]
    call_id = traced.headers["x-tollbook-call-id"]
    server = next(s for s in mine if s.kind == SERVER and s.attributes["tollbook.request.id"] == call_id)
    assert server.parent_id == PARENT


def test_a_trace_that_the_caller_does_not_sample_is_not_exported_but_has_its_id(http: httpx.Client) -> None:
    quiet = "5bf92f3577b34da6a3ce929d0e0e4736"

    answer = http.post(
        "/v1/responses",
        json={"model": "simulated/echo", "input": "x"},
        headers={"traceparent": f"00-{quiet}-{PARENT}-00"},
    )

    assert answer.headers["x-tollbook-trace-id"] == quiet


BROKEN = {
    "rubbish": {"traceparent": "rubbish"},
    "zeros": {"traceparent": f"00-{'0' * 32}-{'0' * 16}-01"},
    "a later version": {"traceparent": f"ff-{TRACE}-{PARENT}-01"},
    "capitals": {"traceparent": f"00-{TRACE.upper()}-{PARENT}-01"},
    "64 kB of state": {"traceparent": "x", "tracestate": "a=b," * 16_000},
    "64 kB of baggage": {"baggage": "k=v," * 16_000},
    "a long parent": {"traceparent": "0" * 60_000},
}


@pytest.mark.parametrize("headers", BROKEN.values(), ids=BROKEN.keys())
def test_broken_context_begins_a_trace_of_our_own(
    gateway: Gateway, collector: Collector, headers: dict[str, str]
) -> None:
    with gateway.client() as http:
        answer = http.post("/v1/responses", json={"model": "simulated/echo", "input": "x"}, headers=headers)

        if answer.status_code == 400:  # the server takes 64 kB of headers in all
            assert sum(map(len, headers.values())) > 60_000
            return
        assert text_of(answer.json())
        tree(spans_of(answer, collector))


def test_the_upstreams_parent_is_the_attempt(http: httpx.Client, upstream: Upstream, collector: Collector) -> None:
    async def whole(x: Exchange) -> None:
        await x.answer(chat_whole())

    upstream.scripts["joins"] = whole

    answer = ask(http, "traced/joins")

    _, _, (attempt,) = tree(spans_of(answer, collector))
    (exchange,) = upstream.of("joins")
    assert exchange.headers["traceparent"] == f"00-{attempt.trace_id}-{attempt.span_id}-01"


def test_a_refused_call_has_only_its_server_span(gateway: Gateway, collector: Collector) -> None:
    with gateway.client("sk-wrong") as stranger:
        answer = ask(stranger, "simulated/echo")

    (server,) = spans_of(answer, collector)
    assert server.attributes["http.response.status_code"] == 401
    assert server.attributes["tollbook.outcome"] == "rejected"
    assert server.attributes["tollbook.reject.reason"] == "invalid_api_key"
    assert server.status == 0, "the client's fault is not the server's error (HTTP conventions)"


def test_a_stream_has_its_moments_on_the_inference_span(http: httpx.Client, collector: Collector) -> None:
    told = stream(http, "simulated/echo:ttft=30,gap=10")

    _, inference, _ = tree(spans_of(told, collector))
    names = [name for name, _, _ in inference.events]
    assert names == [
        "tollbook.stream.first_event",
        "tollbook.stream.first_output",
        "tollbook.stream.longest_silence",
        "tollbook.stream.terminal",
    ]
    times = [moment for _, moment, _ in inference.events]
    assert inference.start <= times[0] <= times[1] <= times[2] <= times[3]


def test_every_answer_says_where_its_trace_is(http: httpx.Client, collector: Collector) -> None:
    answer = ask(http, "simulated/echo")

    server, _, _ = tree(spans_of(answer, collector))
    assert answer.headers["traceresponse"] == f"00-{server.trace_id}-{server.span_id}-01"


def test_the_callers_state_goes_on_and_its_baggage_stands_on_one_span(
    http: httpx.Client, upstream: Upstream, collector: Collector
) -> None:
    async def whole(x: Exchange) -> None:
        await x.answer(chat_whole())

    upstream.scripts["carries"] = whole
    trace = "6bf92f3577b34da6a3ce929d0e0e4736"
    answer = http.post(
        "/v1/responses",
        json={"model": "traced/carries", "input": "x"},
        headers={
            "traceparent": f"00-{trace}-{PARENT}-01",
            "tracestate": "vendor=1",
            "baggage": "session.id=s-1,user.id=u-1,tollbook.tag.job=night,secret=no",
        },
    )

    server, inference, (attempt,) = tree(spans_of(answer, collector), PARENT)
    carried = {"session.id": "s-1", "user.id": "u-1", "tollbook.tag.job": "night"}
    assert {name: inference.attributes.get(name) for name in carried} == carried
    assert not any(name in span.attributes for span in (server, attempt) for name in carried)
    assert not any("secret" in span.attributes for span in (server, inference, attempt))
    assert {span.state for span in (server, inference, attempt)} == {"vendor=1"}
    (exchange,) = upstream.of("carries")
    assert exchange.headers["tracestate"] == "vendor=1"
    assert "baggage" not in exchange.headers


@pytest.mark.parametrize("verb", ["DELETE", "POST"])
def test_deleting_and_cancelling_link_to_what_was_made(http: httpx.Client, collector: Collector, verb: str) -> None:
    made = ask(http, "simulated/echo")
    _, making, _ = tree(spans_of(made, collector))
    path = f"/v1/responses/{made.json()['id']}"

    answer = http.request(verb, path if verb == "DELETE" else f"{path}/cancel")

    (server,) = spans_of(answer, collector)
    assert [link[:2] for link in server.links] == [(making.trace_id, making.span_id)]


def test_a_failure_is_told_as_an_event_with_its_trace_and_without_the_providers_words(
    http: httpx.Client, upstream: Upstream, collector: Collector
) -> None:
    async def refuses(x: Exchange) -> None:
        await x.answer({"error": {"message": "canary-words-5b1e", "type": "server_error"}}, 500)

    upstream.scripts["refuses"] = refuses

    answer = ask(http, "chat/refuses")

    call_id = answer.headers["x-tollbook-call-id"]
    record = collector.until(
        lambda: next(
            (each for each in collector.records if each.attributes.get("tollbook.request.id") == call_id), None
        )
    )
    assert record.name == "gen_ai.client.operation.exception"
    assert record.severity == 13
    assert record.trace_id == answer.headers["x-tollbook-trace-id"]
    assert record.attributes["error.type"] == "server"
    assert not any(b"canary-words-5b1e" in raw for raw in collector.raw)


def test_a_price_that_is_missing_is_said_once(http: httpx.Client, upstream: Upstream, collector: Collector) -> None:
    async def whole(x: Exchange) -> None:
        await x.answer(chat_whole())

    upstream.scripts["nobody-prices"] = whole
    ask(http, "unpriced/nobody-prices")
    ask(http, "unpriced/nobody-prices")

    collector.until(lambda: [each for each in collector.records if each.name == "tollbook.price.missing"])
    assert len([each for each in collector.records if each.name == "tollbook.price.missing"]) == 1


def test_metrics_arrive_with_exemplars_that_name_a_trace(http: httpx.Client, collector: Collector) -> None:
    answer = ask(http, "again/story")
    trace = answer.headers["x-tollbook-trace-id"]

    def exemplars() -> bool:
        metric = collector.metrics.get("gen_ai.client.operation.duration")
        found = points(metric) if metric is not None else []
        return any(each.trace_id.hex() == trace for _, point in found for each in point.exemplars)

    assert collector.until(exemplars)
    cost = collector.metrics["tollbook.cost"]
    assert cost.unit == "USD"
    assert cost.sum.is_monotonic


def test_every_call_is_a_line_of_json_on_stdout_named_as_the_ledgers_columns(
    gateway: Gateway, http: httpx.Client
) -> None:
    answer = ask(http, "again/story:fault=500,fails=1,words=3", "canary-prompt-77aa", user="somebody")
    call_id = answer.headers["x-tollbook-call-id"]

    def line() -> dict[str, object] | None:
        found = [each for each in gateway.log.splitlines() if each.startswith("{") and call_id in each]
        return json.loads(found[0]) if found else None

    told = until(line, what="its line")
    row = gateway.call(call_id)
    assert told["trace_id"] == row["trace_id"]
    assert (told["call_id"], told["outcome"], told["status"]) == (call_id, "completed", 200)
    assert told["cost_nano"] == row["cost"]["nano_usd"]
    assert told["attempts"] == 2
    columns = {column.name for column in facts.LEDGER}
    own = {
        "event",
        "duration_ms",
        "route",
        "user_hash",
        "overhead_ms",
        "first_output_ms",
        "input_tokens",
        "output_tokens",
    }
    assert set(told) <= columns | own
    assert "somebody" not in json.dumps(told)
    assert "canary-prompt-77aa" not in gateway.log


def test_a_client_that_leaves_at_any_event_leaves_one_whole_trace_and_one_row(
    gateway: Gateway, http: httpx.Client, collector: Collector
) -> None:
    body = {"model": "simulated/story:gap=2,words=12", "input": "x", "stream": True}
    with http.stream("POST", "/v1/responses", json=body) as whole:
        events = sum(line.startswith("event: ") for line in whole.iter_lines())
    assert events > 15
    left = []
    for after in range(1, events):
        with http.stream("POST", "/v1/responses", json=body) as answer:
            lines = answer.iter_lines()
            for _ in range(after):
                next(line for line in lines if line.startswith("event: "))
            left.append((answer.headers["x-tollbook-trace-id"], answer.headers["x-tollbook-call-id"]))

    for trace, call_id in left:
        _, inference, attempts = tree(collector.trace(trace))
        assert len(attempts) == 1
        row = gateway.call(call_id)
        assert inference.attributes["tollbook.outcome"] == row["outcome"]
        assert inference.span_id == row["span_id"]
        assert inference.attributes.get("tollbook.cost.total", 0) == (row["cost"]["nano_usd"] or 0) / 1e9
    time.sleep(0.1)
    ids = [span.span_id for span in collector.spans]
    assert len(ids) == len(set(ids)), "no span is told twice"


def test_a_background_response_has_its_usage_on_one_span_however_often_it_is_read(
    gateway: Gateway, http: httpx.Client, upstream: Upstream, collector: Collector
) -> None:
    async def slowly(x: Exchange) -> None:
        await x.answer(native_response("slow", status="queued", background=True, output=[], usage=None))

    async def unknown(x: Exchange) -> None:
        await x.answer(native_response("slow", background=True))

    upstream.scripts |= {"slowly": slowly, "None": unknown}
    ordered = ask(http, "native/slowly", background=True)
    path = f"/v1/responses/{ordered.json()['id']}"
    try:
        reads = [http.get(path) for _ in range(3)]
    finally:
        del upstream.scripts["None"]

    assert [read.json()["status"] for read in reads] == ["completed"] * 3
    trace = ordered.headers["x-tollbook-trace-id"]
    collector.until(lambda: len([span for span in collector.spans if span.trace_id == trace]) >= 4)
    spans = [span for span in collector.spans if span.trace_id == trace]
    used = [span for span in spans if "gen_ai.usage.input_tokens" in span.attributes]
    (order,) = [s for s in spans if s.attributes.get("gen_ai.operation.name") == "chat" and s not in used]
    assert [span.parent_id for span in used] == [order.span_id]
    for read in reads:
        (fetch,) = [s for s in spans_of(read, collector) if s.kind == CLIENT]
        assert fetch.attributes["gen_ai.response.status"] == "completed"
        assert fetch.attributes["gen_ai.provider.name"] == "openai"
        assert not any(name.startswith("gen_ai.usage") for name in fetch.attributes)


def test_a_deployment_that_is_left_alone_is_noticed(tmp_path: Path) -> None:
    model = {"model_name": "ill", "litellm_params": {"model": "simulated/story:fault=503", "max_retries": 0}}
    config = {"model_list": [model], "router_settings": {"allowed_fails": 0}}
    with (
        Collector() as collector,
        running(tmp_path, config, environment=collector.environment, key=None) as gateway,
        gateway.client() as http,
    ):
        for _ in range(4):
            ask(http, "ill")
        record = collector.until(
            lambda: next((each for each in collector.records if each.name == "tollbook.provider.degraded"), None)
        )

    assert record.attributes["provider"] == "simulated"
    assert record.attributes["reason"] == "overloaded"
    assert "is left alone for a while" in gateway.log


def test_the_resource_says_who_we_are(http: httpx.Client, collector: Collector) -> None:
    spans_of(ask(http, "simulated/echo"), collector)

    assert all(resource["service.name"] == "tollbook" for resource in collector.resources)
    assert all(resource["service.version"] for resource in collector.resources)


def test_a_follow_up_links_to_its_parents_span_across_a_restart(tmp_path: Path) -> None:
    with Collector() as collector:
        gateway = Gateway(tmp_path, environment=collector.environment, key=None).start()
        with gateway.client() as http:
            first = ask(http, "simulated/echo", "before")
        gateway.stop()
        assert tree(spans_of(first, collector))[1]
        try:
            gateway.start()
            with gateway.client() as http:
                second = ask(http, "simulated/echo", "after", previous_response_id=first.json()["id"])
            _, inference, _ = tree(spans_of(second, collector))
        finally:
            gateway.stop()

    assert text_of(second.json()).endswith("the first was: before")
    _, before, _ = tree(collector.trace(first.headers["x-tollbook-trace-id"]))
    assert [(trace, span) for trace, span, _ in inference.links] == [(before.trace_id, before.span_id)]
    assert inference.attributes["tollbook.session.id"] == first.json()["id"]


def test_the_call_of_a_killed_gateway_has_its_trace_when_it_is_back(tmp_path: Path) -> None:
    with Collector() as collector:
        gateway = Gateway(tmp_path, environment=collector.environment, key=None).start()
        try:
            body = {"model": "simulated/story:gap=50,words=500", "input": "x", "stream": True}
            with gateway.client() as http, http.stream("POST", "/v1/responses", json=body) as answer:
                lines = answer.iter_lines()
                for _ in range(12):
                    next(line for line in lines if line.startswith("event: "))
                trace, call_id = answer.headers["x-tollbook-trace-id"], answer.headers["x-tollbook-call-id"]
                gateway.kill()
            assert [span for span in collector.spans if span.trace_id == trace] == []
            gateway.start()
            server, inference, attempts = tree(collector.trace(trace, seconds=20))
            row = gateway.call(call_id)
        finally:
            gateway.stop()

    assert server.attributes["tollbook.summary.outcome"] == "failed"
    assert inference.span_id == row["span_id"]
    assert inference.attributes["error.type"] == "gateway_killed"
    assert [span.span_id for span in attempts] == [row["attempts"][0]["span_id"]]
    assert inference.attributes["tollbook.cost.total"] == row["cost"]["nano_usd"] / 1e9 > 0


@pytest.fixture(
    params=["hangs", *(pytest.param(mood, marks=pytest.mark.slow) for mood in ("absent", "refuses"))],
)
def ill(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    with Collector(mood="well" if request.param == "absent" else request.param) as collector:
        environment = collector.environment
        if request.param != "absent":
            yield environment
    if request.param == "absent":
        yield environment


def test_an_ill_collector_neither_slows_calls_nor_the_end(tmp_path: Path, ill: dict[str, str]) -> None:
    with running(tmp_path, environment=ill, key=None) as gateway:
        with gateway.client() as http:
            ask(http, "simulated/echo")
            began = time.monotonic()
            for _ in range(20):
                assert ask(http, "simulated/echo").status_code == 200
            assert time.monotonic() - began < 4
        began = time.monotonic()
        gateway.stop()
        assert time.monotonic() - began < 8
    assert MASTER not in gateway.log
