"""What is told again from a row is what was told when it happened: the same ids, times and attributes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.server.asking import ask, stream
from tests.server.receiver import SERVER, Collector, Span
from tests.server.running import Gateway, running
from tollbook.config import TelemetrySettings
from tollbook.errors import ConfigError
from tollbook.telemetry import replay
from tollbook.telemetry.genai import Manner

NOT_IN_A_ROW = {
    "tollbook.route.policy", "server.address", "server.port", "url.path", "url.scheme", "network.protocol.version",
    "user_agent.original", "gen_ai.request.seed", "tollbook.stream.bytes", "tollbook.cost.saved",
}  # fmt: skip
"""`server.*` of the SERVER span; bytes of the last events are sent after the row is written."""


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Gateway]:
    prices = {"input_cost_per_token": 2.5e-6, "output_cost_per_token": 1e-5, "cache_read_input_token_cost": 2.5e-7}
    config = {
        "model_list": [
            {"model_name": "again/*", "litellm_params": {"model": "simulated/*", "max_retries": 2, **prices}},
            {"model_name": "falls", "litellm_params": {"model": "simulated/story:fault=500", "max_retries": 0}},
        ],
        "router_settings": {"fallbacks": [{"falls": ["again/story"]}], "disable_cooldowns": True},
    }
    folder: Path = tmp_path_factory.mktemp("replay")
    with running(folder, config, environment=collector.environment, key=None) as started:
        yield started


@pytest.fixture
def http(gateway: Gateway) -> Iterator[httpx.Client]:
    with gateway.client() as client:
        yield client


def comparable(span: Span) -> dict[str, object]:
    attributes = {name: value for name, value in span.attributes.items() if name not in NOT_IN_A_ROW}
    events = tuple(
        each for each in span.events if each[0] in ("tollbook.stream.first_output", "tollbook.stream.terminal")
    )
    times = () if span.kind == SERVER else (span.start, span.end)  # a request is longer than its call
    # A row's times are whole microseconds.
    near = {name: pytest.approx(v, abs=2e-3) if isinstance(v, float) else v for name, v in attributes.items()}
    return {
        "ids": (span.trace_id, span.span_id, span.parent_id, span.name, span.kind, span.status),
        "times": times,
        "attributes": near,
        "links": span.links,
        "events": tuple((name, moment // 1000) for name, moment, _ in events),
    }


@pytest.mark.parametrize(
    ("model", "streamed", "fields"),
    [
        ("again/echo", False, {"temperature": 0.5, "max_output_tokens": 50, "user": "somebody"}),
        ("again/story:cached=50", True, {"reasoning": {"effort": "low"}, "metadata": {"tags": "a=1,b"}}),
        ("again/story:fault=500,fails=2", True, {}),
        ("falls", False, {}),
        ("again/story:fault=429", False, {}),
        ("again/story:cut=5", True, {}),
        ("nobody/knows", False, {}),
    ],
)
def test_a_row_tells_the_same_spans(
    gateway: Gateway, http: httpx.Client, collector: Collector, model: str, streamed: bool, fields: dict[str, object]
) -> None:
    answer = stream(http, model, **fields) if streamed else ask(http, model, **fields)
    live = {span.span_id: span for span in collector.trace(answer.headers["x-tollbook-trace-id"])}

    row = gateway.call(answer.headers["x-tollbook-call-id"])
    with Collector() as again:
        delivery = replay.Delivery(TelemetrySettings(), again.environment)
        delivery.take(replay.spans_of(row, Manner()))
        counted = delivery.close()
    told = {span.span_id: span for span in again.spans}

    assert counted == (len(live), 0, "")
    assert told.keys() == live.keys()
    for key, span in told.items():
        exact = {name: value for name, value in span.attributes.items() if name not in NOT_IN_A_ROW}
        assert {**comparable(span), "attributes": exact} == comparable(live[key])


def test_follow_ups_and_reads_are_told_again_with_their_links(
    gateway: Gateway, http: httpx.Client, collector: Collector
) -> None:
    first = ask(http, "again/echo")
    second = ask(http, "again/echo", previous_response_id=first.json()["id"])
    read = http.get(f"/v1/responses/{first.json()['id']}")

    for answer in (second, read):
        live = {span.span_id: span.links for span in collector.trace(answer.headers["x-tollbook-trace-id"])}
        again = replay.spans_of(gateway.call(answer.headers["x-tollbook-call-id"]), Manner())
        assert {span.span_id: tuple(tuple(link) for link in span.links) for span in again} == live
        assert any(live.values())


def test_without_an_endpoint_there_is_nowhere_to_deliver_to() -> None:
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
        replay.Delivery(TelemetrySettings(), {})
