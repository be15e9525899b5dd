"""A real gateway, its collector and its stores: what Jaeger and Prometheus say of its calls is what its books say."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.serving import respond, served

from .programs import Span, Stack, eventually, fetched
from .test_contract import EMITS, SILENT

pytestmark = pytest.mark.backends

SERVER, CLIENT = 2, 3
JOB = "tollbook-live"
_MODELS = (
    "simulated/echo",
    "simulated/story:words=40",
    "simulated/reasoner",
    "simulated/story:cached=50",
    "simulated/echo:fault=500,fails=1",
    "simulated/echo:fault=400",
)
_INPUT = ("input", "cache_read", "cache_write", "cache_write_1h", "input_audio", "input_image", "cache_read_audio")
_OUTPUT = ("output", "reasoning", "output_audio", "output_image")


@dataclass(frozen=True, slots=True)
class Live:
    """A gateway that was asked a few things, and its rows of them."""

    stack: Stack
    url: str
    calls: tuple[dict[str, Any], ...]


@pytest.fixture(scope="module")
def live(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": stack.collector.url,
        "OTEL_SERVICE_NAME": JOB,
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_LOGS_EXPORTER": "none",
    }
    with served(tmp_path_factory.mktemp("gateway"), **variables) as url:
        for model in _MODELS:
            _respond(url, model)
            _respond(url, model.replace("fails=1", "fails=1,words=9"), stream=True)
        first = respond(url, "simulated/echo")
        respond(url, "simulated/echo", previous_response_id=first["id"])
        told = fetched(f"{url}/v1/calls", limit="100")["data"]
        yield Live(stack, url, tuple(call for call in told if call["operation"] == "create"))


def _respond(url: str, model: str, *, stream: bool = False) -> None:
    body = json.dumps({"model": model, "input": "Hello, books!", "stream": stream}).encode()
    request = urllib.request.Request(f"{url}/v1/responses", body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            answer.read()
    except HTTPError:
        if "fault=400" not in model:
            raise


def _whole(live: Live, call: dict[str, Any]) -> list[Span]:
    def look() -> list[Span]:
        found = live.stack.jaeger.trace(call["trace_id"])
        assert len(found) == 2 + len(call["attempts"]), found
        return found

    return eventually(look)


def _sum(usage: dict[str, Any], kinds: tuple[str, ...]) -> int:
    return sum(usage.get(kind, 0) for kind in kinds)


def test_every_call_is_a_whole_trace_that_says_what_its_row_says(live: Live) -> None:
    assert len(live.calls) == 2 * len(_MODELS) + 2
    for call in live.calls:
        spans = _whole(live, call)
        known = {span.span_id: span for span in spans}
        (server,) = [span for span in spans if not span.parent_id]
        (chat,) = [span for span in spans if span.parent_id == server.span_id]
        attempts = sorted(
            (span for span in spans if span.parent_id == chat.span_id),
            key=lambda span: span.attributes["tollbook.attempt.number"],
        )

        assert {server.kind, chat.kind} == {SERVER, CLIENT}
        assert chat.span_id == call["span_id"]
        assert {span.resource["service.name"] for span in spans} == {JOB}
        assert chat.attributes["tollbook.outcome"] == call["outcome"]
        assert chat.attributes.get("gen_ai.response.id") == call["response_id"]
        assert chat.error is (call["outcome"] == "failed")
        assert [span.attributes.get("http.response.status_code") for span in attempts] == [
            attempt["status_code"] for attempt in call["attempts"]
        ]
        assert [span.span_id for span in attempts] == [attempt["span_id"] for attempt in call["attempts"]]
        assert len(known) == len(spans)
        if call["usage"]["source"] != "none":
            assert chat.attributes["gen_ai.usage.input_tokens"] == _sum(call["usage"], _INPUT)
            assert chat.attributes["gen_ai.usage.output_tokens"] == _sum(call["usage"], _OUTPUT)
        if call["cost"]["nano_usd"] is not None and call["outcome"] != "failed":
            assert round(chat.attributes["tollbook.cost.total"] * 1e9) == call["cost"]["nano_usd"]


def test_usage_and_cost_stand_on_one_span_of_a_trace(live: Live) -> None:
    for call in live.calls:
        spans = _whole(live, call)
        if call["outcome"] == "completed":
            for name in ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "tollbook.cost.total"):
                assert sum(name in span.attributes for span in spans) == 1, (call["model"], name)


def test_a_follow_up_links_to_the_span_of_its_parent(live: Live) -> None:
    (follow_up,) = [call for call in live.calls if call["previous_response_id"]]
    (parent,) = [call for call in live.calls if call["response_id"] == follow_up["previous_response_id"]]
    (chat,) = [span for span in _whole(live, follow_up) if span.span_id == follow_up["span_id"]]

    assert chat.links == (parent["span_id"],)


def test_metrics_of_spans_have_counted_every_call(live: Live) -> None:
    expr = f'sum by (tollbook_outcome) (traces_span_metrics_calls_total{{job="{JOB}", span_name=~"chat .*"}})'
    outcomes = [call["outcome"] for call in live.calls]

    def look() -> None:
        told = {labels["tollbook_outcome"]: value for labels, value in live.stack.prometheus.query(expr)}
        assert told == {outcome: outcomes.count(outcome) for outcome in outcomes}

    eventually(look)


def test_jaegers_monitor_knows_the_operations(live: Live) -> None:
    """It reads the metrics of spans from Prometheus."""

    def look() -> set[str]:
        now = live.stack.prometheus.value("time()")
        told = fetched(
            f"http://127.0.0.1:{live.stack.jaeger.http}/api/metrics/calls",
            service=JOB,
            spanKind="server",
            groupByOperation="true",
            endTs=f"{now * 1000:.0f}",
            lookback="600000",
            step="5000",
            ratePer="600000",
        )
        return {
            label["value"] for metric in told["metrics"] for label in metric["labels"] if label["name"] == "operation"
        }

    def known() -> None:
        assert "POST /v1/responses" in look()

    eventually(known)


def _counted(live: Live, expr: str, label: str) -> dict[str, float]:
    return {labels.get(label, ""): value for labels, value in live.stack.prometheus.query(expr)}


@pytest.mark.skipif(not EMITS, reason=SILENT)
def test_prometheus_says_what_the_books_say(live: Live) -> None:
    """Money to the nano-dollar, tokens and calls to the last one."""
    attempts = [attempt for call in live.calls for attempt in call["attempts"]]
    spent = sum(attempt["cost"]["nano_usd"] or 0 for attempt in attempts)
    tokens = sum(_sum(attempt["usage"], _INPUT + _OUTPUT) for attempt in attempts)
    outcomes = [call["outcome"] for call in live.calls]
    route = '{job="tollbook-live", route="/v1/responses"}'
    ours = f'{{job="{JOB}"}}'

    def look() -> None:
        prometheus = live.stack.prometheus
        assert _counted(live, f"sum by (outcome) (tollbook_requests_total{route})", "outcome") == {
            outcome: outcomes.count(outcome) for outcome in outcomes
        }
        assert round(prometheus.value(f"sum(tollbook_cost_USD_total{ours})") * 1e9) == spent
        assert prometheus.value(f"sum(tollbook_tokens_total{ours})") == tokens
        assert prometheus.value(f"sum(tollbook_attempts_total{ours})") == len(attempts)
        chats = f'gen_ai_client_operation_duration_seconds_count{{job="{JOB}", gen_ai_operation_name="chat"}}'
        assert prometheus.value(f"sum({chats})") == len(live.calls)

    eventually(look)


@pytest.mark.skipif(not EMITS, reason=SILENT)
def test_a_point_of_a_chart_leads_to_a_trace_in_jaeger(live: Live) -> None:
    known = {call["trace_id"] for call in live.calls}
    metric = f'gen_ai_client_operation_duration_seconds_bucket{{job="{JOB}", gen_ai_operation_name="chat"}}'

    def look() -> set[str]:
        url = f"{live.stack.prometheus.url}/api/v1/query_exemplars"
        now = live.stack.prometheus.value("time()")
        told = fetched(url, query=metric, start=f"{now - 600:.0f}", end=f"{now + 10:.0f}")["data"]
        found = {exemplar["labels"]["trace_id"] for series in told for exemplar in series["exemplars"]}
        assert found
        return found

    found = eventually(look)
    assert found <= known
    for trace_id in found:
        assert eventually(lambda trace_id=trace_id: live.stack.jaeger.trace(trace_id))
